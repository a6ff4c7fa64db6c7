package compute

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/subnet"
)

const (
	// lately is how long a miner that answered is taken to be there.
	lately = 30 * time.Minute
	// beat is the time between two looks at who is due.
	beat = 5 * time.Second
	// visiting is how long the cores work at a visit.
	visiting = 200 * time.Millisecond
	// closing bounds the end of a lease.
	closing = time.Minute
)

// opening is how long a lease may take to start at most.
func opening(m Manifest) time.Duration {
	return max(4*time.Duration(m.Start)*time.Second, 2*time.Minute)
}

// A charge is what a probe may have cost.
type charge struct {
	at     time.Time
	amount market.Amount
}

// A stay is a probe at one provider, from the rent to the end.
type stay struct {
	peer     subnet.Peer
	services int
	lease    *Lease // nil after one that came to nothing
	sessions []*session
	err      error // why there is no lease
}

// Run rents from miners that answer and are due, measures them, and keeps what
// it rented for a while, until ctx ends; it then ends the leases and returns
// nil. Without a Renter it does nothing.
func (m *Mechanism) Run(ctx context.Context) error {
	if m.options.Renter == nil {
		<-ctx.Done()
		return nil
	}
	var kept sync.WaitGroup
	defer kept.Wait()
	for pause(ctx, beat) {
		stays := m.open(ctx, m.due(time.Now()))
		var all []*session
		for _, s := range stays {
			all = append(all, s.sessions...)
		}
		measure(ctx, all)
		for _, s := range stays {
			if ctx.Err() == nil {
				m.accuse(m.learn(s))
			}
			if s.lease != nil {
				kept.Go(func() { m.keep(ctx, s) })
			}
		}
	}
	return nil
}

// due draws the miners of a round, in an order that nobody knows.
func (m *Mechanism) due(now time.Time) (all []subnet.Peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for uid, s := range m.seen { // Go's order is no order; it is shuffled below
		if now.Sub(s.at) > lately {
			delete(m.seen, uid)
			continue
		}
		r := m.records[uid]
		if r == nil || r.Account != s.peer.Account {
			r = &record{Account: s.peer.Account, Reach: 1, Got: nothing(), Next: m.soon(now, 0.1)}
			m.records[uid] = r
		}
		if !now.Before(r.Next) && !now.Before(r.Until) {
			all = append(all, s.peer)
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(len(all), m.options.Together)]
}

// soon is a random time, after a part of the time between two probes on
// average.
func (m *Mechanism) soon(now time.Time, part float64) time.Time {
	return now.Add(time.Duration((0.5 + rand.Float64()) * part * float64(m.manifest.Every) * float64(time.Second))).UTC()
}

// open rents from each of the miners at the same time.
func (m *Mechanism) open(ctx context.Context, peers []subnet.Peer) []*stay {
	stays := make([]*stay, len(peers))
	for i, p := range peers {
		stays[i] = &stay{peer: p}
	}
	each(stays, func(s *stay) { s.err = m.rent(ctx, s) })
	return stays
}

// errNotNow means that nothing is to be learned of a provider now.
var errNotNow = errors.New("not now")

// rent rents a probe, as large as the provider has shown itself fit for and as
// it has free, and waits for a sign of life from each service.
func (m *Mechanism) rent(ctx context.Context, s *stay) error {
	p, err := m.plan(ctx, s)
	if err != nil {
		return err
	}
	rented := time.Now()
	if s.lease, err = m.options.Renter.Rent(ctx, s.peer.Account, p.file); err != nil {
		return err
	}
	m.options.Log.Info("probe rented", "uid", s.peer.UID, "provider", s.peer.Account, "services", s.services, "after", time.Since(rented))
	for _, name := range p.names {
		s.sessions = append(s.sessions, &session{m: m.manifest, url: s.lease.Doors[name], key: p.key, client: s.lease.Client, got: nothing()})
	}
	each(s.sessions, func(one *session) { m.start(ctx, s.lease, one) })
	return nil
}

// start waits for a service's first answer, and measures how long it took.
func (m *Mechanism) start(ctx context.Context, l *Lease, one *session) {
	err := fmt.Errorf("%w: the provider tells no URL", ErrUndelivered)
	if one.url != "" {
		err = one.await(ctx, opening(m.manifest))
	}
	if err != nil {
		one.url = ""
		for _, f := range one.got.all() {
			one.fail(f, err)
		}
		return
	}
	took := time.Since(l.Taken)
	one.got.Start = min(1, float64(m.manifest.Start)/max(took.Seconds(), 1e-3))
	for range 2 { // the first one has paid for the connection
		_ = one.hello(ctx) // if it is away, the exercises say so
	}
}

// plan asks what a provider has free, and writes a probe for that.
func (m *Mechanism) plan(ctx context.Context, s *stay) (*probe, error) {
	m.mu.Lock()
	r := m.records[s.peer.UID]
	if r == nil {
		m.mu.Unlock()
		return nil, errNotNow // the slot changed hands
	}
	s.services = max(1, min(r.Reach, m.manifest.Most))
	m.mu.Unlock()
	key := nonce()
	text := fmt.Sprintf("%x", key[:16])
	p, err := m.manifest.newProbe(m.manifest.Image, s.services, text)
	if err != nil {
		return nil, err
	}
	offer, err := m.options.Renter.Offer(ctx, s.peer.Account, p.file.Groups[0])
	if err != nil {
		return nil, err
	}
	free := m.fits(offer)
	switch {
	case free == 0: // all is sold, or it says so
		return nil, fmt.Errorf("%w: it has %d thousandths of a core free", errNotNow, offer.CPU)
	case free >= s.services && !offer.Bids:
		return nil, fmt.Errorf("%w, though there is room: %s", ErrRefused, offer.Reason)
	}
	block, err := m.options.Renter.Block(ctx)
	if err != nil {
		return nil, err
	}
	for s.services = min(s.services, free); !m.charge(time.Now(), m.manifest.cost(s.services, block)); s.services /= 2 {
		if s.services <= 1 {
			return nil, fmt.Errorf("%w: the budget of %d nplx per hour is spent", errNotNow, m.options.Budget)
		}
	}
	if s.services == len(p.names) {
		return p, nil
	}
	return m.manifest.newProbe(m.manifest.Image, s.services, text)
}

// fits is how many services of a probe an offer has room for.
func (m *Mechanism) fits(o Offer) int {
	// A provider takes some memory of its own for each.
	memory := int64(m.manifest.Memory+64) << 20
	disk := int64(m.manifest.Storage+m.manifest.Volume) << 20
	return int(min(o.CPU/int64(m.manifest.CPU), o.Memory/memory, o.Disk/disk, int64(m.manifest.Most)))
}

// charge takes an amount out of the budget of the hour, if it is in it.
func (m *Mechanism) charge(now time.Time, amount market.Amount) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.spent) > 0 && now.Sub(m.spent[0].at) >= time.Hour {
		m.spent = m.spent[1:]
	}
	sum := amount
	for _, c := range m.spent {
		sum += c.amount
	}
	if sum > m.options.Budget {
		return false
	}
	m.spent = append(m.spent, charge{now, amount})
	return true
}

// learn takes in how a stay went so far, and returns what it proves.
func (m *Mechanism) learn(s *stay) *Accusation {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[s.peer.UID]
	if r == nil || r.Account != s.peer.Account {
		return nil // the slot changed hands
	}
	now := time.Now()
	r.Next = m.soon(now, 1)
	log := m.options.Log.With("uid", s.peer.UID, "provider", s.peer.Account)
	var proven *Accusation
	switch {
	case errors.Is(s.err, ErrRefused) || errors.Is(s.err, ErrUndelivered) || errors.Is(s.err, ErrNoProvider):
		r.saw(now, false, s.err.Error())
		r.Reach = max(r.Reach/2, 1)
		log.Info("provider did not deliver", "err", s.err)
	case s.err != nil:
		r.Next = m.soon(now, 0.2)
		log.Warn("nothing probed", "err", s.err)
	default:
		proven = m.grade(r, s, now)
		log.Info("provider probed", "found", r.String(), "why", r.Why)
	}
	if id, why, silent := s.silent(); silent {
		return m.hush(s.peer.UID, r, id, why, now)
	}
	if s.err == nil { // something answered
		r.Heard, r.Silences = now.UTC(), nil
	}
	return proven
}

// grade takes in what the sessions of a stay found, and returns what it proves.
// The caller holds mu.
func (m *Mechanism) grade(r *record, s *stay, now time.Time) *Accusation {
	sum, why := nothing(), ""
	for _, one := range s.sessions {
		if one.cheat != nil {
			r.reject(now, time.Duration(m.manifest.Penalty)*time.Second, one.cheat.Error())
			return s.faked(one, now)
		}
		if one.why != nil && why == "" {
			why = one.why.Error()
		}
		to := sum.all()
		for i, f := range one.got.all() {
			if *f >= 0 {
				*to[i] = max(*to[i], 0) + *f/float64(len(s.sessions))
			}
		}
	}
	good := true
	for _, f := range sum.all() {
		good = good && (*f < 0 || *f >= satisfying)
	}
	r.saw(now, why == "", why)
	r.learn(sum, float64(s.services*m.manifest.CPU))
	if good {
		r.Reach = min(max(r.Reach, 2*s.services), m.manifest.Most)
	} else {
		r.Reach = max(s.services/2, 1)
	}
	return nil
}

// keep holds a lease for a while, visits it at random times, and ends it; at
// once if it is proven a fake.
func (m *Mechanism) keep(ctx context.Context, s *stay) {
	end := time.NewTimer(m.manifest.keep())
	defer end.Stop()
	proven := slices.ContainsFunc(s.sessions, func(one *session) bool { return one.cheat != nil })
	for open := s.err == nil && !proven && ctx.Err() == nil; open; {
		visit := time.NewTimer(time.Duration(rand.ExpFloat64() * float64(m.manifest.keep()) / 4))
		select {
		case <-visit.C:
			var proven *Accusation
			open, proven = m.visit(ctx, s)
			m.accuse(proven)
		case <-end.C:
			open = false
		case <-ctx.Done():
			open = false
		}
		visit.Stop()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	if err := s.lease.Close(ctx); err != nil {
		m.options.Log.Error("a probe's lease is not ended, and costs money", "provider", s.peer.Account, "err", err)
	}
}

// visit looks whether a lease still does what it did, and reports whether to
// come again, and what it proves.
func (m *Mechanism) visit(ctx context.Context, s *stay) (again bool, proven *Accusation) {
	one := s.sessions[rand.IntN(len(s.sessions))]
	if one.url == "" {
		return true, nil // it never came, which was counted
	}
	_, err := one.chains(ctx, visiting)
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[s.peer.UID]
	if ctx.Err() != nil || r == nil || r.Account != s.peer.Account {
		return false, nil
	}
	now := time.Now()
	switch {
	case one.cheat != nil:
		r.reject(now, time.Duration(m.manifest.Penalty)*time.Second, one.cheat.Error())
		return false, s.faked(one, now)
	case err != nil:
		r.saw(now, false, "at a visit: "+err.Error())
	default:
		r.saw(now, true, r.Why)
		r.Heard = now.UTC()
	}
	return true, nil
}

// each calls do for all at the same time, and waits.
func each[T any](all []T, do func(T)) {
	var wg sync.WaitGroup
	for _, one := range all {
		wg.Go(func() { do(one) })
	}
	wg.Wait()
}

// pause waits for d and reports whether ctx still runs.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
