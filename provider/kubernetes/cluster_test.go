package kubernetes_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	objects "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	actions "k8s.io/client-go/testing"

	"github.com/plexus-network/plexus/provider/kubernetes"
	"github.com/plexus-network/plexus/provider/sandbox"
)

const (
	providerName = "plx1provider"
	leaseName    = sandbox.Lease("plx1tenant/7/1/1/plx1provider")
)

// answers is an API server's side of what is no object, without a network.
type answers func(*http.Request) (int, string)

// RoundTrip answers a request.
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	code, text := http.StatusNotFound, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`
	if a != nil {
		code, text = a(r)
	}
	return &http.Response{
		StatusCode: code, Body: io.NopCloser(strings.NewReader(text)), Request: r,
		Header: http.Header{"Content-Type": {"application/json"}},
	}, nil
}

// kinds are those of the objects in a lease's namespace.
var kinds = []schema.GroupVersionKind{
	corev1.SchemeGroupVersion.WithKind("Pod"), corev1.SchemeGroupVersion.WithKind("ConfigMap"),
	corev1.SchemeGroupVersion.WithKind("Secret"), corev1.SchemeGroupVersion.WithKind("Service"),
	corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"), corev1.SchemeGroupVersion.WithKind("ResourceQuota"),
	corev1.SchemeGroupVersion.WithKind("LimitRange"), networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
}

// newCluster is a pretended cluster of two machines of four cores, with gVisor
// and one class of disks.
func newCluster(t *testing.T, extra ...objects.Object) *fake.Clientset {
	t.Helper()
	all := append([]objects.Object{
		node("one", "4", "8Gi"), node("two", "4", "8Gi"),
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "gvisor"}, Handler: "runsc"},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "example.com/disk"},
	}, extra...)
	c := fake.NewClientset(all...)
	born := 0
	c.PrependReactor("create", "pods", func(a actions.Action) (bool, objects.Object, error) {
		p := a.(actions.CreateAction).GetObject().(*corev1.Pod)
		born++
		p.UID, p.CreationTimestamp = types.UID(fmt.Sprint("pod-", born)), metav1.Now()
		return false, nil, nil
	})
	sweep := func(space string, kinds ...schema.GroupVersionKind) {
		for _, kind := range kinds {
			resource, _ := meta.UnsafeGuessKindToResource(kind)
			list, err := c.Tracker().List(resource, kind, space)
			if err != nil {
				continue // none were made
			}
			found, _ := meta.ExtractList(list)
			for _, o := range found {
				at, _ := meta.Accessor(o)
				_ = c.Tracker().Delete(resource, space, at.GetName())
			}
		}
	}
	c.PrependReactor("delete-collection", "pods", func(a actions.Action) (bool, objects.Object, error) {
		sweep(a.GetNamespace(), kinds[0])
		return true, nil, nil
	})
	c.PrependReactor("delete", "namespaces", func(a actions.Action) (bool, objects.Object, error) {
		sweep(a.(actions.DeleteAction).GetName(), kinds...)
		return false, nil, nil
	})
	return c
}

// config is of a cluster that answers so.
func config(a answers) *rest.Config { return &rest.Config{Host: "http://cluster", Transport: a} }

// open opens an engine on a pretended cluster.
func open(t *testing.T, c *fake.Clientset, a answers) *kubernetes.Engine {
	t.Helper()
	e, err := kubernetes.Open(kubernetes.Options{
		Provider: providerName, Client: c, Config: config(a), Classes: map[string]string{"beta3": "fast"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// workload is a small one that runs the tenant with args.
func workload(service string, args ...string) sandbox.Workload {
	return sandbox.Workload{
		ID:      sandbox.ID{Lease: leaseName, Service: service},
		Image:   sandbox.Image{Ref: "ghcr.io/plexus/tenant@sha256:" + strings.Repeat("a", 64)},
		Process: sandbox.Process{Args: append([]string{"/tenant"}, args...), Env: []string{"GREETING=hello"}},
		CPU:     500, Memory: 64 << 20, Disk: 32 << 20,
	}
}

// start starts w and returns where it stands.
func start(t *testing.T, e *kubernetes.Engine, w sandbox.Workload) sandbox.Status {
	t.Helper()
	if err := e.Start(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return status(t, e, w.ID)
}

func status(t *testing.T, e *kubernetes.Engine, id sandbox.ID) sandbox.Status {
	t.Helper()
	s, err := e.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ended waits for a replica's end.
func ended(t *testing.T, e *kubernetes.Engine, id sandbox.ID) sandbox.Status {
	t.Helper()
	for range 1000 {
		if s := status(t, e, id); s.State == sandbox.Exited || s.State == sandbox.Failed {
			return s
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s has not ended: %+v", id, status(t, e, id))
	return sandbox.Status{}
}
