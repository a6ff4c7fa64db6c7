package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"cosmossdk.io/collections"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/types/query"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
)

// queries serves the module's queries.
type queries struct{ *Keeper }

// Params returns the parameters.
func (q queries) Params(ctx context.Context, _ *registryv1.QueryParamsRequest) (*registryv1.QueryParamsResponse, error) {
	p, err := q.params.Get(ctx)
	return &registryv1.QueryParamsResponse{Params: p}, err
}

// Manifest returns a manifest by its hash.
func (q queries) Manifest(ctx context.Context, r *registryv1.QueryManifestRequest) (*registryv1.QueryManifestResponse, error) {
	hash, err := hex.DecodeString(r.Hash)
	if err != nil || len(hash) != sha256.Size {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("a manifest's hash has %d hexadecimal digits, not as %.80q", 2*sha256.Size, r.Hash)
	}
	m, err := q.manifests.Get(ctx, hash)
	if err != nil {
		return nil, missing(err, "manifest %s", r.Hash)
	}
	return &registryv1.QueryManifestResponse{Manifest: m}, nil
}

// Manifests lists the manifests.
func (q queries) Manifests(ctx context.Context, r *registryv1.QueryManifestsRequest) (*registryv1.QueryManifestsResponse, error) {
	list, page, err := query.CollectionPaginate(ctx, q.manifests, r.Pagination,
		func(_ []byte, m registryv1.Manifest) (registryv1.Manifest, error) { return m, nil })
	return &registryv1.QueryManifestsResponse{Manifests: list, Pagination: page}, err
}

// Audits lists a validator's audits on a subnet.
func (q queries) Audits(ctx context.Context, r *registryv1.QueryAuditsRequest) (*registryv1.QueryAuditsResponse, error) {
	account, err := q.bytes(r.Account)
	if err != nil {
		return nil, err
	}
	it, err := q.audits.Iterate(ctx, collections.NewSuperPrefixedTripleRange[uint32, []byte, uint64](r.Netuid, account))
	if err != nil {
		return nil, err
	}
	audits, err := it.Values()
	return &registryv1.QueryAuditsResponse{Audits: audits}, err
}

// Conduct counts what an account did and left undone on a subnet.
func (q queries) Conduct(ctx context.Context, r *registryv1.QueryConductRequest) (*registryv1.QueryConductResponse, error) {
	account, err := q.bytes(r.Account)
	if err != nil {
		return nil, err
	}
	c, err := q.conduct(ctx, r.Netuid, account)
	return &registryv1.QueryConductResponse{Conduct: c}, err
}

// Root returns the root of a validator's receipts of an epoch.
func (q queries) Root(ctx context.Context, r *registryv1.QueryRootRequest) (*registryv1.QueryRootResponse, error) {
	account, err := q.bytes(r.Account)
	if err != nil {
		return nil, err
	}
	root, err := q.roots.Get(ctx, collections.Join3(r.Netuid, []byte(account), r.Epoch))
	if err != nil {
		return nil, missing(err, "root of %s for epoch %d on subnet %d: it was not published, or is older than the latest %d", r.Account, r.Epoch, r.Netuid, maxRoots)
	}
	return &registryv1.QueryRootResponse{Root: root}, nil
}

// Case returns a case with its votes.
func (q queries) Case(ctx context.Context, r *registryv1.QueryCaseRequest) (*registryv1.QueryCaseResponse, error) {
	c, err := q.cases.Get(ctx, r.Id)
	if err != nil {
		return nil, missing(err, "case %d: it never was, or was forgotten", r.Id)
	}
	it, err := q.votes.Iterate(ctx, collections.NewPrefixedPairRange[uint64, []byte](r.Id))
	if err != nil {
		return nil, err
	}
	votes, err := it.Values()
	return &registryv1.QueryCaseResponse{Case: c, Votes: votes}, err
}

// Cases lists the cases that are kept.
func (q queries) Cases(ctx context.Context, r *registryv1.QueryCasesRequest) (*registryv1.QueryCasesResponse, error) {
	list, page, err := query.CollectionPaginate(ctx, q.cases, r.Pagination,
		func(_ uint64, c registryv1.Case) (registryv1.Case, error) { return c, nil })
	return &registryv1.QueryCasesResponse{Cases: list, Pagination: page}, err
}
