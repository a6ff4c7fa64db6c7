package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/neuron"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/embed"
	"github.com/plexus-network/plexus/subnet/external"
	"github.com/plexus-network/plexus/subnet/open"
	"github.com/plexus-network/plexus/subnet/text"
)

// kind returns the mechanism of the subnet's kind, on what it declares. What
// Plexus does not know is a program that the operator names.
func (r *lone) kind(ctx context.Context, o text.Options) (subnet.Mechanism, error) {
	s, err := r.Chain.Subnet(ctx, r.Netuid)
	if err != nil {
		return nil, err
	}
	if s.Kind != "text" && r.Behave != text.Honest {
		return nil, fmt.Errorf("subnet %d is of kind %s: cheats are for subnets of kind text", r.Netuid, s.Kind)
	}
	if s.Kind != "text" && s.Kind != "open" && r.HTTP != "" {
		return nil, fmt.Errorf("subnet %d is of kind %s: a gateway is for subnets of the kinds text and open", r.Netuid, s.Kind)
	}
	var kind subnet.Mechanism
	switch s.Kind {
	case "text":
		kind, err = r.mechanism(ctx, o)
	case "embed":
		kind, err = r.embed(ctx, s.KindParams)
	case "open":
		kind, err = r.openEnded(ctx, s.KindParams)
	case "compute":
		kind, err = r.compute(s.KindParams)
	default:
		kind, err = r.program(ctx, s.Kind, s.KindParams)
	}
	if err != nil {
		return nil, fmt.Errorf("subnet %d: %w", r.Netuid, err)
	}
	return kind, nil
}

// miner returns what a miner works with, which is the subnet's kind unless it
// shall cheat.
func (r *lone) miner(kind subnet.Mechanism, self neuron.Self) (subnet.Mechanism, error) {
	if m, ok := kind.(*text.Mechanism); ok {
		return text.Behave(r.Behave, m, neuron.NewDendrite(self).Relay)
	}
	return kind, nil
}

func (r *lone) embed(ctx context.Context, params []byte) (subnet.Mechanism, error) {
	manifest, err := embed.ParseManifest(params)
	if err != nil {
		return nil, err
	}
	e, err := r.openFile(ctx, manifest.Model, manifest.FileHash)
	if err != nil {
		return nil, err
	}
	if err := manifest.Verify(e.Model()); err != nil {
		return nil, err
	}
	return embed.New(e, manifest, embed.Options{Log: r.Log}), nil
}

// openEnded takes whatever model the operator has, for the judge too.
func (r *lone) openEnded(ctx context.Context, params []byte) (subnet.Mechanism, error) {
	manifest, err := open.ParseManifest(params)
	if err != nil {
		return nil, err
	}
	r.params, r.most = params, manifest.MaxBytes
	e, err := r.openFile(ctx, stock.Strong, "")
	if err != nil {
		return nil, err
	}
	return open.New(e, manifest, open.Options{Judge: e, Log: r.Log}), nil
}

// openFile opens the operator's model file, the one of that name that ships, or
// the one with that hash that was fetched.
func (r *lone) openFile(ctx context.Context, name, hash string) (engine.Checker, error) {
	path, err := r.Model.File, error(nil)
	if path == "" && (name == stock.Strong || name == stock.Weak) {
		path, err = stock.Path(r.models(), name)
	} else if path == "" {
		path, err = r.fetched(ctx, hash)
	}
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, fmt.Errorf("it declares the model %s (sha256 %.12s…), which neither ships with Plexus nor is in %s: name its file with --gguf, or get it with plexus model fetch", name, hash, r.models())
	}
	e, err := r.engine(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", path, err)
	}
	r.open.push("model", e.Close)
	m := e.Model()
	r.Say("model", fmt.Sprintf("%s, %.1f M parameters, %s", m.Name, float64(m.Parameters)/1e6, m.Precision))
	return e, nil
}

// program starts, or reaches, the program that is the kind.
func (r *lone) program(ctx context.Context, kind string, params []byte) (subnet.Mechanism, error) {
	o := r.Program
	if len(o.Command) == 0 && o.URL == "" {
		return nil, errors.New("it is of kind " + kind + ", which this program does not know: name the program that does with --program or --program-url; docs/mechanism.md says what it must do")
	}
	o.Kind, o.Log = kind, r.Log
	if len(params) > 0 {
		o.Params = params
	}
	m, err := external.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	r.open.push("mechanism", m.Close)
	r.Say("kind", kind)
	return m, nil
}
