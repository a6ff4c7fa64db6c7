package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
)

// sample is a small file with every type of value.
func sample(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	err := Write(&b, []Key{
		{"general.architecture", "llama"},
		{"llama.block_count", uint32(2)},
		{"llama.context_length", uint32(128)},
		{"llama.embedding_length", uint32(32)},
		{"llama.scale", float32(0.5)},
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.tokens", []string{"a", "b", "c"}},
		{"tokenizer.ggml.token_type", []int32{1, 1, 3}},
		{"tokenizer.ggml.scores", []float32{0, -1, -2}},
		{"tokenizer.ggml.eos_token_id", uint32(2)},
		{"flag", true},
		{"low", int32(-7)},
		{"list", []uint32{1, 2}},
	}, []Source{
		{"one", F32, []int{3}, make([]byte, 12)},
		{"two", Q8_0, []int{32, 2}, make([]byte, 68)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(b []byte) (*File, error) { return Read(bytes.NewReader(b), int64(len(b))) }

func TestReadsWhatWriteWrites(t *testing.T) {
	b := sample(t)
	f, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); err != nil {
		t.Error(err)
	}
	for key, want := range map[string]any{
		"general.architecture": "llama", "llama.block_count": int64(2), "llama.scale": 0.5, "flag": true, "low": int64(-7),
		"tokenizer.ggml.tokens": []string{"a", "b", "c"}, "tokenizer.ggml.token_type": []int64{1, 1, 3},
		"tokenizer.ggml.scores": []float64{0, -1, -2}, "list": []int64{1, 2},
	} {
		if got := f.keys[key]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
	two, ok := f.Tensor("two")
	if !ok || two.Size != 68 || two.Offset%32 != 0 || two.Offset+two.Size > int64(len(b)) || two.Elements() != 64 {
		t.Errorf("tensor two is %+v in a file of %d", two, len(b))
	}
	if f.Parameters() != 67 || f.Precision() != "q8_0" || f.Arch("block_count", 0) != 2 || f.Float("scale", 0) != 0.5 {
		t.Errorf("%d parameters of %s", f.Parameters(), f.Precision())
	}
	if _, ok := Value[string](f, "llama.block_count"); ok {
		t.Error("a number is taken for a text")
	}
}

// header begins a file with these counts.
func header(magic string, version uint32, tensors, keys uint64) []byte {
	b := []byte(magic)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint64(b, tensors)
	return binary.LittleEndian.AppendUint64(b, keys)
}

func TestReadRefuses(t *testing.T) {
	text := func(b []byte, s string) []byte {
		return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	u32, u64 := binary.LittleEndian.AppendUint32, binary.LittleEndian.AppendUint64
	// tensor is a file with one tensor of these dimensions.
	tensor := func(kind uint32, offset uint64, dims ...uint64) []byte {
		b := u32(text(header("GGUF", 3, 1, 0), "t"), uint32(len(dims)))
		for _, d := range dims {
			b = u64(b, d)
		}
		return append(u64(u32(b, kind), offset), make([]byte, 4096)...)
	}
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "truncated"},
		{"magic", header("GGML", 3, 0, 0), `begins with "GGML"`},
		{"version", header("GGUF", 1, 0, 0), "version 1"},
		{"big-endian", header("GGUF", 3<<24, 0, 0), "version 50331648"},
		{"keys", header("GGUF", 3, 0, 1<<60), "1152921504606846976 keys"},
		{"tensors", header("GGUF", 3, 1<<40, 0), "1099511627776 tensors"},
		{"no keys", header("GGUF", 3, 0, 5), "truncated"},
		{"a key's length", u64(header("GGUF", 3, 0, 1), 1<<62), "truncated"},
		{"a type", u32(text(header("GGUF", 3, 0, 1), "k"), 77), "unknown type 77"},
		{"an array's length", u64(u32(u32(text(header("GGUF", 3, 0, 1), "k"), kindArray), kindUint8), 1<<50), "1125899906842624 array entries"},
		{"an array of arrays", u64(u32(u32(text(header("GGUF", 3, 0, 1), "k"), kindArray), kindArray), 1), "array of arrays"},
		{"a key twice", append(text(header("GGUF", 3, 0, 2), "k"), append([]byte{kindBool, 0, 0, 0, 1}, append(text(nil, "k"), kindBool, 0, 0, 0, 1)...)...), "stands twice"},
		{"no dimensions", tensor(0, 0), "0 dimensions"},
		{"five dimensions", tensor(0, 0, 1, 1, 1, 1, 1), "5 dimensions"},
		{"an empty dimension", tensor(0, 0, 4, 0), "empty"},
		{"an overflow", tensor(0, 0, 1<<39, 1<<39), "too large"},
		{"an unknown type", tensor(5, 0, 32), "does not exist"},
		{"half a block", tensor(8, 0, 33), "rows of 33"},
		{"beyond the end", tensor(0, 0, 2000), "truncated: tensor"},
		{"an offset beyond the end", tensor(0, 1<<50, 1), "truncated: tensor"},
		{"an offset between", tensor(0, 7, 1), "no multiple of 32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(c.file)
			if !errors.Is(err, engine.ErrBadModel) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrBadModel with %q", err, c.want)
			}
		})
	}
}

// TestReadRefusesEveryTruncation cuts a good file at every byte.
func TestReadRefusesEveryTruncation(t *testing.T) {
	b := sample(t)
	f, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	last := f.Tensors[len(f.Tensors)-1]
	for n := range int(last.Offset + last.Size) {
		if _, err := read(b[:n]); !errors.Is(err, engine.ErrBadModel) {
			t.Fatalf("%d of %d bytes: got %v", n, len(b), err)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(map[string]any)
		want   string
	}{
		{"no architecture", func(k map[string]any) { delete(k, "general.architecture") }, "general.architecture is missing"},
		{"no layers", func(k map[string]any) { delete(k, "llama.block_count") }, "llama.block_count is missing"},
		{"layers of another type", func(k map[string]any) { k["llama.block_count"] = "two" }, "llama.block_count is missing"},
		{"absurd layers", func(k map[string]any) { k["llama.block_count"] = int64(1 << 40) }, "want 1 to 4096"},
		{"no tokens", func(k map[string]any) { delete(k, "tokenizer.ggml.tokens") }, "tokens is missing"},
		{"an end beyond", func(k map[string]any) { k["tokenizer.ggml.eos_token_id"] = int64(3) }, "there are 3 tokens"},
		{"too few types", func(k map[string]any) { k["tokenizer.ggml.token_type"] = []int64{1} }, "1 entries for 3 tokens"},
	} {
		f, err := read(sample(t))
		if err != nil {
			t.Fatal(err)
		}
		c.change(f.keys)
		if err := f.Check(); !errors.Is(err, engine.ErrBadModel) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ErrBadModel with %q", c.name, err, c.want)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	if err := Write(&bytes.Buffer{}, []Key{{"k", 1.5}}, nil); err == nil {
		t.Error("a float64 is written")
	}
	if err := Write(&bytes.Buffer{}, nil, []Source{{"t", F32, []int{2}, make([]byte, 4)}}); err == nil {
		t.Error("a tensor with half of its bytes is written")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample(f))
	f.Add(header("GGUF", 3, 1, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := read(b)
		if err != nil {
			if !errors.Is(err, engine.ErrBadModel) {
				t.Fatalf("not ErrBadModel: %v", err)
			}
			return
		}
		for _, x := range h.Tensors {
			if x.Size <= 0 || x.Offset < 0 || x.Offset+x.Size > int64(len(b)) {
				t.Fatalf("tensor %+v outside of %d bytes", x, len(b))
			}
		}
		_ = h.Check()
	})
}
