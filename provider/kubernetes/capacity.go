package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/inventory"
)

// fresh is how long a look at the cluster's machines holds.
const fresh = 5 * time.Second

// A cluster is what was seen of its machines.
type cluster struct {
	at    time.Time
	nodes []corev1.Node
	then  time.Time
	pods  []corev1.Pod
}

// machines are the cluster's, ready or not, as of a moment ago.
func (e *Engine) machines(ctx context.Context) ([]corev1.Node, error) {
	e.mu.Lock()
	seen := e.seen
	e.mu.Unlock()
	if !seen.at.IsZero() && time.Since(seen.at) < fresh {
		return seen.nodes, nil
	}
	list, err := e.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the cluster's machines: %w", read(err))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen.at, e.seen.nodes = time.Now(), list.Items
	return list.Items, nil
}

// busy are all pods of the cluster that have not ended, as of a moment ago.
func (e *Engine) busy(ctx context.Context) ([]corev1.Pod, error) {
	e.mu.Lock()
	seen := e.seen
	e.mu.Unlock()
	if !seen.then.IsZero() && time.Since(seen.then) < fresh {
		return seen.pods, nil
	}
	list, err := e.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "status.phase!=Succeeded,status.phase!=Failed"})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", read(err))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen.then, e.seen.pods = time.Now(), list.Items
	return list.Items, nil
}

// usable tells whether tenants' pods may run on a machine.
func usable(n corev1.Node) bool {
	if n.Spec.Unschedulable || n.Labels[corev1.LabelArchStable] != runtime.GOARCH || n.Labels[corev1.LabelOSStable] != "linux" {
		return false
	}
	for _, t := range n.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule {
			return false
		}
	}
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// A room is what one machine has left.
type room struct {
	inventory.Amounts
	pods int64
}

// rooms are what the usable machines have beside the pods for which counts
// says true.
func (e *Engine) rooms(ctx context.Context, counts func(corev1.Pod) bool) (map[string]*room, error) {
	nodes, err := e.machines(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]*room{}
	for _, n := range nodes {
		if usable(n) {
			all[n.Name] = &room{amounts(n.Status.Allocatable), quantity(n.Status.Allocatable, corev1.ResourcePods)}
		}
	}
	pods, err := e.busy(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range pods {
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if r := all[p.Spec.NodeName]; r != nil && !ended && counts(p) {
			r.take(asked(p))
		}
	}
	return all, nil
}

func (r *room) take(a inventory.Amounts) {
	r.CPU, r.Memory, r.GPU, r.pods = r.CPU-a.CPU, r.Memory-a.Memory, r.GPU-a.GPU, r.pods-1
	r.Storage[""] -= a.Storage[""]
}

func (r *room) holds(a inventory.Amounts) bool {
	return r.pods > 0 && a.CPU <= r.CPU && a.Memory <= r.Memory && a.GPU <= r.GPU && a.Storage[""] <= r.Storage[""]
}

// gpu is the resource of NVIDIA's device plugin, which says how many, and not
// of which model.
const gpu corev1.ResourceName = "nvidia.com/gpu"

func amounts(l corev1.ResourceList) inventory.Amounts {
	cpu := l[corev1.ResourceCPU]
	return inventory.Amounts{
		CPU: cpu.MilliValue(), Memory: quantity(l, corev1.ResourceMemory), GPU: quantity(l, gpu),
		Storage: map[string]int64{"": quantity(l, corev1.ResourceEphemeralStorage)},
	}
}

func quantity(l corev1.ResourceList, name corev1.ResourceName) int64 {
	q := l[name]
	return q.Value()
}

// asked is what a pod takes of its machine: what its containers ask for, or
// the greatest of those that run before them, and its sandbox's own.
func asked(p corev1.Pod) inventory.Amounts {
	sum, most := corev1.ResourceList{}, corev1.ResourceList{}
	for _, c := range p.Spec.Containers {
		sum = plus(sum, c.Resources.Requests)
	}
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sum = plus(sum, c.Resources.Requests) // a sidecar
			continue
		}
		most = greatest(most, c.Resources.Requests)
	}
	return amounts(plus(greatest(sum, most), p.Spec.Overhead))
}

func plus(a, b corev1.ResourceList) corev1.ResourceList {
	return combine(a, b, func(x *resource.Quantity, y resource.Quantity) { x.Add(y) })
}

func greatest(a, b corev1.ResourceList) corev1.ResourceList {
	return combine(a, b, func(x *resource.Quantity, y resource.Quantity) {
		if x.Cmp(y) < 0 {
			*x = y
		}
	})
}

func combine(a, b corev1.ResourceList, with func(*resource.Quantity, resource.Quantity)) corev1.ResourceList {
	all := corev1.ResourceList{}
	for name, q := range a {
		all[name] = q.DeepCopy()
	}
	for name, q := range b {
		sum := all[name]
		with(&sum, q)
		all[name] = sum
	}
	return all
}

// Capacity returns what the cluster's machines have for this provider's
// leases: all that pods may ask for, less what pods ask for that are not this
// provider's. The class "" is ephemeral storage; what StorageClasses could
// still hold, no cluster tells.
func (e *Engine) Capacity(ctx context.Context) (inventory.Amounts, error) {
	rooms, err := e.rooms(ctx, func(p corev1.Pod) bool { return p.Labels[labelProvider] != e.o.Provider })
	if err != nil {
		return inventory.Amounts{}, err
	}
	sum := inventory.Amounts{Storage: map[string]int64{}}
	for _, r := range rooms {
		sum = sum.Plus(inventory.Amounts{
			CPU: max(r.CPU, 0), Memory: max(r.Memory, 0), GPU: max(r.GPU, 0), Storage: map[string]int64{"": max(r.Storage[""], 0)},
		})
	}
	return sum, nil
}

// Place tells by an error why a group's replicas do not fit on the cluster's
// machines beside all that runs there now, each on one of them: three free
// cores on each of two machines hold no replica of four. overhead is what a
// sandbox takes of memory itself. Larger replicas are placed first, on the
// machine that they fill best.
func (e *Engine) Place(ctx context.Context, g market.GroupSpec, overhead int64) error {
	all, err := e.rooms(ctx, func(corev1.Pod) bool { return true })
	if err != nil {
		return err
	}
	var wanted []inventory.Amounts
	for _, u := range g.Units {
		one := inventory.Of(market.GroupSpec{Units: []market.ResourceUnit{{Resources: u.Resources, Count: 1}}}, overhead)
		for range min(u.Count, maxPlaced) {
			wanted = append(wanted, one)
		}
	}
	slices.SortStableFunc(wanted, func(a, b inventory.Amounts) int {
		return cmp.Or(cmp.Compare(b.CPU, a.CPU), cmp.Compare(b.Memory, a.Memory))
	})
	for _, a := range wanted {
		var best *room
		for _, r := range all {
			if r.holds(a) && (best == nil || r.CPU < best.CPU || r.CPU == best.CPU && r.Memory < best.Memory) {
				best = r
			}
		}
		if best == nil {
			return fmt.Errorf("none of %d machines has room for a replica with %d thousandths of a core and %d bytes of memory", len(all), a.CPU, a.Memory)
		}
		best.take(a)
	}
	return nil
}

// maxPlaced bounds how many replicas of one unit are placed one by one; a lease
// has no more of a service.
const maxPlaced = 250
