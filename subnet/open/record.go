package open

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/open/rating"
	"github.com/plexus-network/plexus/yuma"
)

// record is what is remembered of one miner.
type record struct {
	Right  float64       `json:"right"` // levels of questions answered right, faded
	Asked  float64       `json:"asked"` // levels of all questions, faded
	Rating rating.Rating `json:"rating"`
	Played int           `json:"played"` // contests
}

const (
	// fade is what an answer weighs after another one, so that about the last
	// 300 count: a miner that changes its model is soon seen as it is.
	fade = 1 - 1.0/300
	// priorAsked and priorRight are what a miner has to its name before it is
	// asked anything.
	priorAsked, priorRight = 10, 1
)

// learn marks an answer to a question of a level.
func (r *record) learn(level int, right bool) {
	r.Right *= fade
	r.Asked = r.Asked*fade + float64(level)
	if right {
		r.Right += float64(level)
	}
}

// accuracy is A: the share of right answers, weighed by level, 0 to 1.
func (r *record) accuracy() float64 { return (r.Right + priorRight) / (r.Asked + priorAsked) }

func (r *record) valid() bool {
	return r.Right >= 0 && r.Asked >= r.Right && r.Asked <= math.MaxFloat32 && r.Played >= 0 && r.Rating.Valid()
}

// record returns the line of a miner; the caller holds mu.
func (m *Mechanism) record(uid yuma.UID) *record {
	r := m.records[uid]
	if r == nil {
		r = &record{Rating: rating.New()}
		m.records[uid] = r
	}
	return r
}

// decide has a full contest judged and updates the ratings of those in it.
func (m *Mechanism) decide(ctx context.Context, c *contest) error {
	m.judging.Lock()
	defer m.judging.Unlock()
	ranks, err := judge{m.options.Judge}.ranks(ctx, c.prompt, c.entries)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	players := make([]rating.Rating, len(c.entries))
	for i, e := range c.entries {
		players[i] = m.record(e.uid).Rating
	}
	for i, p := range rating.Update(players, ranks) {
		r := m.record(c.entries[i].uid)
		r.Rating = p
		r.Played++
		m.options.Log.Debug("contest judged", "uid", c.entries[i].uid, "place", ranks[i], "mu", p.Mu, "sigma", p.Sigma)
	}
	return nil
}

// worth is a miner's Value.
func (m *Mechanism) worth(uid yuma.UID) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.manifest.Weight
	if m.options.Judge == nil {
		w = 0
	}
	s := (1-w)*m.record(uid).accuracy() + w*m.wins(uid)
	return math.Pow(s, m.manifest.Sharpness)
}

// wins is P: the probability that a miner wins against another one that
// played, drawn at random. The caller holds mu.
func (m *Mechanism) wins(uid yuma.UID) float64 {
	own := m.record(uid)
	if own.Played == 0 {
		return 0.5
	}
	sum, n := 0.0, 0
	for _, other := range slices.Sorted(maps.Keys(m.records)) {
		if r := m.records[other]; other != uid && r.Played > 0 {
			sum += rating.Win(own.Rating, r.Rating)
			n++
		}
	}
	if n == 0 {
		return 0.5
	}
	return sum / float64(n)
}

// Forget drops the record of a slot that changed hands, and its answers in
// contests that are not over.
func (m *Mechanism) Forget(uid yuma.UID) {
	m.tally.Forget(uid)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, uid)
	for _, c := range m.contests {
		c.entries = slices.DeleteFunc(c.entries, func(e entry) bool { return e.uid == uid })
	}
}

// snapshot is what Snapshot writes, as JSON.
type snapshot struct {
	Version int                  `json:"version"`
	Records map[yuma.UID]*record `json:"records"`
	Tally   *subnet.Tally        `json:"tally"`
}

const snapshotVersion = 1

// Snapshot returns what is remembered of all miners, as JSON.
func (m *Mechanism) Snapshot() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return json.Marshal(snapshot{Version: snapshotVersion, Records: m.records, Tally: m.tally})
}

// Restore replaces what is remembered by a snapshot.
func (m *Mechanism) Restore(state []byte) error {
	s := snapshot{Version: snapshotVersion, Records: map[yuma.UID]*record{}, Tally: &subnet.Tally{}}
	if state != nil {
		if err := json.Unmarshal(state, &s); err != nil {
			return fmt.Errorf("open: restore: %w", err)
		}
	}
	if s.Version != snapshotVersion || s.Records == nil || s.Tally == nil {
		return fmt.Errorf("open: restore: a snapshot of version %d, this is version %d, with records and a tally", s.Version, snapshotVersion)
	}
	for uid, r := range s.Records {
		if r == nil || !r.valid() {
			return fmt.Errorf("open: restore: the record of uid %d is damaged: %+v", uid, r)
		}
	}
	kept, err := s.Tally.MarshalJSON()
	if err != nil {
		return fmt.Errorf("open: restore: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = s.Records
	return m.tally.UnmarshalJSON(kept)
}
