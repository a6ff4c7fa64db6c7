package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/spf13/cobra"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/yuma"
)

// weights adds the commands for weights, with rows as people write them:
// "3=65535 4=20000".
func (c *txClient) weights(subnet *cobra.Command) {
	var version uint64
	var mechanism uint16
	var salt string
	set := c.act("set-weights NETUID UID=WEIGHT...", "Replace a validator's weights, each 0 to 65535", cobra.MinimumNArgs(1),
		func(_ *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			n, row, err := rowArgs(args)
			m := &subnetv1.MsgSetWeights{Account: a.Account(), Netuid: uint32(n), Mechanism: uint32(mechanism), Version: version}
			m.Uids, m.Weights = columns(row)
			return []sdk.Msg{m}, err
		})
	commit := c.act("commit-weights NETUID UID=WEIGHT...", "Hide weights behind their hash until they are revealed", cobra.MinimumNArgs(2),
		func(cmd *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			n, row, err := rowArgs(args)
			if err != nil {
				return nil, err
			}
			if salt == "" {
				salt = rand.Text()
			}
			hash, err := ledger.CommitHash(a.Account(), n, mechanism, row, version, []byte(salt))
			if err != nil {
				return nil, err
			}
			cmd.PrintErrf("Keep the salt, without it the weights cannot be revealed: --salt %s\n", salt)
			return []sdk.Msg{&subnetv1.MsgCommitWeights{Account: a.Account(), Netuid: uint32(n), Mechanism: uint32(mechanism), Hash: hash[:]}}, nil
		})
	reveal := c.act("reveal-weights NETUID UID=WEIGHT...", "Show the weights of a commit", cobra.MinimumNArgs(2),
		func(_ *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			if salt == "" {
				return nil, errors.New("reveal with the --salt that the commit showed")
			}
			n, row, err := rowArgs(args)
			m := &subnetv1.MsgRevealWeights{Account: a.Account(), Netuid: uint32(n), Mechanism: uint32(mechanism), Version: version, Salt: []byte(salt)}
			m.Uids, m.Weights = columns(row)
			return []sdk.Msg{m}, err
		})
	for _, cmd := range []*cobra.Command{set, commit, reveal} {
		cmd.Flags().Uint64Var(&version, "version", 0, "the subnet's weights version")
		cmd.Flags().Uint16Var(&mechanism, "mechanism", 0, "mechanism of the subnet that the weights are for")
		subnet.AddCommand(cmd)
	}
	commit.Flags().StringVar(&salt, "salt", "", "secret that hides the weights (default random)")
	reveal.Flags().StringVar(&salt, "salt", "", "the salt of the commit")
}

// rowArgs reads a netuid and a row of weights.
func rowArgs(args []string) (yuma.Netuid, yuma.Row, error) {
	netuid, err := netuidArg(args[0])
	if err != nil {
		return 0, nil, err
	}
	seen := map[yuma.UID]uint16{}
	for _, arg := range args[1:] {
		uid, weight, ok := strings.Cut(arg, "=")
		u, errU := strconv.ParseUint(uid, 10, 16)
		w, errW := strconv.ParseUint(weight, 10, 16)
		if !ok || errors.Join(errU, errW) != nil || u >= yuma.MaxNeurons {
			return 0, nil, fmt.Errorf("weight %q: write UID=WEIGHT, as in 3=65535, with a uid below %d and a weight of 0 to 65535", arg, yuma.MaxNeurons)
		}
		if _, twice := seen[yuma.UID(u)]; twice {
			return 0, nil, fmt.Errorf("weight %q: uid %d has a weight already", arg, u)
		}
		seen[yuma.UID(u)] = uint16(w)
	}
	row := make(yuma.Row, 0, len(seen))
	for uid := range yuma.UID(yuma.MaxNeurons) {
		if w := seen[uid]; w > 0 {
			row = append(row, yuma.Entry{UID: uid, Value: w})
		}
	}
	return netuid, row, nil
}

// columns returns a row as messages have it.
func columns(row yuma.Row) (uids, values []uint32) {
	for _, e := range row {
		uids = append(uids, uint32(e.UID))
		values = append(values, uint32(e.Value))
	}
	return uids, values
}
