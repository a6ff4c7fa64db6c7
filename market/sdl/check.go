package sdl

import (
	"path"
	"strings"

	"github.com/plexus-network/plexus/market/manifest"
)

// crossCheck is what services share while a file is checked.
type crossCheck struct {
	*reader
	*file
	used   map[string]bool   // endpoints that some service leases
	ports  map[portOf]string // who takes a port of a leased address
	hosts  map[string]string // who answers to a hostname
	tees   map[string]string // the kind of TEE of a placement
	global bool              // whether any service is open to the world
	output budget            // what the manifest may still hold
}

// portOf is a port of a leased address.
type portOf struct {
	ip, proto string
	port      uint32
}

// check compares the parts of a file with each other. Only services that are
// deployed count; the rest is dead text, of which it warns.
func (r *reader) check(f *file) {
	c := &crossCheck{
		reader: r, file: f, used: map[string]bool{}, ports: map[portOf]string{},
		hosts: map[string]string{}, tees: map[string]string{},
		output: budget{nodes: maxOutput * maxNodes, text: maxOutput * maxText},
	}
	c.checkEndpoints()
	runs := 0
	for _, name := range sorted(f.deployments) {
		d := f.deployments[name]
		s, ok := f.services[name]
		if !ok {
			r.refuse(d.at, "there is no service %q%s", clip(name), didYouMean(name, f.services))
			continue
		}
		c.checkService(name, s)
		for _, where := range sorted(d.runs) {
			c.checkRun(name, s, where, d.runs[where])
			runs++
		}
	}
	for _, name := range sorted(f.services) {
		if len(f.deployments[name].runs) == 0 {
			r.warn(f.services[name].at, "the service is not deployed")
		}
	}
	for _, name := range sorted(f.endpoints) {
		if !c.used[name] {
			r.refuse(f.endpoints[name].at, "the endpoint is declared but never used; write ip: %s under a to with global: true, or remove it", clip(name))
		}
	}
	if len(r.problems) > 0 {
		return
	}
	if runs == 0 {
		r.refuse(node{line: 1}, "deployment is empty: nothing would run")
	} else if !c.global {
		r.refuse(node{line: 1}, "no service is open to the world; write global: true under one of its to")
	}
}

func (c *crossCheck) checkEndpoints() {
	for _, name := range sorted(c.endpoints) {
		e := c.endpoints[name]
		if !validEndpoint(name) {
			c.refuse(e.at, "an endpoint's name is at least two small letters, digits, - and _, and begins with a letter")
		}
		if e.kind != "ip" {
			c.refuse(e.at, "kind is %q; the only kind is ip", clip(e.kind))
		}
	}
}

// validEndpoint is Akash's pattern ^[[:lower:]]+[[:lower:]-_\d]+$.
func validEndpoint(name string) bool {
	return len(name) > 1 && name[0] >= 'a' && name[0] <= 'z' && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) < 0
}

// checkService holds for a service wherever it runs.
func (c *crossCheck) checkService(name string, s service) {
	if !manifest.ValidServiceName(name) {
		c.refuse(s.at, "a service's name is small letters, digits and -, begins with a letter and does not end in -")
	}
	if s.image == "" {
		c.refuse(s.at, "image is missing")
	}
	for i, env := range s.env {
		if key, _, _ := strings.Cut(env, "="); !manifest.ValidEnvName(key) {
			c.refuse(s.envAt[i], "environment variable %q: a name is letters, digits and _ - ., and does not begin with a digit", clip(key))
		}
	}
	if cr := s.credentials; cr != nil {
		for _, field := range []struct{ name, value string }{{"host", cr.Host}, {"username", cr.Username}, {"password", cr.Password}} {
			if strings.TrimSpace(field.value) == "" {
				c.refuse(s.at, "credentials: %s is missing", field.name)
			}
		}
	}
	for _, e := range s.exposes {
		c.checkExpose(name, e)
	}
	c.checkMounts(s)
}

func (c *crossCheck) checkExpose(name string, e expose) {
	if e.port == 0 || e.port > 65535 {
		c.refuse(e.at, "port is %d; ports go from 1 to 65535", e.port)
	}
	if e.as > 65535 {
		c.refuse(e.at, "as is %d; ports go from 1 to 65535", e.as)
	}
	for _, to := range e.to {
		if to.service != "" {
			if _, ok := c.services[to.service]; !ok {
				c.warn(to.at, "there is no service %q%s", clip(to.service), didYouMean(to.service, c.services))
			}
		}
	}
}

// checkMounts looks at where a service puts its volumes.
func (c *crossCheck) checkMounts(s service) {
	if s.params == nil {
		return
	}
	taken := map[string]string{}
	for _, volume := range sorted(s.params.storage) {
		m := s.params.storage[volume]
		if !path.IsAbs(m.path) {
			c.refuse(m.at, "mount %q is no absolute path; write it as in /data", clip(m.path))
			continue
		}
		if other, ok := taken[m.path]; ok {
			c.refuse(m.at, "mount %q is already taken by volume %q", clip(m.path), clip(other))
		}
		taken[m.path] = volume
	}
}

// checkRun looks at a service in one placement.
func (c *crossCheck) checkRun(name string, s service, where string, d run) {
	p, known := c.placements[where]
	if !known {
		c.refuse(d.at, "there is no placement profile %q%s", clip(where), didYouMean(where, c.placements))
	} else if _, ok := p.pricing[d.profile]; !ok {
		c.refuse(d.at, "placement %q has no pricing for profile %q%s", clip(where), clip(d.profile), didYouMean(d.profile, p.pricing))
	}
	if !c.fits(s, c.computes[d.profile]) {
		c.refuse(d.at, "the manifest would be too large, since it holds a service once for every placement")
		return
	}
	if d.count == 0 {
		c.refuse(d.at, "count is missing or 0; it must be at least 1")
	}
	for _, e := range s.exposes {
		for _, to := range e.to {
			c.checkAddress(name, e, to)
		}
		c.checkHosts(name, e)
	}
	profile, known := c.computes[d.profile]
	if !known {
		c.refuse(d.at, "there is no compute profile %q%s", clip(d.profile), didYouMean(d.profile, c.computes))
		return
	}
	c.checkVolumes(s, profile)
	c.checkTEE(s, where, profile)
}

// maxOutput is how many times larger than its limits as a file the manifest may
// become.
const maxOutput = 4

// fits charges for one more copy of a service and its profile.
func (c *crossCheck) fits(s service, profile compute) bool {
	for _, n := range []node{s.at, profile.at} {
		if n.Node != nil && c.output.spend(n.Node, 0) != nil {
			return false
		}
	}
	return true
}

// checkHosts sees to it that a hostname leads to one place. It counts an expose
// once for each of its receivers, as Akash does.
func (c *crossCheck) checkHosts(name string, e expose) {
	for range max(len(e.to), 1) {
		for _, host := range e.accept {
			if !manifest.ValidHostname(host) {
				c.refuse(e.at, "hostname %q: a hostname is small letters, digits, - and .", clip(host))
				return
			}
			if other, ok := c.hosts[host]; ok {
				c.refuse(e.at, "hostname %q is already accepted by service %q; one name leads to one receiver", clip(host), clip(other))
				return
			}
			c.hosts[host] = name
		}
	}
}

// checkAddress looks at one receiver: whether it is the world, and at which
// leased address.
func (c *crossCheck) checkAddress(name string, e expose, to receiver) {
	c.global = c.global || to.global
	if to.ip == "" {
		return
	}
	if !to.global {
		c.refuse(to.at, "ip %q needs global: true beside it", clip(to.ip))
	}
	if _, ok := c.endpoints[to.ip]; !ok {
		c.refuse(to.at, "there is no endpoint %q; declare it under endpoints with kind: ip%s", clip(to.ip), didYouMean(to.ip, c.endpoints))
	}
	c.used[to.ip] = true
	key := portOf{to.ip, e.proto, e.as}
	if e.as == 0 {
		key.port = e.port
	}
	if other, ok := c.ports[key]; ok {
		c.refuse(to.at, "port %d/%s of endpoint %q is already taken by service %q", key.port, e.proto, clip(to.ip), clip(other))
	}
	c.ports[key] = name
}

// checkVolumes compares a service's mounts with its profile's volumes.
//
// In version 2.0 a persistent volume needs a mount, but Akash's check of it
// takes any mount of the service for the volume's own, and in 2.1 it never
// fires; files in the wild rely on both. So a service that mounts nothing is
// refused in 2.0, and the rest is a warning.
func (c *crossCheck) checkVolumes(s service, profile compute) {
	mounts := map[string]mount{}
	if s.params != nil {
		mounts = s.params.storage
	}
	sizes := map[string]string{}
	for _, v := range profile.resources.Storage {
		class, _ := v.Attributes.Get("class")
		sizes[v.Name] = class
		persistent, _ := v.Attributes.Get("persistent")
		if _, mounted := mounts[v.Name]; persistent != "true" || mounted {
			continue
		}
		if len(mounts) == 0 && !c.merges {
			c.refuse(s.at, "volume %q is persistent and so needs a mount; write params: {storage: {%s: {mount: /data}}}", clip(v.Name), clip(v.Name))
		} else {
			c.warn(s.at, "volume %q is persistent, but mounted nowhere", clip(v.Name))
		}
	}
	for _, name := range sorted(mounts) {
		class, ok := sizes[name]
		if !ok {
			c.refuse(mounts[name].at, "the compute profile has no volume %q%s", clip(name), didYouMean(name, sizes))
		}
		if class == "ram" && mounts[name].readOnly && c.merges {
			c.refuse(mounts[name].at, "a volume of class ram cannot be read-only: nobody could fill it")
		}
	}
}

func (c *crossCheck) checkTEE(s service, where string, profile compute) {
	if s.params == nil || s.params.tee == "" {
		return
	}
	tee := s.params.tee
	if tee == teeGPU && profile.resources.GPU.Units == 0 {
		c.refuse(s.params.teeAt, "tee %s needs a gpu in the compute profile", teeGPU)
	}
	if other := c.tees[where]; other != "" && other != tee {
		c.refuse(s.params.teeAt, "placement %q has services with tee %s and with tee %s; place them apart", clip(where), other, tee)
	}
	c.tees[where] = tee
}
