package subnettest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

func TestKitAcceptsAKindThatKeepsTheContract(t *testing.T) {
	Run(t, func(*testing.T) subnet.Mechanism { return &hashing{known: map[yuma.UID]int{}} })
}

// hashing is the kind whose work is a hash of the task.
type hashing struct {
	mu    sync.Mutex
	known map[yuma.UID]int
}

const size = 24

func (h *hashing) Kind() string { return "hashing" }

func (h *hashing) Challenge(context.Context) ([]byte, error) {
	b := make([]byte, size)
	rand.Read(b)
	return b, nil
}

func right(t subnet.Task) []byte {
	sum := sha256.Sum256(fmt.Append(nil, t.Miner.PeerID, t.Validator.PeerID, t.ID, t.Body))
	return sum[:]
}

func (h *hashing) Work(ctx context.Context, t subnet.Task, emit func([]byte) error) error {
	if len(t.Body) != size {
		return fmt.Errorf("%w: %d bytes", subnet.ErrBadTask, len(t.Body))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return emit(right(t))
}

func (h *hashing) Score(_ context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	scores := make([]subnet.Score, len(trials))
	for i, t := range trials {
		h.known[t.Task.Miner.UID]++
		switch {
		case t.Answer.Err != nil:
			scores[i].Reason = "no answer"
		case bytes.Equal(t.Answer.Body, right(t.Task)):
			scores[i] = subnet.Score{Value: 1, Units: 1}
		default:
			scores[i] = subnet.Score{Reject: true, Reason: "wrong"}
		}
	}
	return scores, nil
}

func (h *hashing) Forget(uid yuma.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.known, uid)
}

func (h *hashing) Snapshot() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return json.Marshal(h.known)
}

func (h *hashing) Restore(state []byte) error {
	known := map[yuma.UID]int{}
	if state != nil {
		if err := json.Unmarshal(state, &known); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = known
	return nil
}
