package ledger

import (
	"context"
	"fmt"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	"github.com/cosmos/cosmos-sdk/types/query"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// A Block is a block with what it did to the chain.
type Block struct {
	Head
	ChainID  string
	Proposer []byte       // consensus address, 20 bytes
	Txs      []Tx         // in the order of the block
	Events   []abci.Event // of the block itself: its beginning, its epochs, its end
}

// A Tx is a transaction of a block, with its result.
type Tx struct {
	Raw                []byte // as it was signed
	Code               uint32 // 0 if it did what it should
	Codespace, Log     string // why not, in the words of the module that refused
	GasWanted, GasUsed int64
	Events             []abci.Event // what paid for it and, if Code is 0, what it did
}

// Block returns the block of a height with its results. The newest block has
// none for an instant: it is then not found, as is one that the node pruned.
func (c *Client) Block(ctx context.Context, at yuma.Height) (*Block, error) {
	what := fmt.Sprintf("block %d", at)
	service := cmtservice.NewServiceClient(c.conn)
	got, err := service.GetBlockByHeight(ctx, &cmtservice.GetBlockByHeightRequest{Height: int64(at)})
	if err != nil {
		return nil, failed(what, err)
	}
	block := got.Block //nolint:staticcheck // sdk_block says the same, with addresses as text
	head, err := c.learn(got.BlockId, block)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	did, err := service.GetBlockResults(ctx, &cmtservice.GetBlockResultsRequest{Height: int64(at)})
	if err != nil {
		return nil, failed("results of "+what, err)
	}
	raw := block.Data.Txs
	if head.Height != at || height(did.Height) != at || len(did.TxsResults) != len(raw) {
		return nil, fmt.Errorf("%s: the node answers with block %d of %d transactions and %d results of block %d",
			what, head.Height, len(raw), len(did.TxsResults), did.Height)
	}
	b := &Block{Head: head, ChainID: block.Header.ChainID, Proposer: block.Header.ProposerAddress}
	for i, r := range did.TxsResults {
		b.Txs = append(b.Txs, Tx{
			Raw: raw[i], Code: r.Code, Codespace: r.Codespace, Log: plain(r.Log),
			GasWanted: r.GasWanted, GasUsed: r.GasUsed, Events: r.Events,
		})
	}
	for _, e := range did.FinalizeBlockEvents {
		b.Events = append(b.Events, *e)
	}
	return b, nil
}

// Holders returns the balance of every account that has coins, modules'
// included. Read it at one height, see [At], for balances that belong together.
func (c *Client) Holders(ctx context.Context) (map[string]coin.Amount, error) {
	all := make(map[string]coin.Amount)
	var next []byte
	for {
		resp, err := banktypes.NewQueryClient(c.conn).DenomOwners(ctx, &banktypes.QueryDenomOwnersRequest{
			Denom: coin.Denom, Pagination: &query.PageRequest{Key: next, Limit: 1000},
		})
		if err != nil {
			return nil, failed("holders of "+coin.Denom, err)
		}
		for _, o := range resp.DenomOwners {
			all[o.Address] = amount(o.Balance.Amount)
		}
		if resp.Pagination == nil || len(resp.Pagination.NextKey) == 0 {
			return all, nil
		}
		next = resp.Pagination.NextKey
	}
}
