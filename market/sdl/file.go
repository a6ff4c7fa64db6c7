package sdl

import (
	"strconv"
	"strings"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
)

// A file is a document as it is written, with the places of its parts.
type file struct {
	merges      bool // version 2.1: services of one profile share a resource unit
	services    map[string]service
	computes    map[string]compute
	placements  map[string]placement
	deployments map[string]deployment
	endpoints   map[string]endpoint
	reclamation market.Seconds
}

type service struct {
	at          node
	image       string
	command     []string
	args        []string
	env         []string
	envAt       []node
	exposes     []expose
	params      *params
	credentials *manifest.Credentials
}

type expose struct {
	at       node
	port, as uint32
	proto    string
	to       []receiver
	accept   []string
	http     manifest.HTTPOptions
}

type receiver struct {
	at      node
	service string
	global  bool
	ip      string
}

type params struct {
	storage     map[string]mount
	permissions *manifest.Permissions
	tee         string
	teeAt       node
}

type mount struct {
	at       node
	path     string
	readOnly bool
}

type compute struct {
	at        node
	resources market.Resources
}

type placement struct {
	at         node
	attributes market.Attributes
	signedBy   market.SignedBy
	pricing    map[string]price
}

type price struct {
	at node
	market.Price
}

type deployment struct {
	at   node
	runs map[string]run // by placement
}

type run struct {
	at      node
	profile string
	count   uint32
}

type endpoint struct {
	at   node
	kind string
}

// file reads a document. Like Akash it refuses unknown keys at the top and
// leaves include and dependencies without effect.
func (r *reader) file(root node) *file {
	f := &file{}
	version := ""
	r.strict(root, fields{
		"version":     func(n node) { version = r.version(n) },
		"include":     func(n node) { r.texts(n, "- other.yaml"); r.warn(n, "include has no effect") },
		"services":    func(n node) { f.services = named(r, n, r.service) },
		"profiles":    func(n node) { r.profiles(n, f) },
		"deployment":  func(n node) { f.deployments = named(r, n, r.deployment) },
		"endpoints":   func(n node) { f.endpoints = named(r, n, r.endpoint) },
		"reclamation": func(n node) { r.object(n, fields{"min_window": func(n node) { f.reclamation = r.window(n) }}) },
	})
	if version == "" && len(r.problems) == 0 {
		r.refuse(root, `version is missing; write version: "2.0"`)
	}
	f.merges = version == "2.1"
	return f
}

// version reads what is meant by 2, 2.0, v2.1 and the like.
func (r *reader) version(n node) string {
	parts := strings.Split(strings.TrimPrefix(strings.TrimSpace(r.text(n)), "v"), ".")
	numbers := [3]uint64{}
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 32)
		if err != nil || i >= len(numbers) {
			r.refuse(n, `version %q is none; write "2.0" or "2.1"`, clip(n.Value))
			return ""
		}
		numbers[i] = v
	}
	switch {
	case numbers == [3]uint64{2, 0, 0}:
		if n.Value != "2.0" {
			r.warn(n, `version %q is read as "2.0"; some tools know only that spelling`, clip(n.Value))
		}
		return "2.0"
	case numbers[0] == 2 && numbers[1] >= 1 || numbers[0] > 2:
		if numbers != [3]uint64{2, 1, 0} {
			r.warn(n, `version %q is read as "2.1", the newest that is known`, clip(n.Value))
		}
		return "2.1"
	}
	r.refuse(n, `version %q is not supported; write "2.0" or "2.1"`, clip(n.Value))
	return ""
}

func (r *reader) service(n node) service {
	s := service{at: n}
	r.object(n, fields{
		"image":        func(n node) { s.image = r.text(n) },
		"command":      func(n node) { s.command = r.texts(n, `- "sh"`) },
		"args":         func(n node) { s.args = r.texts(n, `- "-v"`) },
		"env":          func(n node) { s.env, s.envAt = r.texts(n, `- "KEY=value"`), r.items(n, "") },
		"expose":       func(n node) { s.exposes = r.exposes(n) },
		"dependencies": func(n node) { r.warn(n, "dependencies have no effect") },
		"params":       func(n node) { s.params = r.params(n) },
		"credentials":  func(n node) { s.credentials = r.credentials(n) },
	})
	return s
}

func (r *reader) exposes(n node) []expose {
	var all []expose
	for _, item := range r.items(n, "- port: 80") {
		all = append(all, r.expose(item))
	}
	return all
}

func (r *reader) expose(n node) expose {
	e := expose{at: n}
	r.object(n, fields{
		"port":         func(n node) { e.port = r.number(n) },
		"as":           func(n node) { e.as = r.number(n) },
		"proto":        func(n node) { e.proto = r.proto(n) },
		"to":           func(n node) { e.to = r.receivers(n) },
		"accept":       func(n node) { e.accept = r.texts(n, "- example.com") },
		"http_options": func(n node) { e.http = r.http(n) },
	})
	if e.proto == "" {
		e.proto = "TCP"
	}
	e.http = httpDefaults(e.http)
	return e
}

func (r *reader) proto(n node) string {
	proto := strings.ToUpper(r.text(n))
	if proto != "TCP" && proto != "UDP" && proto != "" {
		r.refuse(n, "protocol %q: write tcp or udp", clip(n.Value))
	}
	return proto
}

func (r *reader) receivers(n node) []receiver {
	var all []receiver
	for _, item := range r.items(n, "- global: true") {
		to := receiver{at: item}
		r.object(item, fields{
			"service":      func(n node) { to.service = r.text(n) },
			"global":       func(n node) { to.global = r.yes(n) },
			"ip":           func(n node) { to.ip = r.text(n) },
			"http_options": func(n node) { r.warn(n, "http_options have an effect only beside port, not under to") },
		})
		all = append(all, to)
	}
	return all
}

func (r *reader) http(n node) manifest.HTTPOptions {
	var o manifest.HTTPOptions
	r.object(n, fields{
		"max_body_size":     func(n node) { o.MaxBodySize = r.atMost(n, maxBodySize, "bytes") },
		"read_timeout":      func(n node) { o.ReadTimeout = r.atMost(n, maxTimeout, "ms") },
		"send_timeout":      func(n node) { o.SendTimeout = r.atMost(n, maxTimeout, "ms") },
		"next_tries":        func(n node) { o.NextTries = r.number(n) },
		"next_timeout":      func(n node) { o.NextTimeout = r.number(n) },
		"next_cases":        func(n node) { o.NextCases = r.nextCases(n) },
		"proxy_buffer_size": func(n node) { o.ProxyBufferSize = r.atMost(n, maxProxyBuffer, "bytes") },
	})
	return o
}

// Bounds and defaults of http_options: bytes and milliseconds.
const (
	defaultBodySize = 1 << 20
	maxBodySize     = 100 << 20
	maxTimeout      = 60_000
	defaultTries    = 3
	maxProxyBuffer  = 1 << 20
)

func (r *reader) atMost(n node, most uint32, unit string) uint32 {
	v := r.number(n)
	if v > most {
		r.refuse(n, "%d %s are too much; at most %d are allowed", v, unit, most)
	}
	return v
}

// nextCases are the failures after which the ingress tries another replica.
func (r *reader) nextCases(n node) []string {
	known := map[string]bool{
		"error": true, "timeout": true, "off": true, "500": true, "502": true, "503": true,
		"504": true, "403": true, "404": true, "429": true,
	}
	cases := r.texts(n, "- error")
	for _, c := range cases {
		if !known[c] {
			r.refuse(n, "next case %q is unknown; there are %s%s", clip(c), strings.Join(sorted(known), ", "), didYouMean(c, known))
		}
		if c == "off" && len(cases) > 1 {
			r.refuse(n, "off stands alone: it means that no other replica is tried")
		}
	}
	return cases
}

// httpDefaults fills in what is 0. The size of the proxy's buffer stays 0,
// since naming a default would change the hash of every manifest.
func httpDefaults(o manifest.HTTPOptions) manifest.HTTPOptions {
	for _, d := range []struct {
		field *uint32
		value uint32
	}{
		{&o.MaxBodySize, defaultBodySize},
		{&o.ReadTimeout, maxTimeout},
		{&o.SendTimeout, maxTimeout},
		{&o.NextTries, defaultTries},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if len(o.NextCases) == 0 {
		o.NextCases = []string{"error", "timeout"}
	}
	return o
}

func (r *reader) params(n node) *params {
	if n.null() {
		return nil
	}
	p := &params{}
	r.object(n, fields{
		"storage":     func(n node) { p.storage = named(r, n, r.mount) },
		"permissions": func(n node) { p.permissions = r.permissions(n) },
		"tee":         func(n node) { p.tee, p.teeAt = r.tee(n), n },
	})
	return p
}

func (r *reader) mount(n node) mount {
	m := mount{at: n}
	r.object(n, fields{
		"mount":    func(n node) { m.path, m.at = r.text(n), n },
		"readOnly": func(n node) { m.readOnly = r.yes(n) },
	})
	return m
}

func (r *reader) permissions(n node) *manifest.Permissions {
	if n.null() {
		return nil
	}
	p := &manifest.Permissions{}
	known := map[string]bool{"deployment": true, "logs": true, "events": true}
	r.object(n, fields{"read": func(n node) { p.Read = r.texts(n, "- logs") }})
	for _, read := range p.Read {
		if !known[read] {
			r.refuse(n, "permission %q is unknown; there are deployment, events and logs%s", clip(read), didYouMean(read, known))
		}
	}
	return p
}

func (r *reader) tee(n node) string {
	tee := r.text(n)
	if tee != "" && tee != teeCPU && tee != teeGPU {
		r.refuse(n, "tee %q: write %s or %s", clip(tee), teeCPU, teeGPU)
	}
	return tee
}

// The kinds of trusted execution environments.
const (
	teeCPU = "cpu"
	teeGPU = "cpu-gpu"
)

func (r *reader) credentials(n node) *manifest.Credentials {
	if n.null() {
		return nil
	}
	c := &manifest.Credentials{}
	r.object(n, fields{
		"host":     func(n node) { c.Host = r.text(n) },
		"email":    func(n node) { c.Email = r.text(n) },
		"username": func(n node) { c.Username = r.text(n) },
		"password": func(n node) { c.Password = r.text(n) },
	})
	// Akash's schema asks for more than its parser; tools that go by the schema
	// refuse what is shorter.
	if c.Email != "" && len(c.Email) < 5 {
		r.warn(n, "email %q has less than 5 characters, which some tools refuse", c.Email)
	}
	if c.Password != "" && len(c.Password) < 6 {
		r.warn(n, "the password has less than 6 characters, which some tools refuse")
	}
	return c
}

func (r *reader) deployment(n node) deployment {
	return deployment{at: n, runs: named(r, n, func(n node) run {
		d := run{at: n}
		r.object(n, fields{
			"profile": func(n node) { d.profile = r.text(n) },
			"count":   func(n node) { d.count = r.number(n) },
		})
		return d
	})}
}

func (r *reader) endpoint(n node) endpoint {
	e := endpoint{at: n}
	r.object(n, fields{"kind": func(n node) { e.kind = r.text(n) }})
	return e
}
