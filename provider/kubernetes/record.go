package kubernetes

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// A record is what a replica's ConfigMap holds, and what outlives its pods.
type record struct {
	ID      sandbox.ID `json:"id"`
	Pod     string     `json:"pod,omitempty"` // of the last run; "" if it never ran
	Failure string     `json:"failure,omitempty"`
	Stopped bool       `json:"stopped,omitempty"` // by Stop, before it ran or without a trace
	Ended   time.Time  `json:"ended,omitzero"`    // when it failed
	Claim   claim      `json:"claim"`
}

// A claim is what a replica takes of its lease's quota.
type claim struct {
	CPU     int64 `json:"cpu"` // thousandths of a core
	Memory  int64 `json:"memory"`
	Disk    int64 `json:"disk"`
	Storage int64 `json:"storage"` // of volumes
	Volumes int64 `json:"volumes"`
	Ports   int64 `json:"ports"` // that are published

	GPUs []sandbox.GPU `json:"gpus,omitempty"`
}

func claimOf(w sandbox.Workload) claim {
	c := claim{CPU: w.CPU, Memory: w.Memory + w.Shm, Disk: w.Disk, Volumes: int64(len(w.Volumes)), GPUs: w.GPUs}
	for _, v := range w.Volumes {
		c.Storage += v.Size
	}
	for _, p := range w.Ports {
		if p.Host != 0 {
			c.Ports++
		}
	}
	return c
}

// plus returns what both take, but for graphics processors.
func (c claim) plus(d claim) claim {
	return claim{
		CPU: c.CPU + d.CPU, Memory: c.Memory + d.Memory, Disk: c.Disk + d.Disk,
		Storage: c.Storage + d.Storage, Volumes: c.Volumes + d.Volumes, Ports: c.Ports + d.Ports,
	}
}

const recordKey = "record"

// recall reads a replica's record, or [sandbox.ErrUnknown].
func (e *Engine) recall(ctx context.Context, id sandbox.ID) (record, error) {
	m, err := e.client.CoreV1().ConfigMaps(namespace(id.Lease)).Get(ctx, recordName(id), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return record{}, fmt.Errorf("%w: %s", sandbox.ErrUnknown, id)
	}
	if err != nil {
		return record{}, fmt.Errorf("record of %s: %w", id, read(err))
	}
	return parse(*m)
}

func parse(m corev1.ConfigMap) (record, error) {
	var r record
	if err := json.Unmarshal([]byte(m.Data[recordKey]), &r); err != nil {
		return r, fmt.Errorf("record %s of namespace %s: %w; delete the namespace if its lease has ended", m.Name, m.Namespace, err)
	}
	return r, nil
}

// remember writes a replica's record.
func (e *Engine) remember(ctx context.Context, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return apply(ctx, e.client.CoreV1().ConfigMaps(namespace(r.ID.Lease)), &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: e.meta(recordName(r.ID), r.ID.Lease, e.labelsOf(r.ID)),
		Data:       map[string]string{recordKey: string(text)},
	})
}

// records reads those of one lease, or of all if it is "". One that cannot be
// read is an error.
func (e *Engine) records(ctx context.Context, l sandbox.Lease) ([]record, error) {
	space := ""
	if l != "" {
		space = namespace(l)
	}
	list, err := e.client.CoreV1().ConfigMaps(space).List(ctx, metav1.ListOptions{LabelSelector: selector(e.ours()) + "," + labelReplica})
	if err != nil {
		return nil, fmt.Errorf("list replicas: %w", read(err))
	}
	var all []record
	for _, m := range list.Items {
		r, err := parse(m)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b record) int { return compare(a.ID, b.ID) })
	return all, nil
}

func compare(a, b sandbox.ID) int {
	return cmp.Or(cmp.Compare(a.Lease, b.Lease), cmp.Compare(a.Service, b.Service), a.Replica-b.Replica)
}

// pods are all of one replica, oldest run first.
func (e *Engine) pods(ctx context.Context, id sandbox.ID) ([]corev1.Pod, error) {
	set := e.ours()
	set[labelService], set[labelReplica] = id.Service, strconv.Itoa(id.Replica)
	list, err := e.client.CoreV1().Pods(namespace(id.Lease)).List(ctx, metav1.ListOptions{LabelSelector: selector(set)})
	if err != nil {
		return nil, fmt.Errorf("list pods of %s: %w", id, read(err))
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return list.Items, nil
}

// meta is what is said of every object.
func (e *Engine) meta(name string, l sandbox.Lease, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: namespace(l), Labels: labels, Annotations: map[string]string{annotationLease: string(l)}}
}

// A patcher changes one kind of objects.
type patcher[T any] interface {
	Patch(ctx context.Context, name string, kind types.PatchType, text []byte, o metav1.PatchOptions, sub ...string) (T, error)
}

// tries is how often a change is sent that the API server had no time for.
const tries = 3

// apply makes an object of the cluster as it is here, in all fields that are
// set, whoever set them before.
func apply[T any](ctx context.Context, to patcher[T], object metav1.Object) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	force := true
	for n := range tries {
		_, err = to.Patch(ctx, object.GetName(), types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: manager, Force: &force})
		if err == nil || !again(err) || n == tries-1 {
			break
		}
		if err := pause(ctx, time.Duration(n+1)*200*time.Millisecond); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("%T %s: %w", object, object.GetName(), wrote(err))
	}
	return nil
}

// again tells whether the same request may succeed at once.
func again(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) || apierrors.IsInternalError(err)
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
