package price

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/inventory"
)

// A Script prices by a program: it reads a JSON object on standard input, as
// the price scripts of Akash's providers do, and prints a decimal, the price
// of the whole group per block. PLEXUS_OWNER and PLEXUS_DENOM are in its
// environment. Any other exit code than 0 means that it prices nothing.
type Script struct {
	command []string
	limit   time.Duration
	running chan struct{} // one entry per process
}

// The bounds of a Script.
const (
	maxScripts = 8       // processes at once
	maxAnswer  = 4 << 10 // bytes that it may print
)

// NewScript returns a Pricer that runs command, a program and its arguments,
// for limit at most; 0 means 10 s.
func NewScript(command []string, limit time.Duration) *Script {
	if limit <= 0 {
		limit = 10 * time.Second
	}
	return &Script{command: command, limit: limit, running: make(chan struct{}, maxScripts)}
}

// A question is what a script reads.
type question struct {
	Resources []resource `json:"resources"`
	Price     price      `json:"price"`
	Precision int        `json:"price_precision"` // decimals that count
}

type price struct {
	Denom  string       `json:"denom"`
	Amount market.Exact `json:"amount"` // the most that the tenant pays
}

type resource struct {
	Memory    uint64    `json:"memory"` // bytes
	CPU       uint64    `json:"cpu"`    // thousandths of a core
	GPU       gpu       `json:"gpu"`
	Storage   []storage `json:"storage"`
	Count     uint32    `json:"count"`
	Endpoints int       `json:"endpoint_quantity"`
	IPs       int       `json:"ip_lease_quantity"`
}

type gpu struct {
	Units      uint64            `json:"units"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

type storage struct {
	Class string `json:"class"`
	Size  uint64 `json:"size"` // bytes
}

// Price implements [Pricer].
func (s *Script) Price(ctx context.Context, owner string, g market.GroupSpec) (market.Exact, error) {
	select {
	case s.running <- struct{}{}:
		defer func() { <-s.running }()
	case <-ctx.Done():
		return market.Exact{}, ctx.Err()
	}
	in, err := json.Marshal(ask(g))
	if err != nil {
		return market.Exact{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	out, err := s.run(ctx, in, owner, g.Price().Denom)
	if ctx.Err() != nil {
		return market.Exact{}, fmt.Errorf("%w: %s took longer than %v", ErrPrice, s.command[0], s.limit)
	}
	if err != nil {
		return market.Exact{}, fmt.Errorf("%w: %s: %w", ErrPrice, s.command[0], err)
	}
	amount, err := market.ParseExact(strings.TrimSpace(out))
	if err != nil {
		return market.Exact{}, fmt.Errorf("%w: %s printed no decimal such as 12.5: %w", ErrPrice, s.command[0], err)
	}
	if amount.IsZero() {
		return market.Exact{}, fmt.Errorf("%w: %s printed 0, which the chain refuses", ErrPrice, s.command[0])
	}
	return amount, nil
}

func (s *Script) run(ctx context.Context, in []byte, owner, denom string) (string, error) {
	cmd := exec.CommandContext(ctx, s.command[0], s.command[1:]...)
	cmd.Env = append(os.Environ(), "PLEXUS_OWNER="+owner, "PLEXUS_DENOM="+denom)
	cmd.Stdin = bytes.NewReader(in)
	var out, complaint bytes.Buffer
	answer := &bounded{to: &out}
	cmd.Stdout, cmd.Stderr = answer, &bounded{to: &complaint}
	cmd.WaitDelay = time.Second
	// What it starts ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	if answer.over {
		err = errLong
	}
	if text := strings.TrimSpace(complaint.String()); err != nil && text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return out.String(), err
}

// bounded takes in maxAnswer bytes and then fails.
type bounded struct {
	to   *bytes.Buffer
	over bool
}

var errLong = errors.New("it printed more than 4 KiB")

func (b *bounded) Write(p []byte) (int, error) {
	if b.to.Len()+len(p) > maxAnswer {
		b.over = true
		return 0, errLong
	}
	return b.to.Write(p)
}

var _ io.Writer = (*bounded)(nil)

func ask(g market.GroupSpec) question {
	most := g.Price()
	q := question{Price: price{most.Denom, most.Amount}, Precision: 18}
	for _, u := range g.Units {
		r := resource{
			Memory: uint64(u.Resources.Memory.Size), CPU: uint64(u.Resources.CPU.Units), Count: u.Count,
			GPU: gpu{Units: uint64(u.Resources.GPU.Units)}, Storage: []storage{},
		}
		for _, a := range u.Resources.GPU.Attributes {
			if r.GPU.Attributes == nil {
				r.GPU.Attributes = map[string]string{}
			}
			r.GPU.Attributes[a.Key] = a.Value
		}
		for _, v := range u.Resources.Storage {
			class, persistent, ram := inventory.Volume(v)
			switch {
			case ram:
				class = "ram"
			case !persistent:
				class = "ephemeral"
			case class == "":
				class = "default"
			}
			r.Storage = append(r.Storage, storage{class, uint64(v.Size)})
		}
		for _, e := range u.Resources.Endpoints {
			if e.Kind == market.LeasedIP {
				r.IPs++
			} else {
				r.Endpoints++
			}
		}
		q.Resources = append(q.Resources, r)
	}
	return q
}
