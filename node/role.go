package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/local"
	"github.com/plexus-network/plexus/engine/remote"
	"github.com/plexus-network/plexus/engine/shelf"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/neuron"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/external"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// RoleOptions says how one neuron of this machine serves a subnet of a chain
// that may run elsewhere. Home, Name, Chain and Actor are required.
type RoleOptions struct {
	Home      string // keeps the peer's key, the neuron's state and the models that ship
	Name      string // of the neuron's folder in Home
	Chain     *ledger.Client
	Actor     ledger.Actor
	Netuid    yuma.Netuid
	Mechanism uint16 // of the subnet

	Reach  p2p.Reach
	Listen []string // multiaddresses; nil means any free port
	Peers  []string // multiaddresses of neurons to meet the network by

	Model   ModelOptions
	Program external.Options // Command or URL of a kind that this program does not know
	Behave  text.Behaviour   // of a miner that cheats, in tests and shows; empty is honest
	HTTP    string           // of a validator's gateway; empty means none
	Gateway GatewayOptions   // whom that gateway serves
	Probes  ProbeOptions     // of a validator of a compute subnet
	Threads int              // of the model engine; 0 means cores − 1

	Accelerators []string // the model engine's back ends for graphics processors; see local.Accelerators

	Worker []string // program and arguments that run a model; nil means this program's own

	Log *slog.Logger           // nil means no log
	Say func(news, any string) // told what has come up: its name, and where or how; nil tells nobody
}

// ModelOptions says what runs the model that a subnet declares. The zero value
// is the model that ships with Plexus, if the subnet declares that.
type ModelOptions struct {
	File    string         // a GGUF file
	Backend remote.Options // a server that runs File's model for this neuron; no URL means that this process does
}

func (o RoleOptions) withDefaults() RoleOptions {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Say == nil {
		o.Say = func(string, string) {}
	}
	return o
}

// lone is a neuron that is being put together.
type lone struct {
	RoleOptions
	home     *home
	open     *stack
	model    engine.Checker
	manifest text.Manifest
	params   []byte // the manifest as it is on chain
	most     int    // bytes of an answer, on a subnet of the kind open
	services []service

	validates bool
}

// RunMiner serves a subnet as a miner until ctx ends. It waits for the account
// to be registered.
func RunMiner(ctx context.Context, o RoleOptions) error {
	return o.run(ctx, func(ctx context.Context, r *lone) error {
		mechanism, err := r.kind(ctx, text.Options{Log: r.Log})
		if err != nil {
			return err
		}
		self, err := r.self()
		if err != nil {
			return err
		}
		work, err := r.miner(mechanism, self)
		if err != nil {
			return err
		}
		r.services = append(r.services, service{"miner", neuron.NewMiner(self, work, neuron.MinerOptions{}).Run})
		return nil
	})
}

// RunValidator judges a subnet's miners and sets weights until ctx ends, and
// serves users if HTTP says where.
func RunValidator(ctx context.Context, o RoleOptions) error {
	return o.run(ctx, func(ctx context.Context, r *lone) error {
		judging, err := judging(r.home.dir, r.Log)
		if err != nil {
			return err
		}
		r.validates = true
		mechanism, err := r.kind(ctx, judging)
		if err != nil {
			return err
		}
		self, err := r.self()
		if err != nil {
			return err
		}
		v := neuron.NewValidator(self, mechanism, r.home.dir, neuron.ValidatorOptions{})
		r.services = append(r.services, service{"validator", v.Run})
		if kind, ok := mechanism.(*text.Mechanism); ok && r.Mechanism == 0 { // the registry knows subnets, not mechanisms
			duty, err := owing{
				chain: r.Chain, actor: self.Actor, netuid: r.Netuid, params: r.params,
				engine: r.model, judge: kind, state: r.home.dir, secret: judging.Secret, log: r.Log,
			}.duty("duty")
			if err != nil {
				return err
			}
			r.services = append(r.services, duty)
		}
		return r.gateway(ctx, self, v)
	})
}

// run takes the neuron's folder, lets build put the services together, and
// serves.
func (o RoleOptions) run(ctx context.Context, build func(context.Context, *lone) error) (err error) {
	o = o.withDefaults()
	if o.Home == "" || o.Name == "" || o.Chain == nil || o.Actor.Key == nil {
		return errors.New("a neuron needs a home, a name, a chain and a key")
	}
	ctx, cancel := context.WithCancel(ctx)
	open := &stack{log: o.Log}
	defer func() {
		cancel()
		err = errors.Join(err, open.close())
	}()
	h, err := openHome(filepath.Join(o.Home, "neurons", o.Name))
	if err != nil {
		return err
	}
	open.push("home", h.close)
	r := &lone{RoleOptions: o, home: h, open: open}
	if err := build(ctx, r); err != nil {
		return err
	}
	return serve(ctx, o.Log, r.services)
}

// self puts the neuron among its peers.
func (r *lone) self() (neuron.Self, error) {
	host, err := p2p.New(p2p.Options{
		KeyFile: r.home.path("peer.key"), StateDir: r.home.dir,
		Listen: r.Listen, Bootstrap: r.Peers, Reach: r.Reach, Log: r.Log,
	})
	if err != nil {
		return neuron.Self{}, err
	}
	r.open.push("peer", host.Close)
	if err := host.Announce(r.Actor.Account(), uint32(r.Netuid)); err != nil {
		return neuron.Self{}, err
	}
	r.services = append(r.services, service{"peer", host.Run})
	r.Say("peer", fmt.Sprint(host.ID()))
	return neuron.Self{
		Netuid: r.Netuid, Mechanism: r.Mechanism, Actor: r.Actor,
		Chain: r.Chain.Mechanism(r.Mechanism), Network: host, Log: r.Log,
	}, nil
}

// mechanism opens the model that the subnet declares.
func (r *lone) mechanism(ctx context.Context, o text.Options) (*text.Mechanism, error) {
	if err := r.openModel(ctx); err != nil {
		return nil, err
	}
	return text.New(r.model, r.manifest, o), nil
}

// openModel reads what the subnet declares and opens an engine that runs it.
func (r *lone) openModel(ctx context.Context) error {
	s, err := r.Chain.Subnet(ctx, r.Netuid)
	if err != nil {
		return err
	}
	if s.Kind != "text" {
		return fmt.Errorf("subnet %d is of kind %s, this command serves subnets of kind text", r.Netuid, s.Kind)
	}
	r.params = s.KindParams
	if r.manifest, err = text.ParseManifest(s.KindParams); err != nil {
		return fmt.Errorf("subnet %d: %w", r.Netuid, err)
	}
	path, err := r.file(ctx)
	if err != nil {
		return err
	}
	e, err := r.engine(ctx, path)
	if err != nil {
		return fmt.Errorf("model %s: %w", path, err)
	}
	r.open.push("model", e.Close)
	if err := r.manifest.Verify(e.Model()); err != nil && r.Behave == "" {
		return err
	}
	m := e.Model()
	r.Say("model", fmt.Sprintf("%s, %.1f M parameters, %s", m.Name, float64(m.Parameters)/1e6, m.Precision))
	r.model = e
	return nil
}

// engine opens the file, or the server that runs it for this neuron.
func (r *lone) engine(ctx context.Context, path string) (engine.Checker, error) {
	if r.Model.Backend.URL == "" {
		e, err := local.Open(ctx, path, local.Options{Threads: r.Threads, Accelerators: r.Accelerators, Command: r.Worker, Log: r.Log})
		if err == nil && local.Device(e) != "" {
			r.Say("device", local.Device(e))
		}
		return e, err
	}
	server, err := remote.Open(ctx, r.Model.Backend)
	if err != nil {
		return nil, err
	}
	e, err := remote.Steps(server, path, batch.Options{})
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	r.Say("backend", r.Model.Backend.URL)
	return e, nil
}

// file returns the path of the model file.
func (r *lone) file(ctx context.Context) (string, error) {
	if r.Model.File != "" {
		return r.Model.File, nil
	}
	name := r.manifest.Model
	if r.Behave == text.SmallerModel {
		name = stock.Weak
	}
	if name == stock.Strong || name == stock.Weak {
		return stock.Path(r.models(), name)
	}
	path, err := r.fetched(ctx, r.manifest.FileHash)
	if err != nil || path != "" {
		return path, err
	}
	return "", fmt.Errorf("subnet %d declares the model %s (sha256 %.12s…, %s), which neither ships with Plexus nor is in %s: name its file with --gguf, or get it with plexus model fetch NAME --sha256 %s",
		r.Netuid, r.manifest.Model, r.manifest.FileHash, r.manifest.Precision, r.models(), r.manifest.FileHash)
}

// models is the folder of model files that all neurons of the home share.
func (r *lone) models() string { return filepath.Join(r.Home, "models") }

// fetched returns the model file of that hash that plexus model fetch, or the
// operator, put into the folder of models; "" if there is none.
func (r *lone) fetched(ctx context.Context, hash string) (string, error) {
	path, err := shelf.Find(ctx, r.models(), hash)
	if err != nil {
		return "", fmt.Errorf("find the model with sha256 %.12s…: %w", hash, err)
	}
	return path, nil
}

// gateway serves users by way of a validator, if it is told where.
func (r *lone) gateway(ctx context.Context, self neuron.Self, v *neuron.Validator) error {
	if r.HTTP == "" {
		return nil
	}
	graph, err := r.Chain.Metagraph(ctx, r.Netuid)
	if err != nil {
		return err
	}
	for _, n := range graph.Neurons {
		if n.Account == self.Actor.Account() {
			as := subnet.Peer{UID: n.UID, Account: n.Account, PeerID: self.Network.ID().String()}
			users := r.Gateway
			users.DB = or(users.DB, r.home.path("gateway.db"))
			d := door{
				actor: self.Actor, manifest: r.params, users: users, block: time.Second, stack: r.open,
				address: r.HTTP, chain: r.Chain, log: r.Log, say: r.Say, name: r.manifest.Model, model: r.model,
				netuid: r.Netuid, validator: v, as: as,
			}
			if r.model == nil {
				d.name, d.most = fmt.Sprintf("open-%d", r.Netuid), r.most
			}
			gateway, err := d.open(ctx)
			r.services = append(r.services, gateway...)
			return err
		}
	}
	return fmt.Errorf("account %s is not registered on subnet %d: plexus tx subnet register-neuron %d", self.Actor.Account(), r.Netuid, r.Netuid)
}
