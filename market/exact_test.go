package market

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// anyExact draws sums of every magnitude.
func anyExact(t *rapid.T, name string) Exact {
	e := Exact{rapid.Uint64().Draw(t, name+" high"), rapid.Uint64().Draw(t, name+" low")}
	switch rapid.IntRange(0, 2).Draw(t, name+" size") {
	case 0:
		return Exact{lo: e.lo}
	case 1:
		return Exact{e.hi >> 32, e.lo}
	}
	return e
}

// TestExact compares every operation with integers of any size.
func TestExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, f := anyExact(t, "e"), anyExact(t, "f")
		n := rapid.Uint64().Draw(t, "n")
		a, b := e.big(), f.big()
		expect := func(what string, got Exact, ok bool, want *big.Int) {
			t.Helper()
			if fits := want.BitLen() <= 128; fits != ok || fits && got.big().Cmp(want) != 0 {
				t.Fatalf("%s of %v and %v = %v, %v; want %v", what, a, b, got.big(), ok, want)
			}
		}
		sum, ok := e.Add(f)
		expect("sum", sum, ok, new(big.Int).Add(a, b))
		product, ok := e.Times(n)
		expect("product", product, ok, new(big.Int).Mul(a, new(big.Int).SetUint64(n)))
		difference := new(big.Int).Sub(a, b)
		if difference.Sign() < 0 {
			difference.SetInt64(0)
		}
		expect("difference", e.Sub(f), true, difference)
		if got := e.Compare(f); got != a.Cmp(b) {
			t.Fatalf("%v against %v = %d", e, f, got)
		}
		if back, err := ParseExact(e.String()); err != nil || back != e {
			t.Fatalf("%v was read back as %v: %v", e, back, err)
		}
		floor := new(big.Int).Div(a, big.NewInt(exactScale))
		if !floor.IsUint64() {
			floor.SetUint64(^uint64(0))
		}
		if got := e.Floor(); uint64(got) != floor.Uint64() {
			t.Fatalf("floor of %v = %d, want %v", e, got, floor)
		}
		if f.IsZero() {
			return
		}
		times, rest := e.Over(f)
		q, r := new(big.Int).QuoRem(a, b, new(big.Int))
		if rest.big().Cmp(r) != 0 || q.IsUint64() && q.Uint64() != times || !q.IsUint64() && times != ^uint64(0) {
			t.Fatalf("%v over %v = %d rest %v, want %v rest %v", e, f, times, rest, q, r)
		}
		if e.Compare(f) > 0 {
			e, f = f, e
			a, b = b, a
		}
		share := sum.Share(e, f)
		want := new(big.Int).Mul(sum.big(), a)
		if want.Quo(want, b); share.big().Cmp(want) != 0 {
			t.Fatalf("%v·%v/%v = %v, want %v", sum, e, f, share.big(), want)
		}
	})
}

func TestParseExact(t *testing.T) {
	for text, want := range map[string]string{
		"50": "50.000000000000000000", "0.25": "0.250000000000000000", ".5": "0.500000000000000000",
		"0.000000000000000001": "0.000000000000000001", "007": "7.000000000000000000",
		"340282366920938463463.374607431768211455": "340282366920938463463.374607431768211455",
	} {
		if got, err := ParseExact(text); err != nil || got.String() != want {
			t.Errorf("ParseExact(%q) = %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ".", "1.", "-1", "+1", "1e4", "1_000", "0x1", "a", " 1", "1.0000000000000000001",
		"340282366920938463463.374607431768211456", "99999999999999999999999999999999999999999999",
	} {
		if got, err := ParseExact(text); err == nil {
			t.Errorf("ParseExact(%q) = %v, want an error", text, got)
		}
	}
	var e Exact
	if err := e.UnmarshalText([]byte("1.5")); err != nil || e != (Exact{lo: 1_500_000_000_000_000_000}) {
		t.Errorf("1.5 unmarshals as %v, %v", e, err)
	}
	if err := e.UnmarshalText([]byte("x")); err == nil || e.IsZero() {
		t.Errorf("a failed reading left %v, %v", e, err)
	}
	if times, rest := Whole(7).Over(Exact{}); times != ^uint64(0) || rest != Whole(7) {
		t.Errorf("7 over 0 = %d rest %v", times, rest)
	}
	if got := Whole(7).Share(Whole(1), Exact{}); !got.IsZero() {
		t.Errorf("a share of a whole of 0 = %v", got)
	}
}
