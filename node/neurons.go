package node

import (
	"context"
	"fmt"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/local"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/neuron"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
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
func (u *up) startNeurons(ctx context.Context) error {
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
		judging, err := judging(u.home.stateDir(m), self.Log)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		judging.Challenge, judging.Tempo = 48, u.network.Tempo
		kind := text.New(u.model, manifest, judging)
		v := neuron.NewValidator(self, kind, u.home.stateDir(m), neuron.ValidatorOptions{
			Round: 3 * time.Second, Sample: 4, Parallel: 2, Timeout: 10 * time.Second, Poll: u.network.BlockTime / 2,
		})
		duty, err := owing{
			chain: u.chain[m.Name], actor: self.Actor, netuid: textNetuid, params: text.ManifestOf(u.model.Model()).JSON(),
			engine: u.model, judge: kind, state: u.home.stateDir(m), secret: judging.Secret, log: self.Log,
		}.duty("duty of " + m.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		u.services = append(u.services, service{m.Name, v.Run}, duty)
		if first == nil {
			first = v
			hotkey, err := u.ring.Unlock(m.Name + ".hot") // it signs for every answer
			if err != nil {
				return err
			}
			d := door{
				actor: ledger.Actor{Key: hotkey, For: m.Account}, manifest: text.ManifestOf(u.model.Model()).JSON(),
				users: openToAll(or(u.GatewayDB, u.home.path("gateway.db"))), block: u.network.BlockTime, stack: u.open,
				address: u.HTTP, chain: u.chain[m.Name], log: u.Log, say: u.Say, name: u.network.Model, model: u.model, netuid: textNetuid,
				validator: v, as: subnet.Peer{UID: yuma.UID(uid), Account: m.Account, PeerID: m.PeerID},
			}
			if u.embedder != nil {
				d.embedder = u.embedder
			}
			gateway, err := d.open(ctx)
			if err != nil {
				return err
			}
			u.services = append(u.services, gateway...)
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
