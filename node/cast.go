package node

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/plexus-network/plexus/chain"
	rules "github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// textNetuid is the subnet of a network that [Up] makes.
const textNetuid yuma.Netuid = 1

// found makes a new network: its keys, then its record. Whatever an earlier
// attempt left behind is used again, so a crash half-way costs nothing.
func (h *home) found(o UpOptions) (*network, error) {
	ring, err := wallet.Open(wallet.Options{Home: h.dir, Backend: wallet.Test})
	if err != nil {
		return nil, err
	}
	n := &network{
		Version:   networkVersion,
		ChainID:   "plexus-local-" + fmt.Sprint(time.Now().Unix()),
		Created:   time.Now().UTC().Truncate(time.Second),
		BlockTime: o.BlockTime,
		Tempo:     uint64(o.Tempo),
		Model:     stock.Strong,
		Embed:     true,
	}
	for i := range o.Validators {
		m := member{Name: fmt.Sprintf("validator-%d", i), Role: validatorRole, Chainhome: filepath.Join("chain", fmt.Sprint(i))}
		n.Members = append(n.Members, m)
	}
	for i := range o.Miners {
		n.Members = append(n.Members, member{Name: fmt.Sprintf("miner-%d", i), Role: minerRole})
	}
	for _, b := range o.Cheats {
		n.Members = append(n.Members, member{Name: "cheat-" + string(b), Role: minerRole, Behaviour: string(b)})
	}
	for i := range n.Members {
		if err := h.equip(ring, &n.Members[i]); err != nil {
			return nil, fmt.Errorf("keys of %s: %w", n.Members[i].Name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Accounts)) {
		if slices.ContainsFunc(n.Members, func(m member) bool { return m.Name == name }) {
			return nil, fmt.Errorf("account %s: a neuron has that name, choose another", name)
		}
		key, err := keyOf(ring, name)
		if err != nil {
			return nil, fmt.Errorf("key of %s: %w", name, err)
		}
		n.Accounts = append(n.Accounts, account{name, key.Address(), o.Accounts[name]})
	}
	return n, h.writeJSON("network.json", n)
}

// lacking returns an account that is asked for and that the network does not
// have, "" if there is none.
func (n *network) lacking(asked map[string]coin.Amount) string {
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		if !slices.ContainsFunc(n.Accounts, func(a account) bool { return a.Name == name }) {
			return name
		}
	}
	return ""
}

// equip gives a member its keys: an account, a peer key, and a hotkey if it
// is a validator.
func (h *home) equip(ring *wallet.Keyring, m *member) error {
	account, err := keyOf(ring, m.Name)
	if err != nil {
		return err
	}
	m.Account = account.Address()
	if m.Role == validatorRole {
		hotkey, err := keyOf(ring, m.Name+".hot")
		if err != nil {
			return err
		}
		m.Hotkey = hotkey.Address()
	}
	identity, err := p2p.LoadKey(h.peerKey(*m))
	if err != nil {
		return err
	}
	id, err := peer.IDFromPrivateKey(identity)
	if err != nil {
		return err
	}
	m.PeerID = id.String()
	return nil
}

// keyOf returns the key of that name, made if it is absent.
func keyOf(ring *wallet.Keyring, name string) (*wallet.Key, error) {
	key, err := ring.Key(name)
	if errors.Is(err, wallet.ErrNoKey) {
		key, _, err = ring.Create(name)
	}
	return key, err
}

func (h *home) peerKey(m member) string  { return h.path("neurons", m.Name, "peer.key") }
func (h *home) stateDir(m member) string { return h.path("neurons", m.Name) }

// genesis returns the options of the network's first block. Model is what the
// text subnet's miners run.
func (h *home) genesis(n *network, model engine.Model) (chain.GenesisOptions, error) {
	g := chain.GenesisOptions{ChainID: n.ChainID, Time: n.Created}
	hyper := rules.DefaultHyperparameters()
	hyper.Tempo = n.Tempo
	hyper.WeightsRateLimit = n.Tempo / 2
	hyper.ImmunityPeriod = 10 * n.Tempo
	hyper.WorkMin = 256 // seconds of work, where nobody competes
	text := chain.GenesisSubnet{
		Owner:           n.Members[0].Account,
		Kind:            "text",
		Name:            "text " + model.Name,
		KindParams:      text.ManifestOf(model).JSON(),
		Hyperparameters: &hyper,
	}
	for _, m := range n.Members {
		text.Neurons = append(text.Neurons, chain.GenesisNeuron{Account: m.Account, PeerID: m.PeerID})
		if m.Role != validatorRole {
			continue
		}
		id, err := chain.LoadIdentity(h.path(m.Chainhome))
		if err != nil {
			return g, fmt.Errorf("block producer %s: %w", m.Name, err)
		}
		g.Validators = append(g.Validators, chain.GenesisValidator{Moniker: m.Name, Operator: m.Account, Key: id.Key})
		g.Hotkeys = append(g.Hotkeys, chain.GenesisHotkey{Account: m.Account, Hotkey: m.Hotkey})
	}
	for _, a := range n.Accounts {
		g.Accounts = append(g.Accounts, chain.GenesisAccount{Address: a.Address, Balance: a.Balance})
	}
	g.Subnets = []chain.GenesisSubnet{text}
	if n.Embed {
		g.Subnets = append(g.Subnets, n.embedding(text, model))
	}
	return g, nil
}
