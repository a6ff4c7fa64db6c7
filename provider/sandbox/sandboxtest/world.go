package sandboxtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/plexus-network/plexus/provider/shim"
)

// inside marks a test binary that runs in namespaces of its own.
const inside = "PLEXUS_SANDBOXTEST"

// doomed makes a test binary a daemon that dies: see kit.kill9. It holds the
// daemon's folder and the image's, separated by a line feed.
const doomed = "PLEXUS_SANDBOXTEST_DOOMED"

// Main runs a package's tests in new network and mount namespaces, with a
// little internet beside them, so that bridges, rules and mounts never touch
// the machine's. Where nobody asked for containers, or without root, it runs the
// tests as they are; they then skip, or say why they cannot run.
func Main(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == shimArg {
		if err := shim.Run(os.Args[2], os.Stdin, os.NewFile(shim.Ready, "ready")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv("PLEXUS_SANDBOX") == "" || os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	if os.Getenv(doomed) != "" {
		os.Exit(m.Run()) // in the namespaces of its parent
	}
	if os.Getenv(inside) != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "the tests' own network:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(max(exit.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the tests' own namespaces:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// shimArg makes a test binary with [Main] a shim.
const shimArg = "sandboxtest-shim"

// Shim is the command line of this test binary as package shim.
func Shim(t testing.TB) []string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, shimArg}
}

// able skips a test where nobody asked for containers. Who did is told what
// they lack here.
func able(t testing.TB) {
	t.Helper()
	switch {
	case os.Getenv("PLEXUS_SANDBOX") == "":
		t.Skip("hostile workloads run where PLEXUS_SANDBOX is set, as make sandbox-test does")
	case os.Geteuid() != 0:
		t.Fatal("containers need root")
	case os.Getenv(inside) == "":
		t.Fatal("the package's TestMain does not call sandboxtest.Main")
	}
	for _, p := range []string{"nft", "mkfs.ext4", "go"} {
		if p == "go" && os.Getenv(prebuilt) != "" {
			continue
		}
		if _, err := exec.LookPath(p); err != nil {
			t.Fatal("the program " + p + " is missing")
		}
	}
}

// The tests' world: this machine is host, behind it is the internet's router
// with a server, and one neighbour on the same wire.
const (
	hostAddress     = "203.0.113.2/24"
	neighbour       = "203.0.113.9"
	internet        = "198.51.100.7" // behind the router
	metadata        = "169.254.169.254"
	privateBeyond   = "10.255.255.9" // a private network that the router leads to
	worldInterface  = "up0"
	routerInterface = "down0"
)

// world is the network namespace of everybody else.
var world netns.NsHandle

// furnish makes that world.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	// What /sys/class/net shows belongs to the namespace that mounted it.
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	if world, err = elsewhere(); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = worldInterface
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: routerInterface, PeerNamespace: netlink.NsFd(world)}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	up, err := netlink.LinkByName(worldInterface)
	if err != nil {
		return err
	}
	address, err := netlink.ParseAddr(hostAddress)
	if err != nil {
		return err
	}
	if err := errors.Join(netlink.AddrAdd(up, address), netlink.LinkSetUp(up)); err != nil {
		return err
	}
	if err := furnishWorld(); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: up.Attrs().Index, Gw: net.ParseIP(neighbour)})
}

// furnishWorld gives the other side every address that a tenant might want.
func furnishWorld() error {
	h, err := netlink.NewHandleAt(world)
	if err != nil {
		return err
	}
	defer h.Close()
	down, err := h.LinkByName(routerInterface)
	if err != nil {
		return err
	}
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	errs := []error{h.LinkSetUp(lo)}
	for _, a := range []string{neighbour + "/24", internet + "/32", metadata + "/32", privateBeyond + "/32"} {
		address, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		errs = append(errs, h.AddrAdd(down, address))
	}
	return errors.Join(append(errs, h.LinkSetUp(down))...)
}

// elsewhere makes a network namespace.
func elsewhere() (netns.NsHandle, error) {
	type result struct {
		ns  netns.NsHandle
		err error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		ns, err := netns.New()
		made <- result{ns, err}
	}()
	r := <-made
	return r.ns, r.err
}

// outside runs f on a thread that is in the world beyond this machine.
func outside[T any](t testing.TB, f func() (T, error)) (T, error) {
	t.Helper()
	type result struct {
		v   T
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		var r result
		if r.err = netns.Set(world); r.err == nil {
			r.v, r.err = f()
		}
		done <- r
	}()
	r := <-done
	return r.v, r.err
}

// listen opens a server out there on every address at once, which drains what
// it is sent.
func listen(t testing.TB, port string) {
	t.Helper()
	l, err := outside(t, func() (net.Listener, error) { return net.Listen("tcp4", "0.0.0.0:"+port) })
	if err != nil {
		t.Fatal(err)
	}
	serve(l)
	t.Cleanup(func() { _ = l.Close() })
}

// serve drains every connection until l closes.
func serve(l net.Listener) {
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				buf := make([]byte, 1<<20)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
				}
			}()
		}
	}()
}

// opened are the addresses of dial's answer that could be reached.
func opened(answer string) []string {
	var all []string
	for line := range strings.SplitSeq(answer, "\n") {
		if address, ok := strings.CutSuffix(line, " open"); ok {
			all = append(all, address)
		}
	}
	return all
}
