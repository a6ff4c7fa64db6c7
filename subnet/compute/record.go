package compute

import (
	"fmt"
	"math"
	"time"

	"github.com/plexus-network/plexus/yuma"
)

// record is what is remembered of one miner.
type record struct {
	Account string    `json:"account"`
	Next    time.Time `json:"next"`            // of the next probe
	Reach   int       `json:"reach"`           // services of the next probe
	Got     figures   `json:"got"`             // moving averages
	Up      float64   `json:"up"`              // looks that found it as it should be, faded
	Looks   float64   `json:"looks"`           // all looks, faded
	Shown   float64   `json:"shown"`           // thousandths of cores that a probe found, faded
	At      time.Time `json:"at"`              // of the latest look, from which all of this fades
	Why     string    `json:"why,omitempty"`   // for people: what was wrong last
	Rejects int       `json:"rejects"`         // proofs of cheating
	Until   time.Time `json:"until,omitzero"`  // end of the penalty
	Told    bool      `json:"told,omitempty"`  // the latest proof was answered by a Reject
	Tried   bool      `json:"tried,omitempty"` // a probe came to a verdict

	Heard    time.Time `json:"heard,omitzero"`     // when a service of it last answered
	Silences []Silence `json:"silences,omitempty"` // leases in a row that never answered
}

const (
	// newness is what a probe's figures weigh beside those before it.
	newness = 0.3
	// fading is the time in which what was seen loses half its weight.
	fading = 24 * time.Hour
	// present is the Value of a miner that answers and was not probed yet: more
	// than nothing, and too little to live on.
	present = 0.001
	// satisfying is the least figure of a probe after which more is tried.
	satisfying = 0.8
	maxWhy     = 200
)

// fade brings a record up to a time.
func (r *record) fade(now time.Time) {
	if !r.At.IsZero() {
		f := math.Exp2(-max(now.Sub(r.At), 0).Seconds() / fading.Seconds())
		r.Up, r.Looks, r.Shown = r.Up*f, r.Looks*f, r.Shown*f
	}
	r.At = now.UTC()
}

// saw notes a look, and whether it found the provider as it should be.
func (r *record) saw(now time.Time, up bool, why string) {
	r.fade(now)
	r.Tried = true
	r.Looks++
	if up {
		r.Up++
		r.Why = why
		return
	}
	r.Why = why[:min(len(why), maxWhy)]
}

// learn takes in what a probe of so many thousandths of cores found.
func (r *record) learn(got figures, milli float64) {
	to := r.Got.all()
	for i, f := range got.all() {
		switch {
		case *f < 0:
		case *to[i] < 0:
			*to[i] = *f
		default:
			*to[i] += newness * (*f - *to[i])
		}
	}
	if got.CPU > 0 {
		r.Shown = max(r.Shown, milli*got.CPU)
	}
}

// quality is the geometric mean of what was measured, 0 to 1: a provider that
// delivers half of one thing is not made good by the others.
func (r *record) quality() float64 {
	product, n := 1.0, 0.0
	for _, f := range r.Got.all() {
		if *f >= 0 {
			product, n = product**f, n+1
		}
	}
	if n == 0 {
		return 0
	}
	return math.Pow(product, 1/n)
}

// worth is a miner's Value at a time:
//
//	quality · uptime² · √min(1, shown / full)
//
// with uptime (up + 1) / (looks + 1). The root lets a small provider live
// beside a large one, and makes two accounts worth more than one only if each
// shows as much.
func (r *record) worth(now time.Time, full float64) float64 {
	if !r.Tried {
		return present
	}
	if now.Before(r.Until) {
		return 0
	}
	faded := *r
	faded.fade(now)
	uptime := (faded.Up + 1) / (faded.Looks + 1)
	return r.quality() * uptime * uptime * math.Sqrt(min(1, faded.Shown/full))
}

// maxDoubling bounds how often a penalty doubles.
const maxDoubling = 10

// reject notes a proof of cheating.
func (r *record) reject(now time.Time, penalty time.Duration, why string) {
	r.saw(now, false, why)
	if !now.Before(r.Until) {
		r.Rejects++
	}
	r.Until = now.Add(penalty << min(r.Rejects-1, maxDoubling)).UTC()
	r.Reach, r.Shown, r.Told = 1, 0, false
}

// check tells what is wrong with a record that was read.
func (r *record) check(uid yuma.UID) error {
	if r == nil {
		return fmt.Errorf("the record of uid %d is missing", uid)
	}
	sound := r.Looks >= r.Up && r.Up >= 0 && r.Looks <= math.MaxFloat32 && r.Shown >= 0 && r.Shown <= math.MaxFloat32 &&
		r.Reach >= 0 && r.Reach <= 20 && r.Rejects >= 0 && len(r.Why) <= maxWhy && len(r.Account) <= 256 && len(r.Silences) <= maxSilences
	for _, f := range r.Got.all() {
		sound = sound && *f >= unmeasured && *f <= 1
	}
	if !sound {
		return fmt.Errorf("the record of uid %d is damaged: %+v", uid, *r)
	}
	return nil
}
