package text

import (
	"time"

	"github.com/plexus-network/plexus/engine"
)

// stream turns an engine's deltas into chunks, at most one per every but for
// the first and the last, since each chunk costs two signatures.
type stream struct {
	emit  func([]byte) error
	every time.Duration
	last  time.Time // when the latest chunk went out
	next  Chunk     // what waits
	roll  Roll      // of the answer so far
}

func (s *stream) write(d engine.Delta) error {
	s.next.Text += d.Text
	s.next.Tokens = append(s.next.Tokens, d.Tokens...)
	for _, t := range d.Tokens {
		if s.roll.Add(t.Token) {
			s.next.Marks = append(s.next.Marks, s.roll.Sum())
		}
	}
	if time.Since(s.last) < s.every && len(s.next.Tokens) < 256 {
		return nil
	}
	return s.flush()
}

// end sends what waits and how the answer ends: the Finish, Usage, Salt and
// Probe of last.
func (s *stream) end(last Chunk) error {
	if s.roll.open() {
		s.next.Marks = append(s.next.Marks, s.roll.Sum())
	}
	s.next.Finish, s.next.Usage, s.next.Salt, s.next.Probe = last.Finish, last.Usage, last.Salt, last.Probe
	return s.flush()
}

func (s *stream) flush() error {
	c := s.next
	s.next, s.last = Chunk{}, time.Now()
	return s.send(c)
}

func (s *stream) send(c Chunk) error {
	b, err := c.Encode()
	if err != nil {
		return err
	}
	return s.emit(b)
}
