// Package kubernetes is an engine that runs workloads as the pods of a
// Kubernetes cluster, for providers who have outgrown one machine.
//
// A lease is a namespace, with walls around it (network policy, pod security,
// quota, limits); a replica is a ConfigMap that says what was started, and a
// pod for each of its runs that starts once and is never restarted: decisions
// are the caller's. All that the engine knows is in the cluster, so an Engine
// that is opened again finds everything. Its pods run in a sandbox, by the
// RuntimeClass gvisor unless told otherwise. Why pods, not StatefulSets, stands
// in docs/decisions/0020-kubernetes.md.
//
// What the API server fails to answer is [sandbox.ErrUnavailable], and never a
// word on what runs. Start at [Open].
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clients "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// DefaultRuntimeClass is the RuntimeClass of pods unless Options say another.
const DefaultRuntimeClass = "gvisor"

// NoRuntimeClass is a name in place of a RuntimeClass's: it lets the cluster
// choose what runs pods. Tenants then share its kernel, as a rule.
const NoRuntimeClass = "none"

// Options of an [Engine]. Provider and Config are needed.
type Options struct {
	// Provider is whose leases these are, an address: all objects carry it as
	// a label, and the Engine sees no others.
	Provider string

	// Config says where the API server is; see [Config]. Client, if set, is
	// used in place of the one that it describes.
	Config *rest.Config
	Client clients.Interface

	RuntimeClass string            // "" means [DefaultRuntimeClass]; [NoRuntimeClass] none
	Classes      map[string]string // class of volumes to StorageClass; the class "" is the cluster's default if it is not here

	// Namespace is that of the provider's own pod, and From are networks: from
	// both, the ingress reaches tenants. Namespace "" means plexus.
	Namespace string
	From      []netip.Prefix

	Closed []netip.Prefix // further networks that tenants do not reach, beside all that is not public

	Grace    time.Duration // from asking a pod to end to killing it, whatever Stop says; 0 means 10 s
	Patience time.Duration // for a pod to run: its image may be large; 0 means 10 min
	Place    time.Duration // for a machine with room to be found; 0 means 30 s
	Settling time.Duration // for what was ended to be gone; 0 means 30 s
}

func (o Options) withDefaults() Options {
	or := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	or(&o.Grace, 10*time.Second)
	or(&o.Patience, 10*time.Minute)
	or(&o.Place, 30*time.Second)
	or(&o.Settling, 30*time.Second)
	if o.RuntimeClass == "" {
		o.RuntimeClass = DefaultRuntimeClass
	}
	if o.Namespace == "" {
		o.Namespace = "plexus"
	}
	return o
}

// An Engine runs workloads in a cluster. It is a [sandbox.Engine], and keeps
// nothing that is not in the cluster but a meter of processor time.
type Engine struct {
	o      Options
	client clients.Interface
	raw    rest.Interface // for what is no object: logs, commands, metrics

	mu    sync.Mutex
	turns map[sandbox.Lease]*turn // one change of a lease at a time
	meter map[sandbox.ID]metered  // of what runs
	seen  cluster                 // at the last look at its machines
}

var _ sandbox.Engine = (*Engine)(nil)

// Config reads how to reach a cluster: from a kubeconfig file and its context,
// "" meaning the current one, or with no file as a pod of the cluster itself.
func Config(file, context string) (*rest.Config, error) {
	if file == "" {
		c, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("this is no pod of a cluster (%w): name a kubeconfig file", err)
		}
		return c, nil
	}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: file}, &clientcmd.ConfigOverrides{CurrentContext: context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", file, err)
	}
	return c, nil
}

// Requests to the API server, each second and at once. A look at a replica
// takes two.
const (
	requests = 100
	burst    = 200
)

// Open returns an Engine. It asks the cluster nothing yet.
func Open(o Options) (*Engine, error) {
	o = o.withDefaults()
	if !isLabel.MatchString(o.Provider) {
		return nil, fmt.Errorf("%w: provider %q cannot be the value of a label", sandbox.ErrInvalid, o.Provider)
	}
	if o.Config == nil {
		return nil, fmt.Errorf("%w: an engine needs a cluster", sandbox.ErrInvalid)
	}
	e := &Engine{o: o, client: o.Client, turns: map[sandbox.Lease]*turn{}, meter: map[sandbox.ID]metered{}}
	c := rest.CopyConfig(o.Config)
	c.QPS, c.Burst, c.UserAgent, c.WarningHandlerWithContext = requests, burst, manager, rest.NoWarnings{}
	real, err := clients.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	e.o.Config, e.raw = c, real.CoreV1().RESTClient()
	if e.client == nil {
		e.client = real
	}
	return e, nil
}

// Close lets go of the cluster. What runs goes on running.
func (e *Engine) Close() error { return nil }

// Check implements [sandbox.Engine].
func (e *Engine) Check(ctx context.Context) (sandbox.Report, error) {
	report := sandbox.Report{Engine: "kubernetes", Cgroups: "v2"}
	version, err := e.client.Discovery().ServerVersion()
	if err != nil {
		return report, fmt.Errorf("the cluster's API server does not answer: %w", err)
	}
	report.Engine += " " + version.GitVersion
	if _, err := e.runtimeClass(ctx); err != nil {
		return report, err
	}
	if e.o.RuntimeClass == NoRuntimeClass {
		report.Missing = append(report.Missing, "sandbox: pods run by whatever the cluster runs pods with, maybe on its machines' own kernels")
	}
	nodes, err := e.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return report, fmt.Errorf("list the cluster's machines: %w", err)
	}
	if !slices.ContainsFunc(nodes.Items, usable) {
		return report, fmt.Errorf("none of the cluster's %d machines is ready for pods", len(nodes.Items))
	}
	missing, err := e.storage(ctx)
	if err != nil {
		return report, err
	}
	report.Missing = append(report.Missing, missing...)
	report.Missing = append(report.Missing, "pids: a pod may have as many processes as the kubelets' podPidsLimit says")
	if !e.measures(ctx) {
		report.Missing = append(report.Missing, "usage: the cluster has no metrics.k8s.io, so nothing tells what pods use")
	}
	return report, nil
}

// runtimeClass returns the RuntimeClass of pods, nil for none.
func (e *Engine) runtimeClass(ctx context.Context) (*nodev1.RuntimeClass, error) {
	if e.o.RuntimeClass == NoRuntimeClass {
		return nil, nil
	}
	c, err := e.client.NodeV1().RuntimeClasses().Get(ctx, e.o.RuntimeClass, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("the cluster has no RuntimeClass %q: install gVisor on its machines and apply deploy/kubernetes/gvisor.yaml, or name another by --runtime-class", e.o.RuntimeClass)
	}
	return c, read(err)
}

// storage tells what the cluster lacks of the classes of volumes. One that is
// promised and not there is an error.
func (e *Engine) storage(ctx context.Context) (missing []string, err error) {
	all, err := e.client.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the cluster's StorageClasses: %w", err)
	}
	found := map[string]storagev1.StorageClass{}
	for _, c := range all.Items {
		found[c.Name] = c
	}
	for class, name := range e.o.Classes {
		c, ok := found[name]
		if !ok {
			return nil, fmt.Errorf("the cluster has no StorageClass %q, which is to hold volumes of class %q", name, class)
		}
		if c.ReclaimPolicy != nil && *c.ReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
			missing = append(missing, fmt.Sprintf("erasure: StorageClass %s keeps what tenants wrote after their leases (reclaimPolicy %s)", name, *c.ReclaimPolicy))
		}
	}
	if _, named := e.o.Classes[""]; !named && !slices.ContainsFunc(all.Items, isDefault) {
		missing = append(missing, "volumes: the cluster has no default StorageClass, so volumes without a class cannot be made")
	}
	slices.Sort(missing)
	return missing, nil
}

func isDefault(c storagev1.StorageClass) bool {
	return c.Annotations["storageclass.kubernetes.io/is-default-class"] == "true"
}

type turn struct {
	sync.Mutex
	users int
}

// turn waits for this caller's turn to change a lease; call the result to end
// it.
func (e *Engine) turn(l sandbox.Lease) func() {
	e.mu.Lock()
	t := e.turns[l]
	if t == nil {
		t = &turn{}
		e.turns[l] = t
	}
	t.users++
	e.mu.Unlock()
	t.Lock()
	return func() {
		t.Unlock()
		e.mu.Lock()
		defer e.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(e.turns, l)
		}
	}
}

// read says what an error of a question means: the answer is not known.
func read(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", sandbox.ErrUnavailable, err)
}

// wrote says what an error of a change means: that the cluster refuses it, or
// that nobody knows.
func wrote(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case apierrors.IsForbidden(err) && apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return fmt.Errorf("%w: the lease's namespace is still being deleted", sandbox.ErrUnavailable)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return fmt.Errorf("%w: the cluster refuses it: %w", sandbox.ErrInvalid, err)
	case apierrors.IsForbidden(err):
		if strings.Contains(err.Error(), "exceeded quota") || strings.Contains(err.Error(), "violates PodSecurity") {
			return fmt.Errorf("%w: the cluster refuses it: %w", sandbox.ErrInvalid, err)
		}
		return fmt.Errorf("the provider may not do that in its cluster; see deploy/kubernetes: %w", err)
	}
	return read(err)
}
