package worker

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/plexus-network/plexus/engine"
)

// maxFrame bounds a frame: the scores of 300,000 tokens with 50 alternatives.
const maxFrame = 128 << 20

// A frame is a length of 4 bytes, which counts what follows it, the id of a
// request in 4 bytes, a kind, and the payload. Numbers are little-endian.
type frame struct {
	id      uint32
	kind    kind
	payload []byte
}

func readFrame(r io.Reader) (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.LittleEndian.Uint32(head[:4])
	if n < 5 || n > maxFrame {
		return frame{}, frameError("it says it has %d bytes", n)
	}
	f := frame{id: binary.LittleEndian.Uint32(head[4:8]), kind: kind(head[8])}
	var err error
	f.payload, err = readBytes(r, int(n)-5)
	return f, err
}

// readBytes reads n bytes, and takes memory as they come.
func readBytes(r io.Reader, n int) ([]byte, error) {
	const step = 1 << 20
	b := make([]byte, 0, min(n, step))
	for len(b) < n {
		k := min(n-len(b), step)
		b = append(b, make([]byte, k)...)
		if _, err := io.ReadFull(r, b[len(b)-k:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// writer sends whole frames from many goroutines.
type writer struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *writer) send(f frame) error {
	if len(f.payload) > maxFrame-5 {
		return frameError("%d bytes, the most is %d", len(f.payload), maxFrame-5)
	}
	b := make([]byte, 0, 9+len(f.payload))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.payload)+5))
	b = binary.LittleEndian.AppendUint32(b, f.id)
	b = append(append(b, byte(f.kind)), f.payload...)
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.w.Write(b)
	return err
}

// sendJSON sends v as a frame's payload.
func (w *writer) sendJSON(id uint32, k kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return w.send(frame{id, k, b})
}

// pack appends values to a payload.
type pack []byte

func (p *pack) uint(v int)      { *p = binary.LittleEndian.AppendUint32(*p, uint32(v)) }
func (p *pack) float(v float32) { *p = binary.LittleEndian.AppendUint32(*p, math.Float32bits(v)) }
func (p *pack) text(s string) {
	p.uint(len(s))
	*p = append(*p, s...)
}

func (p *pack) tokens(list []engine.Token) {
	p.uint(len(list))
	for _, t := range list {
		p.uint(int(t))
	}
}

func (p *pack) scores(list []engine.TokenScore) {
	p.uint(len(list))
	for _, s := range list {
		p.uint(int(s.Token))
		p.float(s.LogProb)
		p.uint(len(s.Top))
		for _, c := range s.Top {
			p.uint(int(c.Token))
			p.float(c.LogProb)
		}
	}
}

// unpack reads values out of a payload until its first error.
type unpack struct {
	b   []byte
	bad bool
}

func (u *unpack) uint() int {
	if len(u.b) < 4 {
		u.bad, u.b = true, nil
		return 0
	}
	v := binary.LittleEndian.Uint32(u.b)
	u.b = u.b[4:]
	return int(v)
}

// count reads how many things of at least size bytes follow.
func (u *unpack) count(size int) int {
	n := u.uint()
	if n > len(u.b)/size {
		u.bad, u.b = true, nil
		return 0
	}
	return n
}

func (u *unpack) float() float32      { return math.Float32frombits(uint32(u.uint())) }
func (u *unpack) token() engine.Token { return engine.Token(int32(uint32(u.uint()))) }

func (u *unpack) text() string {
	n := u.count(1)
	s := string(u.b[:n])
	u.b = u.b[n:]
	return s
}

func (u *unpack) tokens() []engine.Token {
	list := make([]engine.Token, u.count(4))
	for i := range list {
		list[i] = u.token()
	}
	return list
}

// scores reads scores of tokens below vocabulary.
func (u *unpack) scores(vocabulary int) []engine.TokenScore {
	list := make([]engine.TokenScore, u.count(12))
	for i := range list {
		s := engine.TokenScore{Token: u.token(), LogProb: u.float()}
		n := u.count(8)
		if n > engine.MaxTop {
			u.bad = true
			return nil
		}
		if n > 0 {
			s.Top = make([]engine.Candidate, n)
		}
		for k := range s.Top {
			s.Top[k] = engine.Candidate{Token: u.token(), LogProb: u.float()}
			u.within(s.Top[k].Token, s.Top[k].LogProb, vocabulary)
		}
		u.within(s.Token, s.LogProb, vocabulary)
		list[i] = s
	}
	return list
}

// within checks that a token and its log-probability can be true.
func (u *unpack) within(t engine.Token, logProb float32, vocabulary int) {
	if t < 0 || int(t) >= vocabulary || !(logProb <= 0) {
		u.bad = true
	}
}

// end returns an error where something was missing, wrong or left over.
func (u *unpack) end() error {
	if u.bad || len(u.b) > 0 {
		return frameError("its values do not fit")
	}
	return nil
}
