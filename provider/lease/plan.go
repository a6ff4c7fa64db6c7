package lease

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strconv"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/image"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// ErrUnservable means that no engine of this provider could run a group, with
// whatever room.
var ErrUnservable = errors.New("lease: cannot be served here")

// maxReplicas is how many replicas of one service an engine numbers.
const maxReplicas = 250

// Servable tells why a group cannot run here for lack of an ability, not of
// room. classes are those of disks that the provider has beside the class
// "default".
func Servable(g market.GroupSpec, classes map[string]int64) error {
	for _, u := range g.Units {
		r := u.Resources
		switch {
		case u.Count > maxReplicas:
			return fmt.Errorf("%w: %d replicas of one service, at most %d", ErrUnservable, u.Count, maxReplicas)
		case r.Memory.Size < sandbox.MinMemory:
			return fmt.Errorf("%w: %d bytes of memory, at least %d", ErrUnservable, r.Memory.Size, int64(sandbox.MinMemory))
		}
		if arch, ok := r.CPU.Attributes.Get("arch"); ok && arch != runtime.GOARCH {
			return fmt.Errorf("%w: it asks for processors of kind %s; these are %s", ErrUnservable, arch, runtime.GOARCH)
		}
		for _, v := range r.Storage {
			class, persistent, _ := inventory.Volume(v)
			if _, has := classes[class]; persistent && class != "" && !has {
				return fmt.Errorf("%w: it asks for storage of class %s", ErrUnservable, class)
			}
		}
	}
	return nil
}

// Plan returns what is to run for a record, with the images of its services:
// every replica of every service. An error wraps [sandbox.ErrInvalid] or
// [image.ErrInvalid] and names the service.
func Plan(r *Record, images map[string]image.Image, domain string) ([]sandbox.Workload, error) {
	id, err := market.ParseBidID(r.ID)
	if err != nil {
		return nil, err
	}
	var all []sandbox.Workload
	for _, s := range r.Group.Services {
		p, err := images[s.Name].Process(s.Command, s.Args, append(identity(id, s, r.ID, domain), s.Env...))
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
		for n := range int(s.Count) {
			w, err := replica(r, s, n)
			if err != nil {
				return nil, fmt.Errorf("service %s: %w", s.Name, err)
			}
			if w.Root, w.Process = images[s.Name].Root, p; w.Root == "" {
				w.Image = fetched(s, images[s.Name].Digest)
			}
			if err := w.Check(); err != nil {
				return nil, err
			}
			all = append(all, w)
		}
	}
	return all, nil
}

// fetched is a service's image for an engine whose machines fetch it.
func fetched(s manifest.Service, digest string) sandbox.Image {
	c := credentials(s)
	return sandbox.Image{Ref: pinned(s.Image, digest), Username: c.Username, Password: c.Password}
}

// credentials are those of a service's registry.
func credentials(s manifest.Service) image.Credentials {
	if s.Credentials == nil {
		return image.Credentials{}
	}
	return image.Credentials{Username: s.Credentials.Username, Password: s.Credentials.Password}
}

// identity is what a container is told of its lease.
func identity(id market.BidID, s manifest.Service, lease, domain string) []string {
	env := []string{
		"PLEXUS_OWNER=" + id.Owner, "PLEXUS_PROVIDER=" + id.Provider,
		"PLEXUS_DEPLOYMENT_SEQUENCE=" + strconv.FormatUint(id.DSeq, 10),
		"PLEXUS_GROUP_SEQUENCE=" + strconv.FormatUint(uint64(id.GSeq), 10),
		"PLEXUS_ORDER_SEQUENCE=" + strconv.FormatUint(uint64(id.OSeq), 10),
	}
	for _, e := range s.Expose {
		if e.Ingress() {
			return append(env, "PLEXUS_INGRESS_HOST="+HostName(lease, s.Name, e.Port)+"."+domain)
		}
	}
	return env
}

// replica returns the n-th replica of a service, but for what it runs.
func replica(r *Record, s manifest.Service, n int) (sandbox.Workload, error) {
	w := sandbox.Workload{
		ID:  sandbox.ID{Lease: sandbox.Lease(r.ID), Service: s.Name, Replica: n},
		CPU: int64(s.Resources.CPU.Units), Memory: int64(s.Resources.Memory.Size),
	}
	mounts := map[string]manifest.Mount{}
	if s.Params != nil {
		for _, m := range s.Params.Storage {
			mounts[m.Name] = m
		}
	}
	for _, v := range s.Resources.Storage {
		class, persistent, ram := inventory.Volume(v)
		m, mounted := mounts[v.Name]
		switch {
		case ram && (!mounted || path.Clean(m.Mount) == "/dev/shm"):
			w.Shm += int64(v.Size)
		case ram:
			return w, fmt.Errorf("%w: volume %s of class ram is mounted at %s; mount it at /dev/shm", sandbox.ErrInvalid, v.Name, m.Mount)
		case persistent || mounted:
			w.Volumes = append(w.Volumes, sandbox.Volume{Name: label(v.Name), Class: class, Size: int64(v.Size), Path: m.Mount, ReadOnly: m.ReadOnly})
		default:
			w.Disk += int64(v.Size)
		}
	}
	w.Disk = max(w.Disk, sandbox.MinDisk)
	w.Ports = ports(r, s, n)
	for _, d := range r.GPUs {
		if d.Service == s.Name && d.Replica == n {
			w.GPUs = append(w.GPUs, d.GPU)
		}
	}
	if len(w.GPUs) != int(s.Resources.GPU.Units) {
		return w, fmt.Errorf("%w: %d graphics processors were put aside for replica %d, which is to have %d", sandbox.ErrInvalid, len(w.GPUs), n, s.Resources.GPU.Units)
	}
	return w, nil
}

// ports are those of a replica that anybody connects to: the ingress, or the
// world.
func ports(r *Record, s manifest.Service, n int) []sandbox.Port {
	var all []sandbox.Port
	for _, p := range r.Ports {
		if p.Service == s.Name && p.Replica == n {
			all = append(all, sandbox.Port{Container: p.Container, Host: p.Host, UDP: p.UDP})
		}
	}
	for _, e := range s.Expose {
		for _, a := range r.Addresses {
			p := sandbox.Port{Container: uint16(e.Port), Host: uint16(e.External()), UDP: e.Proto == "UDP", IP: a.IP}
			if e.Global && e.IP == a.Endpoint && !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// Publish gives each replica a port of the provider's machine for each of its
// services' exposes that the world connects to directly. Those of an earlier
// manifest are kept where they still serve. free returns a port that nobody
// has, or an error when there is none.
func Publish(g manifest.Group, before []Port, free func(udp bool) (uint16, error)) ([]Port, error) {
	var all []Port
	for _, s := range g.Services {
		for _, e := range s.Expose {
			if !e.Global || e.Ingress() {
				continue
			}
			for n := range int(s.Count) {
				p := Port{Service: s.Name, Replica: n, Container: uint16(e.Port), External: uint16(e.External()), UDP: e.Proto == "UDP"}
				if host, had := kept(p, before); had {
					p.Host = host
				} else if host, err := free(p.UDP); err == nil {
					p.Host = host
				} else {
					return nil, fmt.Errorf("port %d of service %s: %w", e.Port, s.Name, err)
				}
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// Assign gives each replica the graphics processors that it asks for, of the
// kind that the bid named for its unit. Those of an earlier manifest are kept.
// free returns a device of a kind that nobody has, or an error when there is
// none.
func Assign(g manifest.Group, offers []market.Offer, before []Device, free func(kind string) (sandbox.GPU, error)) ([]Device, error) {
	kinds := map[uint32]string{} // by unit
	for _, o := range offers {
		if len(o.Resources.GPU.Attributes) == 1 {
			kinds[o.Resources.ID] = o.Resources.GPU.Attributes[0].Key
		}
	}
	var all []Device
	for _, s := range g.Services {
		for n := range int(s.Count) {
			var had []Device
			for _, b := range before {
				if b.Service == s.Name && b.Replica == n {
					had = append(had, b)
				}
			}
			for i := range int(s.Resources.GPU.Units) {
				if i < len(had) {
					all = append(all, had[i])
					continue
				}
				gpu, err := free(kinds[s.Resources.ID])
				if err != nil {
					return nil, fmt.Errorf("service %s: %w", s.Name, err)
				}
				all = append(all, Device{s.Name, n, gpu})
			}
		}
	}
	return all, nil
}

func kept(p Port, before []Port) (uint16, bool) {
	for _, b := range before {
		p.Host = b.Host
		if b == p {
			return b.Host, true
		}
	}
	return 0, false
}
