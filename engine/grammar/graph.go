package grammar

// Bounds of a grammar, and of how deep an answer may nest. An answer that could
// be read in more than maxConfigs ways at once loses the later ones.
const (
	maxNodes   = 1 << 15
	maxDepth   = 192 // calls open at once: at least 60 brackets
	maxConfigs = 1024
	unending   = 1 << 29 // of need and left: there is no way to the end
)

// op is what a node does.
type op uint8

const (
	opByte   op = iota + 1 // takes a byte of set
	opSplit                // goes on at any of outs
	opCall                 // goes through rule, then on at next
	opRepeat               // goes through rule min to max times, then on at next
	opReturn               // ends a rule
	opAccept               // ends the answer
)

// A node is a place in the grammar.
type node struct {
	op       op
	set      byteSet
	next     int32
	outs     []int32
	rule     int32 // index of rules
	min, max int32 // of opRepeat; max below 0 means without end

	need int32 // calls that the rest of the rule opens at least, one in another
	left int32 // bytes that the rest of the rule takes at least
}

// byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) add(from, to byte) {
	for b := int(from); b <= int(to); b++ {
		s[b>>6] |= 1 << (b & 63)
	}
}

func (s *byteSet) has(b byte) bool { return s[b>>6]>>(b&63)&1 == 1 }

// bytes is the set of some ranges, each given by its ends.
func bytes(ends ...byte) (s byteSet) {
	for i := 0; i < len(ends); i += 2 {
		s.add(ends[i], ends[i+1])
	}
	return s
}

// A graph is nodes under construction. It is built from the end: whoever adds a
// node says what follows it.
type graph struct {
	nodes []node
	rules []int32 // where each begins
	full  bool    // a node was one too many
}

func (g *graph) add(n node) int32 {
	if len(g.nodes) >= maxNodes {
		g.full = true
		return 0
	}
	g.nodes = append(g.nodes, n)
	return int32(len(g.nodes) - 1)
}

func (g *graph) bytes(s byteSet, next int32) int32 {
	return g.add(node{op: opByte, set: s, next: next})
}

func (g *graph) literal(s string, next int32) int32 {
	for i := len(s) - 1; i >= 0; i-- {
		next = g.bytes(bytes(s[i], s[i]), next)
	}
	return next
}

func (g *graph) split(outs ...int32) int32 {
	if len(outs) == 1 {
		return outs[0]
	}
	return g.add(node{op: opSplit, outs: outs})
}

func (g *graph) call(rule, next int32) int32 {
	return g.add(node{op: opCall, rule: rule, next: next})
}

func (g *graph) repeat(rule, least, most, next int32) int32 {
	return g.add(node{op: opRepeat, rule: rule, min: least, max: most, next: next})
}

// maybe puts s, at choice, before next.
func (g *graph) maybe(s string, next int32) int32 { return g.split(g.literal(s, next), next) }

// define makes a rule out of what body builds before its end.
func (g *graph) define(body func(end int32) int32) int32 {
	rule := g.reserve()
	g.rules[rule] = body(g.add(node{op: opReturn}))
	return rule
}

// reserve makes a rule to be set later.
func (g *graph) reserve() int32 {
	g.rules = append(g.rules, 0)
	return int32(len(g.rules) - 1)
}

// measure computes need and left of every node: the least fixed point.
func (g *graph) measure() {
	for i := range g.nodes {
		g.nodes[i].need, g.nodes[i].left = unending, unending
	}
	for changed := true; changed; {
		changed = false
		for i := range g.nodes {
			n := &g.nodes[i]
			need, left := g.least(n)
			if need < n.need || left < n.left {
				n.need, n.left, changed = min(need, n.need), min(left, n.left), true
			}
		}
	}
}

func (g *graph) least(n *node) (need, left int32) {
	switch n.op {
	case opByte:
		next := g.nodes[n.next]
		return next.need, min(1+next.left, unending)
	case opSplit:
		need, left = unending, unending
		for _, o := range n.outs {
			need, left = min(need, g.nodes[o].need), min(left, g.nodes[o].left)
		}
		return need, left
	case opCall:
		in, next := g.nodes[g.rules[n.rule]], g.nodes[n.next]
		return min(max(1+in.need, next.need), unending), min(in.left+next.left, unending)
	case opRepeat:
		in, next := g.nodes[g.rules[n.rule]], g.nodes[n.next]
		if n.min == 0 {
			return next.need, next.left
		}
		return min(max(1+in.need, next.need), unending), times(n.min, in.left, next.left)
	default:
		return 0, 0
	}
}

// times is n·each + rest, at most unending.
func times(n, each, rest int32) int32 {
	return int32(min(int64(n)*int64(each)+int64(rest), unending))
}

// endless returns a rule that can call itself before it takes a byte, or −1.
func (g *graph) endless() int32 {
	const open, done = 1, 2
	state := make([]uint8, len(g.rules))
	var visit func(rule int32) bool
	visit = func(rule int32) bool {
		state[rule] = open
		for _, callee := range g.begins(rule) {
			if state[callee] == open || state[callee] == 0 && visit(callee) {
				return true
			}
		}
		state[rule] = done
		return false
	}
	for rule := range g.rules {
		if state[rule] == 0 && visit(int32(rule)) {
			return int32(rule)
		}
	}
	return -1
}

// begins lists the rules that a rule may begin with. No rule is empty.
func (g *graph) begins(rule int32) []int32 {
	var out []int32
	seen := map[int32]bool{}
	for todo := []int32{g.rules[rule]}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		switch n := &g.nodes[at]; n.op {
		case opSplit:
			todo = append(todo, n.outs...)
		case opCall:
			out = append(out, n.rule)
		case opRepeat:
			out = append(out, n.rule)
			if n.min == 0 {
				todo = append(todo, n.next)
			}
		case opByte, opReturn, opAccept:
		}
	}
	return out
}
