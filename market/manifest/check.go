package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/plexus-network/plexus/market"
)

// ErrInvalid means that a manifest breaks a rule of its own, and ErrMismatch
// that it is not the one its groups were made with.
var (
	ErrInvalid  = errors.New("manifest: invalid")
	ErrMismatch = errors.New("manifest: does not match the deployment's groups")
)

// maxHostname is the longest name that the DNS carries.
const maxHostname = 253

// SortExpose puts the exposes of a service into Akash's order, by receiver,
// port, protocol, and global ones first.
func SortExpose(exposes []Expose) { slices.SortFunc(exposes, compareExpose) }

func compareExpose(a, b Expose) int {
	global := 0
	if a.Global != b.Global {
		global = 1
		if a.Global {
			global = -1
		}
	}
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto), global)
}

// Validate tells which rule m breaks, if any: names and order of groups and
// services, images, environments, ports, and hostnames that are used once. At
// least one service must be open to the world.
func (m Manifest) Validate() error {
	if len(m) == 0 {
		return fmt.Errorf("%w: it has no groups", ErrInvalid)
	}
	v := validation{groups: map[string]bool{}, hosts: map[string]bool{}}
	for _, g := range m {
		if err := v.group(g); err != nil {
			return err
		}
	}
	if v.global == 0 {
		return fmt.Errorf("%w: no service is open to the world; write global: true under one of its to", ErrInvalid)
	}
	return nil
}

// validation is what groups and services share while they are checked.
type validation struct {
	groups, hosts map[string]bool
	global        int // exposes that are open to the world
}

func (v *validation) group(g Group) error {
	if v.groups[g.Name] {
		return fmt.Errorf("%w: two groups are named %q", ErrInvalid, g.Name)
	}
	v.groups[g.Name] = true
	if len(g.Services) == 0 {
		return fmt.Errorf("%w: group %q has no services", ErrInvalid, g.Name)
	}
	if !slices.IsSortedFunc(g.Services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) }) {
		return fmt.Errorf("%w: services of group %q are not sorted by name", ErrInvalid, g.Name)
	}
	for _, s := range g.Services {
		if err := v.service(s); err != nil {
			return fmt.Errorf("%w: service %q: %w", ErrInvalid, s.Name, err)
		}
	}
	return nil
}

func (v *validation) service(s Service) error {
	if !ValidServiceName(s.Name) {
		return errors.New("a service's name is small letters, digits and -, begins with a letter and does not end in -")
	}
	if s.Image == "" {
		return errors.New("image is missing")
	}
	if err := s.Resources.Validate(); err != nil {
		return err
	}
	for _, env := range s.Env {
		if name, _, _ := strings.Cut(env, "="); !ValidEnvName(name) {
			return fmt.Errorf("environment variable %q: a name is letters, digits and _ - ., and does not begin with a digit", name)
		}
	}
	if !slices.IsSortedFunc(s.Expose, compareExpose) {
		return errors.New("exposes are not sorted")
	}
	for _, e := range s.Expose {
		if err := v.expose(e); err != nil {
			return err
		}
	}
	return nil
}

func (v *validation) expose(e Expose) error {
	if e.Port == 0 || e.Port > 65535 || e.ExternalPort > 65535 {
		return fmt.Errorf("port %d as %d: ports go from 1 to 65535", e.Port, e.External())
	}
	if e.Proto != "TCP" && e.Proto != "UDP" {
		return fmt.Errorf("protocol %q is neither TCP nor UDP", e.Proto)
	}
	if e.Global {
		v.global++
	}
	for _, host := range e.Hosts {
		if !ValidHostname(host) {
			return fmt.Errorf("hostname %q: a hostname is small letters, digits, - and ., at most %d of them", host, maxHostname)
		}
		if v.hosts[host] {
			return fmt.Errorf("hostname %q is accepted twice", host)
		}
		v.hosts[host] = true
	}
	return nil
}

// ValidServiceName tells whether name can name a service, and so a host that
// the others of its group resolve.
func ValidServiceName(name string) bool {
	return label(name) && name[0] >= 'a'
}

// ValidHostname tells whether host is a name of the DNS in small letters.
func ValidHostname(host string) bool {
	if len(host) > maxHostname {
		return false
	}
	for part := range strings.SplitSeq(host, ".") {
		if !label(part) {
			return false
		}
	}
	return true
}

// label tells whether s is small letters, digits and dashes, without a dash at
// either end.
func label(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	}) < 0
}

// ValidEnvName tells whether name can name an environment variable; the rule is
// that of Kubernetes.
func ValidEnvName(name string) bool {
	if name == "" || name == "." || strings.HasPrefix(name, "..") || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	}) < 0
}

// Check tells whether m is the manifest of a deployment with these groups: m is
// valid, and its services use up each group's replicas and endpoints, with
// neither too many nor too few.
func (m Manifest) Check(groups []market.GroupSpec) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if len(m) != len(groups) {
		return fmt.Errorf("%w: %d groups in the manifest, %d on the chain", ErrMismatch, len(m), len(groups))
	}
	for _, g := range m {
		i := slices.IndexFunc(groups, func(spec market.GroupSpec) bool { return spec.Name == g.Name })
		if i < 0 {
			return fmt.Errorf("%w: the chain knows no group %q", ErrMismatch, g.Name)
		}
		if err := g.check(groups[i]); err != nil {
			return fmt.Errorf("%w: group %q: %w", ErrMismatch, g.Name, err)
		}
	}
	return nil
}

// supply is what is left of a resource unit while services take from it.
type supply struct {
	unit      market.ResourceUnit
	endpoints map[market.EndpointKind]int
}

func (g Group) check(spec market.GroupSpec) error {
	left := make(map[uint32]*supply, len(spec.Units))
	for _, u := range spec.Units {
		s := &supply{u, map[market.EndpointKind]int{}}
		for _, e := range u.Resources.Endpoints {
			s.endpoints[e.Kind]++
		}
		left[u.Resources.ID] = s
	}
	for _, s := range g.Services {
		from := left[s.Resources.ID]
		if from == nil {
			return fmt.Errorf("service %q uses resource unit %d, which the group has not", s.Name, s.Resources.ID)
		}
		if err := from.take(s); err != nil {
			return fmt.Errorf("service %q: resource unit %d: %w", s.Name, s.Resources.ID, err)
		}
	}
	for _, u := range spec.Units {
		if err := left[u.Resources.ID].empty(); err != nil {
			return fmt.Errorf("resource unit %d: %w", u.Resources.ID, err)
		}
	}
	return nil
}

func (s *supply) take(by Service) error {
	if by.Count > s.unit.Count {
		return fmt.Errorf("%d replicas, but only %d are left", by.Count, s.unit.Count)
	}
	if !by.Resources.Equal(s.unit.Resources) {
		return errors.New("cpu, memory, storage or gpu differ")
	}
	s.unit.Count -= by.Count
	for _, e := range by.Expose {
		for _, need := range e.Endpoints() {
			if s.endpoints[need.Kind] == 0 {
				return fmt.Errorf("port %d needs one more %v endpoint", e.Port, need.Kind)
			}
			s.endpoints[need.Kind]--
		}
	}
	return nil
}

func (s *supply) empty() error {
	if s.unit.Count > 0 {
		return fmt.Errorf("%d replicas are used by no service", s.unit.Count)
	}
	for _, kind := range []market.EndpointKind{market.SharedHTTP, market.RandomPort, market.LeasedIP} {
		if n := s.endpoints[kind]; n > 0 {
			return fmt.Errorf("%d %v endpoints are used by no service", n, kind)
		}
	}
	return nil
}
