package text

import "github.com/plexus-network/plexus/yuma"

// Opinion is what a validator's own test says of a miner.
type Opinion uint8

// A miner is Undecided until it has passed a test and enough of its tokens were
// checked since it came, or since it was suspected last.
const (
	Undecided Opinion = iota
	Trusted
	Rejected
)

// Opinion returns what the test of a slot's miner says.
func (m *Mechanism) Opinion(uid yuma.UID) Opinion {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch r := m.records[uid]; {
	case r == nil:
		return Undecided
	case r.State == rejected:
		return Rejected
	case r.State == trusted && r.Tokens >= probation:
		return Trusted
	default:
		return Undecided
	}
}

// Suspect puts a miner on trial again: what it says is checked as a newcomer's
// is, until as many tokens were.
func (m *Mechanism) Suspect(uid yuma.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.records[uid]; r != nil {
		r.Tokens = 0
	}
}
