package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/neuron"
	"github.com/plexus-network/plexus/subnet/embed"
	"github.com/plexus-network/plexus/yuma"
)

// embedNetuid is the second subnet of a network that [Up] makes: its neurons
// are the validators and the honest miners of the first, its model the same.
const embedNetuid yuma.Netuid = 2

// embeds tells whether a member serves on the embedding subnet of its network.
func (n *network) embeds(m member) bool { return n.Embed && m.Behaviour == "" }

// embedding returns the embedding subnet for the first block.
func (n *network) embedding(text chain.GenesisSubnet, model engine.Model) chain.GenesisSubnet {
	g := text // the same owner and hyperparameters
	g.Kind, g.Name, g.KindParams, g.Neurons = "embed", "embed "+model.Name, embed.ManifestOf(model).JSON(), nil
	for _, m := range n.Members {
		if n.embeds(m) {
			g.Neurons = append(g.Neurons, chain.GenesisNeuron{Account: m.Account, PeerID: m.PeerID})
		}
	}
	return g
}

// startEmbedding makes members miners and validators of the embedding subnet
// as well. They are challenged seldom, for one machine does all the work.
func (u *up) startEmbedding(context.Context) error {
	manifest := embed.ManifestOf(u.model.Model())
	for _, m := range u.network.Members {
		if !u.network.embeds(m) {
			continue
		}
		self, err := u.self(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		self.Netuid = embedNetuid
		kind := embed.New(u.model, manifest, embed.Options{Log: self.Log, Challenge: 3})
		name := m.Name + " embeds"
		if m.Role == minerRole {
			u.services = append(u.services, service{name, neuron.NewMiner(self, kind, neuron.MinerOptions{}).Run})
			continue
		}
		v := neuron.NewValidator(self, kind, u.home.stateDir(m), neuron.ValidatorOptions{
			Round: 10 * time.Second, Sample: 3, Parallel: 1, Timeout: 10 * time.Second, Alpha: 0.25, Poll: u.network.BlockTime,
		})
		u.services = append(u.services, service{name, v.Run})
		if u.embedder == nil {
			u.embedder = kind.Embedder(askers{v})
		}
	}
	return nil
}

// askers lets an embedder ask by a validator.
type askers struct{ *neuron.Validator }

// Miners returns those that can be asked, the best first; among equals the
// less busy one.
func (a askers) Miners() []yuma.UID {
	standings := slices.DeleteFunc(a.Standings(), func(s neuron.Standing) bool { return !s.Alive })
	slices.SortStableFunc(standings, func(a, b neuron.Standing) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.InFlight, b.InFlight))
	})
	uids := make([]yuma.UID, len(standings))
	for i, s := range standings {
		uids[i] = s.Peer.UID
	}
	return uids
}
