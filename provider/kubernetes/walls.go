package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// closed are the networks that no tenant reaches, by the registries of RFC
// 6890: this host, private, shared (RFC 6598), loopback, link-local with the
// clouds' metadata services, protocol assignments, benchmarks, multicast and
// reserved; for IPv6 also what leads to IPv4 by another way.
var closed = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
	"::/128", "::1/128", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16",
	"fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
}

// walls puts up what a lease is behind: its namespace, and what holds there
// for every pod.
func (e *Engine) walls(ctx context.Context, l sandbox.Lease) error {
	space := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: e.meta(namespace(l), l, e.labels(l))}
	space.Namespace = ""
	// Programs may be root in their containers, which "restricted" forbids; a
	// pod that is not meets it all the same.
	space.Labels["pod-security.kubernetes.io/enforce"] = "baseline"
	if err := apply(ctx, e.client.CoreV1().Namespaces(), space); err != nil {
		return err
	}
	policy, err := e.policy(ctx, l)
	if err != nil {
		return err
	}
	if err := apply(ctx, e.client.NetworkingV1().NetworkPolicies(namespace(l)), policy); err != nil {
		return err
	}
	return apply(ctx, e.client.CoreV1().LimitRanges(namespace(l)), e.limits(l))
}

// policy is who may talk to a lease's pods, and to whom they may: each other,
// name servers, the public internet; and the provider's ingress to them.
func (e *Engine) policy(ctx context.Context, l sandbox.Lease) (*networkingv1.NetworkPolicy, error) {
	public, err := e.public(ctx)
	if err != nil {
		return nil, err
	}
	own := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}
	from := []networkingv1.NetworkPolicyPeer{own, {NamespaceSelector: named(e.o.Namespace)}}
	for _, network := range e.o.From {
		from = append(from, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: network.Masked().String()}})
	}
	names := []networkingv1.NetworkPolicyPeer{{
		NamespaceSelector: named("kube-system"), PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}},
	}}
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: e.meta("lease", l, e.labels(l)),
		Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: from}},
			Egress: []networkingv1.NetworkPolicyEgressRule{
				{To: []networkingv1.NetworkPolicyPeer{own}},
				{To: names, Ports: []networkingv1.NetworkPolicyPort{port(53, true), port(53, false)}},
				{To: public},
			},
		},
	}, nil
}

func named(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
}

func port(number int, udp bool) networkingv1.NetworkPolicyPort {
	n, kind := intstr.FromInt(number), protocol(udp)
	return networkingv1.NetworkPolicyPort{Port: &n, Protocol: &kind}
}

func protocol(udp bool) corev1.Protocol {
	if udp {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}

// public is the internet: all but the closed networks and the cluster's own
// machines, whose addresses may be public ones.
func (e *Engine) public(ctx context.Context) ([]networkingv1.NetworkPolicyPeer, error) {
	machines, err := e.machines(ctx)
	if err != nil {
		return nil, err
	}
	except := map[bool][]string{}
	add := func(p netip.Prefix) { except[p.Addr().Is4()] = append(except[p.Addr().Is4()], p.Masked().String()) }
	for _, text := range closed {
		add(netip.MustParsePrefix(text))
	}
	for _, p := range e.o.Closed {
		add(p)
	}
	for _, m := range machines {
		for _, a := range m.Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); err == nil {
				ip = ip.Unmap()
				add(netip.PrefixFrom(ip, ip.BitLen()))
			}
		}
	}
	for v4 := range except {
		slices.Sort(except[v4])
		except[v4] = slices.Compact(except[v4])
	}
	return []networkingv1.NetworkPolicyPeer{
		{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: except[true]}},
		{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: except[false]}},
	}, nil
}

// limits holds every container to requests that equal its limits, and gives
// next to nothing to one that has none.
func (e *Engine) limits(l sandbox.Lease) *corev1.LimitRange {
	least := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewMilliQuantity(sandbox.MinCPU, resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(sandbox.MinMemory, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(sandbox.MinDisk, resource.BinarySI),
	}
	one := resource.MustParse("1")
	return &corev1.LimitRange{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"},
		ObjectMeta: e.meta("lease", l, e.labels(l)),
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Default: least, DefaultRequest: least,
			MaxLimitRequestRatio: corev1.ResourceList{corev1.ResourceCPU: one, corev1.ResourceMemory: one, corev1.ResourceEphemeralStorage: one},
		}}},
	}
}

// quota bounds a lease to what its replicas may take together.
func (e *Engine) quota(ctx context.Context, l sandbox.Lease) (*corev1.ResourceQuota, error) {
	all, err := e.records(ctx, l)
	if err != nil {
		return nil, err
	}
	class, err := e.runtimeClass(ctx)
	if err != nil {
		return nil, err
	}
	var sum claim
	var gpus int64
	for _, r := range all {
		sum, gpus = sum.plus(r.Claim), gpus+int64(len(r.Claim.GPUs))
	}
	cpu, memory := resource.NewMilliQuantity(sum.CPU, resource.DecimalSI), resource.NewQuantity(sum.Memory, resource.BinarySI)
	disk := *resource.NewQuantity(sum.Disk, resource.BinarySI)
	if class != nil && class.Overhead != nil {
		for range all {
			cpu.Add(class.Overhead.PodFixed[corev1.ResourceCPU])
			memory.Add(class.Overhead.PodFixed[corev1.ResourceMemory])
			disk.Add(class.Overhead.PodFixed[corev1.ResourceEphemeralStorage])
		}
	}
	count := func(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.DecimalSI) }
	return &corev1.ResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
		ObjectMeta: e.meta("lease", l, e.labels(l)),
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			corev1.ResourceRequestsCPU: *cpu, corev1.ResourceLimitsCPU: *cpu,
			corev1.ResourceRequestsMemory: *memory, corev1.ResourceLimitsMemory: *memory,
			corev1.ResourceRequestsEphemeralStorage: disk, corev1.ResourceLimitsEphemeralStorage: disk,
			corev1.ResourceRequestsStorage: *resource.NewQuantity(sum.Storage, resource.BinarySI), corev1.ResourcePersistentVolumeClaims: count(sum.Volumes),
			corev1.ResourcePods: count(int64(len(all))), corev1.ResourceServicesNodePorts: count(sum.Ports), corev1.ResourceServicesLoadBalancers: count(0),
			corev1.DefaultResourceRequestsPrefix + gpu: count(gpus),
		}},
	}, nil
}

// bound sets a lease's quota, and waits until the cluster counts by it.
func (e *Engine) bound(ctx context.Context, l sandbox.Lease) error {
	want, err := e.quota(ctx, l)
	if err != nil {
		return err
	}
	to := e.client.CoreV1().ResourceQuotas(namespace(l))
	if err := apply(ctx, to, want); err != nil {
		return err
	}
	for wait, late := 10*time.Millisecond, time.Now().Add(e.o.Settling); ; wait = min(2*wait, time.Second) {
		got, err := to.Get(ctx, want.Name, metav1.GetOptions{})
		if err != nil && !again(err) {
			return read(err)
		}
		if err == nil && counts(got.Status, want.Spec.Hard) {
			return nil
		}
		if time.Now().After(late) {
			return fmt.Errorf("%w: nothing counts by the quota of the lease's namespace; does the cluster's controller manager run?", sandbox.ErrUnavailable)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// counts tells whether a quota's controller knows its limits.
func counts(s corev1.ResourceQuotaStatus, hard corev1.ResourceList) bool {
	for name, want := range hard {
		got, ok := s.Hard[name]
		_, used := s.Used[name]
		if !ok || !used || got.Cmp(want) != 0 {
			return false
		}
	}
	return true
}

// doors are what leads to a replica: its service's name within the lease, and
// the ports of the cluster's machines that are its own.
func (e *Engine) doors(ctx context.Context, w sandbox.Workload) error {
	services := e.client.CoreV1().Services(namespace(w.ID.Lease))
	all := e.labels(w.ID.Lease)
	all[labelService] = w.ID.Service
	name := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: e.meta(w.ID.Service, w.ID.Lease, all),
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, PublishNotReadyAddresses: true, Selector: map[string]string{labelService: w.ID.Service},
		},
	}
	if err := apply(ctx, services, name); err != nil {
		return err
	}
	open := e.client.NetworkingV1().NetworkPolicies(namespace(w.ID.Lease))
	if claimOf(w).Ports == 0 {
		return errors.Join(gone(services.Delete(ctx, published(w.ID), metav1.DeleteOptions{})), gone(open.Delete(ctx, published(w.ID), metav1.DeleteOptions{})))
	}
	ports, rule := e.open(w)
	if err := apply(ctx, services, ports); err != nil {
		return err
	}
	return apply(ctx, open, rule)
}

// open lets the world in to a replica's published ports.
func (e *Engine) open(w sandbox.Workload) (*corev1.Service, *networkingv1.NetworkPolicy) {
	meta := e.meta(published(w.ID), w.ID.Lease, e.labelsOf(w.ID))
	s := &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: meta,
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Selector: selects(w.ID)},
	}
	var rule networkingv1.NetworkPolicyIngressRule
	for _, p := range w.Ports {
		if p.Host == 0 {
			continue
		}
		kind := protocol(p.UDP)
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: fmt.Sprintf("p%d", p.Host) + map[bool]string{true: "u", false: ""}[p.UDP], Protocol: kind,
			Port: int32(p.Host), TargetPort: intstr.FromInt(int(p.Container)), NodePort: int32(p.Host),
		})
		rule.Ports = append(rule.Ports, port(int(p.Container), p.UDP))
	}
	return s, &networkingv1.NetworkPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: meta,
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: selects(w.ID)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{rule},
		},
	}
}

// gone is the error of a deletion, but that there was nothing.
func gone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return wrote(err)
}
