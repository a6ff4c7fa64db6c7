package quant_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/quant"
)

// TestRoundTrip bounds what narrowing loses: half a step of the type's scale.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Float32Range(-4, 4), 32, 32).Draw(t, "numbers")
		largest := 0.0
		for _, x := range numbers {
			largest = max(largest, math.Abs(float64(x)))
		}
		for kind, step := range map[gguf.Type]float64{
			gguf.F32: 0, gguf.F16: largest / 1024, gguf.Q8_0: largest / 127, gguf.Q4_0: largest / 4,
		} {
			b, err := quant.Narrow(kind, numbers)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(b)) != kind.Bytes(32) {
				t.Fatalf("%v: %d bytes, want %d", kind, len(b), kind.Bytes(32))
			}
			back, err := quant.Widen(kind, b)
			if err != nil || len(back) != len(numbers) {
				t.Fatalf("%v: %d numbers, %v", kind, len(back), err)
			}
			for i, x := range numbers {
				// A scale is itself rounded to half precision.
				if off := math.Abs(float64(back[i] - x)); off > step*0.51+largest/1000+1e-6 {
					t.Fatalf("%v: %v came back as %v, with a step of %v", kind, x, back[i], step)
				}
			}
		}
	})
}

// TestHalf round-trips every half-precision number.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		b := []byte{byte(h), byte(h >> 8)}
		wide, err := quant.Widen(gguf.F16, b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := quant.Narrow(gguf.F16, wide)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back, b) && wide[0] == wide[0] {
			t.Fatalf("%#04x is %v, which comes back as %x", h, wide[0], back)
		}
	}
}

func TestHalfIsTheNearest(t *testing.T) {
	for _, c := range []struct {
		x    float32
		want uint16
	}{
		{0, 0},
		{1, 0x3c00},
		{-2, 0xc000},
		{65504, 0x7bff},
		{65520, 0x7c00},
		{1e9, 0x7c00},
		{float32(math.Inf(-1)), 0xfc00},
		{1 + 1.0/2048, 0x3c00},
		{1 + 3.0/2048, 0x3c02}, // ties go to even
		{5.9604645e-08, 1},
		{2.9802322e-08, 0},
		{6.103515625e-05, 0x0400},
		{6.097555e-05, 0x03ff},
	} {
		b, err := quant.Narrow(gguf.F16, []float32{c.x})
		if got := uint16(b[0]) | uint16(b[1])<<8; err != nil || got != c.want {
			t.Errorf("%g is %#04x, want %#04x", c.x, got, c.want)
		}
	}
}

func TestFile(t *testing.T) {
	path := enginetest.RandomModel(t, enginetest.Shape{Type: gguf.F16})
	was, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []gguf.Type{gguf.F32, gguf.F16, gguf.Q8_0, gguf.Q4_0} {
		out := filepath.Join(t.TempDir(), kind.String())
		var b bytes.Buffer
		if err := quant.File(&b, path, kind, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(out, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Check(); err != nil {
			t.Fatal(err)
		}
		if f.Precision() != kind.String() || f.Parameters() != was.Parameters() || len(f.Keys()) != len(was.Keys()) {
			t.Errorf("%v: precision %s, %d parameters, %d keys; want %d and %d",
				kind, f.Precision(), f.Parameters(), len(f.Keys()), was.Parameters(), len(was.Keys()))
		}
	}
}

func TestNextAndParse(t *testing.T) {
	for precision, want := range map[string]gguf.Type{"f32": gguf.F16, "f16": gguf.Q8_0, "bf16": gguf.Q8_0, "q8_0": gguf.Q4_0} {
		if got, ok := quant.Next(precision); !ok || got != want {
			t.Errorf("next lower of %s is %v, %v; want %v", precision, got, ok, want)
		}
		if got, err := quant.Parse(want.String()); err != nil || got != want {
			t.Errorf("Parse(%q) = %v, %v", want, got, err)
		}
	}
	if got, ok := quant.Next("q4_0"); ok {
		t.Errorf("next lower of q4_0 is %v, want none", got)
	}
	if _, err := quant.Parse("q3_k"); err == nil {
		t.Error("q3_k can be made?")
	}
}
