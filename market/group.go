package market

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Price is money per block in a denom.
type Price struct {
	Denom  string `json:"denom"`
	Amount Exact  `json:"amount"`
}

// String formats p as Akash does, as in "50.000000000000000000uact".
func (p Price) String() string { return p.Amount.String() + p.Denom }

// Short formats p for people, without the zeros behind its point, as in
// "50.5uact".
func (p Price) Short() string {
	return strings.TrimSuffix(strings.TrimRight(p.Amount.String(), "0"), ".") + p.Denom
}

// Validate tells why nothing may be priced so: a replica's price is above 0 and
// at most 10,000,000 base units per block, in a denom that a bank could hold.
func (p Price) Validate() error {
	if p.Amount.IsZero() {
		return fmt.Errorf("price is 0; it must be above 0")
	}
	if p.Amount.Compare(Whole(maxUnitPrice)) > 0 {
		return fmt.Errorf("price of %s per block is above %d", p, maxUnitPrice)
	}
	if !validDenom(p.Denom) {
		return fmt.Errorf("denom %q: a denom is 3 to 128 letters, digits and / : . _ -, and begins with a letter", p.Denom)
	}
	return nil
}

// GroupSpec is what a tenant wants to run in one place, and what it would pay
// at most. The JSON is that of Akash's group specs.
type GroupSpec struct {
	Name         string         `json:"name"`
	Requirements Requirements   `json:"requirements"`
	Units        []ResourceUnit `json:"resources"`
}

// Requirements are what a provider must be.
type Requirements struct {
	SignedBy   SignedBy   `json:"signed_by"`
	Attributes Attributes `json:"attributes"`
}

// SignedBy names auditors: each of AllOf, and at least one of AnyOf, must have
// signed the required attributes of a provider. Empty lists ask for nothing.
type SignedBy struct {
	AllOf []string `json:"all_of"`
	AnyOf []string `json:"any_of"`
}

// ResourceUnit is a number of like replicas and the highest price of one.
type ResourceUnit struct {
	Resources Resources `json:"resource"`
	Count     uint32    `json:"count"`
	Price     Price     `json:"price"` // per block and replica
}

// maxUnitPrice bounds the price of a replica per block, in base units, and
// groupFactor how much of a resource a group may hold: so many times what one
// replica may.
const (
	maxUnitPrice Amount   = 10_000_000
	groupFactor  Quantity = 50
)

// ErrGroups means that groups ask for what the market does not sell.
var ErrGroups = errors.New("market: groups refused")

// ValidateGroups tells why a deployment of these groups is refused: it has
// none, one is invalid, two share a name, or they differ in denom.
func ValidateGroups(groups []GroupSpec) error {
	if len(groups) == 0 {
		return fmt.Errorf("%w: a deployment needs at least one group", ErrGroups)
	}
	names := make(map[string]bool, len(groups))
	for _, g := range groups {
		if err := g.Validate(); err != nil {
			return err
		}
		if names[g.Name] {
			return fmt.Errorf("%w: two groups are named %q", ErrGroups, g.Name)
		}
		names[g.Name] = true
		if first, denom := groups[0].Units[0].Price.Denom, g.Units[0].Price.Denom; denom != first {
			return fmt.Errorf("%w: group %q is priced in %s, but group %q in %s; a deployment is paid in one denom",
				ErrGroups, groups[0].Name, first, g.Name, denom)
		}
	}
	return nil
}

// Validate tells why a group is refused, with the unit at fault.
func (g GroupSpec) Validate() error {
	if g.Name == "" {
		return fmt.Errorf("%w: a group has no name", ErrGroups)
	}
	if len(g.Units) == 0 {
		return fmt.Errorf("%w: group %q asks for no resources", ErrGroups, g.Name)
	}
	if err := g.Requirements.Attributes.Validate(); err != nil {
		return fmt.Errorf("%w: group %q: placement: %w", ErrGroups, g.Name, err)
	}
	ids := make(map[uint32]bool, len(g.Units))
	for _, u := range g.Units {
		if err := u.validate(); err != nil {
			return fmt.Errorf("%w: group %q: unit %d: %w", ErrGroups, g.Name, u.Resources.ID, err)
		}
		if ids[u.Resources.ID] {
			return fmt.Errorf("%w: group %q: two units have the id %d", ErrGroups, g.Name, u.Resources.ID)
		}
		ids[u.Resources.ID] = true
		if u.Price.Denom != g.Units[0].Price.Denom {
			return fmt.Errorf("%w: group %q is priced in %s and in %s; write one denom",
				ErrGroups, g.Name, g.Units[0].Price.Denom, u.Price.Denom)
		}
	}
	if err := g.Totals().validate(); err != nil {
		return fmt.Errorf("%w: group %q: %w", ErrGroups, g.Name, err)
	}
	return nil
}

func (u ResourceUnit) validate() error {
	if u.Count == 0 {
		return fmt.Errorf("count is 0; it must be at least 1")
	}
	if err := u.Price.Validate(); err != nil {
		return err
	}
	return u.Resources.Validate()
}

// validDenom tells whether the chain's bank could hold a denom of that name.
func validDenom(denom string) bool {
	if len(denom) < 3 || len(denom) > 128 {
		return false
	}
	for i := range len(denom) {
		c := denom[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && !strings.ContainsRune("/:._-", rune(c))) {
			return false
		}
	}
	return true
}

// Totals are sums over all replicas; one that would exceed 2⁶⁴−1 stays there.
type Totals struct {
	CPU, Memory, Storage, GPU Quantity
	Replicas                  uint64
}

// Totals adds up what all replicas of g get.
func (g GroupSpec) Totals() Totals {
	var t Totals
	for _, u := range g.Units {
		count := uint64(u.Count)
		t.CPU = grow(t.CPU, u.Resources.CPU.Units, count)
		t.Memory = grow(t.Memory, u.Resources.Memory.Size, count)
		t.GPU = grow(t.GPU, u.Resources.GPU.Units, count)
		for _, v := range u.Resources.Storage {
			t.Storage = grow(t.Storage, v.Size, count)
		}
		t.Replicas += count
	}
	return t
}

// Add returns the sums of t and o.
func (t Totals) Add(o Totals) Totals {
	return Totals{
		CPU: grow(t.CPU, o.CPU, 1), Memory: grow(t.Memory, o.Memory, 1),
		Storage: grow(t.Storage, o.Storage, 1), GPU: grow(t.GPU, o.GPU, 1),
		Replicas: t.Replicas + o.Replicas,
	}
}

// grow returns sum + q·count, at most 2⁶⁴−1.
func grow(sum, q Quantity, count uint64) Quantity {
	hi, lo := bits.Mul64(uint64(q), count)
	total, carry := bits.Add64(uint64(sum), lo, 0)
	if hi != 0 || carry != 0 {
		return ^Quantity(0)
	}
	return Quantity(total)
}

func (t Totals) validate() error {
	for _, c := range []struct {
		what, unit string
		most, has  Quantity
	}{
		{"cpu", "thousandths of a core", unitCPU.most, t.CPU},
		{"memory", "bytes", unitMemory.most, t.Memory},
		{"storage", "bytes", unitVolume.most, t.Storage},
		{"gpu", "units", unitGPU.most, t.GPU},
	} {
		if err := (within{0, c.most * groupFactor}).check(c.what+" of all replicas", c.unit, c.has); err != nil {
			return err
		}
	}
	return nil
}

// Price returns the highest price of all replicas of a valid g together.
func (g GroupSpec) Price() Price {
	var p Price
	for _, u := range g.Units {
		p.Denom = u.Price.Denom
		all, _ := u.Price.Amount.Times(uint64(u.Count)) // fits: 10⁷·2³² units are below 2¹²⁸ parts
		p.Amount, _ = p.Amount.Add(all)
	}
	return p
}

// Audit is what an auditor says of a provider.
type Audit struct {
	Auditor    string
	Attributes Attributes
}

// Mismatch tells why a provider cannot serve a group. It is an error.
type Mismatch struct {
	Want    Attribute // what the provider lacks; the zero Attribute when a signature is missing altogether
	Auditor string    // whose signature is lacking; "" when the provider's own word is enough
	Unit    uint32    // the id of the resource unit, or 0 when the group itself requires it
}

// Error says what is lacking and where.
func (m *Mismatch) Error() string {
	what := fmt.Sprintf("attribute %s=%s", m.Want.Key, m.Want.Value)
	switch {
	case m.Auditor != "" && m.Want.Key == "":
		return "market: provider has no signature of " + m.Auditor
	case m.Auditor != "":
		return "market: provider lacks " + what + " signed by " + m.Auditor
	case m.Unit != 0:
		return "market: provider lacks " + what + " for resource unit " + strconv.FormatUint(uint64(m.Unit), 10)
	}
	return "market: provider lacks " + what
}

// Match tells whether a provider that claims attributes, and has these audits,
// may serve g. When it may not, the error is a [*Mismatch] with the first
// thing that it lacks.
func (g GroupSpec) Match(attributes Attributes, audits []Audit) error {
	if err := g.Requirements.match(attributes, audits); err != nil {
		return err
	}
	for _, u := range g.Units {
		if err := u.match(attributes); err != nil {
			return err
		}
	}
	return nil
}

func (r Requirements) match(attributes Attributes, audits []Audit) error {
	if len(r.SignedBy.AllOf) == 0 && len(r.SignedBy.AnyOf) == 0 {
		if want, lacking := missing(r.Attributes, attributes); lacking {
			return &Mismatch{Want: want}
		}
		return nil
	}
	for _, auditor := range r.SignedBy.AllOf {
		if m := r.signed(auditor, audits); m != nil {
			return m
		}
	}
	var first *Mismatch
	for _, auditor := range r.SignedBy.AnyOf {
		m := r.signed(auditor, audits)
		if m == nil {
			return nil
		}
		if first == nil || first.Want.Key == "" && m.Want.Key != "" {
			first = m // rather the auditor that knows the provider
		}
	}
	if first != nil {
		return first
	}
	return nil
}

// signed tells what auditor did not sign of what r asks for, or nil.
func (r Requirements) signed(auditor string, audits []Audit) *Mismatch {
	i := slices.IndexFunc(audits, func(a Audit) bool { return a.Auditor == auditor })
	if i < 0 {
		return &Mismatch{Auditor: auditor}
	}
	if want, lacking := missing(r.Attributes, audits[i].Attributes); lacking {
		return &Mismatch{Auditor: auditor, Want: want}
	}
	return nil
}

// match compares a unit's volumes and GPUs with a provider's capabilities,
// which are the attributes capabilities/storage/<n>/… and capabilities/gpu/….
func (u ResourceUnit) match(attributes Attributes) error {
	storage := attributes.below("capabilities/storage/")
	for _, v := range u.Resources.Storage {
		if want, lacking := storedNowhere(v.Attributes, storage); lacking {
			want.Key = "capabilities/storage/*/" + want.Key
			return &Mismatch{Want: want, Unit: u.Resources.ID}
		}
	}
	if u.Resources.GPU.Units == 0 || len(u.Resources.GPU.Attributes) == 0 {
		return nil
	}
	has := attributes.below("capabilities/gpu/")
	for _, kind := range u.Resources.GPU.Attributes {
		if covers(kind, has) {
			return nil // any one of the kinds will do
		}
	}
	want := u.Resources.GPU.Attributes[0]
	want.Key = "capabilities/gpu/" + want.Key
	return &Mismatch{Want: want, Unit: u.Resources.ID}
}

// storedNowhere tells which attribute no single storage class of a provider
// offers along with the others, or false.
func storedNowhere(want, storage Attributes) (Attribute, bool) {
	if len(want) == 0 {
		return Attribute{}, false
	}
	var classes []string
	for _, attr := range storage {
		n, _, ok := strings.Cut(attr.Key, "/")
		if ok && !slices.Contains(classes, n) {
			classes = append(classes, n)
		}
	}
	worst := want[0]
	for _, n := range classes {
		lack, lacking := missing(want, storage.below(n+"/"))
		if !lacking {
			return Attribute{}, false
		}
		worst = lack
	}
	return worst, true
}
