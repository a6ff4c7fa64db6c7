package inventory

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/market"
)

func unit(cpu, memory uint64, count uint32, volumes ...market.Volume) market.ResourceUnit {
	return market.ResourceUnit{Count: count, Resources: market.Resources{
		CPU: market.CPU{Units: market.Quantity(cpu)}, Memory: market.Memory{Size: market.Quantity(memory)}, Storage: volumes,
	}}
}

func volume(size uint64, attributes ...string) market.Volume {
	v := market.Volume{Name: "v", Size: market.Quantity(size)}
	for i := 0; i < len(attributes); i += 2 {
		v.Attributes = append(v.Attributes, market.Attribute{Key: attributes[i], Value: attributes[i+1]})
	}
	return v
}

func TestOfCountsEveryReplica(t *testing.T) {
	got := Of(market.GroupSpec{Units: []market.ResourceUnit{
		unit(500, 1000, 3, volume(10), volume(7, "class", "ram"), volume(20, "class", "default", "persistent", "true"), volume(40, "class", "beta3", "persistent", "true")),
		unit(100, 50, 1, volume(1)),
	}}, 5)
	want := Amounts{CPU: 1600, Memory: 3*1012 + 55, Storage: map[string]int64{"": 91, "beta3": 120}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOfSaturates(t *testing.T) {
	got := Of(market.GroupSpec{Units: []market.ResourceUnit{unit(math.MaxUint64, math.MaxUint64, math.MaxUint32, volume(math.MaxUint64)), unit(1, 1, 1)}}, 1)
	if got.CPU != 1<<62 || got.Memory != 1<<62 || got.Storage[""] != 1<<62 {
		t.Errorf("got %+v, want 2⁶² of each", got)
	}
}

func TestClaimsNeverExceedTheCapacity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := Amounts{CPU: 1000, Memory: 1000, Storage: map[string]int64{"": 1000, "fast": 100}}
		i := New(capacity)
		taken := map[string]Amounts{}
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			name := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "name"))
			if rapid.Bool().Draw(t, "drop") {
				i.Drop(name)
				delete(taken, name)
				continue
			}
			want := Amounts{
				CPU: rapid.Int64Range(0, 600).Draw(t, "cpu"), Memory: rapid.Int64Range(0, 600).Draw(t, "memory"),
				Storage: map[string]int64{"fast": rapid.Int64Range(0, 60).Draw(t, "fast"), "": rapid.Int64Range(0, 600).Draw(t, "disk")},
			}
			_, had := taken[name]
			if i.Claim(name, want) == nil && !had {
				taken[name] = want
			}
		}
		var sum Amounts
		for _, a := range taken {
			sum = sum.Plus(a)
		}
		free := i.Free()
		if sum.CPU > 1000 || sum.Memory > 1000 || sum.Storage[""] > 1000 || sum.Storage["fast"] > 100 {
			t.Fatalf("claimed %+v of %+v", sum, capacity)
		}
		if free.CPU != 1000-sum.CPU || free.Memory != 1000-sum.Memory || free.Storage["fast"] != 100-sum.Storage["fast"] {
			t.Fatalf("free %+v beside claims of %+v", free, sum)
		}
	})
}

func TestReplaceBeyondTheCapacityLeavesNothing(t *testing.T) {
	i := New(Amounts{CPU: 10, Memory: 10})
	i.Replace(map[string]Amounts{"a": {CPU: 20, Memory: 1}})
	if free := i.Free(); free.CPU != 0 || free.Memory != 9 {
		t.Errorf("free %+v, want 0 and 9", free)
	}
	var short *Shortage
	if err := i.Claim("b", Amounts{CPU: 1}); !errors.As(err, &short) || short.Resource != "cpu" {
		t.Errorf("claim beyond the capacity: %v", err)
	}
	if err := i.Claim("a", Amounts{CPU: 1}); err != nil {
		t.Errorf("a claim that is there: %v", err)
	}
	if err := i.Fits(Amounts{Storage: map[string]int64{"fast": 1}}); !errors.As(err, &short) || short.Resource != "storage of class fast" {
		t.Errorf("storage of a class that is not there: %v", err)
	}
}

func TestMachine(t *testing.T) {
	m, err := Machine(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s := m.Sellable(); s.CPU != m.CPU || s.Memory >= m.Memory || s.Storage[""] > m.Storage[""] {
		t.Errorf("of %+v, %+v is for sale", m, s)
	}
}

func TestResizeNeverPromisesMoreThanThereIs(t *testing.T) {
	sale := Amounts{CPU: 10, Memory: 10, Storage: map[string]int64{"": 10, "fast": 5}}
	i := New(sale)
	i.Resize(sale.Within(Amounts{CPU: 4, Memory: 20, Storage: map[string]int64{"": 7}}))
	if c := i.Capacity(); c.CPU != 4 || c.Memory != 10 || c.Storage[""] != 7 || c.Storage["fast"] != 5 {
		t.Errorf("capacity %+v, want 4, 10, 7 and 5", c)
	}
	if sale.Storage[""] != 10 {
		t.Error("what is for sale was changed")
	}
	i.Replace(map[string]Amounts{"a": {CPU: 6}})
	if free := i.Free(); free.CPU != 0 {
		t.Errorf("free %+v beside a claim of more than there is", free)
	}
}
