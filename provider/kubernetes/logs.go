package kubernetes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// maxLine is the longest piece of a line.
const maxLine = 16 << 10

// Logs implements [sandbox.Engine]: of the last run and the one before it, as
// far as their machines have kept them. A cluster does not say which stream a
// line was written to, so all are of stdout.
func (e *Engine) Logs(ctx context.Context, id sandbox.ID, o sandbox.LogOptions) iter.Seq2[sandbox.Line, error] {
	return func(yield func(sandbox.Line, error) bool) {
		l := &logs{engine: e, id: id, o: o, yield: yield}
		if err := l.read(ctx); err != nil && !errors.Is(err, errEnough) && ctx.Err() == nil {
			yield(sandbox.Line{}, err)
		}
	}
}

// errEnough says that the reader of a log has gone.
var errEnough = errors.New("enough")

// logs is one reading of a replica's log.
type logs struct {
	engine *Engine
	id     sandbox.ID
	o      sandbox.LogOptions
	yield  func(sandbox.Line, error) bool
	latest time.Time // of the lines shown
}

func (l *logs) read(ctx context.Context) error {
	r, err := l.engine.recall(ctx, l.id)
	if err != nil {
		return err
	}
	pods, err := l.engine.pods(ctx, l.id)
	if err != nil {
		return err
	}
	if l.o.Tail > 0 {
		err = l.tail(ctx, pods)
	} else {
		for _, p := range pods {
			if err = l.copy(ctx, p.Name, false, l.show); err != nil {
				break
			}
		}
	}
	if err != nil || !l.o.Follow {
		return err
	}
	return l.follow(ctx, r.Pod)
}

// tail shows the last lines of all runs together.
func (l *logs) tail(ctx context.Context, pods []corev1.Pod) error {
	var all []sandbox.Line
	for _, p := range slices.Backward(pods) {
		var lines []sandbox.Line
		err := l.copy(ctx, p.Name, false, func(line sandbox.Line) error {
			if lines = append(lines, line); len(lines) > l.o.Tail {
				lines = slices.Delete(lines, 0, 1)
			}
			return nil
		})
		if err != nil {
			return err
		}
		all = append(lines, all...)
		if len(all) >= l.o.Tail {
			break
		}
	}
	for _, line := range all[max(len(all)-l.o.Tail, 0):] {
		if err := l.show(line); err != nil {
			return err
		}
	}
	return nil
}

// follow shows what a pod goes on to write, until it ends. A stream that breaks
// off is taken up again.
func (l *logs) follow(ctx context.Context, pod string) error {
	for pod != "" {
		over := false
		err := l.engine.await(ctx, l.id, pod, func(p *corev1.Pod) (bool, error) {
			s := look(record{ID: l.id, Pod: pod}, p)
			over = s.State != sandbox.Running && s.State != sandbox.Starting
			return over || s.State == sandbox.Running, nil
		})
		if err != nil {
			return err
		}
		if err := l.copy(ctx, pod, !over, l.show); err != nil || over {
			return err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// show passes on a line that was not shown yet.
func (l *logs) show(line sandbox.Line) error {
	if line.Time.Before(l.o.Since) {
		return nil
	}
	l.latest = line.Time
	if !l.yield(line, nil) {
		return errEnough
	}
	return nil
}

// copy takes the lines of one pod that are newer than those shown. A pod that
// has not started, or whose log is gone, has none.
func (l *logs) copy(ctx context.Context, pod string, follow bool, take func(sandbox.Line) error) error {
	o := &corev1.PodLogOptions{Container: container, Timestamps: true, Follow: follow}
	if since := l.o.Since; !since.IsZero() || !l.latest.IsZero() {
		if since.Before(l.latest) {
			since = l.latest
		}
		o.SinceTime = &metav1.Time{Time: since} // in whole seconds
	} else if l.o.Tail > 0 {
		n := int64(l.o.Tail)
		o.TailLines = &n
	}
	from, err := l.engine.raw.Get().Resource("pods").Namespace(namespace(l.id.Lease)).Name(pod).SubResource("log").
		VersionedParams(o, scheme.ParameterCodec).Stream(ctx)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsBadRequest(err):
		return nil
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("log of %s: %w", l.id, read(err))
	}
	defer func() { _ = from.Close() }() // only read
	shown := l.latest
	return lines(from, func(line sandbox.Line) error {
		if !line.Time.After(shown) && !shown.IsZero() {
			return nil
		}
		return take(line)
	})
}

// lines reads a log with times, in pieces of at most maxLine bytes.
func lines(from io.Reader, take func(sandbox.Line) error) error {
	r := bufio.NewReaderSize(from, maxLine)
	line := sandbox.Line{Stream: "stdout"}
	for begins := true; ; {
		text, more, err := r.ReadLine()
		if err != nil {
			return nil //nolint:nilerr // the log is over, or its stream broke off and is taken up again
		}
		line.Text = string(text)
		if begins {
			stamp, rest, ok := strings.Cut(line.Text, " ")
			if t, err := time.Parse(time.RFC3339Nano, stamp); ok && err == nil {
				line.Time, line.Text = t, rest
			}
		}
		begins = !more
		if err := take(line); err != nil {
			return err
		}
	}
}
