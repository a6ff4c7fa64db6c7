package external

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// The JSON of the contract, as docs/mechanism.md has it.

type peer struct {
	UID     yuma.UID `json:"uid"`
	Account string   `json:"account"`
	PeerID  string   `json:"peer_id"`
}

type task struct {
	ID        string      `json:"id"` // hex
	Netuid    yuma.Netuid `json:"netuid"`
	Validator peer        `json:"validator"`
	Miner     peer        `json:"miner"`
	Height    yuma.Height `json:"height"`
	BlockHash string      `json:"block_hash"` // hex
	Body      []byte      `json:"body"`
	TimeoutMS int64       `json:"timeout_ms"`
}

func newTask(t subnet.Task) task {
	return task{
		ID: hex.EncodeToString(t.ID[:]), Netuid: t.Netuid, Validator: peer(t.Validator), Miner: peer(t.Miner),
		Height: t.Height, BlockHash: hex.EncodeToString(t.BlockHash[:]), Body: t.Body, TimeoutMS: t.Timeout.Milliseconds(),
	}
}

type answer struct {
	Body     []byte    `json:"body"`
	FirstMS  float64   `json:"first_ms"`
	TotalMS  float64   `json:"total_ms"`
	Error    string    `json:"error"` // empty if the answer is complete
	Organic  bool      `json:"organic"`
	Received time.Time `json:"received"`
}

func newAnswer(a subnet.Answer) answer {
	out := answer{
		Body: a.Body, Organic: a.Organic, Received: a.Received,
		FirstMS: float64(a.First) / 1e6, TotalMS: float64(a.Total) / 1e6,
	}
	if a.Err != nil {
		out.Error = a.Err.Error()
	}
	return out
}

type trial struct {
	Task   task   `json:"task"`
	Answer answer `json:"answer"`
}

type score struct {
	Value  float64 `json:"value"`
	Reject bool    `json:"reject"`
	Reason string  `json:"reason"`
	Units  int     `json:"units"`
}

func (s score) valid() bool {
	return s.Value >= 0 && s.Value <= 1 && (!s.Reject || s.Value == 0) && s.Units >= 0 && s.Units <= maxUnits
}

type (
	workParams struct {
		Task task `json:"task"`
	}
	scoreParams struct {
		Trials []trial `json:"trials"`
	}
	forgetParams struct {
		UID yuma.UID `json:"uid"`
	}
	stateParams struct {
		State []byte `json:"state"` // null forgets all
	}
)

// request is a line to a program.
type request struct {
	ID     uint64 `json:"id,omitempty"` // 0 wants no reply
	Method string `json:"method"`
	Params any    `json:"params"`
}

// reply is a line from a program: a chunk, or the result or error that ends
// the call. A service leaves ID out.
type reply struct {
	ID     uint64          `json:"id"`
	Chunk  *[]byte         `json:"chunk"`
	Result json.RawMessage `json:"result"`
	Error  *fault          `json:"error"`
}

func parseReply(line []byte) (reply, error) {
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("%w: it says %.60q: %w", ErrProgram, line, err)
	}
	said := 0
	for _, is := range []bool{r.Chunk != nil, r.Result != nil, r.Error != nil} {
		if is {
			said++
		}
	}
	if said != 1 {
		return r, fmt.Errorf("%w: it says %.60q: exactly one of chunk, result and error is wanted", ErrProgram, line)
	}
	return r, nil
}

// fault is why a program does not do what it was asked.
type fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// err returns the fault as what callers of a mechanism test for.
func (f *fault) err(method string) error {
	said := cut(f.Message)
	switch f.Code {
	case "bad_task":
		return fmt.Errorf("%w: %s", subnet.ErrBadTask, said)
	case "busy":
		return fmt.Errorf("%w: %s", subnet.ErrBusy, said)
	default:
		return fmt.Errorf("external: %s: %s (%.20q)", method, said, f.Code)
	}
}

// cut bounds what is kept of a text.
func cut(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
}

// meter hands chunks on while they are few enough.
type meter struct {
	ctx     context.Context // of the call
	onChunk func([]byte) error
	size    int
}

// perChunk is what a chunk counts at least, so that empty ones end too.
const perChunk = 64

func (m *meter) take(chunk []byte) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if m.onChunk == nil {
		return fmt.Errorf("%w: a chunk where none belongs", ErrProgram)
	}
	m.size += max(len(chunk), perChunk)
	if m.size > maxAnswer {
		return fmt.Errorf("%w: an answer of more than %d bytes", ErrProgram, maxAnswer)
	}
	if len(chunk) == 0 {
		return nil
	}
	return m.onChunk(chunk)
}
