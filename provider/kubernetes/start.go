package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// Start implements [sandbox.Engine]. It waits for a machine, and for that
// machine to fetch the image. If ctx ends meanwhile the pod stays, and the next
// Start of the same workload goes on waiting for it.
func (e *Engine) Start(ctx context.Context, w sandbox.Workload) error {
	if err := e.check(w); err != nil {
		return err
	}
	pod, err := e.begin(ctx, w)
	if err == nil {
		err = e.arrive(ctx, w.ID, pod)
	}
	switch {
	case err == nil, errors.Is(err, sandbox.ErrRunning):
		return err
	case ctx.Err() != nil, errors.Is(err, sandbox.ErrUnavailable):
		return fmt.Errorf("start %s: %w", w.ID, err) // what is there may still come to run
	}
	return errors.Join(fmt.Errorf("start %s: %w", w.ID, err), e.fail(w, pod, err))
}

// check refuses what no cluster could run.
func (e *Engine) check(w sandbox.Workload) error {
	if err := w.Check(); err != nil {
		return err
	}
	if w.Image.Ref == "" {
		return fmt.Errorf("%w: %s has an unpacked image, and a cluster's machines fetch their own", sandbox.ErrInvalid, w.ID)
	}
	if !isService.MatchString(w.ID.Service) {
		return fmt.Errorf("%w: service %q: a cluster's names begin with a letter", sandbox.ErrInvalid, w.ID.Service)
	}
	for _, g := range w.GPUs {
		if g.Vendor != "nvidia" {
			return fmt.Errorf("%w: a graphics processor of %q: clusters give out NVIDIA's", sandbox.ErrInvalid, g.Vendor)
		}
	}
	for _, p := range w.Ports {
		if p.IP.IsValid() {
			return fmt.Errorf("%w: port %d of the leased address %s: this engine leases none", sandbox.ErrInvalid, p.Host, p.IP)
		}
	}
	for _, v := range w.Volumes {
		if _, ok := e.o.Classes[v.Class]; !ok && v.Class != "" {
			return fmt.Errorf("%w: this provider has no volumes of class %q, only %q", sandbox.ErrInvalid, v.Class, slices.Sorted(maps.Keys(e.o.Classes)))
		}
	}
	return nil
}

// begin makes a pod of w, unless there is one, and returns its name, "" if
// nothing was made.
func (e *Engine) begin(ctx context.Context, w sandbox.Workload) (string, error) {
	defer e.turn(w.ID.Lease)()
	sum, err := hash(w)
	if err != nil {
		return "", err
	}
	before, err := e.recall(ctx, w.ID)
	if err != nil && !errors.Is(err, sandbox.ErrUnknown) {
		return "", err
	}
	pods, err := e.pods(ctx, w.ID)
	if err != nil {
		return "", err
	}
	for _, p := range pods {
		switch s := look(record{ID: w.ID, Pod: p.Name}, &p); {
		case s.State != sandbox.Running && s.State != sandbox.Starting:
		case p.Name == before.Pod && p.Annotations[annotationWorkload] == sum && p.DeletionTimestamp == nil:
			return p.Name, nil
		case p.Name == before.Pod && p.DeletionTimestamp == nil:
			return "", fmt.Errorf("%w: stop %s before starting another", sandbox.ErrRunning, w.ID)
		default: // of a Start that was cut off, or on its way out
			if err := e.remove(ctx, p, e.o.Settling); err != nil {
				return "", err
			}
		}
	}
	if err := e.furnish(ctx, w); err != nil {
		return "", err
	}
	return e.launch(ctx, w, sum, pods)
}

// furnish makes all that a pod of w needs. Each step may find that it was done
// before.
func (e *Engine) furnish(ctx context.Context, w sandbox.Workload) error {
	if err := e.walls(ctx, w.ID.Lease); err != nil {
		return err
	}
	if err := e.remember(ctx, record{ID: w.ID, Failure: "the provider died while starting it", Claim: claimOf(w)}); err != nil {
		return err
	}
	if err := e.bound(ctx, w.ID.Lease); err != nil {
		return err
	}
	if err := e.doors(ctx, w); err != nil {
		return err
	}
	for _, v := range w.Volumes {
		if err := e.disk(ctx, w.ID, v); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	if w.Image.Username == "" && w.Image.Password == "" {
		return nil
	}
	s, err := e.secret(w)
	if err != nil {
		return err
	}
	return apply(ctx, e.client.CoreV1().Secrets(namespace(w.ID.Lease)), s)
}

// disk makes a volume, unless it is there: a quota that is full would refuse
// even what exists.
func (e *Engine) disk(ctx context.Context, id sandbox.ID, v sandbox.Volume) error {
	claims, c := e.client.CoreV1().PersistentVolumeClaims(namespace(id.Lease)), e.volume(id, v)
	_, err := claims.Get(ctx, c.Name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return read(err)
	}
	_, err = claims.Create(ctx, c, metav1.CreateOptions{FieldManager: manager})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return wrote(err)
}

// launch makes the pod, and forgets runs before the last one. The pod's name
// is written down first, so that none is ever lost.
func (e *Engine) launch(ctx context.Context, w sandbox.Workload, sum string, earlier []corev1.Pod) (string, error) {
	pods := e.client.CoreV1().Pods(namespace(w.ID.Lease))
	for _, p := range earlier[:max(len(earlier)-1, 0)] {
		if err := gone(pods.Delete(ctx, p.Name, at(0))); err != nil {
			return "", err
		}
	}
	p := e.pod(w, run(w.ID), sum)
	if err := e.remember(ctx, record{ID: w.ID, Pod: p.Name, Claim: claimOf(w)}); err != nil {
		return "", err
	}
	for n := range tries {
		_, err := pods.Create(ctx, p, metav1.CreateOptions{FieldManager: manager})
		if err == nil || apierrors.IsAlreadyExists(err) { // by a request whose answer was lost
			return p.Name, nil
		}
		if !again(err) || n == tries-1 {
			return p.Name, fmt.Errorf("pod: %w", wrote(err))
		}
		if err := pause(ctx, time.Duration(n+1)*200*time.Millisecond); err != nil {
			return p.Name, err
		}
	}
	return p.Name, nil
}

// at are the options of a deletion that leaves a program so many seconds.
func at(grace int64) metav1.DeleteOptions {
	return metav1.DeleteOptions{GracePeriodSeconds: &grace}
}

// hopeless are the words by which a machine says that it cannot start a
// container, and that somebody should look.
var hopeless = map[string]bool{
	"ErrImagePull": true, "ImagePullBackOff": true, "InvalidImageName": true, "ErrImageNeverPull": true, "ImageInspectError": true,
	"SignatureValidationFailed": true, "RegistryUnavailable": true,
	"CreateContainerConfigError": true, "CreateContainerError": true, "RunContainerError": true, "PreCreateHookError": true,
}

// arrive waits until a pod's program has started.
func (e *Engine) arrive(ctx context.Context, id sandbox.ID, pod string) error {
	late := time.Now().Add(e.o.Patience)
	return e.await(ctx, id, pod, func(p *corev1.Pod) (bool, error) {
		if p == nil {
			return false, errors.New("its pod was deleted by somebody else")
		}
		s := look(record{ID: id, Pod: pod}, p)
		switch why := waiting(p); {
		case s.State == sandbox.Running, s.State == sandbox.Exited:
			return true, nil
		case s.State == sandbox.Failed:
			return false, errors.New(s.Detail)
		case hopeless[why.Reason]:
			return false, errors.New(why.String())
		case why.Reason == corev1.PodReasonUnschedulable && time.Since(p.CreationTimestamp.Time) > e.o.Place:
			return false, errors.New(why.String())
		case time.Now().After(late):
			return false, fmt.Errorf("it has not started within %v: %s", e.o.Patience, why)
		}
		return false, nil
	})
}

// The times between looks at a pod: of which no news came, and at least.
const (
	pulse = 2 * time.Second
	beat  = 100 * time.Millisecond
)

// await looks at a pod, nil if it is gone, whenever it changes, until done says
// so, or an error. An API server that does not answer is waited for as long
// as an image.
func (e *Engine) await(ctx context.Context, id sandbox.ID, pod string, done func(*corev1.Pod) (bool, error)) error {
	pods := e.client.CoreV1().Pods(namespace(id.Lease))
	for silent := time.Now().Add(e.o.Patience); ; {
		p, err := pods.Get(ctx, pod, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			p = nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && time.Now().After(silent):
			return read(err)
		case err != nil:
			if err := pause(ctx, pulse); err != nil {
				return err
			}
			continue
		}
		if ok, err := done(p); ok || err != nil {
			return err
		}
		if err := e.change(ctx, id, p); err != nil {
			return err
		}
	}
}

// change waits until a pod is not as p any more, but no longer than a pulse.
func (e *Engine) change(ctx context.Context, id sandbox.ID, p *corev1.Pod) error {
	if p == nil {
		return pause(ctx, pulse)
	}
	late, stop := context.WithTimeout(ctx, pulse)
	defer stop()
	w, err := e.client.CoreV1().Pods(namespace(id.Lease)).Watch(late, metav1.ListOptions{
		FieldSelector: "metadata.name=" + p.Name, ResourceVersion: p.ResourceVersion,
	})
	if err != nil {
		return pause(ctx, pulse)
	}
	defer w.Stop()
	select {
	case <-w.ResultChan(): // news, or the end of the watch
		return pause(ctx, beat)
	case <-late.Done():
		return ctx.Err()
	}
}

// fail takes away a pod that did not come to run, and writes down why.
func (e *Engine) fail(w sandbox.Workload, pod string, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), e.o.Settling)
	defer cancel()
	defer e.turn(w.ID.Lease)()
	if _, err := e.recall(ctx, w.ID); errors.Is(err, sandbox.ErrUnknown) {
		return nil // it did not get as far as its namespace
	}
	r := record{ID: w.ID, Failure: cause.Error(), Ended: time.Now(), Claim: claimOf(w)}
	if err := e.remember(ctx, r); err != nil || pod == "" {
		return err
	}
	return gone(e.client.CoreV1().Pods(namespace(w.ID.Lease)).Delete(ctx, pod, at(1)))
}

// remove deletes a pod, and waits until it is gone. One on a machine that does
// not answer is given up after most: then it is gone from the cluster's books
// alone.
func (e *Engine) remove(ctx context.Context, p corev1.Pod, most time.Duration) error {
	pods := e.client.CoreV1().Pods(p.Namespace)
	if err := gone(pods.Delete(ctx, p.Name, at(1))); err != nil {
		return err
	}
	for late := time.Now().Add(most); ; {
		_, err := pods.Get(ctx, p.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case time.Now().After(late):
			return gone(pods.Delete(ctx, p.Name, at(0)))
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
