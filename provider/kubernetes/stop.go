package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// Stop implements [sandbox.Engine]. A deleted pod would take its log and its
// exit code with it, so a pod that runs is given a deadline that has passed:
// its machine ends it, with the grace of Options, and it stays to be asked.
func (e *Engine) Stop(ctx context.Context, id sandbox.ID, _ time.Duration) error {
	if err := id.Check(); err != nil {
		return err
	}
	defer e.turn(id.Lease)()
	r, err := e.recall(ctx, id)
	if err != nil {
		return err
	}
	p, err := e.last(ctx, r)
	if err != nil {
		return err
	}
	switch look(r, p).State {
	case sandbox.Running:
		err = e.expire(ctx, r)
	case sandbox.Starting:
		err = e.cancel(ctx, r, *p)
	case sandbox.Exited, sandbox.Failed: // it has ended
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	return nil
}

// expire ends a pod that runs and keeps it.
func (e *Engine) expire(ctx context.Context, r record) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": map[string]string{annotationStopped: "true"}},
		"spec":     map[string]any{"activeDeadlineSeconds": 1},
	})
	if err != nil {
		return err
	}
	pods := e.client.CoreV1().Pods(namespace(r.ID.Lease))
	_, err = pods.Patch(ctx, r.Pod, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
	if err != nil {
		return gone(err)
	}
	late := time.Now().Add(e.o.Grace + e.o.Settling)
	err = e.await(ctx, r.ID, r.Pod, func(p *corev1.Pod) (bool, error) {
		s := look(r, p)
		if s.State != sandbox.Running {
			return true, nil
		}
		if time.Now().After(late) {
			return false, errLate
		}
		return false, nil
	})
	if errors.Is(err, errLate) {
		return e.abandon(ctx, r)
	}
	return err
}

// errLate says that a machine did not end a pod in time.
var errLate = errors.New("its machine does not end it")

// abandon strikes a pod off the cluster's books whose machine does not answer:
// the cluster takes its volumes from that machine before another gets them.
func (e *Engine) abandon(ctx context.Context, r record) error {
	pod := r.Pod
	r.Pod, r.Failure, r.Stopped, r.Ended = "", "it was stopped, and its machine did not answer", true, time.Now()
	if err := e.remember(ctx, r); err != nil {
		return err
	}
	return gone(e.client.CoreV1().Pods(namespace(r.ID.Lease)).Delete(ctx, pod, at(0)))
}

// cancel takes back a pod that has not begun to run.
func (e *Engine) cancel(ctx context.Context, r record, p corev1.Pod) error {
	r.Pod, r.Failure, r.Stopped, r.Ended = "", "it was stopped before it ran", true, time.Now()
	if err := e.remember(ctx, r); err != nil {
		return err
	}
	return e.remove(ctx, p, e.o.Settling)
}

// Release implements [sandbox.Engine]: the lease's namespace goes, with all
// that is in it. Until it is gone, the lease can be released again.
func (e *Engine) Release(ctx context.Context, l sandbox.Lease) error {
	defer e.turn(l)()
	if err := e.release(ctx, namespace(l)); err != nil {
		return fmt.Errorf("release %s: %w", l, err)
	}
	e.forget(l)
	return nil
}

func (e *Engine) release(ctx context.Context, name string) error {
	spaces := e.client.CoreV1().Namespaces()
	space, err := spaces.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return read(err)
	}
	if space.Labels[labelManager] != manager || space.Labels[labelProvider] != e.o.Provider {
		return fmt.Errorf("%w: namespace %s is not this provider's", sandbox.ErrInvalid, name)
	}
	if space.DeletionTimestamp == nil {
		if err := gone(e.client.CoreV1().Pods(name).DeleteCollection(ctx, at(1), metav1.ListOptions{})); err != nil {
			return err
		}
		if err := gone(spaces.Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(space.UID))})); err != nil {
			return err
		}
	}
	for late := time.Now().Add(e.o.Settling); ; {
		_, err := spaces.Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case time.Now().After(late):
			return fmt.Errorf("%w: namespace %s is still being deleted after %v", sandbox.ErrUnavailable, name, e.o.Settling)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
