package node

import (
	"context"
	"fmt"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/local"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/gateway"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/neuron"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/web"
	"github.com/plexus-network/plexus/yuma"
)

// openModel opens a stock model in an engine of its own.
func (u *up) openModel(ctx context.Context, name string) (engine.Checker, error) {
	path, err := stock.Path(u.home.path("models"), name)
	if err != nil {
		return nil, err
	}
	e, err := local.Open(ctx, path, local.Options{Threads: u.Threads, Command: u.Worker, Log: u.Log})
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	u.open.push("model "+name, e.Close)
	m := e.Model()
	u.Say("model", fmt.Sprintf("%s, %.1f M parameters, %s", m.Name, float64(m.Parameters)/1e6, m.Precision))
	return e, nil
}

// startNeurons makes every member a miner or a validator, and puts the gateway
// before the first validator.
func (u *up) startNeurons(context.Context) error {
	manifest, err := text.ParseManifest(text.ManifestOf(u.model.Model()).JSON())
	if err != nil {
		return err
	}
	var first *neuron.Validator
	for uid, m := range u.network.Members {
		self, err := u.self(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if m.Role == minerRole {
			if err := u.addMiner(m, self, manifest); err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
			continue
		}
		v := neuron.NewValidator(self, text.New(u.model, manifest, text.Options{Log: self.Log, Challenge: 48}), u.home.stateDir(m), neuron.ValidatorOptions{
			Round: 3 * time.Second, Sample: 4, Parallel: 2, Timeout: 10 * time.Second, Poll: u.network.BlockTime / 2,
		})
		u.services = append(u.services, service{m.Name, v.Run})
		if first == nil {
			first = v
			if err := u.addGateway(v, subnet.Peer{UID: yuma.UID(uid), Account: m.Account, PeerID: m.PeerID}); err != nil {
				return err
			}
		}
	}
	u.Say("neurons", fmt.Sprintf("%d miners, %d of them cheating", u.miners(false)+u.miners(true), u.miners(true)))
	return nil
}

// miners counts the honest miners, or the cheats.
func (u *up) miners(cheating bool) int {
	n := 0
	for _, m := range u.network.Members {
		if m.Role == minerRole && (m.Behaviour != "") == cheating {
			n++
		}
	}
	return n
}

// self is who a member is. Validators see the chain by their own node, miners
// by the first.
func (u *up) self(m member) (neuron.Self, error) {
	name, on := m.Name, m.Name
	actor := ledger.Actor{}
	if m.Role == validatorRole {
		name, actor.For = m.Name+".hot", m.Account
	} else {
		on = u.network.Members[0].Name
	}
	key, err := u.ring.Key(name)
	if err != nil {
		return neuron.Self{}, err
	}
	actor.Key = key
	return neuron.Self{
		Netuid: textNetuid, Actor: actor, Chain: u.chain[on], Network: u.hosts[m.Name],
		Log: u.Log.With("neuron", m.Name),
	}, nil
}

// addMiner makes a member a miner that behaves as it should, or as told.
func (u *up) addMiner(m member, self neuron.Self, manifest text.Manifest) error {
	runs := u.model
	how := text.Behaviour(m.Behaviour)
	if how == text.SmallerModel {
		runs = u.weak
	}
	work, err := text.Behave(how, text.New(runs, manifest, text.Options{Log: self.Log}), neuron.NewDendrite(self).Relay)
	if err != nil {
		return err
	}
	u.services = append(u.services, service{m.Name, neuron.NewMiner(self, work, neuron.MinerOptions{}).Run})
	return nil
}

// addGateway serves users by way of a validator.
func (u *up) addGateway(v *neuron.Validator, as subnet.Peer) error {
	page, err := web.Handler()
	if err != nil {
		return err
	}
	watch := u.chain[u.network.Members[0].Name]
	g, err := gateway.New(gateway.Config{
		Models: []gateway.Model{{
			Name: u.network.Model, Backend: backend{v}, Tokenizer: u.model, Context: u.model.Model().Context,
			Netuid: textNetuid, Validator: as, Temperature: 0.3,
		}},
		Web: page,
		Height: func(ctx context.Context) (yuma.Height, error) {
			head, err := watch.Head(ctx)
			return head.Height, err
		},
		Log: u.Log.With("role", "gateway"),
	})
	if err != nil {
		return err
	}
	listener, err := gateway.Listen(u.HTTP)
	if err != nil {
		return err
	}
	u.services = append(u.services, service{"gateway", func(ctx context.Context) error {
		if !knowsMiners(ctx, v) {
			return ctx.Err()
		}
		u.Say("gateway", "http://"+listener.Addr().String())
		return g.Run(ctx, listener)
	}})
	return nil
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
