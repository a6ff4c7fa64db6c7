package yuma

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestRowIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 50).Draw(t, "n")
		row := drawRow(t, n, "row")
		b := AppendRow([]byte("before"), row)
		got, err := DecodeRow(b[len("before"):], n)
		if err != nil || !slices.Equal(got, row) {
			t.Fatalf("%v is read as %v, %v", row, got, err)
		}
	})
}

func TestAppendRowLeavesOutZeros(t *testing.T) {
	got := AppendRow(nil, Row{{1, 0}, {2, 258}, {3, 0}})
	if want := []byte{0, 2, 1, 2}; !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

func TestDecodeRowRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		n    int
	}{
		{"half an entry", []byte{0, 1, 0}, 9},
		{"a zero", []byte{0, 1, 0, 0}, 9},
		{"an unknown uid", []byte{0, 9, 0, 1}, 9},
		{"a uid twice", []byte{0, 1, 0, 1, 0, 1, 0, 1}, 9},
		{"falling uids", []byte{0, 2, 0, 1, 0, 1, 0, 1}, 9},
		{"more entries than neurons", []byte{0, 0, 0, 1, 0, 1, 0, 1}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if row, err := DecodeRow(c.b, c.n); !errors.Is(err, ErrRow) {
				t.Errorf("got %v, %v; want ErrRow", row, err)
			}
		})
	}
}

// What decodes is the one encoding of its row, so a chain can hash it.
func FuzzDecodeRow(f *testing.F) {
	f.Add([]byte{}, uint16(1))
	f.Add([]byte{0, 1, 0, 1, 0, 2, 0xff, 0xff}, uint16(3))
	f.Add([]byte{0, 1, 0, 0}, uint16(3))
	f.Add([]byte{0x0f, 0xff, 0, 1}, uint16(4096))
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		row, err := DecodeRow(b, int(n))
		if err != nil {
			if !errors.Is(err, ErrRow) {
				t.Errorf("error %v, want ErrRow", err)
			}
			return
		}
		if err := row.check(int(n)); err != nil {
			t.Errorf("decoded %v: %v", row, err)
		}
		if again := AppendRow(nil, row); !bytes.Equal(again, b) {
			t.Errorf("% x decodes to %v, which encodes to % x", b, row, again)
		}
	})
}
