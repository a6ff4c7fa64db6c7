package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/tenant"
)

// A renter is what the commands of a tenant share: flags, and the tenant that
// they mean once run has opened it.
type renter struct {
	client
	from   string
	name   string // of the key
	chain  *ledger.Client
	tenant *tenant.Tenant
}

// tenantFlags adds the flags of a tenant to a command and all below it.
func (r *renter) tenantFlags(cmd *cobra.Command) {
	r.flags(cmd)
	cmd.PersistentFlags().StringVar(&r.from, "from", "", "name of the tenant's key (default from home)")
	completed(cmd, "from", r.keyNames)
}

// run opens the tenant's key and the chain for do.
func (r *renter) run(cmd *cobra.Command, do func(ctx context.Context) error) error {
	ring, err := r.keys(cmd)
	if err != nil {
		return err
	}
	if r.name = r.from; r.name == "" {
		r.name = r.config.Key
	}
	if r.name == "" {
		return errors.New("whose deployments? Name the tenant's key with --from, or once and for all with plexus keys use; plexus keys list shows them")
	}
	key, err := ring.Key(r.name)
	if err != nil {
		return err
	}
	if r.chain, err = r.dial(ledger.Options{}); err != nil {
		return err
	}
	defer shut(r.chain)
	r.tenant = tenant.New(r.chain, key)
	err = do(cmd.Context())
	if errors.Is(err, tenant.ErrNoLease) {
		err = fmt.Errorf("%w; plexus deploy list shows your deployments", err)
	}
	return r.hint(err)
}

// dseqArg reads the number of a deployment.
func dseqArg(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("deployment %q is no number; plexus deploy list shows yours", text)
	}
	return n, nil
}
