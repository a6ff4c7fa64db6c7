package duty

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// A reporter takes the bundles of the folder of evidence to the chain, the
// oldest first. What became of one is noted in its file's name.
type reporter struct {
	*Duty
	pace
	accused func(account string) bool
	found   map[string]text.Finding // by path: to replay each bundle once
	foreign map[string]bool         // paths of bundles about another model, or another subnet
}

func newReporter(d *Duty, accused func(account string) bool) *reporter {
	return &reporter{Duty: d, accused: accused, found: map[string]text.Finding{}, foreign: map[string]bool{}}
}

// What becomes of a bundle that opens no case.
const (
	damaged  = "damaged"   // its file cannot be read
	unproven = "unproven"  // replayed, it convicts nobody
	gone     = "gone"      // the accused has left its slot, or was convicted
	tooLarge = "too-large" // what fits into a transaction does not convict
)

// errWait means that it is not the time yet.
var errWait = errors.New("duty: later")

// waiting is the blocks until what was too early is tried again.
const waiting = 4

// look settles one bundle, if there is one whose time it is.
func (r *reporter) look(ctx context.Context, now yuma.Height) {
	if now < r.rest {
		return
	}
	err := r.settleOne(ctx, now)
	switch {
	case err == nil:
		r.went()
	case errors.Is(err, errWait):
		r.went()
		r.rest = now + waiting
	case ctx.Err() == nil:
		r.failed(now)
		r.Log.Log(ctx, r.gravity(), "a cheat is not reported", "err", err, "next try", r.rest)
	}
}

// settleOne makes of the first bundle whose time it is what is to be made of it.
// It returns errWait if it is the time of none.
func (r *reporter) settleOne(ctx context.Context, now yuma.Height) error {
	paths, err := r.Folder.Open()
	if err != nil || len(paths) == 0 {
		return err
	}
	graph, err := r.Chain.Metagraph(ctx, r.Netuid)
	if err != nil {
		return err
	}
	if !r.permitted(graph) {
		return errWait
	}
	var failed error // of those that others shall not wait for
	for _, path := range paths {
		if r.foreign[path] {
			continue
		}
		word, err := r.report(ctx, now, graph, path)
		if errors.Is(err, errWait) {
			continue
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", filepath.Base(path), err))
			continue
		}
		delete(r.found, path)
		r.Log.Info("evidence of a cheat is settled", "file", path, "as", word)
		return r.Folder.Settle(path, word)
	}
	if failed != nil {
		return failed
	}
	return errWait
}

// report opens a case with a bundle and returns a word for what became of it.
func (r *reporter) report(ctx context.Context, now yuma.Height, graph *ledger.Metagraph, path string) (word string, err error) {
	encoded, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	b, err := text.DecodeBundle(encoded)
	if err != nil {
		return damaged, nil //nolint:nilerr // the word tells
	}
	if !bytes.Equal(graph.KindParams, r.Params) || b.Manifest != r.manifest {
		r.foreign[path] = true
		return "", errWait
	}
	f, proven, err := r.replay(ctx, path, b)
	if err != nil {
		return "", err
	}
	if f.Exhibits > 0 && f.Netuid != r.Netuid {
		r.foreign[path] = true
		return "", errWait
	}
	if !proven {
		return unproven, nil
	}
	miner := r.miner(ctx, graph, f)
	if miner == nil {
		return gone, nil
	}
	if r.accused(miner.Account) {
		return "", errWait // should it be acquitted, this is new evidence
	}
	if err := r.rested(ctx, now); err != nil {
		return "", err
	}
	return r.open(ctx, miner, b, f)
}

// replay tells whether a bundle convicts, by this validator's own engine.
func (r *reporter) replay(ctx context.Context, path string, b text.Bundle) (f text.Finding, proven bool, err error) {
	if f, ok := r.found[path]; ok {
		return f, true, nil
	}
	f, fault, err := r.check(ctx, b)
	if err != nil {
		return f, false, err
	}
	if fault != "" {
		r.Log.Warn("a bundle convicts nobody", "file", filepath.Base(path), "why", fault)
		return f, false, nil
	}
	r.found[path] = f
	return f, true, nil
}

// miner returns the neuron that a finding is about, nil if its slot is not the
// accused's any more.
func (r *reporter) miner(ctx context.Context, graph *ledger.Metagraph, f text.Finding) *ledger.Neuron {
	if int(f.UID) >= len(graph.Neurons) {
		return nil
	}
	n := &graph.Neurons[f.UID]
	if n.Registered > f.From || r.peerOf(ctx, graph, f.UID, f.To) != f.Accused {
		return nil
	}
	return n
}

// rested returns errWait while the chain takes no report of this account.
func (r *reporter) rested(ctx context.Context, now yuma.Height) error {
	params, err := r.Chain.RegistryParams(ctx)
	if err != nil {
		return err
	}
	kept, err := r.Chain.Conduct(ctx, r.Netuid, r.Actor.Account())
	if err == nil && kept.Reported > 0 && int64(now) < kept.Reported+int64(params.ReportInterval) {
		return errWait
	}
	return err
}

// open opens a case, unless this evidence has opened one already.
func (r *reporter) open(ctx context.Context, miner *ledger.Neuron, b text.Bundle, f text.Finding) (word string, err error) {
	cut, enough := b.Cut(f.Shares, ledger.MaxEvidence)
	if !enough {
		return tooLarge, nil
	}
	encoded, err := cut.Encode()
	if err != nil {
		return "", err
	}
	cases, err := r.Chain.CasesAfter(ctx, 0)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(encoded)
	for _, c := range cases { // a crash may have come between the report and its note
		if c.Netuid == uint32(r.Netuid) && bytes.Equal(c.Bundle, hash[:]) {
			return caseWord(c.Id), nil
		}
	}
	manifest, err := r.declare(ctx)
	if err != nil {
		return "", err
	}
	id, deadline, err := r.Chain.ReportFraud(ctx, r.Actor, r.Netuid, miner.Account, manifest, encoded)
	if err != nil {
		return "", err
	}
	r.Log.Info("a cheat is reported", "case", id, "uid", miner.UID, "miner", miner.Account, "deadline", deadline, "bytes", len(encoded))
	return caseWord(id), nil
}

func caseWord(id uint64) string { return fmt.Sprintf("case-%d", id) }

// declare registers the subnet's manifest if nobody has yet, and returns its
// hash.
func (r *reporter) declare(ctx context.Context) ([32]byte, error) {
	hash := sha256.Sum256(r.Params)
	_, err := r.Chain.Manifest(ctx, hash)
	if errors.Is(err, ledger.ErrNotFound) {
		return r.Chain.RegisterManifest(ctx, r.Actor, r.Params)
	}
	return hash, err
}
