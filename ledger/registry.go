package ledger

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/cosmos/cosmos-sdk/types/query"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/yuma"
)

// RegisterManifest declares a model by its manifest, a JSON object of at most
// 16 KiB, and returns its SHA-256. For one that is declared it does nothing
// else.
func (c *Client) RegisterManifest(ctx context.Context, a Actor, body []byte) ([32]byte, error) {
	r, err := c.Submit(ctx, a, &registryv1.MsgRegisterManifest{Account: a.Account(), Body: body})
	var resp registryv1.MsgRegisterManifestResponse
	if err == nil {
		err = r.Decode(0, &resp)
	}
	if err == nil && len(resp.Hash) != 32 {
		err = fmt.Errorf("the node's hash has %d bytes", len(resp.Hash))
	}
	if err != nil {
		return [32]byte{}, acted(err, "register a manifest of %d bytes", len(body))
	}
	return [32]byte(resp.Hash), nil
}

// CommitAudit binds a validator to the seed of an epoch's audits by its hash.
// An epoch is the height divided by the subnet's tempo: the current one or one
// of the next four. The seed is to be shown from the first of the heights that
// it returns on, before the second.
func (c *Client) CommitAudit(ctx context.Context, a Actor, netuid yuma.Netuid, epoch uint64, hash [32]byte) (from, before yuma.Height, err error) {
	r, err := c.Submit(ctx, a, &registryv1.MsgCommitAudit{Account: a.Account(), Netuid: uint32(netuid), Epoch: epoch, Hash: hash[:]})
	var resp registryv1.MsgCommitAuditResponse
	if err == nil {
		err = r.Decode(0, &resp)
	}
	return height(resp.From), height(resp.Before), acted(err, "commit to the audit of epoch %d on subnet %d", epoch, netuid)
}

// RevealAudit shows the seed of an epoch that is over.
func (c *Client) RevealAudit(ctx context.Context, a Actor, netuid yuma.Netuid, epoch uint64, seed [32]byte) error {
	_, err := c.Submit(ctx, a, &registryv1.MsgRevealAudit{Account: a.Account(), Netuid: uint32(netuid), Epoch: epoch, Seed: seed[:]})
	return acted(err, "show the seed of epoch %d on subnet %d", epoch, netuid)
}

// ReportFraud opens a case against a miner's account and returns its number and
// the height at which it lapses. manifest is the hash of a declared model, and
// bundle the evidence, of at most 128 KiB: it is found again in the transaction.
func (c *Client) ReportFraud(ctx context.Context, a Actor, netuid yuma.Netuid, miner string, manifest [32]byte, bundle []byte) (id uint64, deadline yuma.Height, err error) {
	r, err := c.Submit(ctx, a, &registryv1.MsgReportFraud{
		Account: a.Account(), Netuid: uint32(netuid), Miner: miner, Manifest: manifest[:], Bundle: bundle,
	})
	var resp registryv1.MsgReportFraudResponse
	if err == nil {
		err = r.Decode(0, &resp)
	}
	return resp.Case, height(resp.Deadline), acted(err, "report %s on subnet %d", miner, netuid)
}

// VoteFraud votes on an open case, or changes the vote, and returns how the
// case stands after it.
func (c *Client) VoteFraud(ctx context.Context, a Actor, id uint64, guilty bool) (registryv1.Verdict, error) {
	r, err := c.Submit(ctx, a, &registryv1.MsgVoteFraud{Account: a.Account(), Case: id, Guilty: guilty})
	var resp registryv1.MsgVoteFraudResponse
	if err == nil {
		err = r.Decode(0, &resp)
	}
	return resp.Verdict, acted(err, "vote on case %d", id)
}

// PublishRoot binds the account to the receipts of an epoch, count of them
// below root. Roots come in order of their epochs and do not change; the latest
// 1,024 are kept.
func (c *Client) PublishRoot(ctx context.Context, a Actor, netuid yuma.Netuid, epoch uint64, root [32]byte, count int) error {
	_, err := c.Submit(ctx, a, &registryv1.MsgPublishRoot{
		Account: a.Account(), Netuid: uint32(netuid), Epoch: epoch, Root: root[:], Count: uint64(max(count, 0)),
	})
	return acted(err, "publish the root of epoch %d on subnet %d", epoch, netuid)
}

// Manifest returns a declared model's manifest, or [ErrNotFound].
func (c *Client) Manifest(ctx context.Context, hash [32]byte) ([]byte, error) {
	text := hex.EncodeToString(hash[:])
	resp, err := registryv1.NewQueryClient(c.conn).Manifest(ctx, &registryv1.QueryManifestRequest{Hash: text})
	if err != nil {
		return nil, failed("manifest "+text, err)
	}
	return resp.Manifest.Body, nil
}

// Audits returns an account's audits on a subnet, of the latest 64 epochs.
func (c *Client) Audits(ctx context.Context, netuid yuma.Netuid, account string) ([]registryv1.Audit, error) {
	resp, err := registryv1.NewQueryClient(c.conn).Audits(ctx, &registryv1.QueryAuditsRequest{Netuid: uint32(netuid), Account: account})
	if err != nil {
		return nil, failed(fmt.Sprintf("audits of %s on subnet %d", account, netuid), err)
	}
	return resp.Audits, nil
}

// Conduct counts what an account did and left undone on a subnet.
func (c *Client) Conduct(ctx context.Context, netuid yuma.Netuid, account string) (registryv1.Conduct, error) {
	resp, err := registryv1.NewQueryClient(c.conn).Conduct(ctx, &registryv1.QueryConductRequest{Netuid: uint32(netuid), Account: account})
	if err != nil {
		return registryv1.Conduct{}, failed(fmt.Sprintf("conduct of %s on subnet %d", account, netuid), err)
	}
	return resp.Conduct, nil
}

// Root returns the root of an account's receipts of an epoch, or [ErrNotFound].
func (c *Client) Root(ctx context.Context, netuid yuma.Netuid, account string, epoch uint64) (registryv1.Root, error) {
	resp, err := registryv1.NewQueryClient(c.conn).Root(ctx, &registryv1.QueryRootRequest{Netuid: uint32(netuid), Account: account, Epoch: epoch})
	if err != nil {
		return registryv1.Root{}, failed(fmt.Sprintf("root of %s for epoch %d on subnet %d", account, epoch, netuid), err)
	}
	return resp.Root, nil
}

// Case returns a case of fraud with the votes on it, or [ErrNotFound].
func (c *Client) Case(ctx context.Context, id uint64) (registryv1.Case, []registryv1.Vote, error) {
	resp, err := registryv1.NewQueryClient(c.conn).Case(ctx, &registryv1.QueryCaseRequest{Id: id})
	if err != nil {
		return registryv1.Case{}, nil, failed(fmt.Sprintf("case %d", id), err)
	}
	return resp.Case, resp.Votes, nil
}

// RegistryParams returns the spans of cases of fraud, in blocks.
func (c *Client) RegistryParams(ctx context.Context) (registryv1.Params, error) {
	resp, err := registryv1.NewQueryClient(c.conn).Params(ctx, &registryv1.QueryParamsRequest{})
	if err != nil {
		return registryv1.Params{}, failed("parameters of the registry", err)
	}
	return resp.Params, nil
}

// Cases returns the cases that the chain keeps, by their numbers.
func (c *Client) Cases(ctx context.Context) ([]registryv1.Case, error) {
	var all []registryv1.Case
	var from []byte
	for {
		resp, err := registryv1.NewQueryClient(c.conn).Cases(ctx, &registryv1.QueryCasesRequest{Pagination: &query.PageRequest{Key: from, Limit: 200}})
		if err != nil {
			return nil, failed("cases of fraud", err)
		}
		all = append(all, resp.Cases...)
		if resp.Pagination == nil || len(resp.Pagination.NextKey) == 0 || len(all) > 1<<16 {
			return all, nil
		}
		from = resp.Pagination.NextKey
	}
}
