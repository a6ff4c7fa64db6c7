package kubernetes

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// lost is how long after it should be gone a pod counts as ended: its machine
// does not answer.
const lost = time.Minute

// Status implements [sandbox.Engine].
func (e *Engine) Status(ctx context.Context, id sandbox.ID) (sandbox.Status, error) {
	if err := id.Check(); err != nil {
		return sandbox.Status{}, err
	}
	r, err := e.recall(ctx, id)
	if err != nil {
		return sandbox.Status{}, err
	}
	p, err := e.last(ctx, r)
	if err != nil {
		return sandbox.Status{}, err
	}
	return look(r, p), nil
}

// last returns the pod of a replica's last run, nil if there is none.
func (e *Engine) last(ctx context.Context, r record) (*corev1.Pod, error) {
	if r.Pod == "" {
		return nil, nil
	}
	p, err := e.client.CoreV1().Pods(namespace(r.ID.Lease)).Get(ctx, r.Pod, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pod of %s: %w", r.ID, read(err))
	}
	return p, nil
}

// List implements [sandbox.Engine].
func (e *Engine) List(ctx context.Context) ([]sandbox.Status, error) {
	records, err := e.records(ctx, "")
	if err != nil {
		return nil, err
	}
	pods, err := e.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: selector(e.ours())})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", read(err))
	}
	type key struct{ namespace, name string }
	found := map[key]*corev1.Pod{}
	for n := range pods.Items {
		found[key{pods.Items[n].Namespace, pods.Items[n].Name}] = &pods.Items[n]
	}
	var all []sandbox.Status
	for _, r := range records {
		all = append(all, look(r, found[key{namespace(r.ID.Lease), r.Pod}]))
	}
	return all, nil
}

// look says where a replica stands, by its record and its last pod, nil if
// there is none.
func look(r record, p *corev1.Pod) sandbox.Status {
	s := sandbox.Status{ID: r.ID}
	if p == nil {
		return absent(s, r)
	}
	s.Address, _ = netip.ParseAddr(p.Status.PodIP)
	c := state(p)
	switch {
	case c.Terminated != nil:
		return ended(s, p, *c.Terminated)
	case p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded:
		s.State, s.Reason, s.Detail, s.Ended = sandbox.Failed, sandbox.ReasonStart, say(p.Status.Reason, p.Status.Message), finished(p)
		if p.Status.StartTime != nil {
			s.Reason = sandbox.ReasonUnwatched
		}
	case p.DeletionTimestamp != nil && time.Since(p.DeletionTimestamp.Time) > lost:
		s.State, s.Reason, s.Ended = sandbox.Failed, sandbox.ReasonUnwatched, p.DeletionTimestamp.Time
		s.Detail = fmt.Sprintf("machine %s does not answer", p.Spec.NodeName)
	case c.Running != nil:
		s.State, s.Started, s.GPUs = sandbox.Running, c.Running.StartedAt.Time, r.Claim.GPUs
	default:
		s.State, s.Detail, s.GPUs = sandbox.Starting, waiting(p).String(), r.Claim.GPUs
	}
	return s
}

// absent is a replica without a pod.
func absent(s sandbox.Status, r record) sandbox.Status {
	s.State, s.Reason, s.Detail, s.Ended = sandbox.Failed, sandbox.ReasonStart, r.Failure, r.Ended
	switch {
	case r.Stopped:
		s.Reason = sandbox.ReasonStopped
	case r.Failure == "":
		s.Reason, s.Detail = sandbox.ReasonUnwatched, "its pod is gone: its machine was drained, or has failed"
	}
	return s
}

// ended is a replica whose program has ended, or could not be started.
func ended(s sandbox.Status, p *corev1.Pod, t corev1.ContainerStateTerminated) sandbox.Status {
	s.State, s.Code, s.Reason = sandbox.Exited, int(t.ExitCode), sandbox.ReasonDone
	s.Started, s.Ended = t.StartedAt.Time, t.FinishedAt.Time
	const killed = 128 + 9
	switch {
	case t.Reason == "StartError", t.Reason == "ContainerCannotRun":
		s.State, s.Reason, s.Detail = sandbox.Failed, sandbox.ReasonStart, say(t.Reason, t.Message)
	case t.Reason == "ContainerStatusUnknown":
		s.State, s.Reason, s.Detail = sandbox.Failed, sandbox.ReasonUnwatched, say(t.Reason, t.Message)
	case t.Reason == "OOMKilled":
		s.Reason = sandbox.ReasonMemory
	case p.Annotations[annotationStopped] != "":
		s.Reason = sandbox.ReasonStopped
	case p.Status.Reason != "": // Evicted, Preempting, NodeShutdown …
		s.Reason, s.Detail = sandbox.ReasonKilled, say(p.Status.Reason, p.Status.Message)
	case t.ExitCode == killed:
		s.Reason = sandbox.ReasonKilled
	}
	return s
}

// state is that of a pod's container, empty before there is one.
func state(p *corev1.Pod) corev1.ContainerState {
	for _, c := range p.Status.ContainerStatuses {
		if c.Name == container {
			return c.State
		}
	}
	return corev1.ContainerState{}
}

// finished is when a pod without a container ended, as far as it is known.
func finished(p *corev1.Pod) time.Time {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.LastTransitionTime.Time
		}
	}
	return p.CreationTimestamp.Time
}

// A cause is what a pod waits for, in the cluster's words.
type cause struct{ Reason, Message string }

// String returns both, as far as they are known.
func (c cause) String() string { return say(c.Reason, c.Message) }

func say(reason, message string) string {
	if reason == "" || message == "" {
		return reason + message
	}
	return reason + ": " + message
}

// waiting tells what a pod waits for that has not started.
func waiting(p *corev1.Pod) cause {
	if w := state(p).Waiting; w != nil {
		return cause{w.Reason, w.Message}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return cause{c.Reason, c.Message}
		}
	}
	return cause{Reason: p.Status.Reason, Message: p.Status.Message}
}
