package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/yuma"
)

// A process is a node of a chain in a process of its own.
type process struct {
	t    *testing.T
	home string
	grpc string
	cmd  *exec.Cmd
}

// start runs the node.
func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command("plexus", "chain", "start", "--home", p.home)
	p.cmd.Stdout, p.cmd.Stderr = p.t.Output(), p.t.Output()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// kill ends the node as a loss of power would.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	p.cmd = nil
}

// stop ends the node as Ctrl-C does.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	err := p.cmd.Wait()
	p.cmd = nil
	return err
}

// reach waits until the node has a height, and returns the head it has then.
func (p *process) reach(height yuma.Height) ledger.Head {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Minute)
	defer cancel()
	l, err := ledger.Dial(p.grpc, ledger.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	defer l.Close()
	var last ledger.Head
	for last = range l.Heads(ctx) {
		if last.Height >= height {
			return last
		}
	}
	p.t.Fatalf("%s is at height %d after five minutes, want %d", p.home, last.Height, height)
	return last
}

// portsTaken counts the hundreds of ports that this process has used.
var portsTaken atomic.Int32

// freePorts returns the first of n ports in a row, at most 100, that nobody
// listens on. They lie below those that Linux gives to whoever asks for any, as
// every client does, so that they are still free when they are needed.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	for range 200 {
		first, free := 10000+(os.Getpid()+int(portsTaken.Add(1)))%200*100, true
		for port := first; port < first+n && free; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if free = err == nil; free {
				l.Close()
			}
		}
		if free {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

// TestChainOfProcesses loses one of four validators, then all of them, and
// finds the chain as it was each time.
func TestChainOfProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes for some 20 s")
	}
	home := t.TempDir()
	maker := exec.Command("plexus", "chain", "init", "--validators", "4", "--block-time", "500ms",
		"--port", fmt.Sprint(freePorts(t, 40)), "--home", home)
	if out, err := maker.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	nodes := make([]*process, 4)
	for i := range nodes {
		dir := filepath.Join(home, fmt.Sprintf("node%d", i))
		s, err := readNode(dir)
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = &process{t: t, home: dir, grpc: s.GRPC}
		nodes[i].start()
		t.Cleanup(func() {
			if nodes[i].cmd != nil {
				nodes[i].kill()
			}
		})
	}
	for _, n := range nodes {
		n.reach(3)
	}

	nodes[3].kill()
	before := nodes[0].reach(1).Height
	after := nodes[0].reach(before + 5).Height
	t.Logf("three of four went from block %d to %d", before, after)

	nodes[3].start()
	sameBlock(t, nodes, nodes[3].reach(after).Height)

	var top yuma.Height
	for _, n := range nodes {
		top = max(top, n.reach(1).Height)
	}
	for _, n := range nodes {
		n.kill()
	}
	for _, n := range nodes {
		n.start()
	}
	// One block may have come between the look and the kill.
	last := nodes[1].reach(top + 5)
	sameBlock(t, nodes, after)
	t.Logf("the loss of all four at block %d, then block %d", top, last.Height)

	for _, n := range nodes {
		if err := n.stop(); err != nil {
			t.Errorf("%s stopped with %v", n.home, err)
		}
	}
}

// sameBlock fails unless all nodes have the same block at a height.
func sameBlock(t *testing.T, nodes []*process, height yuma.Height) {
	t.Helper()
	var want [32]byte
	for i, n := range nodes {
		n.reach(height)
		l, err := ledger.Dial(n.grpc, ledger.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		got, err := l.BlockHash(t.Context(), height)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want = got
		}
		if got != want {
			t.Errorf("block %d is %x on node %d, %x on node 0", height, got, i, want)
		}
	}
}
