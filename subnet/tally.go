package subnet

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/yuma"
)

// Tally is what a validator remembers of the miners of a kind whose answers
// can be found right or wrong: what they delivered, how fast, and what was
// proven against them. Kinds whose scores are volume and speed of right answers
// keep one. The zero Tally knows no miner; its methods may be called from many
// goroutines. As JSON it is part of a kind's snapshot.
type Tally struct {
	Gate    time.Duration // an answer that begins later earns nothing for speed; 0 means 10 s
	Penalty time.Duration // how long a proven cheat earns nothing, doubled each time; 0 means 10 min

	mu     sync.Mutex
	miners map[yuma.UID]*account
}

// account is the line of one miner.
type account struct {
	Strikes  float64   `json:"strikes"` // wrong answers, less what right ones made up for
	Checked  int       `json:"checked"` // right answers that were checked since the last proof
	Rejects  int       `json:"rejects"`
	Until    time.Time `json:"until,omitzero"` // end of the penalty
	Volume   float64   `json:"volume"`         // units delivered, halved every volumeHalf
	VolumeAt time.Time `json:"volume_at,omitzero"`
	Rate     float64   `json:"rate"` // units per second, moving average; 0 unknown
}

const (
	// proof is how many strikes prove a miner a cheat. One may be an accident.
	proof = 2
	// forgiven is what a checked, right answer takes off the strikes: an
	// honest miner that errs once in 10⁴ answers is accused once in 10⁷.
	forgiven = 0.05
	// volumeHalf is the time in which delivered units lose half their weight.
	volumeHalf = 10 * time.Minute
	// priorVolume evens out what single answers' sizes do to young miners.
	priorVolume = 500
	// maxDoubling bounds how often a penalty doubles.
	maxDoubling = 10
)

// of returns the line of a miner; the caller holds mu.
func (t *Tally) of(uid yuma.UID) *account {
	if t.miners == nil {
		t.miners = map[yuma.UID]*account{}
	}
	a := t.miners[uid]
	if a == nil {
		a = &account{}
		t.miners[uid] = a
	}
	return a
}

// Right notes that an answer was checked and found right.
func (t *Tally) Right(uid yuma.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.of(uid)
	a.Strikes = max(a.Strikes-forgiven, 0)
	a.Checked++
}

// Wrong notes an answer that no honest miner gives, received at now. It
// reports whether that proves the miner a cheat, which it is from the second
// wrong answer on that right ones did not make up for.
func (t *Tally) Wrong(uid yuma.UID, now time.Time) (proven bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.of(uid)
	a.Strikes++
	if a.Strikes < proof {
		return false
	}
	if !now.Before(a.Until) {
		a.Rejects++
	}
	penalty := t.Penalty
	if penalty <= 0 {
		penalty = 10 * time.Minute
	}
	a.Until = now.Add(penalty << min(a.Rejects-1, maxDoubling)).UTC()
	a.Strikes, a.Checked = proof/2, 0 // the next wrong answer is a proof again
	return true
}

// Deliver counts units that came with an answer, whether or not it was checked.
// While a miner's penalty lasts nothing counts.
func (t *Tally) Deliver(uid yuma.UID, units int, answer Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.of(uid)
	now := answer.Received
	if units <= 0 || now.Before(a.Until) {
		return
	}
	a.Volume = a.volume(now) + float64(units)
	a.VolumeAt = now.UTC()
	rate := float64(units) / max(answer.Total.Seconds(), 1e-3)
	if a.Rate == 0 {
		a.Rate = rate
	}
	a.Rate += 0.2 * (rate - a.Rate)
}

// Checked is how many right answers of a miner were checked since it was last
// proven a cheat: what its good name rests on.
func (t *Tally) Checked(uid yuma.UID) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.miners[uid]; a != nil {
		return a.Checked
	}
	return 0
}

// Rejected returns the end of a miner's penalty, and whether it lasts at now.
func (t *Tally) Rejected(uid yuma.UID, now time.Time) (until time.Time, lasts bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.miners[uid]
	if a == nil {
		return time.Time{}, false
	}
	return a.Until, now.Before(a.Until)
}

// Worth is what a miner's deliveries are worth at the time of an answer, 0 to
// 1: ⅝·V + ⅜·speed, with V its lately delivered units beside the busiest
// miner's and speed its rate beside the median, full from 1.5 medians on. It is
// 0 while a penalty lasts.
func (t *Tally) Worth(uid yuma.UID, answer Answer) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.of(uid)
	now := answer.Received
	if now.Before(a.Until) {
		return 0
	}
	most := 0.0
	for _, other := range t.miners {
		most = max(most, other.volume(now))
	}
	volume := (a.volume(now) + priorVolume) / (most + priorVolume)
	return 0.625*volume + 0.375*t.speed(a, answer)
}

// speed is a miner's rate beside the median, 0 to 1. The caller holds mu.
func (t *Tally) speed(a *account, answer Answer) float64 {
	gate := t.Gate
	if gate <= 0 {
		gate = 10 * time.Second
	}
	if answer.First > gate {
		return 0
	}
	var rates []float64
	for _, other := range t.miners {
		if other.Rate > 0 && !answer.Received.Before(other.Until) {
			rates = append(rates, other.Rate)
		}
	}
	if len(rates) == 0 {
		return 0
	}
	slices.Sort(rates)
	return min(1.5, a.Rate/rates[len(rates)/2]) / 1.5
}

func (a *account) volume(now time.Time) float64 {
	age := max(now.Sub(a.VolumeAt), 0)
	return a.Volume * math.Exp2(-age.Seconds()/volumeHalf.Seconds())
}

// Forget drops the line of a slot that changed hands.
func (t *Tally) Forget(uid yuma.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.miners, uid)
}

// MarshalJSON returns all lines.
func (t *Tally) MarshalJSON() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.miners == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(t.miners)
}

// UnmarshalJSON replaces all lines, or leaves them as they are and says which
// of the new ones cannot be.
func (t *Tally) UnmarshalJSON(b []byte) error {
	miners := map[yuma.UID]*account{}
	if err := json.Unmarshal(b, &miners); err != nil {
		return err
	}
	for _, uid := range slices.Sorted(maps.Keys(miners)) {
		if a := miners[uid]; a == nil || !a.valid() {
			return fmt.Errorf("the tally of uid %d is damaged: %+v", uid, a)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.miners = miners
	return nil
}

func (a *account) valid() bool {
	for _, v := range []float64{a.Strikes, a.Volume, a.Rate} {
		if !(v >= 0 && v <= math.MaxFloat64) { // also catches NaN
			return false
		}
	}
	return a.Strikes < proof && a.Checked >= 0 && a.Rejects >= 0 && (a.Until.IsZero() || a.Rejects > 0)
}
