// Package duty does what a validator of a text subnet owes the chain's registry,
// with no operator: it commits to the seeds of its audits and shows them after,
// reports the miners that it has proven to be cheats, and votes on those that
// others report.
//
// All that must outlive a crash is on chain, or in the folder of evidence before
// anything is said on chain. Start at [Duty.Run]; weigh in jury.go says when a
// validator finds a miner guilty.
package duty

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// clock tells how far the chain is, and who is on a subnet.
type clock interface {
	Heads(ctx context.Context) iter.Seq[ledger.Head]
	BlockHash(ctx context.Context, height yuma.Height) ([32]byte, error)
	Metagraph(ctx context.Context, netuid yuma.Netuid) (*ledger.Metagraph, error)
}

// audits keeps what validators commit to and show.
type audits interface {
	Audits(ctx context.Context, netuid yuma.Netuid, account string) ([]registryv1.Audit, error)
	CommitAudit(ctx context.Context, a ledger.Actor, netuid yuma.Netuid, epoch uint64, hash [32]byte) (from, before yuma.Height, err error)
	RevealAudit(ctx context.Context, a ledger.Actor, netuid yuma.Netuid, epoch uint64, seed [32]byte) error
}

// court keeps the cases that are voted on.
type court interface {
	CasesAfter(ctx context.Context, after uint64) ([]registryv1.Case, error)
	Case(ctx context.Context, id uint64) (registryv1.Case, []registryv1.Vote, error)
	Evidence(ctx context.Context, of registryv1.Case) ([]byte, error)
	VoteFraud(ctx context.Context, a ledger.Actor, id uint64, guilty bool) (registryv1.Verdict, error)
}

// prosecution takes reports in.
type prosecution interface {
	RegistryParams(ctx context.Context) (registryv1.Params, error)
	Conduct(ctx context.Context, netuid yuma.Netuid, account string) (registryv1.Conduct, error)
	Manifest(ctx context.Context, hash [32]byte) ([]byte, error)
	RegisterManifest(ctx context.Context, a ledger.Actor, body []byte) ([32]byte, error)
	ReportFraud(ctx context.Context, a ledger.Actor, netuid yuma.Netuid, miner string, manifest [32]byte, bundle []byte) (id uint64, deadline yuma.Height, err error)
}

// Chain is what a Duty needs of the chain; a [ledger.Client] is one.
type Chain interface {
	clock
	audits
	court
	prosecution
}

var _ Chain = (*ledger.Client)(nil)

// Judge is what the validator itself has found out; a [text.Mechanism] is one.
type Judge interface {
	Opinion(uid yuma.UID) text.Opinion
	Suspect(uid yuma.UID)
	Pace(tempo uint64)
}

var _ Judge = (*text.Mechanism)(nil)

// Options says whose duty it is. All fields but Log are needed.
type Options struct {
	Chain  Chain
	Actor  ledger.Actor
	Netuid yuma.Netuid
	Params []byte         // kind parameters of the subnet, which the validator runs
	Engine engine.Checker // replays evidence; others may use it at the same time
	Judge  Judge
	Folder text.Folder // of the validator's evidence
	Secret [32]byte    // of the audits, which is in Folder
	Log    *slog.Logger
}

// A Duty is one validator's on one subnet.
type Duty struct {
	Options
	manifest text.Manifest
}

// New returns the duty of a validator. It returns an error if the subnet's
// parameters are no manifest.
func New(o Options) (*Duty, error) {
	manifest, err := text.ParseManifest(o.Params)
	if err != nil {
		return nil, fmt.Errorf("duty: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("netuid", o.Netuid)
	return &Duty{Options: o, manifest: manifest}, nil
}

// Run does what is due at each block until ctx ends, and returns its error. What
// fails is tried again later.
func (d *Duty) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() {
		a := &auditor{Duty: d}
		for head := range d.Chain.Heads(ctx) {
			a.look(ctx, head.Height)
		}
	})
	j := &juror{Duty: d}
	r := newReporter(d, j.accused)
	for head := range d.Chain.Heads(ctx) {
		j.look(ctx, head.Height)
		r.look(ctx, head.Height)
	}
	wg.Wait()
	return ctx.Err()
}

// permitted tells whether the validator has a permit, without which the chain
// takes neither commitments nor reports nor votes.
func (d *Duty) permitted(graph *ledger.Metagraph) bool {
	for _, n := range graph.Neurons {
		if n.Account == d.Actor.Account() {
			return n.Permit
		}
	}
	return false
}

// peerOf returns the peer that a slot's miner was at a height, or is now where
// the node knows that state no longer.
func (d *Duty) peerOf(ctx context.Context, graph *ledger.Metagraph, uid yuma.UID, at yuma.Height) string {
	if then, err := d.Chain.Metagraph(ledger.At(ctx, at), d.Netuid); err == nil {
		graph = then
	}
	if int(uid) >= len(graph.Neurons) {
		return ""
	}
	return graph.Neurons[uid].PeerID
}

// check replays a bundle. Where it proves nothing, fault says why.
func (d *Duty) check(ctx context.Context, b text.Bundle) (f text.Finding, fault string, err error) {
	if b.Manifest != d.manifest {
		return f, "its manifest is not the subnet's", nil
	}
	f, err = b.Check(ctx, d.Engine)
	switch {
	case errors.Is(err, text.ErrNoProof):
		return f, err.Error(), nil
	case err != nil:
		return f, "", err
	case !f.Guilty:
		return f, fmt.Sprintf("%.1f nats of evidence, %.1f convict", f.Evidence, text.RejectAt), nil
	case f.Netuid != d.Netuid:
		return f, fmt.Sprintf("it is of subnet %d", f.Netuid), nil
	}
	return f, "", nil
}

// A pace makes tries rarer while they fail.
type pace struct {
	rest     yuma.Height // no try before this height
	failures int
}

// maxRest bounds the blocks between two tries.
const maxRest yuma.Height = 64

// failed puts the next try off.
func (p *pace) failed(now yuma.Height) {
	p.failures++
	p.rest = now + min(yuma.Height(1)<<min(p.failures-1, 10), maxRest)
}

// gravity is how grave the latest failure is. Validators come in each other's
// way: two report one cheat, or a vote decides a case that it was not to decide,
// and wants for gas. A second try finds that out.
func (p *pace) gravity() slog.Level {
	if p.failures < 2 {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// went notes that the latest try did not fail.
func (p *pace) went() { *p = pace{} }
