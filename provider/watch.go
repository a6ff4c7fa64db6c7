package provider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/alert"
)

// watchEvery is the time between two looks at what an operator should know.
const watchEvery = 15 * time.Second

// A condition is something that an operator is told of when it begins and when
// it ends.
type condition struct {
	kind    alert.Kind
	subject string
}

// watch tells the operator of conditions until ctx ends.
func (d *Daemon) watch(ctx context.Context) {
	began, told := time.Now(), map[condition]string{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchEvery):
		}
		now := d.conditions(began)
		for c, text := range now {
			if _, known := told[c]; !known {
				d.post.Send(alert.Alert{Kind: c.kind, Subject: c.subject, Text: text})
			}
		}
		for c, text := range told {
			if _, still := now[c]; !still {
				d.post.Send(alert.Alert{Kind: c.kind, Subject: c.subject, Text: "no more: " + text, Resolved: true})
			}
		}
		told = now
	}
}

// conditions are those that hold now, each with what is to be said of it.
func (d *Daemon) conditions(began time.Time) map[condition]string {
	all := map[condition]string{}
	d.mu.Lock()
	last, seen, trouble, full := d.last, d.answered, d.trouble, d.full
	d.mu.Unlock()
	if last == nil {
		seen = began
	}
	if away := time.Since(seen); away >= d.o.ChainPatience {
		all[condition{alert.ChainAway, ""}] = fmt.Sprintf("the chain has not been followed for %v: %s", away.Round(time.Second), trouble)
	}
	free, err := d.o.freeDisk(d.o.Dir)
	switch {
	case full != "":
		all[condition{alert.DiskLow, d.o.Dir}] = "state cannot be written, so there are no bids: " + full
	case err == nil && free < minDisk:
		all[condition{alert.DiskLow, d.o.Dir}] = fmt.Sprintf("%d bytes are left, less than %d, so there are no bids", free, int64(minDisk))
	}
	if last != nil {
		if least := uint64(last.Rules["nplx"].MinDeposit); last.Balance < least {
			all[condition{alert.BalanceLow, d.o.Account}] = fmt.Sprintf("the account holds %d nplx, and the deposit of a bid is %d", last.Balance, least)
		}
	}
	if d.tls != nil {
		for name, when := range d.tls.Ending() {
			all[condition{alert.CertificateEnd, name}] = "the certificate ends at " + when.UTC().Format(time.RFC3339)
		}
	}
	for _, k := range d.all() {
		if text := k.keeper.Failing(); text != "" {
			all[condition{alert.ReplicaFailing, k.id.String()}] = text
		}
	}
	return all
}

// charges tells of reports against the provider that are new in a snapshot.
func (d *Daemon) charges(s *Snapshot) {
	d.mu.Lock()
	before := d.position
	d.news = d.news || before.Cases != s.Cases || before.Slashed != s.Slashed
	d.position.Cases, d.position.Slashed = s.Cases, s.Slashed
	d.mu.Unlock()
	if s.Cases > before.Cases {
		d.post.Send(alert.Alert{Kind: alert.CaseOpened, Text: fmt.Sprintf("%d reports that this provider does not deliver are open; plexus query market cases shows them", s.Cases)})
	}
	if s.Slashed > before.Slashed {
		d.post.Send(alert.Alert{Kind: alert.DepositSlashed, Text: fmt.Sprintf("the deposit was slashed by %d nplx", s.Slashed-before.Slashed)})
	}
}

// welcome tells of leases that are new in a snapshot.
func (d *Daemon) welcome(s *Snapshot) {
	d.mu.Lock()
	last, seen := d.last, d.position.Height
	d.mu.Unlock()
	old := map[market.BidID]bool{}
	if last != nil {
		for _, l := range last.Leases {
			old[l.ID] = true
		}
	}
	for _, l := range s.Leases {
		if old[l.ID] || last == nil && uint64(l.Opened) <= seen {
			continue
		}
		d.post.Send(alert.Alert{Kind: alert.LeaseOpened, Subject: l.ID.String(), Text: fmt.Sprintf("a lease for %s per block was opened at block %d", l.Price.Short(), l.Opened)})
		d.mu.Lock()
		d.news = true
		d.mu.Unlock()
	}
}

// written notes whether state could be written.
func (d *Daemon) written(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = ""
	// Names of temporary files would make the same trouble look new each time.
	var at *fs.PathError
	switch {
	case errors.As(err, &at):
		d.full = at.Err.Error()
	case err != nil:
		d.full = err.Error()
	}
}
