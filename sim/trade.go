package sim

import (
	"crypto/sha256"
	"fmt"

	"github.com/cosmos/cosmos-sdk/types/query"

	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/market"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// trade are the whims of the market: tenants are the rich, providers anybody
// who can pay the deposit.
var trade = []whim{
	createDeployment, createDeployment, createDeployment, updateDeployment, closeDeployment,
	pauseGroup, startGroup, startGroup, closeGroup,
	createBid, createBid, createBid, createBid, createBid, createBid, closeBid,
	createLease, createLease, createLease, createLease, createLease, closeLease, reclaimLease, reclaimLease, withdrawLease, withdrawLease,
	payIn, payIn, setAllowance, createProvider, createProvider, updateProvider, deleteProvider,
	signAttributes, deleteAttributes, reportNonDelivery, voteNonDelivery, voteNonDelivery,
}

// tradeParams let much happen in few blocks.
func tradeParams() marketv1.Params {
	p := market.DefaultParams()
	p.Currencies[0].MinDeposit, p.Currencies[0].MinBidDeposit = uint64(coin.PLX/100), uint64(coin.PLX/100)
	p.OrderLifetime, p.BidLifetime, p.Retention, p.VotingPeriod = 60, 20, 50, 25
	p.MinReclaim, p.MaxReclaim, p.Unbonding = 5, 1000, 600
	p.ProviderDeposit, p.ReportDeposit, p.MaxBids = uint64(coin.PLX/2), uint64(coin.PLX/10), 4
	return p
}

// page is how much of a list a whim chooses from: any part of it.
func (s *Storm) page() *query.PageRequest {
	return &query.PageRequest{Limit: 20, Offset: s.rng.Uint64N(10), Reverse: s.one(2)}
}

// ask reads a list of the market. What fails is empty.
func (s *Storm) ask(method string, request, response wire) {
	if err := s.Query("/plexus.market.v1.Query/"+method, request, response); err != nil {
		return
	}
}

// deployment returns a deployment in a state, if there is one.
func (s *Storm) deployment(state marketv1.DeploymentState) (marketv1.Deployment, bool) {
	r := &marketv1.QueryDeploymentsResponse{}
	s.ask("Deployments", &marketv1.QueryDeploymentsRequest{State: state, Pagination: s.page()}, r)
	return anyOf(s, r.Deployments)
}

// anyOf returns one of a list, if it has any.
func anyOf[T any](s *Storm, list []T) (one T, ok bool) {
	if len(list) == 0 {
		return one, false
	}
	return pick(s, list), true
}

// need returns what a small group of replicas asks for: prices run from a
// fraction of a unit up, so that money runs out now and then.
func (s *Storm) need(name string) marketv1.GroupSpec {
	g := marketv1.GroupSpec{Name: name}
	for id := range uint32(1 + s.rng.IntN(2)) {
		g.Units = append(g.Units, marketv1.ResourceUnit{
			Resources: marketv1.Resources{
				Id: id + 1, Cpu: 10 + s.rng.Uint64N(1000), Memory: 1 << 27, Storage: []marketv1.Volume{{Name: "default", Size_: 1 << 28}},
			},
			Count: 1 + s.rng.Uint32N(3),
			Price: marketv1.Price{Denom: coin.Denom, Amount: fmt.Sprintf("%d.%03d", 1+s.rng.IntN(1_000_000), s.rng.IntN(1000))},
		})
	}
	if s.one(4) {
		g.Attributes = []marketv1.Attribute{{Key: "region", Value: pick(s, regions)}}
	}
	if s.one(8) {
		g.SignedBy.AnyOf = []string{s.people[0].Address()}
	}
	return g
}

// regions are where providers are.
var regions = []string{"east", "west"}

func createDeployment(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.rich)
	hash := sha256.Sum256(fmt.Append(nil, s.rng.Uint64()))
	m := &marketv1.MsgCreateDeployment{Owner: p.Address(), Hash: hash[:], Deposit: nplx(coin.PLX/100 + s.amount(coin.PLX/50))}
	for i := range 1 + s.rng.IntN(3) {
		m.Groups = append(m.Groups, s.need(fmt.Sprint("group", i)))
	}
	if s.one(2) {
		m.Reclaim = 5 + s.rng.Uint64N(100)
	}
	if a, ok := s.allowance(p); ok && s.one(2) {
		m.Granter = a.Granter
	}
	return p, m
}

// allowance returns one of which a person may pay.
func (s *Storm) allowance(p *Person) (marketv1.Allowance, bool) {
	r := &marketv1.QueryAllowancesResponse{}
	s.ask("Allowances", &marketv1.QueryAllowancesRequest{Grantee: p.Address()}, r)
	return anyOf(s, r.Allowances)
}

func updateDeployment(s *Storm) (*Person, sdk.Msg) {
	d, ok := s.deployment(marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE)
	if !ok {
		return nil, nil
	}
	hash := sha256.Sum256(fmt.Append(nil, s.rng.Uint64()))
	return s.who(d.Id.Owner), &marketv1.MsgUpdateDeployment{Owner: d.Id.Owner, Dseq: d.Id.Dseq, Hash: hash[:]}
}

func closeDeployment(s *Storm) (*Person, sdk.Msg) {
	d, ok := s.deployment(0)
	if !ok {
		return nil, nil
	}
	return s.who(d.Id.Owner), &marketv1.MsgCloseDeployment{Owner: d.Id.Owner, Dseq: d.Id.Dseq}
}

// groupIn returns a group in a state, of an active deployment, if one is found.
func (s *Storm) groupIn(state marketv1.GroupState) (marketv1.Group, bool) {
	for range 4 {
		d, ok := s.deployment(marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE)
		if !ok {
			break
		}
		r := &marketv1.QueryDeploymentResponse{}
		s.ask("Deployment", &marketv1.QueryDeploymentRequest{Owner: d.Id.Owner, Dseq: d.Id.Dseq}, r)
		for _, g := range r.Groups {
			if g.State == state {
				return g, true
			}
		}
	}
	return marketv1.Group{}, false
}

func pauseGroup(s *Storm) (*Person, sdk.Msg) {
	g, ok := s.groupIn(marketv1.GroupState_GROUP_STATE_OPEN)
	if !ok {
		return nil, nil
	}
	return s.who(g.Id.Owner), &marketv1.MsgPauseGroup{Owner: g.Id.Owner, Dseq: g.Id.Dseq, Gseq: g.Id.Gseq}
}

func startGroup(s *Storm) (*Person, sdk.Msg) {
	g, ok := s.groupIn(marketv1.GroupState_GROUP_STATE_PAUSED)
	if !ok {
		return nil, nil
	}
	return s.who(g.Id.Owner), &marketv1.MsgStartGroup{Owner: g.Id.Owner, Dseq: g.Id.Dseq, Gseq: g.Id.Gseq}
}

func closeGroup(s *Storm) (*Person, sdk.Msg) {
	g, ok := s.groupIn(pick(s, []marketv1.GroupState{marketv1.GroupState_GROUP_STATE_OPEN, marketv1.GroupState_GROUP_STATE_PAUSED}))
	if !ok || s.one(2) {
		return nil, nil
	}
	return s.who(g.Id.Owner), &marketv1.MsgCloseGroup{Owner: g.Id.Owner, Dseq: g.Id.Dseq, Gseq: g.Id.Gseq}
}

// seller returns a provider, if there is one.
func (s *Storm) seller() (marketv1.Provider, bool) {
	r := &marketv1.QueryProvidersResponse{}
	s.ask("Providers", &marketv1.QueryProvidersRequest{}, r)
	return anyOf(s, r.Providers)
}

func createBid(s *Storm) (*Person, sdk.Msg) {
	r := &marketv1.QueryOrdersResponse{}
	s.ask("Orders", &marketv1.QueryOrdersRequest{State: marketv1.OrderState_ORDER_STATE_OPEN, Pagination: s.page()}, r)
	o, order := anyOf(s, r.Orders)
	p, provider := s.seller()
	if !order || !provider {
		return nil, nil
	}
	m := &marketv1.MsgCreateBid{
		Provider: p.Account, Owner: o.Id.Owner, Dseq: o.Id.Dseq, Gseq: o.Id.Gseq, Oseq: o.Id.Oseq,
		Price:   marketv1.Price{Denom: coin.Denom, Amount: fmt.Sprintf("%d.%06d", s.rng.IntN(1_000_000), 1+s.rng.IntN(999_999))},
		Deposit: nplx(coin.PLX/100 + s.amount(1000)), Lifetime: s.rng.Uint64N(21),
	}
	if o.Reclaim > 0 || s.one(3) {
		m.Reclaim = max(o.Reclaim, 5) + s.rng.Uint64N(50)
	}
	for _, u := range o.Spec.Units {
		m.Offers = append(m.Offers, marketv1.Offer{Resources: u.Resources, Count: u.Count})
	}
	return s.who(p.Account), m
}

// bidIn returns a bid in a state, if there is one.
func (s *Storm) bidIn(state marketv1.BidState) (marketv1.Bid, bool) {
	r := &marketv1.QueryBidsResponse{}
	s.ask("Bids", &marketv1.QueryBidsRequest{State: state, Pagination: s.page()}, r)
	if len(r.Bids) == 0 {
		s.ask("Bids", &marketv1.QueryBidsRequest{State: state}, r)
	}
	return anyOf(s, r.Bids)
}

func closeBid(s *Storm) (*Person, sdk.Msg) {
	b, ok := s.bidIn(pick(s, []marketv1.BidState{marketv1.BidState_BID_STATE_OPEN, marketv1.BidState_BID_STATE_ACTIVE}))
	if !ok {
		return nil, nil
	}
	return s.who(b.Id.Provider), &marketv1.MsgCloseBid{
		Provider: b.Id.Provider, Owner: b.Id.Owner, Dseq: b.Id.Dseq, Gseq: b.Id.Gseq, Oseq: b.Id.Oseq,
		Reason: pick(s, []marketv1.Reason{0, marketv1.Reason_REASON_UNSTABLE, marketv1.Reason_REASON_MANIFEST_TIMEOUT}),
	}
}

func createLease(s *Storm) (*Person, sdk.Msg) {
	b, ok := s.bidIn(marketv1.BidState_BID_STATE_OPEN)
	if !ok {
		return nil, nil
	}
	return s.who(b.Id.Owner), &marketv1.MsgCreateLease{Owner: b.Id.Owner, Dseq: b.Id.Dseq, Gseq: b.Id.Gseq, Oseq: b.Id.Oseq, Provider: b.Id.Provider}
}

// leaseIn returns a lease in a state, if there is one.
func (s *Storm) leaseIn(state marketv1.LeaseState) (marketv1.Lease, bool) {
	r := &marketv1.QueryLeasesResponse{}
	s.ask("Leases", &marketv1.QueryLeasesRequest{State: state, Pagination: s.page()}, r)
	if len(r.Leases) == 0 {
		s.ask("Leases", &marketv1.QueryLeasesRequest{State: state}, r)
	}
	return anyOf(s, r.Leases)
}

func closeLease(s *Storm) (*Person, sdk.Msg) {
	l, ok := s.leaseIn(pick(s, []marketv1.LeaseState{marketv1.LeaseState_LEASE_STATE_ACTIVE, marketv1.LeaseState_LEASE_STATE_RECLAIMING}))
	if !ok || s.one(2) {
		return nil, nil
	}
	return s.who(l.Id.Owner), &marketv1.MsgCloseLease{Owner: l.Id.Owner, Dseq: l.Id.Dseq, Gseq: l.Id.Gseq, Oseq: l.Id.Oseq, Provider: l.Id.Provider}
}

func reclaimLease(s *Storm) (*Person, sdk.Msg) {
	l, ok := s.leaseIn(marketv1.LeaseState_LEASE_STATE_ACTIVE)
	if !ok {
		return nil, nil
	}
	return s.who(l.Id.Provider), &marketv1.MsgReclaimLease{Provider: l.Id.Provider, Owner: l.Id.Owner, Dseq: l.Id.Dseq, Gseq: l.Id.Gseq, Oseq: l.Id.Oseq}
}

func withdrawLease(s *Storm) (*Person, sdk.Msg) {
	l, ok := s.leaseIn(marketv1.LeaseState_LEASE_STATE_ACTIVE)
	if !ok {
		return nil, nil
	}
	return s.who(l.Id.Provider), &marketv1.MsgWithdrawLease{Provider: l.Id.Provider, Owner: l.Id.Owner, Dseq: l.Id.Dseq, Gseq: l.Id.Gseq, Oseq: l.Id.Oseq}
}

// payIn adds to a deployment: the owner's own money, an allowance's, or a
// friend's.
func payIn(s *Storm) (*Person, sdk.Msg) {
	d, ok := s.deployment(marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE)
	if !ok {
		return nil, nil
	}
	p := s.who(d.Id.Owner)
	m := &marketv1.MsgDeposit{Owner: d.Id.Owner, Dseq: d.Id.Dseq, Amount: nplx(coin.PLX/100 + s.amount(coin.PLX/100))}
	if a, ok := s.allowance(p); ok && s.one(2) {
		m.Granter = a.Granter
	} else if s.one(3) {
		p = pick(s, s.rich)
	}
	m.Account = p.Address()
	return p, m
}

func setAllowance(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.rich)
	m := &marketv1.MsgSetAllowance{Granter: p.Address(), Grantee: pick(s, s.rich).Address(), Limit: nplx(s.amount(coin.PLX / 10))}
	if s.one(2) {
		m.Expires = s.Time.Unix() + 1 + s.rng.Int64N(1000)
	}
	return p, m
}

func createProvider(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, &marketv1.MsgCreateProvider{
		Account: p.Address(), HostUri: "https://" + p.Name() + ".example:8443", Deposit: nplx(coin.PLX/2 + s.amount(coin.PLX/4)),
		Attributes: []marketv1.Attribute{{Key: "region", Value: pick(s, regions)}},
	}
}

func updateProvider(s *Storm) (*Person, sdk.Msg) {
	p, ok := s.seller()
	if !ok {
		return nil, nil
	}
	return s.who(p.Account), &marketv1.MsgUpdateProvider{Account: p.Account, HostUri: p.HostUri, Attributes: p.Attributes, Add: s.rng.Uint64N(uint64(coin.PLX / 4))}
}

func deleteProvider(s *Storm) (*Person, sdk.Msg) {
	p, ok := s.seller()
	if !ok || s.one(2) {
		return nil, nil
	}
	return s.who(p.Account), &marketv1.MsgDeleteProvider{Account: p.Account}
}

func signAttributes(s *Storm) (*Person, sdk.Msg) {
	p, ok := s.seller()
	if !ok {
		return nil, nil
	}
	by := pick(s, s.people[:2])
	return by, &marketv1.MsgSignAttributes{Auditor: by.Address(), Provider: p.Account, Attributes: []marketv1.Attribute{{Key: "region", Value: pick(s, regions)}}}
}

func deleteAttributes(s *Storm) (*Person, sdk.Msg) {
	r := &marketv1.QueryAuditsResponse{}
	s.ask("Audits", &marketv1.QueryAuditsRequest{}, r)
	a, ok := anyOf(s, r.Audits)
	if !ok {
		return nil, nil
	}
	return s.who(a.Auditor), &marketv1.MsgDeleteAttributes{Auditor: a.Auditor, Provider: a.Provider}
}

// reportNonDelivery accuses the provider of some lease, ended or not.
func reportNonDelivery(s *Storm) (*Person, sdk.Msg) {
	l, ok := s.leaseIn(0)
	if !ok {
		return nil, nil
	}
	by := s.who(l.Id.Owner)
	if s.one(3) {
		by = pick(s, s.operators)
	}
	return by, &marketv1.MsgReportNonDelivery{
		Account: by.Address(), Owner: l.Id.Owner, Dseq: l.Id.Dseq, Gseq: l.Id.Gseq, Oseq: l.Id.Oseq, Provider: l.Id.Provider, Evidence: []byte("silence"),
	}
}

// voteNonDelivery votes on an open case: mostly somebody of its court, if it has
// anybody.
func voteNonDelivery(s *Storm) (*Person, sdk.Msg) {
	r := &marketv1.QueryCasesResponse{}
	s.ask("Cases", &marketv1.QueryCasesRequest{}, r)
	for _, c := range r.Cases {
		if c.Verdict == marketv1.CaseVerdict_CASE_VERDICT_OPEN {
			p := s.juror(c.Court)
			return p, &marketv1.MsgVoteNonDelivery{Account: p.Address(), Case: c.Id, Guilty: !s.one(3)}
		}
	}
	return nil, nil
}

// juror returns somebody with a permit on a subnet, or a member of the root; an
// operator now and then, or if there is none.
func (s *Storm) juror(netuid uint32) *Person {
	m := &subnetv1.QueryMetagraphResponse{}
	if err := s.Query("/plexus.subnet.v1.Query/Metagraph", &subnetv1.QueryMetagraphRequest{Netuid: netuid}, m); err != nil || s.one(8) {
		return pick(s, s.operators)
	}
	var permitted []*Person
	for _, n := range m.Neurons {
		if n.Permit || netuid == subnet.Root {
			permitted = append(permitted, s.who(n.Neuron.Account))
		}
	}
	if p, ok := anyOf(s, permitted); ok {
		return p
	}
	return pick(s, s.operators)
}
