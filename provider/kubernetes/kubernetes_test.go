package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	objects "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	actions "k8s.io/client-go/testing"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/kubernetes"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/provider/sandbox/sandboxtest"
)

// bubble runs a test in virtual time, with a cluster and its machines at work.
func bubble(t *testing.T, f func(t *testing.T, c *fake.Clientset), extra ...objects.Object) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, extra...)
		(&kubelet{client: c, alone: true}).run(t, 100*time.Millisecond)
		f(t, c)
	})
}

// closer is an engine whose traces are its leases'.
type closer struct{ *kubernetes.Engine }

func (closer) Destroy() error { return nil }

func TestRefusesAsEveryEngine(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		sandboxtest.Control(t, closer{open(t, c, nil)}, func(w sandbox.Workload) sandbox.Workload {
			w.Root, w.Image = "", workload("web").Image
			return w
		})
	})
}

func TestRunsToItsEndAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		e := open(t, c, nil)
		w := workload("web", "serve")
		s := start(t, e, w)
		if s.State != sandbox.Running || s.Address.String() != "10.1.2.3" || s.Started.IsZero() {
			t.Errorf("status %+v, want running at 10.1.2.3", s)
		}
		if err := e.Start(t.Context(), w); err != nil {
			t.Errorf("starting what runs: %v", err)
		}
		other := w
		other.Memory *= 2
		if err := e.Start(t.Context(), other); !errors.Is(err, sandbox.ErrRunning) {
			t.Errorf("starting another: %v, want %v", err, sandbox.ErrRunning)
		}
		if err := e.Stop(t.Context(), w.ID, 0); err != nil {
			t.Fatal(err)
		}
		if s = status(t, e, w.ID); s.State != sandbox.Exited || s.Reason != sandbox.ReasonStopped || s.Code != 0 {
			t.Errorf("stopped: %+v", s)
		}
		if err := e.Stop(t.Context(), w.ID, 0); err != nil {
			t.Errorf("stopping twice: %v", err)
		}
		for range 3 {
			start(t, e, w)
			if err := e.Stop(t.Context(), w.ID, 0); err != nil {
				t.Fatal(err)
			}
		}
		pods, err := c.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(pods.Items) != 2 {
			t.Errorf("%d pods are kept of four runs, %v, want the last and the one before it", len(pods.Items), err)
		}
	})
}

func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		state  sandbox.State
		reason sandbox.Reason
		code   int
		detail string
	}{
		"done":    {[]string{"exit", "0"}, sandbox.Exited, sandbox.ReasonDone, 0, ""},
		"failing": {[]string{"exit", "7"}, sandbox.Exited, sandbox.ReasonDone, 7, ""},
		"killed":  {[]string{"exit", "137"}, sandbox.Exited, sandbox.ReasonKilled, 137, ""},
		"memory":  {[]string{"oom"}, sandbox.Exited, sandbox.ReasonMemory, 137, ""},
		"disk":    {[]string{"evict"}, sandbox.Exited, sandbox.ReasonKilled, 137, "Evicted: Pod ephemeral local storage"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, cluster *fake.Clientset) {
				e := open(t, cluster, nil)
				w := workload("job", c.args...)
				start(t, e, w)
				s := ended(t, e, w.ID)
				if s.State != c.state || s.Reason != c.reason || s.Code != c.code || !strings.HasPrefix(s.Detail, c.detail) || s.Ended.Before(s.Started) {
					t.Errorf("status %+v, want %+v", s, c)
				}
			})
		})
	}
}

func TestStartFailsWithTheClustersReason(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*sandbox.Workload)
		want   string
	}{
		"image": {func(w *sandbox.Workload) {
			w.Image.Ref = strings.Replace(w.Image.Ref, "tenant", "missing", 1)
		}, "ErrImagePull: manifest unknown"},
		"room":    {func(w *sandbox.Workload) { w.CPU = 5000 }, "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu"},
		"program": {func(w *sandbox.Workload) { w.Process.Args = []string{"/no/such"} }, "StartError: exec: \"/no/such\""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, cluster *fake.Clientset) {
				e := open(t, cluster, nil)
				w := workload("web", "serve")
				c.change(&w)
				if err := e.Start(t.Context(), w); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("start: %v, want %s", err, c.want)
				}
				if s := status(t, e, w.ID); s.State != sandbox.Failed || s.Reason != sandbox.ReasonStart || !strings.Contains(s.Detail, c.want) {
					t.Errorf("status %+v, want failed: %s", s, c.want)
				}
				pods, err := cluster.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
				if err != nil || len(pods.Items) != 0 {
					t.Errorf("%d pods are left, %v", len(pods.Items), err)
				}
			})
		})
	}
}

func TestAPodThatIsGoneEndsItsReplica(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		e := open(t, c, nil)
		w := workload("web", "serve")
		start(t, e, w)
		pods, err := c.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pods.Items {
			if err := c.CoreV1().Pods(p.Namespace).Delete(t.Context(), p.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if s := status(t, e, w.ID); s.State != sandbox.Failed || s.Reason != sandbox.ReasonUnwatched {
			t.Errorf("status %+v, want failed, unwatched", s)
		}
		if s := start(t, e, w); s.State != sandbox.Running {
			t.Errorf("started again: %+v", s)
		}
	})
}

func TestAStartThatIsCutOffGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		e := open(t, c, nil)
		w := workload("web", "serve")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		big := w
		big.CPU = 5000
		if err := e.Start(ctx, big); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("start: %v, want %v", err, context.DeadlineExceeded)
		}
		if s := status(t, e, w.ID); s.State != sandbox.Starting || !strings.HasPrefix(s.Detail, "Unschedulable") {
			t.Errorf("status %+v, want starting, unschedulable", s)
		}
		if _, err := c.CoreV1().Nodes().Create(t.Context(), node("three", "8", "8Gi"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if s := start(t, e, big); s.State != sandbox.Running {
			t.Errorf("with another machine: %+v", s)
		}
	})
}

func TestARestartFindsAllAndReleaseLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		e := open(t, c, nil)
		db := workload("db", "serve")
		db.Volumes = []sandbox.Volume{{Name: "data", Class: "beta3", Size: 1 << 30, Path: "/data"}}
		db.Image.Username, db.Image.Password = "someone", "secret"
		db.Ports = []sandbox.Port{{Container: 53, Host: 30053, UDP: true}}
		start(t, e, db)
		web := workload("web", "exit", "3")
		web.ID.Replica = 1
		start(t, e, web)
		ended(t, e, web.ID)
		foreign := workload("web", "serve")
		foreign.ID.Lease = "another/1/1/1/lease"
		start(t, e, foreign)
		before, err := e.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again := open(t, c, nil)
		after, err := again.List(t.Context())
		if err != nil || fmt.Sprint(after) != fmt.Sprint(before) || len(after) != 3 {
			t.Errorf("after a restart: %+v, %v, want %+v", after, err, before)
		}
		if err := again.Start(t.Context(), db); err != nil {
			t.Errorf("starting what runs since before: %v", err)
		}
		if err := again.Release(t.Context(), leaseName); err != nil {
			t.Fatal(err)
		}
		if err := again.Release(t.Context(), leaseName); err != nil {
			t.Errorf("releasing twice: %v", err)
		}
		after, err = again.List(t.Context())
		if err != nil || len(after) != 1 || after[0].ID != foreign.ID {
			t.Errorf("after the release: %+v, %v, want the other lease alone", after, err)
		}
		if _, err := again.Status(t.Context(), db.ID); !errors.Is(err, sandbox.ErrUnknown) {
			t.Errorf("status: %v, want %v", err, sandbox.ErrUnknown)
		}
	})
}

func TestReleaseTouchesNoOthersNamespace(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		start(t, open(t, c, nil), workload("web", "serve"))
		thief, err := kubernetes.Open(kubernetes.Options{Provider: "plx1thief", Client: c, Config: config(nil)})
		if err != nil {
			t.Fatal(err)
		}
		if all, err := thief.List(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("another provider sees %+v, %v", all, err)
		}
		if err := thief.Release(t.Context(), leaseName); !errors.Is(err, sandbox.ErrInvalid) {
			t.Errorf("another provider releases: %v, want %v", err, sandbox.ErrInvalid)
		}
	})
}

func TestAnAPIServerThatFailsSaysNothingOfWhatRuns(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		e := open(t, c, nil)
		w := workload("web", "serve")
		start(t, e, w)
		var failure error
		fails := func(actions.Action) (bool, objects.Object, error) { return failure != nil, nil, failure }
		c.PrependReactor("get", "configmaps", fails)
		c.PrependReactor("list", "configmaps", fails)
		c.PrependReactor("get", "namespaces", fails)
		for _, failure = range []error{
			apierrors.NewServiceUnavailable("no leader"), apierrors.NewUnauthorized("no"), apierrors.NewInternalError(errors.New("disk")),
			apierrors.NewForbidden(corev1.Resource("configmaps"), "x", errors.New("no")), errors.New("connection refused"),
		} {
			_, listed := e.List(t.Context())
			_, looked := e.Status(t.Context(), w.ID)
			for what, err := range map[string]error{
				"list": listed, "status": looked, "start": e.Start(t.Context(), w), "stop": e.Stop(t.Context(), w.ID, 0), "release": e.Release(t.Context(), leaseName),
			} {
				if !errors.Is(err, sandbox.ErrUnavailable) {
					t.Errorf("%s while the server says %v: %v, want %v", what, failure, err, sandbox.ErrUnavailable)
				}
			}
		}
		failure = nil
		if s := status(t, e, w.ID); s.State != sandbox.Running {
			t.Errorf("afterwards: %+v, want running", s)
		}
	})
}

func TestAChangeThatMeetsAConflictIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		conflicts := 2
		c.PrependReactor("patch", "namespaces", func(actions.Action) (bool, objects.Object, error) {
			conflicts--
			return conflicts >= 0, nil, apierrors.NewConflict(corev1.Resource("namespaces"), "x", errors.New("somebody was faster"))
		})
		if s := start(t, open(t, c, nil), workload("web", "serve")); s.State != sandbox.Running {
			t.Errorf("status %+v", s)
		}
	})
}

func TestCheck(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		keep := corev1.PersistentVolumeReclaimRetain
		class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, ReclaimPolicy: &keep}
		if _, err := c.StorageV1().StorageClasses().Update(t.Context(), class, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		report, err := open(t, c, nil).Check(t.Context())
		if err != nil || !strings.HasPrefix(report.Engine, "kubernetes") {
			t.Fatalf("report %+v, %v", report, err)
		}
		for _, want := range []string{"erasure", "volumes", "pids", "usage"} {
			if !slices.ContainsFunc(report.Missing, func(m string) bool { return strings.HasPrefix(m, want) }) {
				t.Errorf("the report does not tell of %s: %q", want, report.Missing)
			}
		}
		if err := c.NodeV1().RuntimeClasses().Delete(t.Context(), "gvisor", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, c, nil).Check(t.Context()); err == nil || !strings.Contains(err.Error(), `no RuntimeClass "gvisor"`) {
			t.Errorf("without gVisor: %v", err)
		}
	})
}

func TestCapacityIsWhatOthersLeave(t *testing.T) {
	busy := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "busy", Namespace: "else"},
		Spec: corev1.PodSpec{
			NodeName:       "one",
			InitContainers: []corev1.Container{{Name: "first", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("2")}}}},
			Containers:     []corev1.Container{{Name: "then", Command: []string{"/tenant", "serve"}, Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("1Gi")}}}},
		},
	}
	down := node("down", "64", "64Gi")
	down.Status.Conditions[0].Status = corev1.ConditionFalse
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		e := open(t, c, nil)
		w := workload("web", "serve")
		w.CPU = 3000
		start(t, e, w) // its own do not count against it
		got, err := e.Capacity(t.Context())
		if err != nil || got.CPU != 6000 || got.Memory != 15<<30 || got.Storage[""] != 200<<30 {
			t.Errorf("capacity %+v, %v, want 6000, 15 GiB and 200 GiB", got, err)
		}
		group := func(cpu uint64, count uint32) market.GroupSpec {
			return market.GroupSpec{Units: []market.ResourceUnit{{Count: count, Resources: market.Resources{CPU: market.CPU{Units: market.Quantity(cpu)}}}}}
		}
		if err := e.Release(t.Context(), leaseName); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // what was seen of the machines is old
		for _, at := range []struct {
			cpu  uint64
			n    uint32
			fits bool
		}{{4000, 1, true}, {4000, 2, false}, {4001, 1, false}, {2000, 3, true}, {2000, 4, false}, {1000, 6, true}, {1000, 7, false}} {
			if err := e.Place(t.Context(), group(at.cpu, at.n), 0); (err == nil) != at.fits {
				t.Errorf("%d replicas of %d on machines with 2000 and 4000 free: %v", at.n, at.cpu, err)
			}
		}
	}, busy, down)
}

func TestUsageByTheMetricsServer(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		e := open(t, c, func(r *http.Request) (int, string) {
			return http.StatusOK, fmt.Sprintf(`{"timestamp":%q,"window":"15s","containers":[{"name":"main","usage":{"cpu":"250m","memory":"20Mi"}}]}`,
				time.Now().UTC().Format(time.RFC3339))
		})
		w := workload("web", "serve")
		start(t, e, w)
		time.Sleep(40 * time.Second)
		u, err := e.Usage(t.Context(), w.ID)
		if err != nil || u.Memory != 20<<20 || u.CPU < 9*time.Second || u.CPU > 11*time.Second {
			t.Errorf("usage %+v, %v, want about 10 s and 20 MiB", u, err)
		}
		time.Sleep(40 * time.Second)
		if later, err := e.Usage(t.Context(), w.ID); err != nil || later.CPU < u.CPU+9*time.Second || later.CPU > u.CPU+11*time.Second {
			t.Errorf("later %+v, %v, want about 10 s more than %+v", later, err, u)
		}
		if err := e.Stop(t.Context(), w.ID, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Usage(t.Context(), w.ID); !errors.Is(err, sandbox.ErrNotRunning) {
			t.Errorf("usage of what ended: %v", err)
		}
	})
}
