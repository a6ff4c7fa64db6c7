package provider

import (
	"context"
	"sync"
	"time"

	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// metered is the time between two measurements.
const metered = 10 * time.Second

// A meter measures what replicas use.
type meter struct {
	engine sandbox.Engine

	mu   sync.Mutex
	used map[sandbox.ID]reading
}

type reading struct {
	at  time.Time
	cpu time.Duration
	use api.Usage
}

func newMeter(engine sandbox.Engine) *meter {
	return &meter{engine: engine, used: map[sandbox.ID]reading{}}
}

// run measures until ctx ends.
func (m *meter) run(ctx context.Context) {
	for {
		m.read(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(metered):
		}
	}
}

// read measures all replicas that run. What cannot be measured is left out.
func (m *meter) read(ctx context.Context) {
	all, err := m.engine.List(ctx)
	if err != nil {
		return
	}
	used := map[sandbox.ID]reading{}
	for _, s := range all {
		if s.State != sandbox.Running {
			continue
		}
		u, err := m.engine.Usage(ctx, s.ID)
		if err != nil {
			continue
		}
		m.mu.Lock()
		before, had := m.used[s.ID]
		m.mu.Unlock()
		now := reading{at: time.Now(), cpu: u.CPU, use: api.Usage{Memory: u.Memory, Disk: u.Disk, In: u.In, Out: u.Out, Storage: byClass(u)}}
		if !had || before.cpu > u.CPU { // it began anew
			before = reading{at: s.Started}
		}
		if span := now.at.Sub(before.at); span > 0 {
			now.use.CPU = int64(1000 * float64(now.cpu-before.cpu) / float64(span))
		}
		used[s.ID] = now
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = used
}

// byClass sorts what is on disk: what no class of volumes holds is on the disk
// of ephemeral storage.
func byClass(u sandbox.Usage) map[string]int64 {
	all := map[string]int64{"": u.Disk}
	for class, n := range u.Volumes {
		if class != "" {
			all[class] += n
			all[""] -= n
		}
	}
	return all
}

func (m *meter) of(id sandbox.ID) api.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used[id].use
}

func (m *meter) total() api.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum api.Usage
	for _, r := range m.used {
		sum.CPU += r.use.CPU
		sum.Memory += r.use.Memory
		sum.Disk += r.use.Disk
		sum.In += r.use.In
		sum.Out += r.use.Out
		for class, n := range r.use.Storage {
			if sum.Storage == nil {
				sum.Storage = map[string]int64{}
			}
			sum.Storage[class] += n
		}
	}
	return sum
}
