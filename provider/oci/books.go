package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-network/plexus/provider/disk"
	"github.com/plexus-network/plexus/provider/network"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// A booking is what the engine remembers of a lease.
type booking struct {
	Lease  sandbox.Lease
	Number int            // of its network
	Hosts  map[string]int // replica, as service-number, to its address's last byte
}

func (b booking) replicas() []string { return slices.Sorted(maps.Keys(b.Hosts)) }

// replica names a replica in files and host names. Services are DNS labels, so
// the last "-" separates.
func replica(id sandbox.ID) string { return id.Service + "-" + strconv.Itoa(id.Replica) }

func replicaID(l sandbox.Lease, name string) sandbox.ID {
	at := strings.LastIndexByte(name, '-')
	n, _ := strconv.Atoi(name[at+1:]) // written by replica
	return sandbox.ID{Lease: l, Service: name[:at], Replica: n}
}

// key is a lease's name for files and devices.
func key(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// container is the runtime's name of a replica. It is short because runtimes
// make socket paths of it, and those have 107 bytes.
func container(id sandbox.ID) string { return "plexus-" + key(id.String()) }

func cgroupPath(id sandbox.ID) string { return "/plexus/" + container(id) }

func (e *Engine) resolvers() string { return filepath.Join(e.o.Dir, "resolv.conf") }

func (e *Engine) leaseDir(l sandbox.Lease) string {
	return filepath.Join(e.o.Dir, "leases", key(string(l)))
}

func (e *Engine) replicaDir(l sandbox.Lease, name string) string {
	return filepath.Join(e.leaseDir(l), name)
}

func (e *Engine) dir(id sandbox.ID) string { return e.replicaDir(id.Lease, replica(id)) }

// hosts is the file that all replicas of a lease see as /etc/hosts.
func (e *Engine) hosts(l sandbox.Lease) string { return filepath.Join(e.leaseDir(l), "hosts") }

// volumeDir is where the volumes of a lease and class are.
func (e *Engine) volumeDir(l sandbox.Lease, class string) (string, error) {
	base, ok := e.o.Classes[class]
	if !ok {
		if class != "" {
			return "", fmt.Errorf("%w: this provider has no volumes of class %q, only %q", sandbox.ErrInvalid, class, slices.Sorted(maps.Keys(e.o.Classes)))
		}
		base = filepath.Join(e.o.Dir, "volumes")
	}
	return filepath.Join(base, key(string(l))), nil
}

func volumeName(id sandbox.ID, v sandbox.Volume) string { return replica(id) + "-" + v.Name + ".ext4" }

// leases reads every booking, ordered by number.
func (e *Engine) leases() ([]booking, error) {
	files, err := filepath.Glob(filepath.Join(e.o.Dir, "leases", "*", "lease.json"))
	if err != nil {
		return nil, err
	}
	var all []booking
	for _, file := range files {
		var b booking
		if err := readJSON(file, &b); errors.Is(err, fs.ErrNotExist) {
			continue // released meanwhile
		} else if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b booking) int { return a.Number - b.Number })
	return all, nil
}

// lease reads one booking, or [fs.ErrNotExist].
func (e *Engine) lease(l sandbox.Lease) (booking, error) {
	var b booking
	err := readJSON(filepath.Join(e.leaseDir(l), "lease.json"), &b)
	return b, err
}

// book finds or makes the booking of a replica: a network for its lease, and
// an address in it.
func (e *Engine) book(id sandbox.ID) (booking, error) {
	b, err := e.lease(id.Lease)
	if errors.Is(err, fs.ErrNotExist) {
		e.bookings.Lock()
		defer e.bookings.Unlock()
		b, err = e.number(id.Lease)
	}
	if err != nil {
		return booking{}, err
	}
	if _, ok := b.Hosts[replica(id)]; ok {
		return b, nil
	}
	taken := map[int]bool{}
	for _, host := range b.Hosts {
		taken[host] = true
	}
	for host := 2; host < 255; host++ {
		if !taken[host] {
			b.Hosts[replica(id)] = host
			return b, e.write(b)
		}
	}
	return booking{}, fmt.Errorf("%w: lease %s has %d replicas, which is the most", sandbox.ErrInvalid, id.Lease, len(b.Hosts))
}

// number gives a new lease the first free network.
func (e *Engine) number(l sandbox.Lease) (booking, error) {
	if err := os.MkdirAll(e.leaseDir(l), 0o711); err != nil {
		return booking{}, err
	}
	for n := range e.net.Size() {
		if _, taken := e.numbers[n]; !taken {
			e.numbers[n] = l
			return booking{Lease: l, Number: n, Hosts: map[string]int{}}, nil
		}
	}
	return booking{}, fmt.Errorf("all %d networks are taken: release leases, or give the engine a larger pool", e.net.Size())
}

// forget frees a network's number. After the last, nothing that the runtime
// shares between containers stays mounted; a new lease waits for that.
func (e *Engine) forget(n int) error {
	e.bookings.Lock()
	defer e.bookings.Unlock()
	if delete(e.numbers, n); len(e.numbers) > 0 {
		return nil
	}
	return disk.Unmount(e.shared())
}

// shared is the empty network namespace that gVisor pins for the file servers
// of all its containers, and makes anew when it is not there.
func (e *Engine) shared() string { return filepath.Join(e.o.Dir, "runtime", "null-netns") }

// write saves a booking and tells the lease's replicas of each other. The file
// of hosts keeps its inode, which containers have mounted.
func (e *Engine) write(b booking) error {
	if err := writeJSON(filepath.Join(e.leaseDir(b.Lease), "lease.json"), b); err != nil {
		return err
	}
	text := "127.0.0.1 localhost\n"
	for _, name := range b.replicas() {
		text += fmt.Sprintf("%s %s %s\n", e.net.Address(b.Number, b.Hosts[name]), replicaID(b.Lease, name).Service, name)
	}
	f, err := os.OpenFile(e.hosts(b.Lease), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text) // names are only added, so no shorter text
	return errors.Join(err, f.Close())
}

// forwards are the ports of this machine that w wants.
func (e *Engine) forwards(w sandbox.Workload, to netip.Addr) network.Forwards {
	all := network.Forwards{}
	for _, p := range w.Ports {
		if p.Host != 0 {
			all[network.Forward{IP: p.IP, Port: p.Host, UDP: p.UDP}] = []netip.AddrPort{netip.AddrPortFrom(to, p.Container)}
		}
	}
	return all
}

const workloadFile = "workload.json"

// readWorkload returns what runs or ran in a replica's folder.
func readWorkload(dir string) (sandbox.Workload, error) {
	var w sandbox.Workload
	err := readJSON(filepath.Join(dir, workloadFile), &w)
	return w, err
}

// writeJSON replaces file whole or not at all.
func writeJSON(file string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func readJSON(file string, v any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
