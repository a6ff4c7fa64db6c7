package train

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/plexus-network/plexus/engine/gguf"
)

var tiny = Shape{Vocab: 40, Context: 32, Width: 32, Layers: 2, Heads: 4, Hidden: 64}

func TestExportGGUFKeepsTheNumbers(t *testing.T) {
	params := tiny.Initial(5)
	for _, c := range []struct {
		kind      gguf.Type
		tolerance float64 // share of a tensor's largest number
	}{{gguf.F32, 0}, {gguf.F16, 1.0 / 2048}, {gguf.Q8_0, 0.5/127 + 1.0/1024}} {
		t.Run(c.kind.String(), func(t *testing.T) {
			var b bytes.Buffer
			if err := ExportGGUF(&b, tiny, params, c.kind, []gguf.Key{{Name: "general.name", Value: "tiny"}}); err != nil {
				t.Fatal(err)
			}
			f, err := gguf.Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Text("general.name"); got != "tiny" {
				t.Errorf("name is %q, want tiny", got)
			}
			if got := f.Parameters(); got != int64(tiny.Parameters()) {
				t.Errorf("file has %d parameters, want %d", got, tiny.Parameters())
			}
			for _, x := range tiny.Tensors() {
				compare(t, f, b.Bytes(), x, params[x.Offset:x.Offset+x.Len()], c.tolerance)
			}
		})
	}
}

// compare reads a tensor back and compares it with what was written.
func compare(t *testing.T, f *gguf.File, file []byte, x Tensor, want []float32, tolerance float64) {
	t.Helper()
	at, ok := f.Tensor(x.Name)
	if !ok {
		t.Errorf("file has no %s", x.Name)
		return
	}
	largest := 0.0
	for _, v := range want {
		largest = max(largest, math.Abs(float64(v)))
	}
	got := decode(at.Type, file[at.Offset:], len(want))
	for i := range want {
		if off := math.Abs(float64(got[i]) - float64(want[i])); off > tolerance*largest {
			t.Errorf("%s[%d] is %g, want %g within %g", x.Name, i, got[i], want[i], tolerance*largest)
			return
		}
	}
}

func decode(kind gguf.Type, b []byte, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		switch kind {
		case gguf.F32:
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		case gguf.F16:
			out[i] = widened(binary.LittleEndian.Uint16(b[2*i:]))
		case gguf.Q8_0:
			c := b[i/block*(block+2):]
			out[i] = widened(binary.LittleEndian.Uint16(c)) * float64(int8(c[2+i%block]))
		default:
			panic(kind)
		}
	}
	return out
}

// widened is the value of a float16 that is not infinite.
func widened(h uint16) float64 {
	sign, exponent, mantissa := 1.0, int(h>>10&31), float64(h&1023)
	if h&0x8000 != 0 {
		sign = -1
	}
	if exponent == 0 {
		return sign * math.Ldexp(mantissa, -24)
	}
	return sign * math.Ldexp(1024+mantissa, exponent-25)
}

func TestCheckRefusesWrongShapes(t *testing.T) {
	for name, change := range map[string]func(*Shape){
		"no vocabulary":   func(s *Shape) { s.Vocab = 0 },
		"odd heads":       func(s *Shape) { s.Heads = 32 },
		"uneven heads":    func(s *Shape) { s.Heads = 5 },
		"too many layers": func(s *Shape) { s.Layers = 1000 },
		"negative width":  func(s *Shape) { s.Width = -4 },
	} {
		s := tiny
		change(&s)
		if err := s.Check(); !errors.Is(err, ErrShape) {
			t.Errorf("%s: Check = %v, want ErrShape", name, err)
		}
	}
	if err := ExportGGUF(io.Discard, tiny, make([]float32, 3), gguf.F16, nil); !errors.Is(err, ErrShape) {
		t.Errorf("export of 3 parameters = %v, want ErrShape", err)
	}
	if err := ExportGGUF(io.Discard, tiny, tiny.Initial(1), gguf.Q4_0, nil); err == nil {
		t.Error("export as q4_0 was taken")
	}
}

func TestApplyMovesDownhillAndRefusesNaN(t *testing.T) {
	params, grad := tiny.Initial(1), make([]float32, tiny.Parameters())
	grad[0], grad[1] = 1, -1
	before := append([]float32(nil), params...)
	var m Moments
	if err := m.Apply(tiny, params, grad, Step{Rate: 0.01}); err != nil {
		t.Fatal(err)
	}
	// The first step of Adam has the size of the rate, whatever the gradient's.
	for i, want := range []float32{-0.01, 0.01, 0} {
		if got := params[i] - before[i]; math.Abs(float64(got-want)) > 1e-5 {
			t.Errorf("parameter %d moved by %g, want %g", i, got, want)
		}
	}
	grad[2] = float32(math.NaN())
	copy(before, params)
	if err := m.Apply(tiny, params, grad, Step{Rate: 0.01}); err == nil {
		t.Error("a gradient with NaN was taken")
	}
	for i := range params {
		if params[i] != before[i] {
			t.Fatalf("a refused gradient moved parameter %d", i)
		}
	}
}
