package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// metrics is the API of a cluster's metrics server.
const metrics = "/apis/metrics.k8s.io/v1beta1"

// A metered is the processor time of a pod, summed up from what the metrics
// server says of its rate now and then.
type metered struct {
	pod string
	at  time.Time
	cpu time.Duration
}

// podMetrics are those of a pod, of metrics.k8s.io/v1beta1.
type podMetrics struct {
	Timestamp  time.Time `json:"timestamp"`
	Containers []struct {
		Usage struct {
			CPU    resource.Quantity `json:"cpu"`
			Memory resource.Quantity `json:"memory"`
		} `json:"usage"`
	} `json:"containers"`
}

// Usage implements [sandbox.Engine]: memory and processor time by the cluster's
// metrics server, and nothing of the rest. Without one all is 0.
func (e *Engine) Usage(ctx context.Context, id sandbox.ID) (sandbox.Usage, error) {
	r, err := e.running(ctx, id)
	if err != nil {
		return sandbox.Usage{}, err
	}
	text, err := e.raw.Get().AbsPath(metrics, "namespaces", namespace(id.Lease), "pods", r.Pod).DoRaw(ctx)
	if apierrors.IsNotFound(err) || apierrors.IsServiceUnavailable(err) {
		return sandbox.Usage{}, nil // no metrics server, or it has not seen the pod yet
	}
	if err != nil {
		return sandbox.Usage{}, fmt.Errorf("usage of %s: %w", id, read(err))
	}
	var m podMetrics
	if err := json.Unmarshal(text, &m); err != nil {
		return sandbox.Usage{}, fmt.Errorf("usage of %s: %w", id, err)
	}
	p, err := e.last(ctx, r)
	if err != nil {
		return sandbox.Usage{}, err
	}
	return e.add(r, look(r, p).Started, m), nil
}

// add counts a pod's metrics in.
func (e *Engine) add(r record, started time.Time, m podMetrics) sandbox.Usage {
	var u sandbox.Usage
	var rate float64 // cores
	for _, c := range m.Containers {
		rate += c.Usage.CPU.AsApproximateFloat64()
		u.Memory += c.Usage.Memory.Value()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.meter[r.ID]
	if was.pod != r.Pod {
		was = metered{pod: r.Pod, at: started}
	}
	if span := m.Timestamp.Sub(was.at); span > 0 {
		was.cpu += time.Duration(rate * float64(span))
		was.at = m.Timestamp
	}
	e.meter[r.ID] = was
	u.CPU = was.cpu
	return u
}

// forget drops what was metered of a lease.
func (e *Engine) forget(l sandbox.Lease) {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.meter, func(id sandbox.ID, _ metered) bool { return id.Lease == l })
}

// measures tells whether the cluster has a metrics server.
func (e *Engine) measures(ctx context.Context) bool {
	_, err := e.raw.Get().AbsPath(metrics).DoRaw(ctx)
	return err == nil
}
