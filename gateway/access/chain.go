package access

import (
	"context"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/yuma"
)

// A Validator is the [Chain] of a gateway that serves by way of a validator.
type Validator struct {
	Client  *ledger.Client
	Netuid  yuma.Netuid // the subnet whose epochs count
	Account string      // that runs the validator
}

// Epoch returns the subnet's epoch. A subnet that has had none yet is in
// epoch 1.
func (v Validator) Epoch(ctx context.Context) (Epoch, error) {
	s, err := v.Client.Subnet(ctx, v.Netuid)
	if err != nil {
		return Epoch{}, err
	}
	head, err := v.Client.Head(ctx)
	if err != nil {
		return Epoch{}, err
	}
	block, err := v.Client.BlockTime(ctx)
	if err != nil {
		return Epoch{}, err
	}
	next := yuma.Height(max(s.NextEpoch, 0))
	return Epoch{
		Number: s.Epoch + 1, Next: next,
		Left:   time.Duration(next-min(next, head.Height)) * block,
		Length: time.Duration(s.Hyperparameters.Tempo) * block,
	}, nil
}

// Stake returns what an account delegated to the validator, and what all did,
// without the bootstrap stake that nobody owns.
func (v Validator) Stake(ctx context.Context, account string) (own, all coin.Amount, err error) {
	if own, err = v.Client.Delegated(ctx, account, v.Account); err != nil {
		return 0, 0, err
	}
	if own == 0 {
		return 0, 0, nil
	}
	all, err = v.Client.Organic(ctx, v.Account)
	return own, max(all, own), err
}
