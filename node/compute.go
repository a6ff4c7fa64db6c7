package node

import (
	"context"
	"fmt"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/compute"
	"github.com/plexus-network/plexus/subnet/compute/duty"
	"github.com/plexus-network/plexus/tenant"
	"github.com/plexus-network/plexus/tenant/trial"
	"github.com/plexus-network/plexus/wallet"
)

// ProbeOptions say how a validator of a compute subnet rents. The zero value
// rents with the neuron's own key what the subnet declares, for a PLX an hour.
type ProbeOptions struct {
	Key    *wallet.Key // whose account pays; nil means the key that signs for the neuron
	Image  string      // of the probe program, by digest; "" means the subnet's
	Budget coin.Amount // of an hour; 0 means a PLX
	Quiet  bool        // providers that are proven not to deliver are not reported to the market
}

// compute returns the kind compute: with something to rent with, and the
// service that does, if the neuron is a validator.
func (r *lone) compute(params []byte) (subnet.Mechanism, error) {
	manifest, err := compute.ParseManifest(params)
	if err != nil {
		return nil, err
	}
	if !r.validates {
		r.Say("kind", "compute: this account is to be a provider on the market; plexus provider run is what earns")
		return compute.New(manifest, compute.Options{Log: r.Log})
	}
	key := r.Probes.Key
	if key == nil {
		key = r.Actor.Key
	}
	renter := trial.New(r.Chain, tenant.New(r.Chain, key), r.home.path("probes.json"), trial.Options{
		Life: manifest.Life(), Private: r.Reach != p2p.Public, Log: r.Log,
	})
	accuse, err := r.accuser(key)
	if err != nil {
		return nil, err
	}
	m, err := compute.New(manifest, compute.Options{
		Renter: renter, Image: r.Probes.Image, Budget: market.Amount(r.Probes.Budget), Accuse: accuse, Log: r.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("%w with --probe-image", err)
	}
	r.services = append(r.services, service{"probes", func(ctx context.Context) error {
		defer renter.CloseIdle()
		if err := renter.Recover(ctx); err != nil {
			r.Log.Error("probes of an earlier run are not ended, and cost money", "err", err)
		}
		return m.Run(ctx)
	}})
	r.Say("probes", fmt.Sprintf("rented by %s", key.Address()))
	return m, nil
}

// accuser returns what takes findings about providers to the market, by the
// account that rents probes, and adds the service that does; nil if none are
// reported.
func (r *lone) accuser(key *wallet.Key) (func(compute.Accusation) error, error) {
	if r.Probes.Quiet {
		return nil, nil //nolint:nilnil // nothing is a way of accusing, too
	}
	d, err := duty.New(duty.Options{
		Court: r.Chain.Market(), Actor: ledger.Actor{Key: key}, Folder: subnet.Folder{Path: r.home.path("accusations")}, Log: r.Log.With("role", "duty"),
	})
	if err != nil {
		return nil, err
	}
	r.services = append(r.services, service{"reports", d.Run})
	return d.Accuse, nil
}
