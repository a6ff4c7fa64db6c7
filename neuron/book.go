package neuron

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// Standing is what a validator thinks of a miner now.
type Standing struct {
	Peer       subnet.Peer
	Score      float64       // moving average of its scores, 0 to 1
	Incentive  uint16        // of the latest epoch, of 65535
	Latency    time.Duration // moving average of the time to the first chunk; 0 unknown
	Rate       float64       // moving average of work per second, in the kind's unit: tokens, for text; 0 unknown
	Alive      bool          // it answered when it was last asked, or was not asked yet
	InFlight   int           // questions of this validator that it is working on
	LastReason string        // why its last answer was not flawless
}

// entry is one line of a book.
type entry struct {
	Account    string        `json:"account"`
	Registered yuma.Height   `json:"registered"`
	Score      float64       `json:"score"`
	Latency    time.Duration `json:"latency_ns"`
	Rate       float64       `json:"rate"`
	Asked      bool          `json:"asked"`    // at least once
	Missed     int           `json:"missed"`   // questions without an answer in a row
	Serves     bool          `json:"serves"`   // it has a miner, as far as is known
	Rejected   bool          `json:"rejected"` // proven a cheat, and of no worth since
	LastReason string        `json:"last_reason"`

	inFlight   int
	challenged bool // a challenge is under way
}

// maxReason bounds what is kept of a reason, which a miner can influence.
const maxReason = 200

// book is a validator's opinion of all neurons of its subnet.
type book struct {
	alpha float64

	mu      sync.Mutex
	entries map[yuma.UID]*entry
}

func newBook(alpha float64) *book {
	return &book{alpha: alpha, entries: map[yuma.UID]*entry{}}
}

// sync opens a line for each neuron, and starts those over that changed hands,
// which it returns.
func (b *book) sync(graph *ledger.Metagraph) (changed []yuma.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, uid := range slices.Sorted(maps.Keys(b.entries)) {
		e := b.entries[uid]
		if int(uid) < len(graph.Neurons) {
			if n := graph.Neurons[uid]; n.Account == e.Account && n.Registered == e.Registered {
				continue
			}
		}
		delete(b.entries, uid)
		changed = append(changed, uid)
	}
	for _, n := range graph.Neurons {
		if b.entries[n.UID] == nil {
			b.entries[n.UID] = &entry{Account: n.Account, Registered: n.Registered, Serves: true}
		}
	}
	return changed
}

// learn folds the verdict on a trial into the miner's line: the score follows
// by s ← (1 − α)·s + α·value, and drops to 0 at once when cheating is proven.
// It reports whether that is news.
func (b *book) learn(t subnet.Trial, s subnet.Score) (fell bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[t.Task.Miner.UID]
	if e == nil || e.Account != t.Task.Miner.Account {
		return false // the slot changed hands meanwhile
	}
	e.Score += b.alpha * (clamp(s.Value) - e.Score)
	if s.Reject {
		e.Score = 0
	}
	fell = s.Reject && !e.Rejected
	e.Rejected = s.Reject || e.Rejected && s.Value == 0
	e.Asked = true
	e.LastReason = strings.ToValidUTF8(s.Reason[:min(len(s.Reason), maxReason)], "")
	e.Serves = !isNoMiner(t.Answer.Err)
	if t.Answer.Err != nil {
		e.Missed++
		return fell
	}
	e.Missed = 0
	if t.Answer.First > 0 {
		e.Latency = follow(e.Latency, t.Answer.First)
	}
	if s.Units > 0 && t.Answer.Total > 0 {
		e.Rate = follow(e.Rate, float64(s.Units)/t.Answer.Total.Seconds())
	}
	return fell
}

// isNoMiner tells whether a peer said that it is not one.
func isNoMiner(err error) bool {
	r, ok := errors.AsType[*p2p.Refused](err)
	return ok && r.Code == p2p.UnknownMethod
}

// follow moves an average a fifth of the way to a new value.
func follow[T time.Duration | float64](average, value T) T {
	if average == 0 {
		return value
	}
	return average + (value-average)/5
}

func clamp(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return min(max(v, 0), 1)
}

// holds tells whether a miner still has its slot.
func (b *book) holds(p subnet.Peer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[p.UID]
	return e != nil && e.Account == p.Account
}

// begin notes that a question to uid is under way; end that it is over.
func (b *book) begin(uid yuma.UID) (end func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[uid]
	if e == nil {
		return func() {}
	}
	e.inFlight++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		e.inFlight--
	}
}

// challenge notes that a challenge to uid is under way, unless one is.
func (b *book) challenge(uid yuma.UID) (end func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[uid]
	if e == nil || e.challenged {
		return nil, false
	}
	e.challenged = true
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		e.challenged = false
	}, true
}

// rested tells whether uid may be challenged in this round: a miner that did
// not answer is left alone for ever more rounds, up to 15 of 16, and a proven
// cheat for 3 of 4.
func (b *book) rested(uid yuma.UID, round uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[uid]
	if e == nil {
		return false
	}
	every := min(e.Missed, 4)
	if e.Rejected {
		every = max(every, 2)
	}
	return (round+uint64(uid))%(1<<every) == 0
}

// asked tells whether uid was ever asked.
func (b *book) asked(uid yuma.UID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[uid]
	return e != nil && e.Asked
}

// standings lists the miners but self, in order of uid: the neurons that have
// an axon, unless they said that they are no miners, or are validators that
// never were seen to be.
func (b *book) standings(graph *ledger.Metagraph, self string) []Standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Standing
	for _, n := range graph.Neurons {
		e := b.entries[n.UID]
		validates := n.Permit && n.Stake > 0
		if e == nil || n.PeerID == "" || n.Account == self || !e.Serves || validates && e.Latency == 0 {
			continue
		}
		all = append(all, Standing{
			Peer: asPeer(n), Score: e.Score, Incentive: n.Incentive, Latency: e.Latency, Rate: e.Rate,
			Alive: e.Missed == 0, InFlight: e.inFlight, LastReason: e.LastReason,
		})
	}
	return all
}

// row turns scores into weights, the best at 65535. It leaves the validator's
// own neuron out, and gives the least weight there is to the first others
// where the subnet asks for more weights than there are scores. It is nil
// while nobody has a score.
func (b *book) row(graph *ledger.Metagraph, self yuma.UID) yuma.Row {
	b.mu.Lock()
	defer b.mu.Unlock()
	best := 0.0
	for uid, e := range b.entries {
		if uid != self {
			best = max(best, e.Score)
		}
	}
	if best == 0 {
		return nil
	}
	row := make(yuma.Row, 0, len(graph.Neurons))
	weighed := 0
	for _, n := range graph.Neurons {
		e := b.entries[n.UID]
		if e == nil || n.UID == self {
			continue
		}
		w := uint16(math.Round(e.Score / best * math.MaxUint16))
		if w > 0 {
			weighed++
		}
		row = append(row, yuma.Entry{UID: n.UID, Value: w})
	}
	for i := range row {
		if row[i].Value == 0 && weighed < graph.MinWeights {
			row[i].Value = 1
			weighed++
		}
	}
	return slices.DeleteFunc(row, func(e yuma.Entry) bool { return e.Value == 0 })
}

// save returns a copy of all lines, for the disk; load is its inverse.
func (b *book) save() map[yuma.UID]entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[yuma.UID]entry, len(b.entries))
	for uid, e := range b.entries {
		all[uid] = *e
	}
	return all
}

func (b *book) load(all map[yuma.UID]entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = make(map[yuma.UID]*entry, len(all))
	for uid, e := range all {
		e.Score = clamp(e.Score)
		b.entries[uid] = &e
	}
}
