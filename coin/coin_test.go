package coin

import (
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/fixed"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Amount
	}{
		{"0plx", 0},
		{"1.5plx", 1_500_000_000},
		{"1500nplx", 1500},
		{"0.000000001plx", 1},
		{"21000000 PLX", Cap},
		{"007.10PLX", 7_100_000_000},
		{"18446744073709551615nplx", 1<<64 - 1},
		{"18446744073.709551615plx", 1<<64 - 1},
	} {
		if got, err := Parse(c.in); err != nil || got != c.want {
			t.Errorf("Parse(%q) = %d, %v; want %d", c.in, got, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{
		"", "5", "plx", "-1plx", "+1plx", "1e9nplx", "1.plx", ".5plx", "1.5nplx", "1..5plx", "1.2.3plx",
		"0.0000000001plx", "1_000plx", "1,5plx", "1tao", "１plx", "0x1plx", "1plx1",
	} {
		if got, err := Parse(in); err == nil {
			t.Errorf("Parse(%q) = %d, want an error", in, got)
		}
	}
	for _, in := range []string{"18446744073709551616nplx", "18446744073.709551616plx", "99999999999999999999999plx"} {
		if _, err := Parse(in); !errors.Is(err, ErrRange) {
			t.Errorf("Parse(%q): error %v, want ErrRange", in, err)
		}
	}
}

func TestStringIsParsedBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Amount(rapid.Uint64().Draw(t, "a"))
		if got, err := Parse(a.String()); err != nil || got != a {
			t.Fatalf("%q is read as %d, %v; want %d", a.String(), got, err, a)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1.5plx", "1500nplx", "1.plx", "", "9999999999999999999999nplx"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(a.String()); err != nil || again != a {
			t.Errorf("%q is %d, printed as %q, read as %d, %v", s, a, a.String(), again, err)
		}
	})
}

func TestAddAndSub(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := Amount(rapid.Uint64().Draw(t, "a")), Amount(rapid.Uint64().Draw(t, "b"))
		sum, err := a.Add(b)
		if (err != nil) != (a+b < a) || err == nil && sum != a+b {
			t.Fatalf("%d+%d = %d, %v", a, b, sum, err)
		}
		left, err := a.Sub(b)
		if (err != nil) != (b > a) || err == nil && left != a-b {
			t.Fatalf("%d-%d = %d, %v", a, b, left, err)
		}
	})
}

// drawParts returns proportions that add up to 65535 at most.
func drawParts(t *rapid.T) []uint16 {
	left := uint16(65535)
	parts := make([]uint16, rapid.IntRange(1, 16).Draw(t, "count"))
	for i := range parts {
		parts[i] = rapid.Uint16Range(0, left).Draw(t, "part")
		left -= parts[i]
	}
	return parts
}

func TestSplitsLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := Amount(rapid.Uint64().Draw(t, "total"))
		parts := drawParts(t)
		check := func(how string, shares []Amount, rest Amount) {
			sum := new(big.Int).SetUint64(uint64(rest))
			for _, s := range shares {
				sum.Add(sum, new(big.Int).SetUint64(uint64(s)))
			}
			if sum.Cmp(new(big.Int).SetUint64(uint64(total))) != 0 {
				t.Fatalf("%s of %d shares out %v", how, total, sum)
			}
		}
		check("Split", Split(total, parts), 0)
		check("SplitEvenly", SplitEvenly(total, len(parts)), 0)
		shares, rest := Divide(total, parts)
		check("Divide", shares, rest)
		whole := Amount(0)
		for _, p := range parts {
			whole += Amount(p)
		}
		if whole > 0 && rest >= Amount(len(parts)) {
			t.Fatalf("Divide left %d to %d claimants", rest, len(parts))
		}
		if whole == 0 && rest != total {
			t.Fatalf("Divide shared out %d by no claims", total-rest)
		}
	})
}

func TestDivideByTooMuch(t *testing.T) {
	shares, rest := Divide(10, []fixed.Frac{fixed.One, 1})
	if rest != 10 || shares[0] != 0 {
		t.Errorf("parts of 2⁶⁴ share out %v, leave %d; want nothing shared", shares, rest)
	}
}

func TestSplitCutsShortWhatExceedsTheWhole(t *testing.T) {
	got := Split(100, []uint16{65535, 65535})
	if got[0] != 100 || got[1] != 0 {
		t.Errorf("got %v, want all for the first", got)
	}
	if got := Split(100, nil); len(got) != 0 {
		t.Errorf("a split without parts gives %v", got)
	}
	if got := SplitEvenly(100, 0); got != nil {
		t.Errorf("a split by 0 gives %v", got)
	}
}
