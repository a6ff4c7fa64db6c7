package ledger

import (
	"context"
	"fmt"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/yuma"
)

// Market is the chain's compute market as tenants and providers see it. It is
// made by [Client.Market] and may be used from many goroutines. What a method
// does for an [Actor], it does as the tenant or provider that the actor is.
type Market struct{ c *Client }

// Market returns the compute market.
func (c *Client) Market() Market { return Market{c} }

// Money is a sum in base units of a denom.
type Money struct {
	Denom  string // empty means nplx
	Amount market.Amount
}

// coin returns m as the SDK has it.
func (m Money) coin() sdk.Coin {
	if m.Denom == "" {
		m.Denom = coin.Denom
	}
	return sdk.Coin{Denom: m.Denom, Amount: math.NewIntFromUint64(uint64(m.Amount))}
}

// String formats m, as in "0.5plx" or "12uakt".
func (m Money) String() string {
	if m.Denom == "" || m.Denom == coin.Denom {
		return coin.Amount(m.Amount).String()
	}
	return m.coin().String()
}

// money reads a sum of a message.
func money(c sdk.Coin) Money { return Money{c.Denom, market.Amount(amount(c.Amount))} }

// A Deployment is what a tenant wants to run: what package market/sdl makes of
// a file, and the money for it.
type Deployment struct {
	DSeq    uint64             // 0 means the next of the tenant
	Hash    [32]byte           // of the manifest
	Groups  []market.GroupSpec // sorted by name
	Reclaim market.Seconds     // the shortest notice that is accepted of providers; 0 means none is asked for
	Deposit Money              // in the denom of the groups' prices
	Granter string             // who pays it out of an allowance; empty means the tenant
}

// Deploy opens a deployment, whose groups are then up for bids, and returns its
// name.
func (m Market) Deploy(ctx context.Context, a Actor, d Deployment) (market.DeploymentID, error) {
	msg := &marketv1.MsgCreateDeployment{
		Owner: a.Account(), Dseq: d.DSeq, Hash: d.Hash[:], Deposit: d.Deposit.coin(), Granter: d.Granter, Reclaim: uint64(max(d.Reclaim, 0)),
	}
	for _, g := range d.Groups {
		msg.Groups = append(msg.Groups, wire.WriteGroupSpec(g))
	}
	var resp marketv1.MsgCreateDeploymentResponse
	err := m.do(ctx, a, msg, &resp)
	return market.DeploymentID{Owner: a.Account(), DSeq: resp.Dseq}, acted(err, "deploy")
}

// decoded is the response of a message.
type decoded interface {
	Reset()
	String() string
	ProtoMessage()
}

// do sends one message and reads its response.
func (m Market) do(ctx context.Context, a Actor, msg sdk.Msg, into decoded) error {
	_, err := m.did(ctx, a, msg, into)
	return err
}

// did is do, and returns the height of the block that holds the message.
func (m Market) did(ctx context.Context, a Actor, msg sdk.Msg, into decoded) (yuma.Height, error) {
	r, err := m.c.Submit(ctx, a, msg)
	if err != nil {
		return 0, err
	}
	if into != nil {
		err = r.Decode(0, into)
	}
	return r.Height, err
}

// Update sets the hash of another manifest for the same resources.
func (m Market) Update(ctx context.Context, a Actor, dseq uint64, hash [32]byte) error {
	err := m.do(ctx, a, &marketv1.MsgUpdateDeployment{Owner: a.Account(), Dseq: dseq, Hash: hash[:]}, nil)
	return acted(err, "update deployment %d", dseq)
}

// Close ends a deployment; what it did not spend goes back.
func (m Market) Close(ctx context.Context, a Actor, dseq uint64) error {
	err := m.do(ctx, a, &marketv1.MsgCloseDeployment{Owner: a.Account(), Dseq: dseq}, nil)
	return acted(err, "close deployment %d", dseq)
}

// PauseGroup ends a group's order or lease for now.
func (m Market) PauseGroup(ctx context.Context, a Actor, dseq uint64, gseq uint32) error {
	err := m.do(ctx, a, &marketv1.MsgPauseGroup{Owner: a.Account(), Dseq: dseq, Gseq: gseq}, nil)
	return acted(err, "pause group %d/%d", dseq, gseq)
}

// StartGroup orders a paused group again and returns the number of the order.
func (m Market) StartGroup(ctx context.Context, a Actor, dseq uint64, gseq uint32) (oseq uint32, err error) {
	var resp marketv1.MsgStartGroupResponse
	err = m.do(ctx, a, &marketv1.MsgStartGroup{Owner: a.Account(), Dseq: dseq, Gseq: gseq}, &resp)
	return resp.Oseq, acted(err, "start group %d/%d", dseq, gseq)
}

// CloseGroup ends a group for good.
func (m Market) CloseGroup(ctx context.Context, a Actor, dseq uint64, gseq uint32) error {
	err := m.do(ctx, a, &marketv1.MsgCloseGroup{Owner: a.Account(), Dseq: dseq, Gseq: gseq}, nil)
	return acted(err, "close group %d/%d", dseq, gseq)
}

// Bid bids on an order. b.ID names the order; its provider is the actor's
// account. The deposit is in the denom of the price. lifetime is for how many
// blocks the bid stands; 0 means as many as the chain allows. It returns the
// height of the block that holds the bid, and the one at which it expires.
func (m Market) Bid(ctx context.Context, a Actor, b market.Bid, lifetime yuma.Height) (at, expires yuma.Height, err error) {
	var resp marketv1.MsgCreateBidResponse
	at, err = m.did(ctx, a, &marketv1.MsgCreateBid{
		Provider: a.Account(), Owner: b.ID.Owner, Dseq: b.ID.DSeq, Gseq: b.ID.GSeq, Oseq: b.ID.OSeq,
		Price: wire.WritePrice(b.Price), Deposit: Money{b.Price.Denom, b.Deposit}.coin(), Offers: wire.WriteOffers(b.Offer),
		Reclaim: uint64(max(b.Reclaim, 0)), Lifetime: uint64(lifetime),
	}, &resp)
	return at, height(resp.Expires), acted(err, "bid %s on order %v", b.Price, b.ID.OrderID)
}

// CloseBid ends a bid of the actor's account, and its lease if it has one, for
// one of the provider's reasons.
func (m Market) CloseBid(ctx context.Context, a Actor, id market.OrderID, reason market.Reason) error {
	err := m.do(ctx, a, &marketv1.MsgCloseBid{
		Provider: a.Account(), Owner: id.Owner, Dseq: id.DSeq, Gseq: id.GSeq, Oseq: id.OSeq, Reason: marketv1.Reason(reason),
	}, nil)
	return acted(err, "close the bid on order %v", id)
}

// Take takes bids, all of them or none, each for its own order, and returns the
// last height that is paid in full after that.
func (m Market) Take(ctx context.Context, a Actor, ids ...market.BidID) (dry yuma.Height, err error) {
	var msgs []sdk.Msg
	for _, id := range ids {
		msgs = append(msgs, &marketv1.MsgCreateLease{Owner: a.Account(), Dseq: id.DSeq, Gseq: id.GSeq, Oseq: id.OSeq, Provider: id.Provider})
	}
	r, err := m.c.Submit(ctx, a, msgs...)
	var resp marketv1.MsgCreateLeaseResponse
	if err == nil {
		err = r.Decode(len(msgs)-1, &resp)
	}
	return height(resp.Dry), acted(err, "take bids %v", ids)
}

// CloseLease ends a lease as its tenant; its group is ordered again.
func (m Market) CloseLease(ctx context.Context, a Actor, id market.BidID) error {
	err := m.do(ctx, a, &marketv1.MsgCloseLease{Owner: a.Account(), Dseq: id.DSeq, Gseq: id.GSeq, Oseq: id.OSeq, Provider: id.Provider}, nil)
	return acted(err, "close lease %v", id)
}

// Reclaim gives the notice that the actor's account promised, and returns when
// the lease ends, in seconds since 1970.
func (m Market) Reclaim(ctx context.Context, a Actor, id market.OrderID) (market.Seconds, error) {
	var resp marketv1.MsgReclaimLeaseResponse
	err := m.do(ctx, a, &marketv1.MsgReclaimLease{Provider: a.Account(), Owner: id.Owner, Dseq: id.DSeq, Gseq: id.GSeq, Oseq: id.OSeq}, &resp)
	return market.Seconds(resp.Deadline), acted(err, "reclaim the lease of order %v", id)
}

// Withdraw pays the actor's account what a lease has earned, and returns that
// and the network's part beside it.
func (m Market) Withdraw(ctx context.Context, a Actor, id market.OrderID) (paid, take Money, err error) {
	var resp marketv1.MsgWithdrawLeaseResponse
	err = m.do(ctx, a, &marketv1.MsgWithdrawLease{Provider: a.Account(), Owner: id.Owner, Dseq: id.DSeq, Gseq: id.GSeq, Oseq: id.OSeq}, &resp)
	return money(resp.Paid), money(resp.Take), acted(err, "withdraw from the lease of order %v", id)
}

// TopUp adds to a deployment's escrow, anybody's, and returns the last height
// that is paid in full after that; 0 while nothing is paid. granter pays out of
// an allowance if the deployment is the actor's; empty means the actor.
func (m Market) TopUp(ctx context.Context, a Actor, id market.DeploymentID, sum Money, granter string) (dry yuma.Height, err error) {
	var resp marketv1.MsgDepositResponse
	err = m.do(ctx, a, &marketv1.MsgDeposit{Account: a.Account(), Owner: id.Owner, Dseq: id.DSeq, Amount: sum.coin(), Granter: granter}, &resp)
	return height(resp.Dry), acted(err, "pay %v into deployment %v", sum, id)
}

// Allow lets another account pay its deployments from the actor's coins, up to
// a limit, until a second since 1970 or, if that is 0, for good. A limit of 0
// ends it.
func (m Market) Allow(ctx context.Context, a Actor, grantee string, limit Money, expires market.Seconds) error {
	err := m.do(ctx, a, &marketv1.MsgSetAllowance{Granter: a.Account(), Grantee: grantee, Limit: limit.coin(), Expires: int64(expires)}, nil)
	return acted(err, "allow %s to spend %v", grantee, limit)
}

// Enter makes the actor's account a provider. Of p it reads what a provider
// tells of itself, and the deposit, in nplx.
func (m Market) Enter(ctx context.Context, a Actor, p marketv1.Provider) error {
	err := m.do(ctx, a, &marketv1.MsgCreateProvider{
		Account: a.Account(), HostUri: p.HostUri, Attributes: p.Attributes, Email: p.Email, Website: p.Website, TlsPin: p.TlsPin,
		Deposit: nplx(coin.Amount(p.Deposit)),
	}, nil)
	return acted(err, "enter the market at %s", p.HostUri)
}

// Describe replaces what the actor's account tells of itself as a provider, and
// adds to its deposit.
func (m Market) Describe(ctx context.Context, a Actor, p marketv1.Provider, add coin.Amount) error {
	err := m.do(ctx, a, &marketv1.MsgUpdateProvider{
		Account: a.Account(), HostUri: p.HostUri, Attributes: p.Attributes, Email: p.Email, Website: p.Website, TlsPin: p.TlsPin, Add: uint64(add),
	}, nil)
	return acted(err, "update the provider at %s", p.HostUri)
}

// Leave makes the actor's account leave the market as a provider, and returns
// when it is gone and has its deposit back, in seconds since 1970.
func (m Market) Leave(ctx context.Context, a Actor) (market.Seconds, error) {
	var resp marketv1.MsgDeleteProviderResponse
	err := m.do(ctx, a, &marketv1.MsgDeleteProvider{Account: a.Account()}, &resp)
	return market.Seconds(resp.Leaves), acted(err, "leave the market")
}

// Sign adds to what the actor's account says of a provider as an auditor.
func (m Market) Sign(ctx context.Context, a Actor, provider string, attributes market.Attributes) error {
	err := m.do(ctx, a, &marketv1.MsgSignAttributes{Auditor: a.Account(), Provider: provider, Attributes: wire.WriteAttributes(attributes)}, nil)
	return acted(err, "sign attributes of %s", provider)
}

// Unsign takes back what the actor's account said of a provider: the named keys,
// or all of it.
func (m Market) Unsign(ctx context.Context, a Actor, provider string, keys ...string) error {
	err := m.do(ctx, a, &marketv1.MsgDeleteAttributes{Auditor: a.Account(), Provider: provider, Keys: keys}, nil)
	return acted(err, "take back what was signed of %s", provider)
}

// Report opens a case against the provider of a lease and returns its number
// and the height at which it lapses. Evidence has 1 byte to 64 KiB and is found
// again in the transaction.
func (m Market) Report(ctx context.Context, a Actor, id market.BidID, evidence []byte) (number uint64, deadline yuma.Height, err error) {
	var resp marketv1.MsgReportNonDeliveryResponse
	err = m.do(ctx, a, &marketv1.MsgReportNonDelivery{
		Account: a.Account(), Owner: id.Owner, Dseq: id.DSeq, Gseq: id.GSeq, Oseq: id.OSeq, Provider: id.Provider, Evidence: evidence,
	}, &resp)
	return resp.Case, height(resp.Deadline), acted(err, "report lease %v", id)
}

// Vote votes on an open case of non-delivery, or changes the vote, and returns
// how the case stands after it.
func (m Market) Vote(ctx context.Context, a Actor, number uint64, guilty bool) (marketv1.CaseVerdict, error) {
	var resp marketv1.MsgVoteNonDeliveryResponse
	err := m.do(ctx, a, &marketv1.MsgVoteNonDelivery{Account: a.Account(), Case: number, Guilty: guilty}, &resp)
	return resp.Verdict, acted(err, "vote on case %d", number)
}

// query returns the chain's service.
func (m Market) query() marketv1.QueryClient { return marketv1.NewQueryClient(m.c.conn) }

// Params returns the market's parameters.
func (m Market) Params(ctx context.Context) (marketv1.Params, error) {
	resp, err := m.query().Params(ctx, &marketv1.QueryParamsRequest{})
	if err != nil {
		return marketv1.Params{}, failed("parameters of the market", err)
	}
	return resp.Params, nil
}

// Deployment returns a deployment with its groups and its money, or
// [ErrNotFound].
func (m Market) Deployment(ctx context.Context, id market.DeploymentID) (*marketv1.QueryDeploymentResponse, error) {
	resp, err := m.query().Deployment(ctx, &marketv1.QueryDeploymentRequest{Owner: id.Owner, Dseq: id.DSeq})
	if err != nil {
		return nil, failed("deployment "+id.String(), err)
	}
	return resp, nil
}

// Order returns an order with what it asks for, or [ErrNotFound].
func (m Market) Order(ctx context.Context, id market.OrderID) (market.Order, error) {
	resp, err := m.query().Order(ctx, &marketv1.QueryOrderRequest{Owner: id.Owner, Dseq: id.DSeq, Gseq: id.GSeq, Oseq: id.OSeq})
	if err != nil {
		return market.Order{}, failed("order "+id.String(), err)
	}
	if resp.Order.Spec == nil {
		return market.Order{}, fmt.Errorf("order %v: the node does not say what it asks for", id)
	}
	o, err := wire.ReadOrder(resp.Order, *resp.Order.Spec)
	return o, acted(err, "order %v", id)
}

// Lease returns a lease with what it is owed and its runway, or [ErrNotFound].
func (m Market) Lease(ctx context.Context, id market.BidID) (*marketv1.QueryLeaseResponse, error) {
	resp, err := m.query().Lease(ctx, &marketv1.QueryLeaseRequest{Owner: id.Owner, Dseq: id.DSeq, Gseq: id.GSeq, Oseq: id.OSeq, Provider: id.Provider})
	if err != nil {
		return nil, failed("lease "+id.String(), err)
	}
	return resp, nil
}

// Provider returns a provider with what auditors sign of it, or [ErrNotFound].
func (m Market) Provider(ctx context.Context, account string) (*marketv1.QueryProviderResponse, error) {
	resp, err := m.query().Provider(ctx, &marketv1.QueryProviderRequest{Account: account})
	if err != nil {
		return nil, failed("provider "+account, err)
	}
	return resp, nil
}

// Case returns a report of non-delivery with the votes on it, or [ErrNotFound].
func (m Market) Case(ctx context.Context, number uint64) (*marketv1.QueryCaseResponse, error) {
	resp, err := m.query().Case(ctx, &marketv1.QueryCaseRequest{Id: number})
	if err != nil {
		return nil, failed(fmt.Sprintf("case %d", number), err)
	}
	return resp, nil
}

// Deployments returns the deployments that pass a filter.
func (m Market) Deployments(ctx context.Context, f marketv1.QueryDeploymentsRequest) ([]marketv1.Deployment, error) {
	return pages("deployments", func(p *query.PageRequest) ([]marketv1.Deployment, *query.PageResponse, error) {
		f.Pagination = p
		r, err := m.query().Deployments(ctx, &f)
		return r.GetDeployments(), r.GetPagination(), err
	})
}

// Orders returns the orders that pass a filter, with what they ask for.
func (m Market) Orders(ctx context.Context, f marketv1.QueryOrdersRequest) ([]marketv1.Order, error) {
	return pages("orders", func(p *query.PageRequest) ([]marketv1.Order, *query.PageResponse, error) {
		f.Pagination = p
		r, err := m.query().Orders(ctx, &f)
		return r.GetOrders(), r.GetPagination(), err
	})
}

// Bids returns the bids that pass a filter.
func (m Market) Bids(ctx context.Context, f marketv1.QueryBidsRequest) ([]marketv1.Bid, error) {
	return pages("bids", func(p *query.PageRequest) ([]marketv1.Bid, *query.PageResponse, error) {
		f.Pagination = p
		r, err := m.query().Bids(ctx, &f)
		return r.GetBids(), r.GetPagination(), err
	})
}

// Leases returns the leases that pass a filter.
func (m Market) Leases(ctx context.Context, f marketv1.QueryLeasesRequest) ([]marketv1.Lease, error) {
	return pages("leases", func(p *query.PageRequest) ([]marketv1.Lease, *query.PageResponse, error) {
		f.Pagination = p
		r, err := m.query().Leases(ctx, &f)
		return r.GetLeases(), r.GetPagination(), err
	})
}

// Providers returns the providers that pass a filter.
func (m Market) Providers(ctx context.Context, f marketv1.QueryProvidersRequest) ([]marketv1.Provider, error) {
	return pages("providers", func(p *query.PageRequest) ([]marketv1.Provider, *query.PageResponse, error) {
		f.Pagination = p
		r, err := m.query().Providers(ctx, &f)
		return r.GetProviders(), r.GetPagination(), err
	})
}

// Audits returns what auditors sign of providers.
func (m Market) Audits(ctx context.Context, f marketv1.QueryAuditsRequest) ([]marketv1.Audit, error) {
	return pages("audits", func(p *query.PageRequest) ([]marketv1.Audit, *query.PageResponse, error) {
		f.Pagination = p
		r, err := m.query().Audits(ctx, &f)
		return r.GetAudits(), r.GetPagination(), err
	})
}

// Cases returns the reports of non-delivery that pass a filter, without votes.
func (m Market) Cases(ctx context.Context, f marketv1.QueryCasesRequest) ([]marketv1.Case, error) {
	return pages("cases", func(p *query.PageRequest) ([]marketv1.Case, *query.PageResponse, error) {
		f.Pagination = p
		r, err := m.query().Cases(ctx, &f)
		return r.GetCases(), r.GetPagination(), err
	})
}

// maxListed bounds a list that a node may make up.
const maxListed = 1 << 20

// pages reads a list page by page.
func pages[T any](what string, page func(*query.PageRequest) ([]T, *query.PageResponse, error)) ([]T, error) {
	var all []T
	next := &query.PageRequest{Limit: 500}
	for {
		some, at, err := page(next)
		if err != nil {
			return nil, failed(what, err)
		}
		all = append(all, some...)
		if at == nil || len(at.NextKey) == 0 || len(all) > maxListed {
			return all, nil
		}
		next = &query.PageRequest{Limit: 500, Key: at.NextKey}
	}
}
