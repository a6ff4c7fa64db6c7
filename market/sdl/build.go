package sdl

import (
	"cmp"
	"slices"
	"strings"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
)

// build makes groups and manifest of a file whose parts fit together.
func (r *reader) build(f *file, root node) SDL {
	out := SDL{Version: "2.0", Reclamation: f.reclamation}
	if f.merges {
		out.Version = "2.1"
	}
	sequences := f.sequences()
	denom := ""
	for _, where := range f.placed() {
		g := f.group(where, sequences)
		for i, u := range g.spec.Units {
			price := f.placements[where].pricing[g.profiles[i]]
			denom = cmp.Or(denom, u.Price.Denom)
			if err := u.Resources.Validate(); err != nil {
				r.refuse(f.computes[g.profiles[i]].at, "%v", err)
			} else if err := u.Price.Validate(); err != nil {
				r.refuse(price.at, "%v", err)
			} else if u.Price.Denom != denom {
				r.refuse(price.at, "denom is %s here and %s elsewhere; a deployment is paid in one", clip(u.Price.Denom), clip(denom))
			}
		}
		if err := g.spec.Validate(); err != nil && len(r.problems) == 0 {
			r.refuse(f.placements[where].at, "%v", err)
		}
		out.Groups = append(out.Groups, g.spec)
		out.Manifest = append(out.Manifest, g.manifest)
	}
	if len(r.problems) > 0 {
		return out
	}
	if err := market.ValidateGroups(out.Groups); err != nil {
		r.refuse(root, "%v", err)
	} else if err := out.Manifest.Check(out.Groups); err != nil {
		r.refuse(root, "%v", err)
	} else if text, err := out.Manifest.Canonical(); err != nil || len(text) > manifest.MaxSize {
		r.refuse(root, "the manifest would have %d bytes, and at most %d are sent", len(text), manifest.MaxSize)
	}
	return out
}

// built is a placement's spec, the profile of each of its units, and the
// manifest's group beside it.
type built struct {
	spec     market.GroupSpec
	profiles []string
	manifest manifest.Group
}

// placed lists the placements in which something runs, sorted.
func (f *file) placed() []string {
	used := map[string]bool{}
	for _, name := range sorted(f.deployments) {
		for _, where := range sorted(f.deployments[name].runs) {
			used[where] = true
		}
	}
	return sorted(used)
}

// sequences numbers the leased addresses, from 1 in the order of their names.
// Akash's numbering also counts receivers that lease none, under the empty
// name, and a name that is used twice keeps its last number. Hashes depend on
// it.
func (f *file) sequences() map[string]uint32 {
	var names []string
	for _, service := range sorted(f.deployments) {
		for _, e := range f.services[service].exposes {
			for _, to := range e.to {
				if !to.global || to.ip != "" {
					names = append(names, to.ip)
				}
			}
		}
	}
	slices.Sort(names)
	numbers := map[string]uint32{}
	for i, name := range names {
		numbers[name] = uint32(i) + 1
	}
	return numbers
}

// group makes what runs in one placement.
func (f *file) group(where string, sequences map[string]uint32) built {
	place := f.placements[where]
	var g built
	g.manifest.Name, g.spec.Name = where, where
	g.spec.Requirements = market.Requirements{SignedBy: place.signedBy, Attributes: slices.Clone(place.attributes)}
	for _, name := range sorted(f.deployments) {
		d, ok := f.deployments[name].runs[where]
		if !ok {
			continue
		}
		s := f.services[name].manifest(name, f.merges)
		s.Count = d.count
		s.Expose = f.services[name].manifestExposes(sequences)
		s.Resources = f.computes[d.profile].resources
		s.Resources.Endpoints = endpointsOf(s.Expose)
		requireTEE(&g.spec.Requirements, s.Params)
		g.add(&s, d.profile, place.pricing[d.profile].Price, f.merges)
	}
	return g
}

// add gives s a resource unit: one of its own or, in version 2.1, that of its
// profile.
func (g *built) add(s *manifest.Service, profile string, price market.Price, merges bool) {
	i := slices.Index(g.profiles, profile)
	if i < 0 || !merges {
		s.Resources.ID = uint32(len(g.spec.Units)) + 1
		unit := s.Resources
		unit.Endpoints = slices.Clone(unit.Endpoints)
		g.spec.Units = append(g.spec.Units, market.ResourceUnit{Resources: unit, Count: s.Count, Price: price})
		g.profiles = append(g.profiles, profile)
	} else {
		unit := &g.spec.Units[i]
		s.Resources.ID = unit.Resources.ID
		unit.Count = sum(unit.Count, s.Count)
		unit.Resources.Endpoints = append(unit.Resources.Endpoints, s.Resources.Endpoints...)
		market.SortEndpoints(unit.Resources.Endpoints)
	}
	g.manifest.Services = append(g.manifest.Services, *s)
}

// sum returns a+b, at most 2³²−1: so many replicas are refused anyway.
func sum(a, b uint32) uint32 {
	if a+b < a {
		return ^uint32(0)
	}
	return a + b
}

// requireTEE makes a trusted environment a requirement of the placement.
func requireTEE(r *market.Requirements, p *manifest.Params) {
	if p == nil || p.TEE == nil {
		return
	}
	if _, ok := r.Attributes.Get("tee/type"); !ok {
		r.Attributes = append(r.Attributes, market.Attribute{Key: "tee/type", Value: p.TEE.Type})
		r.Attributes.Sort()
	}
}

// manifest returns what does not depend on where s runs. Version 2.1 trims
// credentials and keeps the address; 2.0 does neither.
func (s service) manifest(name string, trim bool) manifest.Service {
	out := manifest.Service{Name: name, Image: s.image, Command: s.command, Args: s.args, Env: s.env}
	if s.params != nil {
		out.Params = s.params.manifest()
	}
	if c := s.credentials; c != nil {
		out.Credentials = &manifest.Credentials{Host: c.Host, Username: c.Username, Password: c.Password}
		if trim {
			out.Credentials = &manifest.Credentials{
				Host: strings.TrimSpace(c.Host), Email: strings.TrimSpace(c.Email),
				Username: strings.TrimSpace(c.Username), Password: strings.TrimSpace(c.Password),
			}
		}
	}
	return out
}

func (p *params) manifest() *manifest.Params {
	out := &manifest.Params{Permissions: p.permissions}
	for _, name := range sorted(p.storage) {
		m := p.storage[name]
		out.Storage = append(out.Storage, manifest.Mount{Name: name, Mount: m.path, ReadOnly: m.readOnly})
	}
	if p.tee != "" {
		out.TEE = &manifest.TEE{Type: p.tee, Attestation: true}
	}
	return out
}

// manifestExposes writes out one expose per receiver; without any, the port is
// open to the other services of the group.
func (s service) manifestExposes(sequences map[string]uint32) []manifest.Expose {
	all := []manifest.Expose{}
	for _, e := range s.exposes {
		to := e.to
		if len(to) == 0 {
			to = []receiver{{}}
		}
		for _, t := range to {
			one := manifest.Expose{
				Port: e.port, ExternalPort: e.as, Proto: e.proto, Service: t.service, Global: t.global,
				Hosts: e.accept, HTTP: e.http, IP: t.ip,
			}
			if t.global && t.ip != "" {
				one.Sequence = sequences[t.ip]
			}
			all = append(all, one)
		}
	}
	manifest.SortExpose(all)
	return all
}

// endpointsOf returns what a service's exposes need, never nil.
func endpointsOf(exposes []manifest.Expose) []market.Endpoint {
	all := []market.Endpoint{}
	for _, e := range exposes {
		all = append(all, e.Endpoints()...)
	}
	return all
}
