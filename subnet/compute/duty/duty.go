// Package duty takes what a validator of a compute subnet has proven of
// providers to the compute market, with no operator: it reports the lease that
// was paid for and not delivered, with the evidence, by the account that rented
// it.
//
// A finding is a file from the moment it is made, and what became of it is in the
// file's name; the chain knows which lease is reported. So a crash loses none and
// reports none twice. Reports are rare: one of a provider in a day, and a few of
// a validator, for each takes a deposit that is lost if the provider is
// acquitted. Start at [Duty].
package duty

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/compute"
	"github.com/plexus-network/plexus/yuma"
)

// How often a validator reports.
const (
	day        = 24 * time.Hour // between two reports of one provider
	perDay     = 4              // reports of all providers
	stale      = 7 * day        // after which a finding is not reported any more
	maxWaiting = 256            // findings that are kept for later
)

// Court is where providers are accused; a [ledger.Market] is one.
type Court interface {
	Lease(ctx context.Context, id market.BidID) (*marketv1.QueryLeaseResponse, error)
	Cases(ctx context.Context, f marketv1.QueryCasesRequest) ([]marketv1.Case, error)
	Report(ctx context.Context, a ledger.Actor, id market.BidID, evidence []byte) (number uint64, deadline yuma.Height, err error)
}

var _ Court = ledger.Market{}

// Options says whose duty it is. All fields but Log and Beat are needed.
type Options struct {
	Court  Court
	Actor  ledger.Actor  // whose account rented what is reported
	Folder subnet.Folder // of findings; it is made if it is not there
	Beat   time.Duration // between two looks at what waits; 0 means a minute
	Log    *slog.Logger  // nil means no log
}

// A Duty reports a validator's findings. It may be used from many goroutines.
type Duty struct {
	Options

	mu sync.Mutex // of the folder
}

// New returns the duty of a validator, or an error if its folder cannot be made.
func New(o Options) (*Duty, error) {
	if o.Beat <= 0 {
		o.Beat = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Folder.Path, 0o700); err != nil {
		return nil, fmt.Errorf("duty: %w", err)
	}
	return &Duty{Options: o}, nil
}

// suffix ends the names of findings. What became of one stands before it.
const suffix = ".nondelivery"

// What becomes of a finding that opens no case. One that does is named case-N.
const (
	damaged   = "damaged"   // its file cannot be read
	gone      = "gone"      // it is too old, or the chain has forgotten the lease
	enough    = "enough"    // the provider was reported a short while ago
	elsewhere = "elsewhere" // the lease is another account's
)

// Accuse keeps a finding, which Run reports. The same finding twice is one.
func (d *Duty) Accuse(a compute.Accusation) error {
	text, err := a.Encode()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting, err := d.Folder.Open(suffix)
	if err != nil {
		return err
	}
	if len(waiting) >= maxWaiting {
		return fmt.Errorf("%d findings wait in %s, and no more are kept", len(waiting), d.Folder.Path)
	}
	hash := sha256.Sum256(text)
	return d.Folder.Keep(fmt.Sprintf("%x%s", hash[:16], suffix), text)
}

// Run reports what waits until ctx ends, and returns nil. What fails is tried
// again, the more rarely the longer it fails.
func (d *Duty) Run(ctx context.Context) error {
	wait := d.Beat
	for pause(ctx, wait) {
		if err := d.settle(ctx); err != nil && ctx.Err() == nil {
			wait = min(2*wait, max(time.Hour, d.Beat))
			d.Log.Warn("a provider that did not deliver is not reported", "err", err, "next try in", wait)
			continue
		}
		wait = d.Beat
	}
	return nil
}

// A finding is a file that waits.
type finding struct {
	compute.Accusation
	path  string
	text  []byte
	lease market.BidID
}

// settle makes of each finding that waits what is to be made of it, the oldest
// first.
func (d *Duty) settle(ctx context.Context) error {
	d.mu.Lock()
	paths, err := d.Folder.Open(suffix)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	var all []finding
	for _, path := range paths {
		f, err := read(path)
		if err != nil {
			d.Log.Error("a finding cannot be read", "file", path, "err", err)
			if err := d.note(path, damaged); err != nil {
				return err
			}
			continue
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b finding) int { return a.Found.Compare(b.Found) })
	var failed error
	for _, f := range all {
		word, err := d.report(ctx, f)
		switch {
		case errors.Is(err, errWait):
		case err != nil: // others shall not wait for it
			failed = errors.Join(failed, fmt.Errorf("lease %v: %w", f.lease, err))
		default:
			d.Log.Info("a finding is settled", "provider", f.Provider, "lease", f.Lease, "kind", f.Kind, "as", word)
			failed = errors.Join(failed, d.note(f.path, word))
		}
	}
	return failed
}

func read(path string) (f finding, err error) {
	f.path = path
	if f.text, err = os.ReadFile(path); err != nil {
		return f, err
	}
	if f.Accusation, err = compute.ParseAccusation(f.text); err != nil {
		return f, err
	}
	f.lease, err = market.ParseBidID(f.Lease)
	return f, err
}

// errWait means that it is not the time yet.
var errWait = errors.New("duty: later")

// report opens a case with a finding and returns a word for what became of it.
func (d *Duty) report(ctx context.Context, f finding) (word string, err error) {
	switch {
	case f.lease.Owner != d.Actor.Account():
		return elsewhere, nil
	case time.Since(f.Found) > stale:
		return gone, nil
	}
	l, err := d.Court.Lease(ctx, f.lease)
	if errors.Is(err, ledger.ErrNotFound) {
		return gone, nil
	}
	if err != nil {
		return "", err
	}
	if l.Lease.Case != 0 { // by us, before a crash, or by others
		return caseWord(l.Lease.Case), nil
	}
	cases, err := d.mine(ctx, f.Provider)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(f.text)
	for _, c := range cases {
		if string(c.Evidence) == string(hash[:]) { // it lapsed, or the provider was acquitted
			return caseWord(c.Id), nil
		}
	}
	if word, err := d.bounded(f); word != "" || err != nil {
		return word, err
	}
	number, deadline, err := d.Court.Report(ctx, d.Actor, f.lease, f.text)
	if err != nil {
		return "", err
	}
	d.Log.Info("a provider is reported", "case", number, "provider", f.Provider, "lease", f.Lease, "kind", f.Kind, "why", f.Why, "deadline", deadline)
	return caseWord(number), nil
}

// mine returns the cases against a provider that this account opened, of the
// latest that the chain knows.
func (d *Duty) mine(ctx context.Context, provider string) ([]marketv1.Case, error) {
	all, err := d.Court.Cases(ctx, marketv1.QueryCasesRequest{Provider: provider})
	return slices.DeleteFunc(all, func(c marketv1.Case) bool { return c.Reporter != d.Actor.Account() }), err
}

// bounded tells, by what is in the folder, whether it is too early for one more
// report: [enough] if the provider was reported within a day, errWait if as many
// as a day allows were.
func (d *Duty) bounded(f finding) (word string, err error) {
	settled, err := d.Folder.Files(suffix)
	if err != nil {
		return "", err
	}
	lately := 0
	for _, info := range settled {
		if !strings.Contains(info.Name(), ".case-") || time.Since(info.ModTime()) > day {
			continue
		}
		lately++
		other, err := read(filepath.Join(d.Folder.Path, info.Name()))
		if err == nil && other.Provider == f.Provider {
			return enough, nil
		}
	}
	if lately >= perDay {
		return "", errWait
	}
	return "", nil
}

func caseWord(number uint64) string { return fmt.Sprintf("case-%d", number) }

// note puts what became of a finding into its file's name, and the time of it
// into the file.
func (d *Duty) note(path, word string) error {
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil {
		return err
	}
	return d.Folder.Settle(path, word)
}

// pause waits for t and reports whether ctx still runs.
func pause(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
