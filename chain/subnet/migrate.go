package subnet

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// consensusVersion counts changes of the stored state; each but the first has a
// migration.
const consensusVersion = 2

// The fields that version 1 knew: the greatest number of each message. What is
// above came later.
const (
	v1Params          = 8
	v1Hyperparameters = 26
)

// migrate1to2 gives the parameters that version 1 did not know their defaults,
// for the module and for every subnet.
func (k *Keeper) migrate1to2(ctx context.Context) error {
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	defaults := DefaultParams()
	if err := complete(&params, &defaults, v1Params); err != nil {
		return fmt.Errorf("parameters: %w", err)
	}
	if err := validateParams(params); err != nil {
		return fmt.Errorf("parameters: %w", err)
	}
	if err := k.params.Set(ctx, params); err != nil {
		return err
	}
	var all []subnetv1.Subnet
	if err := k.subnets.Walk(ctx, nil, func(_ uint32, s subnetv1.Subnet) (bool, error) {
		all = append(all, s)
		return false, nil
	}); err != nil {
		return err
	}
	for _, s := range all {
		defaults := DefaultHyperparameters()
		if err := complete(&s.Hyperparameters, &defaults, v1Hyperparameters); err != nil {
			return fmt.Errorf("hyperparameters of subnet %d: %w", s.Netuid, err)
		}
		if err := k.subnets.Set(ctx, s.Netuid, s); err != nil {
			return err
		}
	}
	return nil
}

// A stored message can be written and read.
type stored interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// complete sets the fields of have above number known to those of defaults.
func complete(have, defaults stored, known protowire.Number) error {
	text, err := have.Marshal()
	if err != nil {
		return err
	}
	from, err := defaults.Marshal()
	if err != nil {
		return err
	}
	for len(from) > 0 {
		number, _, n := protowire.ConsumeField(from)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if number > known {
			text = append(text, from[:n]...)
		}
		from = from[n:]
	}
	return have.Unmarshal(text)
}
