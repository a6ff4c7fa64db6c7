package network

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Plug is where one start of a replica is connected.
type Plug struct {
	Lease int
	Host  int    // 2 to 254
	Pin   string // a path at which the network namespace will be found
	Rate  int64  // bits per second each way; 0 means not shaped
}

// Plug makes a network namespace with an address in it. It serves one start:
// gVisor takes the address out and keeps it, so a restart plugs anew. Leftovers
// of an earlier start are replaced.
func (s *Switch) Plug(p Plug) error {
	if err := s.Unplug(p); err != nil {
		return err
	}
	ns, err := pin(p.Pin)
	if err != nil {
		return fmt.Errorf("network: namespace for %s: %w", s.Address(p.Lease, p.Host), err)
	}
	defer func() { _ = ns.Close() }() // it is pinned
	if err := s.connect(p, ns); err != nil {
		return errors.Join(fmt.Errorf("network: connect %s: %w", s.Address(p.Lease, p.Host), err), s.Unplug(p))
	}
	return nil
}

// Unplug undoes a Plug; one that is gone is no error.
func (s *Switch) Unplug(p Plug) error {
	// The kernel destroys a namespace at its leisure, so the device goes first.
	err := deleteLink(s.veth(p.Lease, p.Host))
	if e := unix.Unmount(p.Pin, unix.MNT_DETACH); e != nil && !errors.Is(e, unix.EINVAL) && !errors.Is(e, unix.ENOENT) {
		err = errors.Join(err, fmt.Errorf("network: unpin %s: %w", p.Pin, e))
	}
	if e := os.Remove(p.Pin); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// pin makes a network namespace that stays as long as it is mounted at path.
func pin(path string) (netns.NsHandle, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o600)
	if err != nil {
		return netns.None(), err
	}
	if err := f.Close(); err != nil {
		return netns.None(), err
	}
	type result struct {
		ns  netns.NsHandle
		err error
	}
	done := make(chan result)
	go func() {
		// The thread ends in the new namespace and with this goroutine, because
		// it is never unlocked: no other goroutine can end up there.
		runtime.LockOSThread()
		ns, err := netns.New()
		if err == nil {
			err = unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), path, "", unix.MS_BIND, "")
		}
		done <- result{ns, err}
	}()
	r := <-done
	return r.ns, r.err
}

// connect ties the namespace to the lease's bridge.
func (s *Switch) connect(p Plug, ns netns.NsHandle) error {
	bridge, err := netlink.LinkByName(s.bridge(p.Lease))
	if err != nil {
		return err
	}
	ip := s.Address(p.Lease, p.Host).As4()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = s.veth(p.Lease, p.Host)
	attrs.MasterIndex = bridge.Attrs().Index
	pair := &netlink.Veth{
		LinkAttrs:     attrs,
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(ns),
		// Fixed by the address, else neighbours remember the last start's.
		PeerHardwareAddr: net.HardwareAddr{0x02, 0x42, ip[0], ip[1], ip[2], ip[3]},
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+attrs.Name+"/disable_ipv6", []byte("1"), 0o644)
	outer, err := netlink.LinkByName(attrs.Name)
	if err != nil {
		return err
	}
	if err := shape(nil, outer, p.Rate); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(outer); err != nil {
		return err
	}
	return s.furnish(p, ns)
}

// furnish sets up the inside of a namespace.
func (s *Switch) furnish(p Plug, ns netns.NsHandle) error {
	inside, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer inside.Close()
	lo, err := inside.LinkByName("lo")
	if err != nil {
		return err
	}
	eth, err := inside.LinkByName("eth0")
	if err != nil {
		return err
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: s.Address(p.Lease, p.Host).AsSlice(), Mask: net.CIDRMask(24, 32)}}
	if err := errors.Join(inside.LinkSetUp(lo), inside.AddrAdd(eth, address), shape(inside, eth, p.Rate), inside.LinkSetUp(eth)); err != nil {
		return err
	}
	return inside.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: s.Address(p.Lease, 1).AsSlice()})
}

// shape limits what a device sends to rate bits per second, with a bucket of
// 50 ms and a queue of as much, at least a few large segments.
func shape(at *netlink.Handle, link netlink.Link, rate int64) error {
	if rate == 0 {
		return nil
	}
	bytes := uint64(max(rate/8, 1))
	burst := max(bytes/20, 128<<10)
	tbf := &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       bytes,
		Limit:      uint32(min(2*burst, 1<<31)),
		Buffer:     uint32(float64(burst) * 1e6 / float64(bytes) * netlink.TickInUsec()),
	}
	add := netlink.QdiscAdd
	if at != nil {
		add = at.QdiscAdd
	}
	if err := add(tbf); err != nil {
		return fmt.Errorf("shape %s to %d bit/s: %w", link.Attrs().Name, rate, err)
	}
	return nil
}

// Traffic returns the bytes that came into a plugged replica and that left it,
// since it was plugged.
func (s *Switch) Traffic(lease, host int) (in, out int64, err error) {
	link, err := netlink.LinkByName(s.veth(lease, host))
	if err != nil {
		return 0, 0, fmt.Errorf("network: traffic of %s: %w", s.Address(lease, host), err)
	}
	// What the host's end sends is what the replica receives.
	counted := link.Attrs().Statistics
	return int64(counted.TxBytes), int64(counted.RxBytes), nil
}
