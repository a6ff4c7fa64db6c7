package node

import (
	"context"
	"fmt"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/gateway/access"
	"github.com/plexus-network/plexus/gateway/receipt"
	"github.com/plexus-network/plexus/gateway/store"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/neuron"
	"github.com/plexus-network/plexus/yuma"
)

// GatewayOptions says whom a gateway serves beside those with stake at its
// validator.
type GatewayOptions struct {
	DB        string      // where keys, quotas and receipts are: a path or postgres://…; empty means gateway.db in the home folder
	Anonymous int64       // tokens per epoch for an address without a key; 0 for none
	Price     coin.Amount // of 1,000 prepaid tokens; 0 sells none
}

// openToAll is what a network on one machine gives and takes: whoever is there may
// use it without a key, so that any OpenAI client works as it comes.
func openToAll(db string) GatewayOptions {
	return GatewayOptions{DB: db, Anonymous: 1 << 20, Price: coin.PLX / 1000}
}

// guard opens the gateway's database, and makes who may use the gateway and
// what signs its receipts. The services are to run beside the gateway.
func (d door) guard(ctx context.Context) (*access.Access, *receipt.Archive, []service, error) {
	chainID, err := d.chain.ChainID(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	db, err := store.Open(ctx, d.users.DB)
	if err != nil {
		return nil, nil, nil, err
	}
	d.stack.push("gateway's database", db.Close)
	chain := access.Validator{Client: d.chain, Netuid: d.netuid, Account: d.as.Account}
	who, err := access.New(ctx, db, access.Options{
		Name:  fmt.Sprintf("validator %s of %s", d.as.Account, chainID),
		Chain: chain, Capacity: func() int64 { return rate(d.validator) },
		Anonymous: d.users.Anonymous, Price: d.users.Price, Deposits: d.as.Account,
		Log: d.log.With("role", "access"),
	})
	if err != nil {
		return nil, nil, nil, err
	}
	receipts := receipt.NewArchive(db, receipt.Options{
		Key: d.actor.Key, ChainID: chainID,
		Epoch: func(ctx context.Context) (uint64, error) {
			e, err := chain.Epoch(ctx)
			return e.Number, err
		},
		Publisher: rolls{d.chain, d.actor, d.netuid},
		Log:       d.log.With("role", "receipts"),
	})
	return who, receipts, []service{
		{"access", who.Run},
		{"deposits", func(ctx context.Context) error { return who.Follow(ctx, d.chain, d.block) }},
		{"receipts", receipts.Run},
	}, nil
}

// rate is how many tokens per second the miners that a validator trusts give.
func rate(v *neuron.Validator) int64 {
	all := 0.0
	for _, s := range v.Standings() {
		if s.Alive && s.Score > 0 {
			all += s.Rate
		}
	}
	return int64(all)
}

// rolls publishes roots in the chain's registry.
type rolls struct {
	client *ledger.Client
	actor  ledger.Actor
	netuid yuma.Netuid
}

// Publish adds the roots of epochs after the latest that is published: one that
// is published stays as it is.
func (r rolls) Publish(ctx context.Context, roots []receipt.Root) error {
	kept, err := r.client.Conduct(ctx, r.netuid, r.actor.Account())
	if err != nil {
		return err
	}
	for _, root := range roots {
		if kept.Roots > 0 && root.Epoch <= kept.LatestRoot {
			continue
		}
		if err := r.client.PublishRoot(ctx, r.actor, r.netuid, root.Epoch, root.Root, root.Receipts); err != nil {
			return err
		}
	}
	return nil
}
