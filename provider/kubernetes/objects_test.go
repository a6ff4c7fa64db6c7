package kubernetes_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/plexus-network/plexus/provider/kubernetes"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// furnished starts a workload with everything and returns its namespace.
func furnished(t *testing.T, c *fake.Clientset, o kubernetes.Options) (*kubernetes.Engine, sandbox.Workload, string) {
	t.Helper()
	o.Provider, o.Client, o.Config, o.Classes = providerName, c, config(nil), map[string]string{"beta3": "fast"}
	e, err := kubernetes.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	w := workload("db", "serve", "$(HOME) costs $5")
	w.Volumes = []sandbox.Volume{{Name: "data", Class: "beta3", Size: 1 << 30, Path: "/data", ReadOnly: true}, {Name: "more", Size: 1 << 20 * 8, Path: "/more"}}
	w.Image.Username, w.Image.Password = "someone", "secret"
	w.Ports = []sandbox.Port{{Container: 53, Host: 30053, UDP: true}, {Container: 8080}}
	w.Shm, w.Egress, w.GPUs = 16<<20, 1_000_000, []sandbox.GPU{{Vendor: "nvidia", Model: "h100"}}
	start(t, e, w)
	spaces, err := c.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(spaces.Items) != 1 {
		t.Fatalf("%d namespaces, %v, want one", len(spaces.Items), err)
	}
	return e, w, spaces.Items[0].Name
}

func TestANamespaceForEachLease(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		_, _, name := furnished(t, c, kubernetes.Options{})
		space, err := c.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]string{
			"plexus.network/owner": "plx1tenant", "plexus.network/dseq": "7", "plexus.network/provider": providerName,
			"app.kubernetes.io/managed-by": "plexus", "pod-security.kubernetes.io/enforce": "baseline",
		} {
			if space.Labels[key] != want {
				t.Errorf("label %s is %q, want %q", key, space.Labels[key], want)
			}
		}
		if len(name) > 63 || name != strings.ToLower(name) || space.Annotations["plexus.network/lease"] != string(leaseName) {
			t.Errorf("namespace %s of lease %q", name, space.Annotations["plexus.network/lease"])
		}
	})
}

func TestThePodIsHeldByEveryLimit(t *testing.T) {
	for given, want := range map[string]string{"": "gvisor", "kata": "kata", kubernetes.NoRuntimeClass: ""} {
		bubble(t, func(t *testing.T, c *fake.Clientset) {
			if want == "kata" {
				class, err := c.NodeV1().RuntimeClasses().Get(t.Context(), "gvisor", metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				class.Name, class.ResourceVersion = "kata", ""
				if _, err := c.NodeV1().RuntimeClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			_, _, space := furnished(t, c, kubernetes.Options{RuntimeClass: given})
			pods, err := c.CoreV1().Pods(space).List(t.Context(), metav1.ListOptions{})
			if err != nil || len(pods.Items) != 1 {
				t.Fatalf("%d pods, %v", len(pods.Items), err)
			}
			checkPod(t, pods.Items[0], want)
		})
	}
}

func checkPod(t *testing.T, p corev1.Pod, class string) {
	t.Helper()
	got := ""
	if p.Spec.RuntimeClassName != nil {
		got = *p.Spec.RuntimeClassName
	}
	if got != class {
		t.Errorf("RuntimeClass %q, want %q", got, class)
	}
	c := p.Spec.Containers[0]
	if !slices.Equal(c.Command, []string{"/tenant", "serve", "$$(HOME) costs $$5"}) || c.Image != workload("db").Image.Ref {
		t.Errorf("command %q of image %s", c.Command, c.Image)
	}
	limits := fmt.Sprint(c.Resources.Limits.Cpu(), c.Resources.Limits.Memory(), c.Resources.Limits.StorageEphemeral())
	requests := fmt.Sprint(c.Resources.Requests.Cpu(), c.Resources.Requests.Memory(), c.Resources.Requests.StorageEphemeral())
	if want := "500m 80Mi 32Mi"; limits != want || requests != want {
		t.Errorf("limits %s, requests %s, want %s", limits, requests, want)
	}
	if gpus := c.Resources.Limits["nvidia.com/gpu"]; gpus.Value() != 1 {
		t.Errorf("%s graphics processors, want 1", gpus.String())
	}
	s, security := p.Spec, c.SecurityContext
	if *s.AutomountServiceAccountToken || *s.EnableServiceLinks || s.HostNetwork || s.RestartPolicy != corev1.RestartPolicyNever || s.Hostname != "db-0" || s.Subdomain != "db" {
		t.Errorf("spec %+v", s)
	}
	if *security.AllowPrivilegeEscalation || s.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
		!slices.Equal(security.Capabilities.Drop, []corev1.Capability{"ALL"}) || slices.Contains(security.Capabilities.Add, "NET_RAW") {
		t.Errorf("security %+v, %+v", security, s.SecurityContext)
	}
	if len(s.ImagePullSecrets) != 1 || len(s.Volumes) != 3 || s.Volumes[2].EmptyDir.Medium != corev1.StorageMediumMemory || s.Volumes[2].EmptyDir.SizeLimit.Value() != 16<<20 {
		t.Errorf("volumes %+v, secrets %v", s.Volumes, s.ImagePullSecrets)
	}
	if !c.VolumeMounts[0].ReadOnly || c.VolumeMounts[2].MountPath != "/dev/shm" || p.Annotations["kubernetes.io/egress-bandwidth"] != "1000000" {
		t.Errorf("mounts %+v, annotations %v", c.VolumeMounts, p.Annotations)
	}
}

func TestAUserWhoIsNotRootHasNoCapabilities(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		e := open(t, c, nil)
		for service, process := range map[string]sandbox.Process{"number": {UID: 1000, GID: 100}, "name": {User: "nginx"}} {
			w := workload(service, "serve")
			process.Args = w.Process.Args
			w.Process = process
			start(t, e, w)
		}
		pods, err := c.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pods.Items {
			s, added := p.Spec.SecurityContext, p.Spec.Containers[0].SecurityContext.Capabilities.Add
			switch p.Labels["plexus.network/service"] {
			case "number":
				if *s.RunAsUser != 1000 || *s.RunAsGroup != 100 || !*s.RunAsNonRoot || len(added) != 0 {
					t.Errorf("security of user 1000: %+v, %v", s, added)
				}
			case "name":
				if s.RunAsUser != nil || s.RunAsNonRoot != nil || len(added) == 0 {
					t.Errorf("security of the image's own user: %+v, %v", s, added)
				}
			}
		}
	})
}

func TestTheWalls(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		_, _, space := furnished(t, c, kubernetes.Options{
			Namespace: "sellers", From: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}, Closed: []netip.Prefix{netip.MustParsePrefix("198.51.100.64/26")},
		})
		p, err := c.NetworkingV1().NetworkPolicies(space).Get(t.Context(), "lease", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Spec.PodSelector.MatchLabels) != 0 || len(p.Spec.PolicyTypes) != 2 {
			t.Errorf("the policy does not hold for all pods, both ways: %+v", p.Spec)
		}
		from := p.Spec.Ingress[0].From
		if len(p.Spec.Ingress) != 1 || len(from) != 3 || from[0].PodSelector == nil || from[0].NamespaceSelector != nil ||
			from[1].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "sellers" || from[2].IPBlock.CIDR != "192.0.2.7/32" {
			t.Errorf("who may come in: %+v", p.Spec.Ingress)
		}
		out := p.Spec.Egress
		if len(out) != 3 || out[0].To[0].NamespaceSelector != nil || len(out[1].Ports) != 2 || out[1].Ports[0].Port.IntValue() != 53 {
			t.Fatalf("whither: %+v", out)
		}
		for address, open := range map[string]bool{
			"1.1.1.1": true, "93.184.215.14": true, "2606:4700:4700::1111": true,
			"10.96.0.1": false, "192.168.1.1": false, "172.31.0.1": false, "169.254.169.254": false, "100.64.0.1": false, "127.0.0.1": false,
			"198.51.100.9": false, "198.51.100.70": false, "224.0.0.1": false, "255.255.255.255": false,
			"::1": false, "fd00::1": false, "fe80::1": false, "fd00:ec2::254": false, "64:ff9b::a00:1": false, "2002:a00:1::": false,
		} {
			if got := reached(out[2].To, netip.MustParseAddr(address)); got != open {
				t.Errorf("%s is open: %v, want %v", address, got, open)
			}
		}
		ports, err := c.NetworkingV1().NetworkPolicies(space).List(t.Context(), metav1.ListOptions{LabelSelector: "plexus.network/service=db"})
		if err != nil || len(ports.Items) != 1 {
			t.Fatalf("%d policies of published ports, %v", len(ports.Items), err)
		}
		rule := ports.Items[0].Spec
		if rule.PodSelector.MatchLabels["plexus.network/replica"] != "0" || len(rule.Ingress[0].From) != 0 || len(rule.Ingress[0].Ports) != 1 || rule.Ingress[0].Ports[0].Port.IntValue() != 53 {
			t.Errorf("the published port's policy: %+v", rule)
		}
	})
}

// reached tells whether an address is in any of the blocks.
func reached(to []networkingv1.NetworkPolicyPeer, a netip.Addr) bool {
	in := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(a) }
	for _, p := range to {
		if in(p.IPBlock.CIDR) && !slices.ContainsFunc(p.IPBlock.Except, in) {
			return true
		}
	}
	return false
}

func TestTheQuotaIsTheLeasesSum(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		e, w, space := furnished(t, c, kubernetes.Options{})
		second := w
		second.ID.Replica = 1
		second.Ports = nil
		start(t, e, second)
		q, err := c.CoreV1().ResourceQuotas(space).Get(t.Context(), "lease", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[corev1.ResourceName]string{
			"requests.cpu": "1", "limits.cpu": "1", "limits.memory": "160Mi", "requests.ephemeral-storage": "64Mi", "pods": "2",
			"requests.storage": "2064Mi", "persistentvolumeclaims": "4", "services.nodeports": "1", "services.loadbalancers": "0", "requests.nvidia.com/gpu": "2",
		} {
			if got := q.Spec.Hard[name]; got.String() != want {
				t.Errorf("%s is %s, want %s", name, got.String(), want)
			}
		}
		l, err := c.CoreV1().LimitRanges(space).Get(t.Context(), "lease", metav1.GetOptions{})
		if err != nil || l.Spec.Limits[0].MaxLimitRequestRatio.Memory().Value() != 1 {
			t.Errorf("limits %+v, %v", l, err)
		}
	})
}

func TestDoorsAndDisks(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		e, w, space := furnished(t, c, kubernetes.Options{})
		name, err := c.CoreV1().Services(space).Get(t.Context(), "db", metav1.GetOptions{})
		if err != nil || name.Spec.ClusterIP != corev1.ClusterIPNone || name.Spec.Selector["plexus.network/service"] != "db" {
			t.Errorf("the service's name: %+v, %v", name, err)
		}
		ports := func() []corev1.Service {
			all, err := c.CoreV1().Services(space).List(t.Context(), metav1.ListOptions{LabelSelector: "plexus.network/replica=0"})
			if err != nil {
				t.Fatal(err)
			}
			return all.Items
		}
		if all := ports(); len(all) != 1 || all[0].Spec.Type != corev1.ServiceTypeNodePort || len(all[0].Spec.Ports) != 1 ||
			all[0].Spec.Ports[0].NodePort != 30053 || all[0].Spec.Ports[0].Protocol != corev1.ProtocolUDP || all[0].Spec.Ports[0].TargetPort.IntValue() != 53 {
			t.Errorf("published: %+v", all)
		}
		disk, err := c.CoreV1().PersistentVolumeClaims(space).Get(t.Context(), "db.0.data", metav1.GetOptions{})
		if err != nil || *disk.Spec.StorageClassName != "fast" || disk.Spec.Resources.Requests.Storage().Value() != 1<<30 {
			t.Errorf("the volume of class beta3: %+v, %v", disk, err)
		}
		if disk, err = c.CoreV1().PersistentVolumeClaims(space).Get(t.Context(), "db.0.more", metav1.GetOptions{}); err != nil || disk.Spec.StorageClassName != nil {
			t.Errorf("the volume without a class: %+v, %v", disk, err)
		}
		secret, err := c.CoreV1().Secrets(space).Get(t.Context(), "db.pull", metav1.GetOptions{})
		if err != nil || secret.Type != corev1.SecretTypeDockerConfigJson || !strings.Contains(string(secret.Data[corev1.DockerConfigJsonKey]), `"ghcr.io":{"auth":"c29tZW9uZTpzZWNyZXQ="`) {
			t.Errorf("the registry's secret: %v, %v", secret, err)
		}
		if err := e.Stop(t.Context(), w.ID, 0); err != nil {
			t.Fatal(err)
		}
		w.Ports = nil
		start(t, e, w)
		if all := ports(); len(all) != 0 {
			t.Errorf("published, after an update without ports: %+v", all)
		}
	})
}

func TestRefusesWhatNoClusterRuns(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		e := open(t, c, nil)
		for name, spoil := range map[string]func(*sandbox.Workload){
			"a digit first": func(w *sandbox.Workload) { w.ID.Service = "3proxy" },
			"no digest":     func(w *sandbox.Workload) { w.Image.Ref = "nginx:1.27" },
			"an address": func(w *sandbox.Workload) {
				w.Ports = []sandbox.Port{{Container: 80, Host: 80, IP: netip.MustParseAddr("198.51.100.1")}}
			},
			"unpacked": func(w *sandbox.Workload) { w.Root, w.Image = "/images/a", sandbox.Image{} },
			"both":     func(w *sandbox.Workload) { w.Root = "/images/a" },
		} {
			w := workload("web", "serve")
			spoil(&w)
			if err := e.Start(t.Context(), w); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}
