package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-network/plexus/market"
)

// ErrGPU means that a machine has no graphics processor of a kind that is
// asked for, in use or not.
var ErrGPU = errors.New("inventory: no such graphics processor")

// Offer returns what to offer for a group: its units, with one kind of GPU
// named for all replicas of each. Of the kinds that will do and are free, it is
// the one with the least memory, so that larger ones are left for who needs
// them. It is an [ErrGPU] that says what falls short where no kind here will
// do, and a [*Shortage] where too few are free.
func (i *Inventory) Offer(spec market.GroupSpec) ([]market.Offer, error) {
	i.mu.Lock()
	free := maps.Clone(i.free().GPUs)
	i.mu.Unlock()
	var asks []ask
	for n, u := range spec.Units {
		if u.Resources.GPU.Units == 0 {
			continue
		}
		a := ask{unit: n, count: times(whole(u.Resources.GPU.Units), int64(u.Count))}
		for kind := range i.capacity.GPUs {
			if suits(kind, u.Resources.GPU.Attributes) {
				a.kinds = append(a.kinds, kind)
			}
		}
		if len(a.kinds) == 0 {
			return nil, i.unfit(u)
		}
		slices.SortFunc(a.kinds, smallerFirst)
		asks = append(asks, a)
	}
	// Who can take least comes first, so that a unit with a choice leaves it.
	slices.SortStableFunc(asks, func(a, b ask) int { return len(a.kinds) - len(b.kinds) })
	tries := maxTries
	chosen := map[int]string{}
	if !choose(asks, free, chosen, &tries) {
		return nil, scarce(asks, free)
	}
	offers := make([]market.Offer, 0, len(spec.Units))
	for n, u := range spec.Units {
		o := market.Offer{Resources: u.Resources, Count: u.Count}
		if kind, ok := chosen[n]; ok {
			o.Resources.GPU.Attributes = market.Attributes{{Key: kind, Value: "true"}}
		}
		offers = append(offers, o)
	}
	return offers, nil
}

// An ask is a unit's for GPUs of one of some kinds.
type ask struct {
	unit  int
	count int64
	kinds []string
}

// maxTries bounds the search: a tenant can ask for many units.
const maxTries = 10_000

// choose finds a kind for each ask, and takes it from free.
func choose(asks []ask, free map[string]int64, chosen map[int]string, tries *int) bool {
	if len(asks) == 0 {
		return true
	}
	a := asks[0]
	for _, kind := range a.kinds {
		if *tries--; *tries < 0 {
			return false
		}
		if free[kind] < a.count {
			continue
		}
		free[kind] -= a.count
		chosen[a.unit] = kind
		if choose(asks[1:], free, chosen, tries) {
			return true
		}
		free[kind] += a.count
		delete(chosen, a.unit)
	}
	return false
}

// scarce tells of which kinds too few are free.
func scarce(asks []ask, free map[string]int64) error {
	var want, most int64
	var names []string
	for _, a := range asks {
		want = add(want, a.count)
		for _, kind := range a.kinds {
			if !slices.Contains(names, inWords(kind)) {
				names = append(names, inWords(kind))
				most = add(most, max(free[kind], 0))
			}
		}
	}
	return &Shortage{"gpu " + strings.Join(names, " or "), want, most}
}

// suits tells whether a kind is one of those asked for. Nothing said is any.
func suits(kind string, wanted market.Attributes) bool {
	k, err := market.ParseGPUKind(kind)
	if err != nil {
		return false
	}
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(w market.Attribute) bool { return w.Value == "true" && k.Fits(w.Key) })
}

// unfit says in which attribute the machine's GPUs differ from those that a
// unit asks for, and what there is.
func (i *Inventory) unfit(u market.ResourceUnit) error {
	wanted := u.Resources.GPU.Attributes
	var words []string
	for _, w := range wanted {
		words = append(words, inWords(w.Key))
	}
	asked := fmt.Sprintf("unit %d asks for %d × %s", u.Resources.ID, u.Resources.GPU.Units, strings.Join(words, " or "))
	if len(i.capacity.GPUs) == 0 {
		return fmt.Errorf("%w: %s; there are no graphics processors here", ErrGPU, asked)
	}
	var here, lack []string
	for _, kind := range slices.SortedFunc(maps.Keys(i.capacity.GPUs), smallerFirst) {
		here = append(here, fmt.Sprintf("%d × %s", i.capacity.GPUs[kind], inWords(kind)))
		k, err := market.ParseGPUKind(kind)
		if err != nil {
			continue
		}
		for _, w := range wanted {
			if d := k.Differs(w.Key); len(d) > 0 && (lack == nil || len(d) < len(lack)) {
				lack = d
			}
		}
	}
	return fmt.Errorf("%w: %s; here are %s: the %s differs", ErrGPU, asked, strings.Join(here, " and "), cmp.Or(strings.Join(lack, " and the "), "kind"))
}

// smallerFirst orders kinds by memory, then by name.
func smallerFirst(a, b string) int { return cmp.Or(cmp.Compare(gib(a), gib(b)), cmp.Compare(a, b)) }

func gib(kind string) int {
	k, err := market.ParseGPUKind(kind)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSuffix(k.RAM, "Gi")) // 0 where none is said
	return n
}

// inWords writes a kind for people, a key that is none as it is.
func inWords(kind string) string {
	k, err := market.ParseGPUKind(kind)
	if err != nil {
		return kind
	}
	return k.String()
}
