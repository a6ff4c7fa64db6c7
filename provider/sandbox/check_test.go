package sandbox_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/provider/sandbox"
)

func workload() sandbox.Workload {
	return sandbox.Workload{
		ID: sandbox.ID{Lease: "owner/1/1/1", Service: "web"}, Root: "/image",
		Process: sandbox.Process{Args: []string{"/x"}},
		CPU:     100, Memory: 64 << 20, Disk: 1 << 30,
		Volumes: []sandbox.Volume{{Name: "data", Size: 1 << 30, Path: "/data"}},
		Ports:   []sandbox.Port{{Container: 80}, {Container: 53, UDP: true}},
	}
}

func TestCheckAcceptsAWorkload(t *testing.T) {
	if err := workload().Check(); err != nil {
		t.Error(err)
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*sandbox.Workload)
		says  string
	}{
		"no lease":          {func(w *sandbox.Workload) { w.ID.Lease = "" }, "lease"},
		"long lease":        {func(w *sandbox.Workload) { w.ID.Lease = sandbox.Lease(strings.Repeat("x", 256)) }, "256"},
		"service":           {func(w *sandbox.Workload) { w.ID.Service = "a/b" }, "a/b"},
		"replica":           {func(w *sandbox.Workload) { w.ID.Replica = 251 }, "251"},
		"little cpu":        {func(w *sandbox.Workload) { w.CPU = 9 }, "cpu"},
		"negative memory":   {func(w *sandbox.Workload) { w.Memory = -1 }, "memory"},
		"no disk":           {func(w *sandbox.Workload) { w.Disk = 0 }, "disk"},
		"endless disk":      {func(w *sandbox.Workload) { w.Disk = 1<<63 - 1 }, "disk"},
		"shm":               {func(w *sandbox.Workload) { w.Shm = 1 }, "shm"},
		"pids":              {func(w *sandbox.Workload) { w.Pids = -1 }, "pids"},
		"egress":            {func(w *sandbox.Workload) { w.Egress = 1 }, "egress"},
		"relative root":     {func(w *sandbox.Workload) { w.Root = "image" }, "image"},
		"no command":        {func(w *sandbox.Workload) { w.Process.Args = nil }, "command"},
		"zero byte":         {func(w *sandbox.Workload) { w.Process.Env = []string{"A=\x00"} }, "zero byte"},
		"long arguments":    {func(w *sandbox.Workload) { w.Process.Args = []string{strings.Repeat("x", 2<<20)} }, "2097152"},
		"relative folder":   {func(w *sandbox.Workload) { w.Process.Dir = "a" }, "\"a\""},
		"volume's name":     {func(w *sandbox.Workload) { w.Volumes[0].Name = ".." }, "\"..\""},
		"volume's size":     {func(w *sandbox.Workload) { w.Volumes[0].Size = 1 }, "data"},
		"volume at the top": {func(w *sandbox.Workload) { w.Volumes[0].Path = "/a/.." }, "/a/.."},
		"volume over /dev":  {func(w *sandbox.Workload) { w.Volumes[0].Path = "/x/../dev/shm" }, "/dev"},
		"volume twice":      {func(w *sandbox.Workload) { w.Volumes = append(w.Volumes, w.Volumes[0]) }, "twice"},
		"port zero":         {func(w *sandbox.Workload) { w.Ports[0].Container = 0 }, "port 0"},
		"port twice":        {func(w *sandbox.Workload) { w.Ports[1] = w.Ports[0] }, "twice"},
		"many ports":        {func(w *sandbox.Workload) { w.Ports = make([]sandbox.Port, 65) }, "65 ports"},
	} {
		w := workload()
		c.spoil(&w)
		if err := w.Check(); !errors.Is(err, sandbox.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %.200v, want %v with %q", name, err, sandbox.ErrInvalid, c.says)
		}
	}
}

func TestStateHasAName(t *testing.T) {
	for s, want := range map[sandbox.State]string{
		0: "invalid", sandbox.Starting: "starting", sandbox.Running: "running", sandbox.Exited: "exited", sandbox.Failed: "failed",
	} {
		if got := s.String(); got != want {
			t.Errorf("state %d is %q, want %q", s, got, want)
		}
	}
}
