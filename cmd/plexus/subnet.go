package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/spf13/cobra"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/ledger"
)

// people adds the commands whose arguments are as people write them, and not
// as messages have them.
func (c *txClient) people(subnet *cobra.Command) {
	c.weights(subnet)
	subnet.AddCommand(c.batch(), c.children(), c.mechanisms(), c.identity(), c.commitment())
}

// mechanisms returns the command that splits a subnet's emission.
func (c *txClient) mechanisms() *cobra.Command {
	var split []uint
	cmd := c.act("set-mechanisms NETUID COUNT", "Set how many mechanisms a subnet has and how they share its emission", cobra.ExactArgs(2),
		func(_ *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			netuid, err := netuidArg(args[0])
			if err != nil {
				return nil, err
			}
			count, err := strconv.ParseUint(args[1], 10, 8)
			if err != nil || count == 0 {
				return nil, fmt.Errorf("%q mechanisms: write how many, from 1 on", args[1])
			}
			m := &subnetv1.MsgSetMechanisms{Authority: a.Account(), Netuid: uint32(netuid), Count: uint32(count)}
			for _, s := range split {
				m.Split = append(m.Split, uint32(min(s, 1<<32-1)))
			}
			return []sdk.Msg{m}, nil
		})
	cmd.Flags().UintSliceVar(&split, "split", nil, "proportions of 65535, as 40000,25535 (default equal parts)")
	return cmd
}

// identity returns the command that says what a subnet is.
func (c *txClient) identity() *cobra.Command {
	var identity subnetv1.Identity
	cmd := c.act("set-identity NETUID", "Replace a subnet's description, url, contact and metadata", cobra.ExactArgs(1),
		func(_ *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			netuid, err := netuidArg(args[0])
			return []sdk.Msg{&subnetv1.MsgSetIdentity{Authority: a.Account(), Netuid: uint32(netuid), Identity: identity}}, err
		})
	f := cmd.Flags()
	f.StringVar(&identity.Description, "description", "", "what it is, at most 1024 bytes")
	f.StringVar(&identity.Url, "url", "", "its page, https, at most 256 bytes")
	f.StringVar(&identity.Contact, "contact", "", "how to reach the owner, at most 128 bytes")
	f.StringVar(&identity.Metadata, "metadata", "", "for programs, JSON by convention, at most 2048 bytes")
	return cmd
}

// commitment returns the command that publishes a neuron's metadata.
func (c *txClient) commitment() *cobra.Command {
	return c.act("commit NETUID TEXT", "Replace a neuron's public metadata, at most 4 KiB: a text, or @FILE", cobra.ExactArgs(2),
		func(_ *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			netuid, err := netuidArg(args[0])
			if err != nil {
				return nil, err
			}
			data := []byte(args[1])
			if file, ok := strings.CutPrefix(args[1], "@"); ok {
				data, err = os.ReadFile(file)
			}
			return []sdk.Msg{&subnetv1.MsgSetCommitment{Account: a.Account(), Netuid: uint32(netuid), Data: data}}, err
		})
}

// batch returns the command that sets weights on several subnets at once.
func (c *txClient) batch() *cobra.Command {
	var version uint64
	cmd := c.act("set-weights-batch NETUID:UID=WEIGHT,...", "Replace a validator's weights on several subnets at once", cobra.MinimumNArgs(1),
		func(_ *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			m := &subnetv1.MsgSetWeightsBatch{Account: a.Account()}
			for _, arg := range args {
				netuid, list, ok := strings.Cut(arg, ":")
				if !ok {
					return nil, fmt.Errorf("weights %q: write NETUID:UID=WEIGHT,UID=WEIGHT, as in 1:3=65535,4=20000", arg)
				}
				n, row, err := rowArgs(append([]string{netuid}, strings.Split(list, ",")...))
				if err != nil {
					return nil, err
				}
				set := subnetv1.MsgSetWeights{Account: a.Account(), Netuid: uint32(n), Version: version}
				set.Uids, set.Weights = columns(row)
				m.Sets = append(m.Sets, set)
			}
			return []sdk.Msg{m}, nil
		})
	cmd.Flags().Uint64Var(&version, "version", 0, "the subnets' weights version")
	return cmd
}

// children returns the command that lends stake to others on a subnet.
func (c *txClient) children() *cobra.Command {
	return c.act("set-children NETUID CHILD=PROPORTION...",
		"Let up to 5 accounts vote with parts of the validator's stake, each of 65535; none takes all back", cobra.MinimumNArgs(1),
		func(cmd *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			netuid, err := netuidArg(args[0])
			if err != nil {
				return nil, err
			}
			m := &subnetv1.MsgSetChildren{Account: a.Account(), Netuid: uint32(netuid)}
			for _, arg := range args[1:] {
				name, part, ok := strings.Cut(arg, "=")
				proportion, err := strconv.ParseUint(part, 10, 16)
				if !ok || err != nil || proportion == 0 {
					return nil, fmt.Errorf("child %q: write CHILD=PROPORTION, as in bob=32768 for a half, with a proportion of 1 to 65535", arg)
				}
				child, err := c.address(cmd, name)
				if err != nil {
					return nil, err
				}
				m.Loans = append(m.Loans, subnetv1.Loan{Child: child, Proportion: uint32(proportion)})
			}
			return []sdk.Msg{m}, nil
		})
}
