package kubernetes

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// container is the name of a pod's only one.
const container = "main"

// group owns the volumes of programs that are not root, who are all in it: so
// they can write, whatever their own group.
const group = 65532

// capabilities are those that root in a container commonly needs, and that
// reach no further than the container: those of package oci.
var capabilities = []corev1.Capability{
	"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

// pod describes one run of w.
func (e *Engine) pod(w sandbox.Workload, name, sum string) *corev1.Pod {
	no, grace := false, int64(e.o.Grace.Seconds())
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: e.meta(name, w.ID.Lease, e.labelsOf(w.ID)),
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Hostname:      replica(w.ID), Subdomain: w.ID.Service,
			AutomountServiceAccountToken: &no, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &grace,
			NodeSelector:    map[string]string{corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH},
			SecurityContext: users(w),
			Containers:      []corev1.Container{e.container(w)},
		},
	}
	p.Annotations[annotationWorkload] = sum
	if w.Egress > 0 {
		rate := strconv.FormatInt(w.Egress, 10)
		p.Annotations["kubernetes.io/egress-bandwidth"], p.Annotations["kubernetes.io/ingress-bandwidth"] = rate, rate
	}
	if e.o.RuntimeClass != NoRuntimeClass {
		p.Spec.RuntimeClassName = &e.o.RuntimeClass
	}
	if w.Image.Username != "" || w.Image.Password != "" {
		p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: pullName(w.ID)}}
	}
	disks(w, &p.Spec)
	return p
}

func (e *Engine) container(w sandbox.Workload) corev1.Container {
	no := false
	all := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewMilliQuantity(w.CPU, resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(w.Memory+w.Shm, resource.BinarySI), // /dev/shm counts as memory
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(w.Disk, resource.BinarySI),
	}
	if n := len(w.GPUs); n > 0 {
		all[gpu] = *resource.NewQuantity(int64(n), resource.DecimalSI)
	}
	c := corev1.Container{
		Name: container, Image: w.Image.Ref, ImagePullPolicy: corev1.PullIfNotPresent, WorkingDir: w.Process.Dir,
		Resources: corev1.ResourceRequirements{Requests: all, Limits: all},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, Privileged: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	if root(w.Process) {
		c.SecurityContext.Capabilities.Add = slices.Clone(capabilities)
	}
	for _, a := range w.Process.Args {
		c.Command = append(c.Command, literal(a))
	}
	for _, v := range w.Process.Env {
		key, value, _ := strings.Cut(v, "=")
		c.Env = append(c.Env, corev1.EnvVar{Name: key, Value: literal(value)})
	}
	return c
}

// literal keeps Kubernetes from expanding $(NAME) in text that is not its own.
func literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// root tells whether a process may be root: as an image's own user, too, whose
// name nobody has looked up.
func root(p sandbox.Process) bool { return p.User != "" || p.UID == 0 }

// users is who runs a pod's processes.
func users(w sandbox.Workload) *corev1.PodSecurityContext {
	c := &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	p := w.Process
	if p.User == "" {
		uid, gid, notRoot := int64(p.UID), int64(p.GID), p.UID != 0
		c.RunAsUser, c.RunAsGroup = &uid, &gid
		if notRoot {
			c.RunAsNonRoot = &notRoot
		}
		for _, g := range p.Groups {
			c.SupplementalGroups = append(c.SupplementalGroups, int64(g))
		}
	}
	if len(w.Volumes) > 0 && (p.User != "" || p.UID != 0) {
		gid, change := int64(group), corev1.FSGroupChangeOnRootMismatch
		c.FSGroup, c.FSGroupChangePolicy = &gid, &change
	}
	return c
}

// disks gives a pod its volumes and its shared memory.
func disks(w sandbox.Workload, s *corev1.PodSpec) {
	add := func(name, at string, readOnly bool, from corev1.VolumeSource) {
		s.Volumes = append(s.Volumes, corev1.Volume{Name: name, VolumeSource: from})
		s.Containers[0].VolumeMounts = append(s.Containers[0].VolumeMounts, corev1.VolumeMount{Name: name, MountPath: at, ReadOnly: readOnly})
	}
	for n, v := range w.Volumes {
		add(fmt.Sprint("volume-", n), path.Clean(v.Path), v.ReadOnly, corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(w.ID, v)},
		})
	}
	if w.Shm > 0 {
		add("shm", "/dev/shm", false, corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: resource.NewQuantity(w.Shm, resource.BinarySI)},
		})
	}
}

// volume describes the disk that a volume is: one node's at a time.
func (e *Engine) volume(id sandbox.ID, v sandbox.Volume) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: e.meta(claimName(id, v), id.Lease, e.labelsOf(id)),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceStorage: *resource.NewQuantity(v.Size, resource.BinarySI),
			}},
		},
	}
	if class, ok := e.o.Classes[v.Class]; ok {
		c.Spec.StorageClassName = &class
	}
	return c
}

// secret holds the credentials by which a machine pulls w's image.
func (e *Engine) secret(w sandbox.Workload) (*corev1.Secret, error) {
	ref, err := name.ParseReference(w.Image.Ref)
	if err != nil {
		return nil, fmt.Errorf("%w: image %q: %w", sandbox.ErrInvalid, w.Image.Ref, err)
	}
	server := ref.Context().RegistryStr()
	if server == name.DefaultRegistry {
		server = "https://index.docker.io/v1/" // as kubelets look for it
	}
	text, err := json.Marshal(map[string]any{"auths": map[string]any{server: map[string]string{
		"username": w.Image.Username, "password": w.Image.Password,
		"auth": base64.StdEncoding.EncodeToString([]byte(w.Image.Username + ":" + w.Image.Password)),
	}}})
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: e.meta(pullName(w.ID), w.ID.Lease, e.labels(w.ID.Lease)),
		Type:       corev1.SecretTypeDockerConfigJson,
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: text},
	}, nil
}
