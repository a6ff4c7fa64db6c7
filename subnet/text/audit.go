package text

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// Which answers a validator checks is drawn by a secret seed, new each epoch,
// that it is bound to before the epoch by its hash and shows after it. Miners
// cannot tell which answers will be checked, and anyone can tell afterwards
// that the validator neither spared nor hounded one. (The scheme is that of
// Gonka's inference validation.)

// AuditSeed draws the answers to check in one epoch. It is secret until the
// epoch has ended.
type AuditSeed = [32]byte

// auditDomain keeps these hashes apart from all others.
const auditDomain = "plexus/text/audit/v1"

// NewAuditSeed returns the seed of an epoch of tempo blocks, out of a
// validator's long-lived secret. Where a subnet's tempo changes, epochs of the
// same number have seeds of their own, for the older one may be shown already.
func NewAuditSeed(secret [32]byte, epoch, tempo uint64) AuditSeed {
	b := append([]byte(auditDomain+"/seed"), secret[:]...)
	b = binary.BigEndian.AppendUint64(b, epoch)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, tempo))
}

// AuditHash is what a validator says of an epoch's seed before the epoch:
// SHA-256( "plexus/text/audit/v1/commit" ‖ seed ).
func AuditHash(seed AuditSeed) [32]byte {
	return sha256.Sum256(append([]byte(auditDomain+"/commit"), seed[:]...))
}

// Drawn tells whether an answer is to be checked when a share of 0 to 1 of its
// miner's answers are: whether SHA-256( seed ‖ task id ), as a fraction, is
// below the share.
func Drawn(seed AuditSeed, id subnet.TaskID, share float64) bool {
	h := sha256.Sum256(append(seed[:len(seed):len(seed)], id[:]...))
	return float64(binary.BigEndian.Uint64(h[:8])>>11)/(1<<53) < share
}

// A Draw is the decision whether one answer is checked.
type Draw struct {
	Task    subnet.TaskID `json:"task"`
	UID     yuma.UID      `json:"uid"`
	Share   float64       `json:"share"` // of the miner's answers that were to be checked then
	Checked bool          `json:"checked"`
}

// An Audit is one epoch's draws, with what they were drawn by.
type Audit struct {
	Epoch uint64    `json:"epoch"`
	Seed  AuditSeed `json:"seed"`
	Draws []Draw    `json:"draws"` // the latest, in order
}

// ErrUnfair means that an audit was not what its commitment bound it to.
var ErrUnfair = errors.New("text: the audit was not drawn fairly")

// Verify tells whether the audit was drawn by the seed that was committed to,
// as the hash that [AuditHash] returns, and every draw by its share. The error
// wraps ErrUnfair and names the draw.
func (a Audit) Verify(commitment [32]byte) error {
	if AuditHash(a.Seed) != commitment {
		return fmt.Errorf("%w: the seed of epoch %d is not the one committed to (%x…)", ErrUnfair, a.Epoch, commitment[:6])
	}
	for _, d := range a.Draws {
		if !(d.Share >= 0 && d.Share <= 1) {
			return fmt.Errorf("%w: a share of %v of uid %d's answers", ErrUnfair, d.Share, d.UID)
		}
		if want := Drawn(a.Seed, d.Task, d.Share); d.Checked != want {
			return fmt.Errorf("%w: task %x of uid %d was checked: %v, the draw says %v", ErrUnfair, d.Task[:4], d.UID, d.Checked, want)
		}
	}
	return nil
}

// What is kept of audits.
const (
	keptAudits = 3    // epochs
	keptDraws  = 1024 // of each
)

// auditor draws and remembers. Its methods need the mechanism's lock.
type auditor struct {
	secret [32]byte
	tempo  uint64 // blocks of an epoch
	latest uint64 // epoch
	draws  map[uint64][]Draw
	ended  func(Audit) // gets each epoch's audit when the next begins
}

// draw decides on a task's answer.
func (a *auditor) draw(t subnet.Task, share float64) bool {
	epoch := uint64(t.Height) / a.tempo
	checked := Drawn(NewAuditSeed(a.secret, epoch, a.tempo), t.ID, share)
	if epoch > a.latest {
		a.end()
		a.latest = epoch
	}
	if epoch+keptAudits <= a.latest {
		return checked
	}
	draws := append(a.draws[epoch], Draw{t.ID, t.Miner.UID, share, checked})
	a.draws[epoch] = draws[max(len(draws)-keptDraws, 0):]
	maps.DeleteFunc(a.draws, func(e uint64, _ []Draw) bool { return e+keptAudits <= a.latest })
	return checked
}

// end shows the latest epoch's audit, if there was any draw.
func (a *auditor) end() {
	if a.ended != nil && len(a.draws[a.latest]) > 0 {
		a.ended(a.audit(a.latest))
	}
}

// pace begins anew with epochs of another length.
func (a *auditor) pace(tempo uint64) {
	if tempo == a.tempo || tempo == 0 {
		return
	}
	a.end()
	a.tempo, a.latest = tempo, 0
	clear(a.draws)
}

func (a *auditor) audit(epoch uint64) Audit {
	return Audit{Epoch: epoch, Seed: NewAuditSeed(a.secret, epoch, a.tempo), Draws: slices.Clone(a.draws[epoch])}
}

// Pace tells how many blocks an epoch has, as where the subnet's owner changed
// that; 0 changes nothing.
func (m *Mechanism) Pace(tempo uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.auditor.pace(tempo)
}

// AuditCommitment is the hash of the seed that will draw the audits of an
// epoch, to be published before it begins. It is the same after a restart where
// Options.Secret and the tempo are.
func (m *Mechanism) AuditCommitment(epoch uint64) [32]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return AuditHash(NewAuditSeed(m.auditor.secret, epoch, m.auditor.tempo))
}

// Audit shows an epoch's seed and its latest draws. It returns an error while
// tasks of a later epoch have not been seen, for until then the seed is secret.
func (m *Mechanism) Audit(epoch uint64) (Audit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := &m.auditor
	if epoch >= a.latest {
		return Audit{}, fmt.Errorf("text: the audit of epoch %d is secret until a later epoch: the latest is %d", epoch, a.latest)
	}
	return a.audit(epoch), nil
}
