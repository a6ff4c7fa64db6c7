package exercise

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
)

// A Random is a stream that cannot be compressed.
type Random struct {
	source *rand.ChaCha8
	left   int64
}

// Read implements [io.Reader].
func (r *Random) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.left)]
	n, err := r.source.Read(p)
	r.left -= int64(n)
	return n, err
}

// Verify reads an answer to its end. It is [ErrShort] or [ErrWrong] if it is not
// the stream, or what reading it failed with.
func (s *Stream) Verify(answer io.Reader) error {
	want, got := make([]byte, 64<<10), make([]byte, 64<<10)
	stream := s.Reader()
	for at := int64(0); at < s.Bytes; {
		n := int(min(int64(len(want)), s.Bytes-at))
		if _, err := io.ReadFull(stream, want[:n]); err != nil {
			return err
		}
		if _, err := io.ReadFull(answer, got[:n]); err != nil {
			return fmt.Errorf("%w: after %d bytes of %d: %w", ErrShort, at, s.Bytes, err)
		}
		if !bytes.Equal(want[:n], got[:n]) {
			return fmt.Errorf("%w: the stream after %d bytes", ErrWrong, at)
		}
		at += int64(n)
	}
	return nil
}
