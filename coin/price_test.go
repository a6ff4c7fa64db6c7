package coin

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// drawPrice returns a law and a price within its bounds.
func drawPrice(t *rapid.T) (Price, Amount) {
	low := Amount(rapid.Uint64Range(0, 1<<40).Draw(t, "min"))
	p := Price{
		Min:      low,
		Max:      low + Amount(rapid.Uint64Range(0, 1<<40).Draw(t, "spread")),
		HalfLife: rapid.Uint32Range(1, 500).Draw(t, "half-life"),
		Growth:   rapid.Uint32Range(100, 400).Draw(t, "growth"),
	}
	return p, Amount(rapid.Uint64Range(uint64(p.Min), uint64(p.Max)).Draw(t, "price"))
}

func TestPriceStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, price := drawPrice(t)
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		if got := p.Bump(price); got < price || got > p.Max {
			t.Fatalf("a registration at %d leaves %d", price, got)
		}
		if got := p.Decay(price, 10); got > price || got < p.Min {
			t.Fatalf("%d decays to %d", price, got)
		}
	})
}

func TestDecayInTwoPartsIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, price := drawPrice(t)
		a, b := rapid.Uint64Range(0, 1000).Draw(t, "a"), rapid.Uint64Range(0, 1000).Draw(t, "b")
		if once, twice := p.Decay(price, a+b), p.Decay(p.Decay(price, a), b); once != twice {
			t.Fatalf("%d in one go, %d in two", once, twice)
		}
	})
}

func TestDecayHalvesInAHalfLife(t *testing.T) {
	for _, half := range []uint32{1, 2, 7, 360, 7200} {
		p := Price{Max: 1 << 62, HalfLife: half, Growth: 100}
		got := p.Decay(1<<60, uint64(half))
		// The factor has 32 bits, and its error counts once per block.
		const want = Amount(1 << 59)
		if off := max(got, want) - min(got, want); off > want>>31*Amount(2*half) {
			t.Errorf("half-life %d: 2⁶⁰ becomes %d, want about %d", half, got, want)
		}
	}
}

func TestDecayEnds(t *testing.T) {
	p := DefaultPrice()
	if got := p.Decay(p.Max, 1<<62); got != p.Min {
		t.Errorf("in the long run the price is %v, want %v", got, p.Min)
	}
	p.HalfLife = 0
	if got := p.Decay(PLX, 1<<62); got != PLX {
		t.Errorf("without decay the price becomes %v, want %v", got, PLX)
	}
}

func TestBumpSaturates(t *testing.T) {
	p := Price{Max: 1<<64 - 1, Growth: 1 << 30}
	if got := p.Bump(1<<64 - 1); got != p.Max {
		t.Errorf("got %d, want the highest price", got)
	}
}

func TestPriceValidate(t *testing.T) {
	for _, p := range []Price{{Min: 2, Max: 1, Growth: 126}, {Max: 1, Growth: 99}} {
		if err := p.Validate(); err == nil {
			t.Errorf("%+v is accepted", p)
		}
	}
	if err := DefaultPrice().Validate(); err != nil {
		t.Error(err)
	}
}

func TestSubnetPrice(t *testing.T) {
	p := SubnetPrice{Min: 10, Interval: 100}
	for _, c := range []struct {
		last   Amount
		blocks uint64
		want   Amount
	}{
		{1000, 0, 2000},
		{1000, 50, 1500},
		{1000, 100, 1000},
		{1000, 199, 10},
		{1000, 1 << 62, 10},
		{1<<64 - 1, 0, 1<<64 - 1},
		{99, 1 << 62, 198}, // ⌊99/100⌋ = 0: it does not fall
	} {
		if got, err := p.After(c.last, c.blocks); err != nil || got != c.want {
			t.Errorf("After(%d, %d) = %d, %v; want %d", c.last, c.blocks, got, err, c.want)
		}
	}
	if _, err := (SubnetPrice{}).After(1, 1); !errors.Is(err, ErrInterval) {
		t.Errorf("interval 0: error %v, want ErrInterval", err)
	}
}
