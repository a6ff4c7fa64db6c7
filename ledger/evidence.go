package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/cosmos-sdk/x/authz"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/yuma"
)

// MaxEvidence bounds the evidence of a case of fraud, in bytes.
const MaxEvidence = 128 << 10

// Bounds of a look for cases.
const (
	casesPerPage = 50      // asked for at a time
	mostCases    = 1 << 16 // that a node is believed to have
)

// CasesAfter returns the cases with a greater number than after, the newest
// first.
func (c *Client) CasesAfter(ctx context.Context, after uint64) ([]registryv1.Case, error) {
	var newer []registryv1.Case
	var from []byte
	for {
		page := &query.PageRequest{Key: from, Limit: casesPerPage, Reverse: true}
		resp, err := registryv1.NewQueryClient(c.conn).Cases(ctx, &registryv1.QueryCasesRequest{Pagination: page})
		if err != nil {
			return nil, failed("latest cases of fraud", err)
		}
		for _, one := range resp.Cases {
			if one.Id <= after {
				return newer, nil
			}
			newer = append(newer, one)
		}
		if resp.Pagination == nil || len(resp.Pagination.NextKey) == 0 || len(newer) > mostCases {
			return newer, nil
		}
		from = resp.Pagination.NextKey
	}
}

// Evidence returns the bundle of a case, out of the transaction that opened it.
// It is [ErrNotFound] where the node has dropped that block.
func (c *Client) Evidence(ctx context.Context, of registryv1.Case) ([]byte, error) {
	block, err := c.Block(ctx, yuma.Height(of.Height))
	if err != nil {
		return nil, fmt.Errorf("evidence of case %d: %w", of.Id, err)
	}
	for _, tx := range block.Txs {
		if tx.Code != 0 {
			continue
		}
		for _, report := range reports(tx.Raw) {
			if sum := sha256.Sum256(report.Bundle); bytes.Equal(sum[:], of.Bundle) && report.Netuid == of.Netuid {
				return report.Bundle, nil
			}
		}
	}
	return nil, fmt.Errorf("evidence of case %d: %w: no transaction of block %d has it", of.Id, ErrNotFound, of.Height)
}

// reports returns the reports of fraud in a transaction, those made in the name
// of others included. What cannot be read has none.
func reports(raw []byte) []registryv1.MsgReportFraud {
	var signed txtypes.TxRaw
	var body txtypes.TxBody
	if signed.Unmarshal(raw) != nil || body.Unmarshal(signed.BodyBytes) != nil {
		return nil
	}
	return reportsIn(body.Messages, 0)
}

// maxNesting bounds how deep messages are looked for in one another.
const maxNesting = 8

func reportsIn(messages []*codectypes.Any, depth int) (found []registryv1.MsgReportFraud) {
	for _, m := range messages {
		var report registryv1.MsgReportFraud
		var exec authz.MsgExec
		switch {
		case m.TypeUrl == sdk.MsgTypeURL(&report) && report.Unmarshal(m.Value) == nil:
			found = append(found, report)
		case m.TypeUrl == sdk.MsgTypeURL(&exec) && depth < maxNesting && exec.Unmarshal(m.Value) == nil:
			found = append(found, reportsIn(exec.Msgs, depth+1)...)
		}
	}
	return found
}
