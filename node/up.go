package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet/embed"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// UpOptions says what network [Up] runs. Home is required; what shapes the
// network itself counts only when Home holds none yet.
type UpOptions struct {
	Home string

	Validators int              // that also produce blocks; 0 means 4
	Miners     int              // honest ones; 0 means 3
	Cheats     []text.Behaviour // further miners, each cheating in its way
	BlockTime  time.Duration    // 0 means 1 s
	Tempo      yuma.Blocks      // 0 means 20

	Accounts map[string]coin.Amount // further keys, by name, and the coins that they have from the start

	HTTP string // gateway and page; empty means 127.0.0.1:8080
	GRPC string // of the first node; empty means 127.0.0.1:9090
	RPC  string // of the first node; empty means 127.0.0.1:26657
	REST string // of the first node; empty means 127.0.0.1:1317

	GatewayDB string // where keys, quotas and receipts are: a path or postgres://…; empty means gateway.db in Home

	Threads int                    // of the model engine; 0 means cores − 1
	Worker  []string               // program and arguments that run a model; nil means this program's own
	Log     *slog.Logger           // nil means no log
	Say     func(news, any string) // told what has come up: its name, and where or how; nil tells nobody
}

func (o UpOptions) withDefaults() UpOptions {
	o.Validators = or(o.Validators, 4)
	o.Miners = or(o.Miners, 3)
	o.BlockTime = or(o.BlockTime, time.Second)
	o.Tempo = or(o.Tempo, 20)
	o.HTTP = or(o.HTTP, "127.0.0.1:8080")
	o.GRPC = or(o.GRPC, "127.0.0.1:9090")
	o.RPC = or(o.RPC, "127.0.0.1:26657")
	o.REST = or(o.REST, "127.0.0.1:1317")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Say == nil {
		o.Say = func(string, string) {}
	}
	return o
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// Up runs a whole network in this process until ctx ends: validators that
// produce blocks and judge, miners that answer and some that cheat, and a
// gateway with the chat page. A home that holds a network continues it.
func Up(ctx context.Context, o UpOptions) (err error) {
	o = o.withDefaults()
	for _, a := range [][2]string{{o.HTTP, "--http"}, {o.GRPC, "--grpc"}, {o.RPC, "--rpc"}, {o.REST, "--rest"}} {
		if err := checkFree(a[0], a[1]); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	open := &stack{log: o.Log}
	defer func() {
		cancel()
		err = errors.Join(err, open.close())
	}()
	h, err := openHome(o.Home)
	if err != nil {
		return err
	}
	open.push("home", h.close)
	n, err := h.readNetwork()
	if err != nil {
		return err
	}
	if n == nil {
		if n, err = h.found(o); err != nil {
			return fmt.Errorf("make a network in %s: %w", o.Home, err)
		}
	}
	if name := n.lacking(o.Accounts); name != "" {
		return fmt.Errorf("account %s: the network in %s was made without it; make another with --home, or send coins to a key of yours: "+
			"plexus tx subnet claim --from miner-0, then plexus tx bank send miner-0 KEY AMOUNT", name, o.Home)
	}
	u := &up{UpOptions: o, home: h, network: n, open: open}
	return u.run(ctx)
}

// up is a network that is running.
type up struct {
	UpOptions
	home    *home
	network *network
	open    *stack

	ring  *wallet.Keyring
	model engine.Checker            // what the subnet declares; miners and validators share it
	weak  engine.Checker            // what the cheat with the smaller model runs
	nodes []*chain.Node             // one per validator
	chain map[string]*ledger.Client // by validator's name
	hosts map[string]*p2p.Host      // by member's name

	services []service
	embedder *embed.Embedder // asks the embedding subnet; nil if there is none
}

// run starts everything in the order in which it is needed, and serves.
func (u *up) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		u.startEngines, u.startChain, u.startHosts, u.startEmbedding, u.startNeurons,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return serve(ctx, u.Log, u.services)
}

// startEngines opens the model files that members run.
func (u *up) startEngines(ctx context.Context) error {
	var err error
	if u.ring, err = wallet.Open(wallet.Options{Home: u.home.dir, Backend: wallet.Test}); err != nil {
		return err
	}
	if u.model, err = u.openModel(ctx, u.network.Model); err != nil {
		return err
	}
	for _, m := range u.network.Members {
		if m.Behaviour == string(text.SmallerModel) && u.weak == nil {
			if u.weak, err = u.openModel(ctx, stock.Weak); err != nil {
				return err
			}
		}
	}
	return nil
}

// startChain starts one node per validator, connected to each other, and waits
// for a block.
func (u *up) startChain(ctx context.Context) error {
	options, err := u.home.genesis(u.network, u.model.Model())
	if err != nil {
		return err
	}
	genesis, err := chain.Genesis(options)
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	u.chain = map[string]*ledger.Client{}
	var peers []string
	for _, m := range u.network.Members {
		if m.Role != validatorRole {
			continue
		}
		c := chain.NodeConfig{
			Home: u.home.path(m.Chainhome), Genesis: genesis, Moniker: m.Name,
			P2P: "127.0.0.1:0", Peers: peers, Local: true,
			BlockTime: u.network.BlockTime, Log: u.Log.With("node", m.Name),
		}
		if len(u.nodes) == 0 {
			c.GRPC, c.RPC, c.REST = u.GRPC, u.RPC, u.REST
		}
		node, err := chain.StartNode(ctx, c)
		if err != nil {
			return fmt.Errorf("node of %s: %w", m.Name, err)
		}
		u.open.push("node of "+m.Name, node.Close)
		u.services = append(u.services, service{"node of " + m.Name, node.Run})
		u.nodes = append(u.nodes, node)
		peers = append(peers, node.PeerAddr())
		u.chain[m.Name] = ledger.New(node.GRPC(), ledger.Options{ChainID: u.network.ChainID, Log: u.Log})
	}
	return u.firstBlock(ctx)
}

// firstBlock waits until the first node has a block of this run.
func (u *up) firstBlock(ctx context.Context) error {
	first := u.nodes[0]
	start, deadline := first.Height(), time.After(time.Minute)
	for first.Height() <= start {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-first.Done():
			return fmt.Errorf("node of %s ended before a block: %w", u.network.Members[0].Name, first.Err())
		case <-deadline:
			return fmt.Errorf("no block after height %d in a minute", start)
		case <-time.After(20 * time.Millisecond):
		}
	}
	u.Say("chain", fmt.Sprintf("%s, block %d, %d validators", u.network.ChainID, first.Height(), len(u.nodes)))
	return nil
}

// startHosts gives each member its place among peers, and tells all of all.
func (u *up) startHosts(context.Context) error {
	u.hosts = map[string]*p2p.Host{}
	for _, m := range u.network.Members {
		host, err := p2p.New(p2p.Options{
			KeyFile: u.home.peerKey(m), StateDir: u.home.stateDir(m),
			Reach: p2p.Local, Log: u.Log.With("peer", m.Name),
		})
		if err != nil {
			return fmt.Errorf("peer %s: %w", m.Name, err)
		}
		u.open.push("peer "+m.Name, host.Close)
		u.hosts[m.Name] = host
	}
	for _, a := range u.hosts {
		for _, b := range u.hosts {
			if a != b {
				a.AddPeer(b.Info())
			}
		}
	}
	return u.tell()
}

// tell writes down how commands, and further miners, find the network.
func (u *up) tell() error {
	_, grpc, _ := u.nodes[0].Addrs()
	before, err := ledger.ReadConfig(u.home.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	config := ledger.Config{GRPC: grpc, ChainID: u.network.ChainID, Keyring: wallet.Test, Key: before.Key}
	for _, m := range u.network.Members {
		if m.Role == validatorRole {
			config.Peers = append(config.Peers, u.hosts[m.Name].Addrs()...)
		}
	}
	return config.Write(u.home.dir)
}
