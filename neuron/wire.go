package neuron

import (
	"errors"
	"fmt"
	"time"

	neuronv1 "github.com/plexus-network/plexus/api/plexus/neuron/v1"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// maxTimeout bounds how long a task may take.
const maxTimeout = 30 * time.Minute

// maxAnswer bounds the bytes of an answer.
const maxAnswer = 8 << 20

// errTask means that a peer's task cannot be understood.
var errTask = errors.New("neuron: malformed task")

// encodeTask returns the part of a task that its request does not say.
func encodeTask(t subnet.Task) ([]byte, error) {
	if t.Timeout <= 0 || t.Timeout > maxTimeout {
		return nil, fmt.Errorf("%w: a timeout of %v, more than 0 to %v is allowed", errTask, t.Timeout, maxTimeout)
	}
	m := neuronv1.Task{
		Id:        t.ID[:],
		Netuid:    uint32(t.Netuid),
		Miner:     uint32(t.Miner.UID),
		Height:    uint64(t.Height),
		BlockHash: t.BlockHash[:],
		TimeoutMs: uint32(max(t.Timeout.Milliseconds(), 1)),
		Body:      t.Body,
	}
	if n := m.Size(); n > p2p.MaxBody {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", errTask, n, p2p.MaxBody)
	}
	return m.Marshal()
}

// decodeTask is the inverse of encodeTask, for what any peer may have sent.
func decodeTask(b []byte) (subnet.Task, error) {
	var m neuronv1.Task
	if err := m.Unmarshal(b); err != nil {
		return subnet.Task{}, fmt.Errorf("%w: %w", errTask, err)
	}
	timeout := time.Duration(m.TimeoutMs) * time.Millisecond
	switch {
	case len(m.Id) != 16 || len(m.BlockHash) != 32:
		return subnet.Task{}, fmt.Errorf("%w: an id of %d bytes and a block hash of %d, 16 and 32 are wanted", errTask, len(m.Id), len(m.BlockHash))
	case m.Netuid > 0xFFFF || m.Miner > 0xFFFF:
		return subnet.Task{}, fmt.Errorf("%w: netuid %d, uid %d", errTask, m.Netuid, m.Miner)
	case timeout <= 0 || timeout > maxTimeout:
		return subnet.Task{}, fmt.Errorf("%w: a timeout of %v, more than 0 to %v is allowed", errTask, timeout, maxTimeout)
	}
	return subnet.Task{
		ID:        subnet.TaskID(m.Id),
		Netuid:    yuma.Netuid(m.Netuid),
		Miner:     subnet.Peer{UID: yuma.UID(m.Miner)},
		Height:    yuma.Height(m.Height),
		BlockHash: [32]byte(m.BlockHash),
		Body:      m.Body,
		Timeout:   timeout,
	}, nil
}
