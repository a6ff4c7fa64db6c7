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
	"testing"
	"testing/synctest"
	"time"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/compute"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// bench is a court in memory that refuses what the chain would.
type bench struct {
	leases map[string]uint64 // their cases, by name
	cases  []marketv1.Case
	deaf   error // of the connection, after what was asked for is done
	broke  bool  // the reporter has nothing to deposit
}

func (b *bench) Lease(_ context.Context, id market.BidID) (*marketv1.QueryLeaseResponse, error) {
	number, ok := b.leases[id.String()]
	if !ok {
		return nil, ledger.ErrNotFound
	}
	return &marketv1.QueryLeaseResponse{Lease: marketv1.Lease{Case: number}}, nil
}

func (b *bench) Cases(_ context.Context, f marketv1.QueryCasesRequest) (some []marketv1.Case, err error) {
	for _, c := range b.cases {
		if c.Lease.Provider == f.Provider {
			some = append(some, c)
		}
	}
	return some, nil
}

func (b *bench) Report(_ context.Context, a ledger.Actor, id market.BidID, evidence []byte) (uint64, yuma.Height, error) {
	switch number, ok := b.leases[id.String()]; {
	case !ok || number != 0 || a.Account() != id.Owner:
		return 0, 0, &ledger.TxError{Log: "refused"}
	case b.broke:
		return 0, 0, &ledger.TxError{Log: "insufficient funds"}
	}
	hash := sha256.Sum256(evidence)
	c := marketv1.Case{Id: uint64(len(b.cases) + 1), Lease: wire.WriteBidID(id), Reporter: a.Account(), Evidence: hash[:]}
	b.cases = append(b.cases, c)
	b.leases[id.String()] = c.Id
	return c.Id, 100, b.deaf
}

// site is a validator's duty before a court, in virtual time.
type site struct {
	*Duty
	*bench
	t *testing.T
}

var key = wallet.Derive("duty", "renter")

func newSite(t *testing.T) *site {
	t.Helper()
	b := &bench{leases: map[string]uint64{}}
	d, err := New(Options{Court: b, Actor: ledger.Actor{Key: key}, Folder: subnet.Folder{Path: filepath.Join(t.TempDir(), "findings")}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return &site{d, b, t}
}

// find accuses a provider of a lease, which the court knows.
func (s *site) find(provider string, dseq int) {
	s.t.Helper()
	lease := fmt.Sprintf("%s/%d/1/1/%s", key.Address(), dseq, provider)
	s.leases[lease] = 0
	if err := s.Accuse(compute.Accusation{Version: 1, Kind: compute.Fake, Provider: provider, Lease: lease, Found: time.Now(), Why: "a wrong answer"}); err != nil {
		s.t.Fatal(err)
	}
}

// run lets the duty run for so long.
func (s *site) run(long time.Duration) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), long)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		s.t.Fatal(err)
	}
}

// words are what became of findings, sorted; "" is one that waits.
func (s *site) words() (all []string) {
	s.t.Helper()
	entries, err := os.ReadDir(s.Folder.Path)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), suffix)
		_, word, _ := strings.Cut(name, ".")
		all = append(all, word)
	}
	slices.Sort(all)
	return all
}

func (s *site) want(words ...string) {
	s.t.Helper()
	if got := s.words(); !slices.Equal(got, words) {
		s.t.Errorf("findings are settled as %q, want %q", got, words)
	}
}

func TestFindingIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.find("p", 1)
		s.run(10 * time.Minute)
		s.want("case-1")
		s.run(10 * time.Minute)
		if len(s.cases) != 1 {
			t.Errorf("%d cases", len(s.cases))
		}
		text, err := os.ReadFile(filepath.Join(s.Folder.Path, must(os.ReadDir(s.Folder.Path))[0].Name()))
		if hash := sha256.Sum256(text); err != nil || string(hash[:]) != string(s.cases[0].Evidence) {
			t.Errorf("the evidence is not what was kept: %v", err)
		}
	})
}

func must(entries []os.DirEntry, _ error) []os.DirEntry { return entries }

// The chain took the report, and the answer was lost.
func TestReportThatWasNotHeardIsNotMadeAgain(t *testing.T) {
	for name, since := range map[string]func(*site){
		"it is open":     func(*site) {},
		"it ended since": func(s *site) { s.leases[key.Address()+"/1/1/1/p"] = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.find("p", 1)
				s.deaf = errors.New("connection lost")
				s.run(90 * time.Second)
				s.want("")
				s.deaf = nil
				since(s)
				s.run(time.Hour)
				s.want("case-1")
				if len(s.cases) != 1 {
					t.Errorf("%d cases", len(s.cases))
				}
			})
		})
	}
}

func TestReportsOfOneProviderAreADayApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.find("p", 1)
		s.run(10 * time.Minute)
		s.find("p", 2)
		s.run(10 * time.Minute)
		s.want("case-1", enough)
		time.Sleep(day)
		s.find("p", 3)
		s.run(10 * time.Minute)
		s.want("case-1", "case-2", enough)
	})
}

func TestReportsOfADayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		for i := range perDay + 2 {
			s.find(fmt.Sprint("p", i), 1)
			time.Sleep(time.Second)
		}
		s.run(12 * time.Hour)
		s.want("", "", "case-1", "case-2", "case-3", "case-4")
		s.run(13 * time.Hour)
		s.want("case-1", "case-2", "case-3", "case-4", "case-5", "case-6")
		if s.cases[4].Lease.Provider != "p4" {
			t.Errorf("the oldest came last: %+v", s.cases[4].Lease)
		}
	})
}

func TestFindingWaitsForItsDeposit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.find("p", 1)
		s.broke = true
		s.run(5 * time.Hour)
		s.want("")
		s.broke = false
		s.run(time.Hour)
		s.want("case-1")
	})
}

func TestFindingsThatOpenNoCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.find("forgotten", 1)
		delete(s.leases, key.Address()+"/1/1/1/forgotten")
		if err := s.Accuse(compute.Accusation{Version: 1, Kind: compute.Fake, Provider: "p", Lease: "other/1/1/1/p", Found: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := s.Accuse(compute.Accusation{Version: 1, Kind: compute.Fake, Provider: "p", Lease: key.Address() + "/1/1/1/p", Found: time.Now().Add(-8 * day)}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.Folder.Path, "x"+suffix), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.run(10 * time.Minute)
		s.want(damaged, elsewhere, gone, gone)
		if len(s.cases) != 0 {
			t.Errorf("%d cases", len(s.cases))
		}
	})
}

func TestFindingsAreBounded(t *testing.T) {
	s := newSite(t)
	for i := range maxWaiting {
		s.find("p", i+1)
	}
	err := s.Accuse(compute.Accusation{Version: 1, Kind: compute.Fake, Provider: "p", Lease: "o/1/1/1/p"})
	if err == nil || !strings.Contains(err.Error(), "256 findings wait") {
		t.Errorf("one more: %v", err)
	}
}
