package grammar

import (
	"encoding/binary"
	"sync"

	"github.com/plexus-network/plexus/engine"
)

// Bounds of what a machine remembers; it starts anew when it is over one.
const (
	maxStates = 1 << 13
	maxMasks  = 4 << 20 // bytes
)

// A Machine runs a grammar on a vocabulary and remembers what it computed. It
// may be used from many goroutines.
type Machine struct {
	g *Grammar
	v *Vocabulary // nil for a machine that only follows bytes

	mu     sync.Mutex
	age    int // how often it started anew
	frames map[frameKey]*frame
	ids    uint32
	states map[string]*state
	masked int // bytes of masks
}

// A frame is where a called rule returns to, and what called that.
type frame struct {
	frameKey
	id    uint32
	depth int32
	left  int32 // bytes that it takes at least from here to the end
}

type frameKey struct {
	node, count int32
	parent      *frame
}

// A config is one way to read an answer so far: the node that comes next, how
// often it was gone through if it repeats, and where its rule returns to.
type config struct {
	node, count int32
	top         *frame
}

// A state is all ways to read an answer so far. Their order follows from the
// answer alone.
type state struct {
	age     int
	configs []config // at opByte
	accepts bool     // the answer may end
	left    int32    // bytes to the end at least
	next    []*state // by class of byte; nil is not yet known
	mask    *mask    // nil is not yet known
}

// dead is where no way leads on.
var dead = &state{}

// NewMachine returns a machine. v may be nil where only Matcher.Take is used.
func NewMachine(g *Grammar, v *Vocabulary) *Machine {
	m := &Machine{g: g, v: v}
	m.reset()
	return m
}

func (m *Machine) reset() {
	m.age++
	m.frames, m.states, m.masked = map[frameKey]*frame{}, map[string]*state{}, 0
}

// frame returns the one frame of a key.
func (m *Machine) frame(node, count int32, parent *frame) *frame {
	k := frameKey{node, count, parent}
	f := m.frames[k]
	if f == nil {
		m.ids++
		f = &frame{frameKey: k, id: m.ids, depth: 1, left: m.leftAt(node, count)}
		if parent != nil {
			f.depth += parent.depth
			f.left = min(f.left+parent.left, unending)
		}
		m.frames[k] = f
	}
	return f
}

// leftAt is the bytes from a node to the end of its rule, at least.
func (m *Machine) leftAt(at, count int32) int32 {
	n := &m.g.nodes[at]
	if n.op != opRepeat {
		return n.left
	}
	return times(max(n.min-count, 0), m.g.nodes[m.g.rules[n.rule]].left, m.g.nodes[n.next].left)
}

// closure collects what can be reached without a byte.
type closure struct {
	m       *Machine
	seen    map[config]struct{}
	configs []config
	accepts bool
}

func (c *closure) reach(at, count int32, top *frame) {
	x := config{at, count, top}
	if _, again := c.seen[x]; again || len(c.configs) >= maxConfigs {
		return
	}
	c.seen[x] = struct{}{}
	n := &c.m.g.nodes[at]
	depth := int32(0)
	if top != nil {
		depth = top.depth
	}
	if n.op != opRepeat && depth+n.need > maxDepth {
		return
	}
	switch n.op {
	case opByte:
		c.configs = append(c.configs, x)
	case opAccept:
		c.accepts = true
	case opSplit:
		for _, o := range n.outs {
			c.reach(o, 0, top)
		}
	case opCall:
		c.reach(c.m.g.rules[n.rule], 0, c.m.frame(n.next, 0, top))
	case opRepeat:
		c.repeat(n, x)
	case opReturn:
		c.reach(top.node, top.count, top.parent)
	}
}

// repeat goes through a rule once more, or on.
func (c *closure) repeat(n *node, x config) {
	if x.count >= n.min {
		c.reach(n.next, 0, x.top)
	}
	if n.max >= 0 && x.count >= n.max {
		return
	}
	after := x.count + 1
	if n.max < 0 {
		after = min(after, n.min) // what is above is all the same
	}
	c.reach(c.m.g.rules[n.rule], 0, c.m.frame(x.node, after, x.top))
}

// start is where an answer begins.
func (m *Machine) start() *state {
	c := closure{m: m, seen: map[config]struct{}{}}
	c.reach(m.g.start, 0, nil)
	return m.intern(&c)
}

// intern returns the one state of what was collected.
func (m *Machine) intern(c *closure) *state {
	if len(c.configs) == 0 && !c.accepts {
		return dead
	}
	key := make([]byte, 1, 1+12*len(c.configs))
	if c.accepts {
		key[0] = 1
	}
	for _, x := range c.configs {
		key = binary.LittleEndian.AppendUint32(key, uint32(x.node))
		id := uint32(0)
		if x.top != nil {
			id = x.top.id
		}
		key = binary.LittleEndian.AppendUint32(key, id)
	}
	s := m.states[string(key)]
	if s == nil {
		s = &state{age: m.age, configs: c.configs, accepts: c.accepts, left: unending, next: make([]*state, m.g.classes)}
		if s.accepts {
			s.left = 0
		}
		for _, x := range s.configs {
			left := m.g.nodes[x.node].left
			if x.top != nil {
				left = min(left+x.top.left, unending)
			}
			s.left = min(s.left, left)
		}
		m.states[string(key)] = s
	}
	return s
}

// step goes through one byte.
func (m *Machine) step(s *state, b byte) *state {
	if s == dead {
		return dead
	}
	class := m.g.class[b]
	if t := s.next[class]; t != nil {
		return t
	}
	c := closure{m: m, seen: map[config]struct{}{}}
	for _, x := range s.configs {
		if n := &m.g.nodes[x.node]; n.set.has(b) {
			c.reach(n.next, 0, x.top)
		}
	}
	t := m.intern(&c)
	s.next[class] = t
	return t
}

// fresh returns s as a state of the machine's present age. A machine that
// remembers too much starts anew; matchers on their way bring their state along.
func (m *Machine) fresh(s *state) *state {
	if len(m.states) > maxStates || m.masked > maxMasks {
		m.reset()
	}
	if s == dead || s.age == m.age {
		return s
	}
	c := closure{accepts: s.accepts, configs: make([]config, len(s.configs))}
	for i, x := range s.configs {
		c.configs[i] = config{x.node, x.count, m.again(x.top)}
	}
	return m.intern(&c)
}

// again returns a frame of another age as one of this.
func (m *Machine) again(f *frame) *frame {
	if f == nil {
		return nil
	}
	return m.frame(f.node, f.count, m.again(f.parent))
}

// A Matcher is one answer on its way through a machine. It belongs to one
// goroutine.
type Matcher struct {
	m      *Machine
	s      *state
	within int // tokens; 0 means no limit
	spent  int // tokens
}

// Begin returns a matcher at the start of an answer that must be whole within
// so many tokens, as engine.Constraint says; 0 means no limit.
func (m *Machine) Begin(within int) *Matcher {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Matcher{m: m, s: m.start(), within: within}
}

// Take goes through a token of these bytes, and tells whether the grammar
// allows it. ends is set for a token that ends the turn.
func (t *Matcher) Take(piece string, ends bool) bool {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.spent++
	switch {
	case ends:
		ok := t.s.accepts
		t.s = dead
		return ok
	case piece == "":
		t.s = dead
	}
	t.s = t.m.fresh(t.s)
	for i := range len(piece) {
		t.s = t.m.step(t.s, piece[i])
	}
	return t.s != dead
}

// Advance is Take for a token of the machine's vocabulary.
func (t *Matcher) Advance(token engine.Token) bool {
	return t.Take(t.m.v.piece(token), t.m.v.ends(token))
}

// Allowed returns the tokens that may come next: none after one that was
// forbidden, or after the end. The mask belongs to the machine.
func (t *Matcher) Allowed() engine.Mask {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.s = t.m.fresh(t.s)
	all := t.m.mask(t.s)
	if t.within == 0 {
		return all.bits
	}
	// What is left after the next token must hold the rest and the end.
	room := t.within - t.spent - 2
	if int(all.worst) <= room {
		return all.bits
	}
	if some := t.m.walk(t.s, room); some.count > 0 {
		return some.bits
	}
	return all.bits
}
