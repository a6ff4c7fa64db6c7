package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/gateway"
	"github.com/plexus-network/plexus/gateway/receipt"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/neuron"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/web"
	"github.com/plexus-network/plexus/yuma"
)

// door is what a gateway before a validator is made of.
type door struct {
	address   string
	chain     *ledger.Client
	name      string         // of the model, as users ask for it
	model     engine.Checker // whose tokenizer counts; nil where the subnet declares none
	most      int            // bytes of an answer, where the subnet declares no model
	netuid    yuma.Netuid
	validator *neuron.Validator
	as        subnet.Peer      // the validator
	embedder  gateway.Embedder // nil means the model, by this process' own engine
	actor     ledger.Actor     // signs receipts and publishes their roots
	manifest  []byte           // kind parameters of the subnet
	users     GatewayOptions   // whom it serves
	block     time.Duration    // between looks for payments; 0 means as often as there may be blocks
	stack     *stack           // closes what it opens
	log       *slog.Logger
	say       func(news, any string)
}

// open takes the address and returns what serves users there once the
// validator knows its miners, and what runs beside it.
func (d door) open(ctx context.Context) ([]service, error) {
	page, err := web.Handler()
	if err != nil {
		return nil, err
	}
	who, receipts, beside, err := d.guard(ctx)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	chainID, err := d.chain.ChainID(ctx)
	if err != nil {
		return nil, err
	}
	g, err := gateway.New(gateway.Config{
		ChainID: chainID,
		Models:  []gateway.Model{d.offer()},
		Web:     page,
		Access:  who, Receipts: receipts,
		Height: func(ctx context.Context) (yuma.Height, error) {
			head, err := d.chain.Head(ctx)
			return head.Height, err
		},
		Log: d.log.With("role", "gateway"),
	})
	if err != nil {
		return nil, err
	}
	listener, err := gateway.Listen(d.address)
	if err != nil {
		return nil, err
	}
	return append(beside, service{"gateway", func(ctx context.Context) error {
		if !knowsMiners(ctx, d.validator) {
			return ctx.Err()
		}
		d.say("gateway", "http://"+listener.Addr().String())
		return g.Run(ctx, listener)
	}}), nil
}

// offer is what users may ask for: the model that the subnet declares, or where
// it declares none whatever its miners run.
func (d door) offer() gateway.Model {
	m := gateway.Model{
		Name: d.name, Backend: backend{d.validator}, Netuid: d.netuid, Validator: d.as, Manifest: sha256.Sum256(d.manifest),
	}
	if d.model == nil {
		m.Kind, m.MaxTokens = receipt.Open, d.most/4 // a token counts as four bytes there
		return m
	}
	if d.embedder == nil {
		d.embedder = embedder{d.model}
	}
	m.Tokenizer, m.Context, m.Temperature = d.model, d.model.Model().Context, 0.3
	m.About, m.Embedder, m.Scorer = d.model.Model(), d.embedder, d.model
	return m
}

// knowsMiners waits until a validator has seen its subnet, and reports whether
// it has before ctx ended.
func knowsMiners(ctx context.Context, v *neuron.Validator) bool {
	for len(v.Standings()) == 0 {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}

// backend lets the gateway ask by a validator.
type backend struct{ *neuron.Validator }

// Miners returns the standings in the gateway's words.
func (b backend) Miners() []gateway.Miner {
	standings := b.Standings()
	miners := make([]gateway.Miner, len(standings))
	for i, s := range standings {
		miners[i] = gateway.Miner(s)
	}
	return miners
}
