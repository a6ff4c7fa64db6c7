package console

import (
	"fmt"
	"net/http"

	"github.com/plexus-network/plexus/tenant"
)

// moveHosts has names lead to a lease of a deployment.
func (c *Console) moveHosts(r *http.Request) (any, error) {
	n, err := dseq(r)
	if err != nil {
		return nil, err
	}
	var in struct {
		Group uint32   `json:"group"` // 0 means the only one
		Hosts []string `json:"hosts"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if len(in.Hosts) == 0 {
		return nil, fmt.Errorf("%w: no name is given that is to lead to deployment %d", errRequest, n)
	}
	id, err := c.o.Tenant.MoveHosts(r.Context(), n, in.Group, in.Hosts...)
	return map[string]any{"lease": id.String(), "hosts": in.Hosts}, err
}

// addresses lists those that a deployment leases, and those of others of the
// tenant's for which it could give them.
func (c *Console) addresses(r *http.Request) (any, error) {
	n, err := dseq(r)
	if err != nil {
		return nil, err
	}
	held, err := c.o.Tenant.Held(r.Context(), n)
	if err != nil {
		return nil, err
	}
	others, err := c.o.Tenant.Exchangeable(r.Context(), n)
	return map[string]any{"held": append([]tenant.Held{}, held...), "others": append([]tenant.Held{}, others...)}, err
}

// moveAddress exchanges an address of a deployment for that of another.
func (c *Console) moveAddress(r *http.Request) (any, error) {
	n, err := dseq(r)
	if err != nil {
		return nil, err
	}
	var in struct {
		Group    uint32 `json:"group"` // of this deployment; 0 means whichever fits
		With     uint64 `json:"with"`  // the other deployment
		Endpoint string `json:"endpoint"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if in.With == 0 || in.With == n || in.Endpoint == "" {
		return nil, fmt.Errorf("%w: another deployment (with) and an endpoint are wanted, got %d and %q", errRequest, in.With, in.Endpoint)
	}
	a, b, err := c.o.Tenant.MoveAddress(r.Context(), n, in.Group, in.With, in.Endpoint)
	return map[string]any{"lease": a.String(), "with": b.String(), "endpoint": in.Endpoint}, err
}
