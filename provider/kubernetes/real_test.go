package kubernetes_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clients "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/plexus-network/plexus/provider/kubernetes"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// A real is a control plane of Kubernetes at work.
type real struct {
	t      *testing.T
	dir    string
	binary string
	config *rest.Config
}

// patience bounds every wait for it.
const patience = 2 * time.Minute

// newReal starts the program of the module cluster, part by part.
func newReal(t *testing.T) *real {
	t.Helper()
	r := &real{t: t, dir: t.TempDir(), binary: os.Getenv("PLEXUS_KUBERNETES")}
	if r.binary == "" {
		t.Skip("a real API server is asked where PLEXUS_KUBERNETES names one, as make test-kubernetes does")
	}
	etcd, peers, api := free(t), free(t), free(t)
	r.begin("etcd", "--data-dir="+r.file("etcd"), "--listen-client-urls=http://"+etcd, "--advertise-client-urls=http://"+etcd,
		"--listen-peer-urls=http://"+peers, "--initial-advertise-peer-urls=http://"+peers, "--initial-cluster=default=http://"+peers, "--log-level=error")
	r.accounts()
	token := rand.Text()
	r.write("tokens", token+",admin,admin,system:masters\n")
	host, port, _ := net.SplitHostPort(api)
	r.begin("apiserver", "--etcd-servers=http://"+etcd, "--service-account-issuer=https://plexus.test",
		"--service-account-key-file="+r.file("accounts.pub"), "--service-account-signing-key-file="+r.file("accounts.key"),
		"--token-auth-file="+r.file("tokens"), "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount",
		"--bind-address="+host, "--advertise-address="+host, "--secure-port="+port, "--cert-dir="+r.file("certificates"), "--service-cluster-ip-range=10.96.0.0/16")
	r.config = &rest.Config{Host: "https://" + api, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	r.write("kubeconfig", fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c",
"clusters":[{"name":"c","cluster":{"server":"https://%s","insecure-skip-tls-verify":true}}],
"users":[{"name":"u","user":{"token":%q}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}]}`, api, token))
	r.ready()
	for part, more := range map[string]string{"scheduler": "--v=0", "controllers": "--controllers=*,-node-lifecycle-controller"} {
		host, port, _ := net.SplitHostPort(free(t))
		r.begin(part, "--kubeconfig="+r.file("kubeconfig"), "--leader-elect=false", "--bind-address="+host, "--secure-port="+port, "--cert-dir="+r.file(part), more)
	}
	return r
}

func free(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (r *real) file(name string) string { return filepath.Join(r.dir, name) }

func (r *real) write(name, text string) {
	if err := os.WriteFile(r.file(name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// accounts makes the key by which service accounts are signed.
func (r *real) accounts() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		r.t.Fatal(err)
	}
	r.write("accounts.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})))
	r.write("accounts.pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
}

// begin starts a part, which ends with the test.
func (r *real) begin(part string, args ...string) {
	log, err := os.Create(r.file(part + ".log"))
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(r.binary, append([]string{part}, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if r.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			r.t.Logf("the last of %s: %s", part, text[max(len(text)-1500, 0):])
		}
	})
}

// ready waits for the API server.
func (r *real) ready() {
	c := clients.NewForConfigOrDie(r.config)
	r.wait("the API server", func() bool {
		_, err := c.CoreV1().Namespaces().Get(r.t.Context(), "kube-system", metav1.GetOptions{})
		return err == nil
	})
}

func (r *real) wait(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// furnish gives the cluster machines, a sandbox and a class of disks.
func (r *real) furnish(c clients.Interface) {
	ctx := r.t.Context()
	for _, n := range []*corev1.Node{node("one", "4", "8Gi"), node("two", "4", "8Gi")} {
		made, err := c.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{})
		if err != nil {
			r.t.Fatal(err)
		}
		made.Spec.Taints = nil // of machines that were not heard of yet
		if made, err = c.CoreV1().Nodes().Update(ctx, made, metav1.UpdateOptions{}); err != nil {
			r.t.Fatal(err)
		}
		made.Status = n.Status
		if _, err = c.CoreV1().Nodes().UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
			r.t.Fatal(err)
		}
	}
	class := &nodev1.RuntimeClass{
		ObjectMeta: metav1.ObjectMeta{Name: "gvisor"}, Handler: "runsc",
		Overhead: &nodev1.Overhead{PodFixed: corev1.ResourceList{"cpu": resource.MustParse("50m"), "memory": resource.MustParse("48Mi")}},
	}
	if _, err := c.NodeV1().RuntimeClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
	disks := &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: "fast", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner: "example.com/disk",
	}
	if _, err := c.StorageV1().StorageClasses().Create(ctx, disks, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// admit gives the provider what deploy/kubernetes gives it, and nothing else.
func (r *real) admit(c clients.Interface) {
	text, err := os.ReadFile("../../deploy/kubernetes/provider.yaml")
	if err != nil {
		r.t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(text), "\n---\n") {
		var kind metav1.TypeMeta
		err := yaml.Unmarshal([]byte(part), &kind)
		switch kind.Kind {
		case "ClusterRole":
			var role rbacv1.ClusterRole
			if err = yaml.UnmarshalStrict([]byte(part), &role); err == nil {
				_, err = c.RbacV1().ClusterRoles().Create(r.t.Context(), &role, metav1.CreateOptions{})
			}
		case "ClusterRoleBinding":
			var binding rbacv1.ClusterRoleBinding
			if err = yaml.UnmarshalStrict([]byte(part), &binding); err == nil {
				_, err = c.RbacV1().ClusterRoleBindings().Create(r.t.Context(), &binding, metav1.CreateOptions{})
			}
		}
		if err != nil {
			r.t.Fatalf("%s: %v", kind.Kind, err)
		}
	}
}

// open opens the engine as the provider's own account.
func (r *real) open() *kubernetes.Engine {
	c := rest.CopyConfig(r.config)
	c.Impersonate.UserName, c.Impersonate.Groups = "system:serviceaccount:plexus:provider", []string{"system:authenticated"}
	e, err := kubernetes.Open(kubernetes.Options{
		Provider: providerName, Config: c, Classes: map[string]string{"beta3": "fast"}, Place: 2 * time.Second, Settling: time.Minute,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func TestARealAPIServer(t *testing.T) {
	r := newReal(t)
	c := clients.NewForConfigOrDie(r.config)
	r.furnish(c)
	r.admit(c)
	(&kubelet{client: c}).run(t, 200*time.Millisecond)
	e := r.open()
	var report sandbox.Report
	var err error
	r.wait("a report", func() bool { // roles take effect when the server has seen them
		report, err = e.Check(t.Context())
		return err == nil
	})
	if !strings.HasPrefix(report.Engine, "kubernetes v") {
		t.Fatalf("report %+v", report)
	}
	t.Logf("%s lacks %q", report.Engine, report.Missing)
	db := workload("db", "serve")
	db.Volumes = []sandbox.Volume{{Name: "data", Class: "beta3", Size: 1 << 30, Path: "/data"}, {Name: "more", Size: 8 << 20, Path: "/more"}}
	db.Image.Username, db.Image.Password, db.Shm = "someone", "secret", 16<<20
	db.Ports = []sandbox.Port{{Container: 53, Host: 30053, UDP: true}, {Container: 53, Host: 30053}}
	began := time.Now()
	if s := start(t, e, db); s.State != sandbox.Running {
		t.Fatalf("status %+v", s)
	}
	t.Logf("from Start to running: %v", time.Since(began).Round(time.Millisecond))
	space := r.space(c)
	t.Run("stores what was made", func(t *testing.T) { stores(t, c, space) })
	t.Run("refuses what breaks out", func(t *testing.T) { refuses(t, c, space) })
	t.Run("places by room", func(t *testing.T) { places(t, e) })
	t.Run("stops and starts", func(t *testing.T) { stops(t, e, db) })
	t.Run("finds all again and releases it", func(t *testing.T) { r.releases(t, c, e, space) })
}

// space is the only namespace of a lease.
func (r *real) space(c clients.Interface) string {
	all, err := c.CoreV1().Namespaces().List(r.t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=plexus"})
	if err != nil || len(all.Items) != 1 {
		r.t.Fatalf("%d namespaces, %v, want one", len(all.Items), err)
	}
	return all.Items[0].Name
}

func stores(t *testing.T, c clients.Interface, space string) {
	claims, err := c.CoreV1().PersistentVolumeClaims(space).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(claims.Items) != 2 {
		t.Fatalf("%d claims, %v, want 2", len(claims.Items), err)
	}
	for _, claim := range claims.Items {
		if claim.Status.Phase != corev1.ClaimBound || *claim.Spec.StorageClassName != "fast" {
			t.Errorf("claim %s is %s, of class %s", claim.Name, claim.Status.Phase, *claim.Spec.StorageClassName)
		}
	}
	policies, err := c.NetworkingV1().NetworkPolicies(space).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(policies.Items) != 2 {
		t.Errorf("%d policies, %v, want 2", len(policies.Items), err)
	}
	lease, err := c.NetworkingV1().NetworkPolicies(space).Get(t.Context(), "lease", metav1.GetOptions{})
	if err != nil || !slices.Contains(lease.Spec.Egress[2].To[0].IPBlock.Except, "169.254.0.0/16") {
		t.Errorf("the policy of the lease: %+v, %v", lease, err)
	}
	services, err := c.CoreV1().Services(space).List(t.Context(), metav1.ListOptions{LabelSelector: "plexus.network/replica=0"})
	if err != nil || len(services.Items) != 1 || len(services.Items[0].Spec.Ports) != 2 || services.Items[0].Spec.Ports[0].NodePort != 30053 {
		t.Errorf("published: %+v, %v", services, err)
	}
}

// refuses is what the cluster does not let into a lease's namespace.
func refuses(t *testing.T, c clients.Interface, space string) {
	pod := func(change func(*corev1.Pod)) error {
		one := corev1.ResourceList{"cpu": resource.MustParse("10m"), "memory": resource.MustParse("16Mi"), "ephemeral-storage": resource.MustParse("1Mi")}
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "intruder"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: "example.com/x", Resources: corev1.ResourceRequirements{Requests: one, Limits: one},
		}}}}
		change(p)
		_, err := c.CoreV1().Pods(space).Create(t.Context(), p, metav1.CreateOptions{})
		return err
	}
	for want, change := range map[string]func(*corev1.Pod){
		"host namespaces": func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"privileged": func(p *corev1.Pod) {
			yes := true
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
		},
		"exceeded quota": func(*corev1.Pod) {},
		"limit to request ratio": func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("16Mi"), "ephemeral-storage": resource.MustParse("1Mi")}
		},
	} {
		if err := pod(change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// places fills two machines of four cores with replicas of three.
func places(t *testing.T, e *kubernetes.Engine) {
	for n := range 3 {
		w := workload("web", "serve")
		w.CPU, w.ID.Replica = 3000, n
		err := e.Start(t.Context(), w)
		if n < 2 && err != nil {
			t.Errorf("replica %d: %v", n, err)
		}
		if n == 2 && (err == nil || !strings.Contains(err.Error(), "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu")) {
			t.Errorf("replica %d, for which there is no room: %v", n, err)
		}
	}
}

func stops(t *testing.T, e *kubernetes.Engine, w sandbox.Workload) {
	if err := e.Stop(t.Context(), w.ID, 0); err != nil {
		t.Fatal(err)
	}
	if s := status(t, e, w.ID); s.State != sandbox.Exited || s.Reason != sandbox.ReasonStopped {
		t.Errorf("stopped: %+v", s)
	}
	w.Ports = w.Ports[:1]
	if s := start(t, e, w); s.State != sandbox.Running {
		t.Errorf("started again: %+v", s)
	}
}

func (r *real) releases(t *testing.T, c clients.Interface, e *kubernetes.Engine, space string) {
	before, err := e.List(t.Context())
	if err != nil || len(before) != 4 {
		t.Fatalf("%+v, %v, want four replicas", before, err)
	}
	again := r.open()
	after, err := again.List(t.Context())
	if err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("after a restart: %+v, %v, want %+v", after, err, before)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	if err := again.Release(ctx, leaseName); err != nil {
		t.Fatal(err)
	}
	t.Logf("release: %v", time.Since(began).Round(time.Millisecond))
	if after, err = again.List(ctx); err != nil || len(after) != 0 {
		t.Errorf("after the release: %+v, %v", after, err)
	}
	pods, err := c.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil || len(pods.Items) != 0 {
		t.Errorf("%d pods are left, %v", len(pods.Items), err)
	}
	if _, err := c.CoreV1().Namespaces().Get(ctx, space, metav1.GetOptions{}); err == nil {
		t.Errorf("namespace %s is left", space)
	}
}
