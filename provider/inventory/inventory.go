// Package inventory accounts for what a provider's machine has, what its bids
// and leases have taken, and what is left.
//
// There is no counter to leak: the claims are a set keyed by the name of a
// bid, which is also that of the lease it becomes, so nothing counts twice.
// The set is made anew from the chain and the disk as often as one likes, see
// [Inventory.Replace], and between two looks at the chain new bids are added
// by [Inventory.Claim]. Sums saturate and never wrap around.
package inventory

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/plexus-network/plexus/market"
)

// Amounts is what a machine has, or a group of replicas takes.
type Amounts struct {
	CPU    int64 `json:"cpu"`    // thousandths of a core
	Memory int64 `json:"memory"` // bytes
	GPU    int64 `json:"gpu"`

	// GPUs tells them apart by kind, as vendor/nvidia/model/h100/ram/80Gi/interface/sxm.
	GPUs map[string]int64 `json:"gpus,omitempty"`

	IPs int64 `json:"ips,omitempty"` // addresses for lease

	// Storage is in bytes by class. The class "" is the disk of ephemeral
	// storage, on which the class "default" lies too.
	Storage map[string]int64 `json:"storage"`
}

// Volume tells where a volume of a group lies: in memory, or on which class of
// disk, and whether it outlives its replica.
func Volume(v market.Volume) (class string, persistent, ram bool) {
	class, _ = v.Attributes.Get("class")
	switch p, _ := v.Attributes.Get("persistent"); p {
	case "true", "on", "yes":
		persistent = true
	}
	if class == "ram" {
		return "", false, true
	}
	if !persistent || class == "default" {
		class = ""
	}
	return class, persistent, false
}

// Of returns what all replicas of a group take, with overhead bytes of memory
// for each of them, which are the sandbox's own.
func Of(spec market.GroupSpec, overhead int64) Amounts {
	offers := make([]market.Offer, 0, len(spec.Units))
	for _, u := range spec.Units {
		offers = append(offers, market.Offer{Resources: u.Resources, Count: u.Count})
	}
	return OfOffers(offers, overhead)
}

// OfOffers returns what a bid's offers take, as [Of] does for a group. An offer
// names the one kind of GPU that it gives, see [Inventory.Offer].
func OfOffers(offers []market.Offer, overhead int64) Amounts {
	sum := Amounts{Storage: map[string]int64{}}
	addresses := map[uint32]bool{}
	for _, o := range offers {
		n, r := int64(o.Count), o.Resources
		sum.CPU = add(sum.CPU, times(whole(r.CPU.Units), n))
		sum.Memory = add(sum.Memory, times(add(whole(r.Memory.Size), overhead), n))
		if gpus := times(whole(r.GPU.Units), n); gpus > 0 {
			sum.GPU = add(sum.GPU, gpus)
			if len(r.GPU.Attributes) == 1 {
				sum.GPUs = merge(sum.GPUs, map[string]int64{r.GPU.Attributes[0].Key: gpus})
			}
		}
		for _, e := range r.Endpoints {
			if e.Kind == market.LeasedIP && !addresses[e.Sequence] {
				addresses[e.Sequence] = true // its ports, and all replicas, share one
				sum.IPs++
			}
		}
		for _, v := range r.Storage {
			class, _, ram := Volume(v)
			if size := times(whole(v.Size), n); ram {
				sum.Memory = add(sum.Memory, size)
			} else {
				sum.Storage[class] = add(sum.Storage[class], size)
			}
		}
	}
	return sum
}

// Plus returns the sums of a and b.
func (a Amounts) Plus(b Amounts) Amounts {
	sum := Amounts{CPU: add(a.CPU, b.CPU), Memory: add(a.Memory, b.Memory), GPU: add(a.GPU, b.GPU), GPUs: merge(a.GPUs, b.GPUs), IPs: add(a.IPs, b.IPs)}
	if sum.Storage = merge(a.Storage, b.Storage); sum.Storage == nil {
		sum.Storage = map[string]int64{}
	}
	return sum
}

// merge sums by key; nil of nothing.
func merge(a, b map[string]int64) map[string]int64 {
	if len(a)+len(b) == 0 {
		return nil
	}
	sum := map[string]int64{}
	for _, from := range []map[string]int64{a, b} {
		for key, n := range from {
			sum[key] = add(sum[key], n)
		}
	}
	return sum
}

// less returns a − b, below 0 where b is the greater.
func (a Amounts) less(b Amounts) Amounts {
	left := Amounts{CPU: a.CPU - b.CPU, Memory: a.Memory - b.Memory, GPU: a.GPU - b.GPU, GPUs: maps.Clone(a.GPUs), IPs: a.IPs - b.IPs, Storage: maps.Clone(a.Storage)}
	for kind, n := range b.GPUs {
		if _, has := left.GPUs[kind]; has { // of a kind that is no longer sold, there is none to be left
			left.GPUs[kind] -= n
		}
	}
	if left.Storage == nil {
		left.Storage = map[string]int64{}
	}
	for class, n := range b.Storage {
		left.Storage[class] -= n
	}
	return left
}

// A Shortage tells what there is too little of. It is an error.
type Shortage struct {
	Resource   string // "cpu", "memory", "gpu", "gpu X", "ip addresses", "storage", or "storage of class X"
	Want, Free int64  // thousandths of a core, bytes, or pieces
}

// Error says what was asked for and what is free.
func (s *Shortage) Error() string {
	return fmt.Sprintf("too little %s: %s asked for, %s free", s.Resource, s.quantity(s.Want), s.quantity(max(s.Free, 0)))
}

// quantity is so much of the resource in the unit that an SDL has it in.
func (s *Shortage) quantity(n int64) string {
	round := func(x float64) string { return strconv.FormatFloat(math.Round(x*100)/100, 'f', -1, 64) }
	switch {
	case s.Resource == "cpu":
		return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) + " cores"
	case s.Resource != "memory" && !strings.HasPrefix(s.Resource, "storage"):
		return strconv.FormatInt(n, 10)
	case n >= 1<<30:
		return round(float64(n)/(1<<30)) + "Gi"
	}
	return round(float64(n)/(1<<20)) + "Mi"
}

// fit tells whether want fits into free, by a [*Shortage] if not.
func fit(want, free Amounts) error {
	switch {
	case want.CPU > max(free.CPU, 0):
		return &Shortage{"cpu", want.CPU, free.CPU}
	case want.Memory > max(free.Memory, 0):
		return &Shortage{"memory", want.Memory, free.Memory}
	case want.GPU > max(free.GPU, 0):
		return &Shortage{"gpu", want.GPU, free.GPU}
	case want.IPs > max(free.IPs, 0):
		return &Shortage{"ip addresses", want.IPs, free.IPs}
	}
	for _, kind := range slices.Sorted(maps.Keys(want.GPUs)) {
		if want.GPUs[kind] > max(free.GPUs[kind], 0) {
			return &Shortage{"gpu " + inWords(kind), want.GPUs[kind], free.GPUs[kind]}
		}
	}
	for _, class := range slices.Sorted(maps.Keys(want.Storage)) {
		if want.Storage[class] <= max(free.Storage[class], 0) {
			continue
		}
		name := "storage"
		if class != "" {
			name += " of class " + class
		}
		return &Shortage{name, want.Storage[class], free.Storage[class]}
	}
	return nil
}

// An Inventory is a machine's capacity and who claims what of it. It may be
// used from many goroutines.
type Inventory struct {
	mu       sync.Mutex
	capacity Amounts
	claims   map[string]Amounts
}

// New returns an Inventory without claims.
func New(capacity Amounts) *Inventory {
	return &Inventory{capacity: capacity, claims: map[string]Amounts{}}
}

// Capacity returns all that there is.
func (i *Inventory) Capacity() Amounts {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.capacity
}

// Resize makes capacity all that there is. Claims may then exceed it.
func (i *Inventory) Resize(capacity Amounts) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.capacity = capacity
}

// Within returns a, but of what one place has, processors, memory and the
// storage of class "", no more than most. Other classes are not measured, nor
// are graphics processors.
func (a Amounts) Within(most Amounts) Amounts {
	a.CPU, a.Memory = min(a.CPU, most.CPU), min(a.Memory, most.Memory)
	a.Storage = maps.Clone(a.Storage)
	if _, has := a.Storage[""]; has {
		a.Storage[""] = min(a.Storage[""], most.Storage[""])
	}
	return a
}

// Replace makes claims, by the names of bids, the only ones. They may exceed
// the capacity, as when it was lowered: then nothing is free.
func (i *Inventory) Replace(claims map[string]Amounts) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.claims = maps.Clone(claims)
	if i.claims == nil {
		i.claims = map[string]Amounts{}
	}
}

// Claim takes what a new bid needs, or returns a [*Shortage] and takes
// nothing. A name that has a claim keeps it.
func (i *Inventory) Claim(bid string, want Amounts) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, has := i.claims[bid]; has {
		return nil
	}
	if err := fit(want, i.free()); err != nil {
		return err
	}
	i.claims[bid] = want
	return nil
}

// Drop gives back what a bid claimed, if it did.
func (i *Inventory) Drop(bid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.claims, bid)
}

// Fits tells by a [*Shortage] why want cannot be claimed now, or nil.
func (i *Inventory) Fits(want Amounts) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return fit(want, i.free())
}

// Free returns what no bid or lease claims. Nothing in it is below 0.
func (i *Inventory) Free() Amounts {
	i.mu.Lock()
	defer i.mu.Unlock()
	free := i.free()
	free.CPU, free.Memory, free.GPU, free.IPs = max(free.CPU, 0), max(free.Memory, 0), max(free.GPU, 0), max(free.IPs, 0)
	for _, left := range []map[string]int64{free.GPUs, free.Storage} {
		for name, n := range left {
			left[name] = max(n, 0)
		}
	}
	return free
}

func (i *Inventory) free() Amounts {
	var sum Amounts
	for _, c := range i.claims {
		sum = sum.Plus(c)
	}
	return i.capacity.less(sum)
}

// whole returns q, at most 2⁶³−1.
func whole(q market.Quantity) int64 { return int64(min(uint64(q), math.MaxInt64)) }

// add returns a + b of numbers that are not negative, at most 2⁶²: so that a
// difference of two fits as well.
func add(a, b int64) int64 {
	const most = 1 << 62
	if a > most-min(b, most) {
		return most
	}
	return a + b
}

// times returns a·n of numbers that are not negative, at most 2⁶².
func times(a, n int64) int64 {
	const most = 1 << 62
	if n != 0 && a > most/n {
		return most
	}
	return a * n
}
