package kubernetes_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clients "k8s.io/client-go/kubernetes"
)

// A kubelet pretends to be that of all machines of a cluster: it moves the pods
// that are placed through their lives, as their commands say, and binds disks.
// Commands are those of the kit's tenant: serve, exit N, stubborn; and oom and
// evict, which go too far.
type kubelet struct {
	client clients.Interface
	alone  bool // there is no scheduler and no controller: it stands in for them
}

// run works until the test ends.
func (k *kubelet) run(t *testing.T, pace time.Duration) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := k.work(ctx); err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				t.Errorf("the kubelet: %v", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(pace):
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
}

func (k *kubelet) work(ctx context.Context) error {
	if k.alone {
		if err := k.count(ctx); err != nil {
			return err
		}
	}
	if err := k.bind(ctx); err != nil {
		return err
	}
	pods, err := k.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	nodes, err := k.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for n := range pods.Items {
		if err := k.advance(ctx, &pods.Items[n], nodes.Items); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// count does a quota controller's work.
func (k *kubelet) count(ctx context.Context) error {
	all, err := k.client.CoreV1().ResourceQuotas("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, q := range all.Items {
		q.Status.Hard, q.Status.Used = q.Spec.Hard, q.Spec.Hard
		if _, err := k.client.CoreV1().ResourceQuotas(q.Namespace).UpdateStatus(ctx, &q, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// bind makes a disk for every claim that has none, as a provisioner does.
func (k *kubelet) bind(ctx context.Context) error {
	all, err := k.client.CoreV1().PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, c := range all.Items {
		if c.Status.Phase == corev1.ClaimBound || c.Spec.VolumeName != "" || c.DeletionTimestamp != nil {
			continue
		}
		disk := &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "disk-" + string(c.UID) + c.Name},
			Spec: corev1.PersistentVolumeSpec{
				Capacity: c.Spec.Resources.Requests, AccessModes: c.Spec.AccessModes, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
				ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: c.Namespace, Name: c.Name, UID: c.UID},
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nowhere"}},
			},
		}
		if c.Spec.StorageClassName != nil {
			disk.Spec.StorageClassName = *c.Spec.StorageClassName
		}
		if _, err := k.client.CoreV1().PersistentVolumes().Create(ctx, disk, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// advance takes a pod one step on.
func (k *kubelet) advance(ctx context.Context, p *corev1.Pod, nodes []corev1.Node) error {
	pods := k.client.CoreV1().Pods(p.Namespace)
	if p.DeletionTimestamp != nil {
		now := int64(0)
		return pods.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	}
	if p.Spec.NodeName == "" {
		if !k.alone {
			return nil
		}
		return k.place(ctx, p, nodes)
	}
	before := p.DeepCopy()
	step(p)
	if p.Status.Phase == before.Status.Phase && p.Status.Reason == before.Status.Reason && len(before.Status.ContainerStatuses) > 0 {
		return nil
	}
	_, err := pods.UpdateStatus(ctx, p, metav1.UpdateOptions{})
	return err
}

// place does a scheduler's work, by processors alone.
func (k *kubelet) place(ctx context.Context, p *corev1.Pod, nodes []corev1.Node) error {
	pods := k.client.CoreV1().Pods(p.Namespace)
	for _, n := range nodes {
		if n.Status.Conditions[0].Status == corev1.ConditionTrue && p.Spec.Containers[0].Resources.Requests.Cpu().Cmp(*n.Status.Allocatable.Cpu()) <= 0 {
			p.Spec.NodeName = n.Name
			_, err := pods.Update(ctx, p, metav1.UpdateOptions{})
			return err
		}
	}
	if len(p.Status.Conditions) > 0 {
		return nil
	}
	p.Status.Phase = corev1.PodPending
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: fmt.Sprintf("0/%d nodes are available: %d Insufficient cpu.", len(nodes), len(nodes)),
	}}
	_, err := pods.UpdateStatus(ctx, p, metav1.UpdateOptions{})
	return err
}

// step does what a pod's command says.
func step(p *corev1.Pod) {
	now := metav1.Now().Rfc3339Copy()
	c, s := p.Spec.Containers[0], &p.Status
	if len(s.ContainerStatuses) == 0 {
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: c.Name, Image: c.Image}}
		s.Phase = corev1.PodPending
	}
	at := &s.ContainerStatuses[0].State
	end := func(code int32, reason string) {
		begun := now
		if at.Running != nil {
			begun = at.Running.StartedAt
		}
		*at = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: begun, FinishedAt: now}}
		s.Phase = corev1.PodFailed
		if code == 0 {
			s.Phase = corev1.PodSucceeded
		}
	}
	what := append(slices.Clone(c.Command), "", "")
	switch {
	case s.Phase == corev1.PodSucceeded, s.Phase == corev1.PodFailed:
	case strings.Contains(c.Image, "missing"):
		at.Waiting = &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "manifest unknown"}
	case what[0] != "/tenant" && at.Running == nil:
		end(128, "StartError")
		at.Terminated.Message = fmt.Sprintf("exec: %q: no such file or directory", what[0])
	case at.Running == nil:
		s.Phase, s.StartTime, s.PodIP, s.PodIPs = corev1.PodRunning, &now, "10.1.2.3", []corev1.PodIP{{IP: "10.1.2.3"}}
		*at = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
	case p.Spec.ActiveDeadlineSeconds != nil:
		end(map[bool]int32{true: 137, false: 0}[what[1] == "stubborn"], "Error")
		s.Phase, s.Reason, s.Message = corev1.PodFailed, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
	case what[1] == "exit":
		code, _ := strconv.Atoi(what[2])
		end(int32(code), "Error")
	case what[1] == "oom":
		end(137, "OOMKilled")
	case what[1] == "evict":
		end(137, "Error")
		s.Reason, s.Message = "Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 32Mi."
	}
}

// node is a machine that is ready.
func node(name, cpu, memory string) *corev1.Node {
	all := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelArchStable: runtime.GOARCH, corev1.LabelOSStable: "linux", corev1.LabelHostname: name,
		}},
		Status: corev1.NodeStatus{
			Capacity: all, Allocatable: all,
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "198.51.100.9"}, {Type: corev1.NodeHostName, Address: name}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}},
		},
	}
}
