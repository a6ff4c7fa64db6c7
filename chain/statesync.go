package chain

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	dbm "github.com/cosmos/cosmos-db"

	"github.com/cosmos/cosmos-sdk/store/v2/snapshots"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/plexus-network/plexus/yuma"
)

// StateSync lets a node without blocks take the state from a snapshot that its
// peers offer, instead of running the chain from its first block. A light
// client proves that the state is the chain's, from one block that the operator
// trusts. A node that has blocks already goes on from them.
type StateSync struct {
	RPC    []string    // RPC addresses of at least two nodes; one of them must be honest
	Height yuma.Height // of a block that is known to be the chain's, less than a week old
	Hash   string      // of that block, 64 hexadecimal digits
}

// keepSnapshots is how many snapshots a node keeps. A sync must be faster than
// the time in which this many are made.
const keepSnapshots = 2

// trustPeriod is how long a trusted block proves others: it must be less than
// unbonding takes, because whoever signed may have left by then.
const trustPeriod = 7 * 24 * time.Hour

// check tells what is wrong with s, if anything.
func (s *StateSync) check() error {
	if s == nil {
		return nil
	}
	if len(s.RPC) < 2 {
		return fmt.Errorf("state sync asks %d nodes; name the RPC addresses of at least 2, so that one can prove the other wrong", len(s.RPC))
	}
	if b, err := hex.DecodeString(s.Hash); err != nil || len(b) != 32 || s.Height == 0 {
		return fmt.Errorf("state sync trusts block %d with hash %.80q: name a height above 0 and a hash of 64 digits, from a node that you trust", s.Height, s.Hash)
	}
	return nil
}

// configure makes CometBFT sync as s says.
func (s *StateSync) configure(c *cmtcfg.StateSyncConfig) {
	if s == nil {
		return
	}
	c.Enable = true
	c.RPCServers = s.RPC
	c.TrustHeight = int64(s.Height)
	c.TrustHash = s.Hash
	c.TrustPeriod = trustPeriod
	c.DiscoveryTime = 5 * time.Second // as short as CometBFT lets it be
}

// openSnapshots opens the snapshots in a folder.
func openSnapshots(dir string) (*snapshots.Store, error) {
	meta, err := dbm.NewDB("metadata", dbm.GoLevelDBBackend, dir)
	if err != nil {
		return nil, fmt.Errorf("snapshots in %s: %w", dir, err)
	}
	keep, err := snapshots.NewStore(meta, dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("snapshots in %s: %w", dir, err), meta.Close())
	}
	return keep, nil
}

// checkGasPrice tells what is wrong with a least price of gas, if anything.
func checkGasPrice(price string) error {
	if _, err := sdk.ParseDecCoins(price); err != nil {
		return fmt.Errorf("least price of gas %.80q: write it as 0.01nplx: %w", price, err)
	}
	return nil
}
