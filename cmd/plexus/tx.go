package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cosmossdk.io/client/v2/autocli"
	sdkclient "github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// newTxCmd returns the command that changes the chain: a subcommand per module
// and message.
func newTxCmd() *cobra.Command {
	return lazy(&cobra.Command{Use: "tx", Short: "Change the chain", GroupID: "chain"}, buildTx)
}

// A txClient sends what a command says.
type txClient struct {
	client
	cat     *catalogue
	from    string
	behalf  string
	gas     uint64
	timeout time.Duration
	dryRun  bool
}

// buildTx makes the command with all of its subcommands.
func buildTx() (*cobra.Command, error) {
	cat, err := newCatalogue()
	if err != nil {
		return nil, err
	}
	c := &txClient{cat: cat}
	cmd := &cobra.Command{
		Use:   "tx",
		Short: "Change the chain",
		Long: `Change the chain: sign a transaction, send it, and wait until it is in a block.

  plexus tx subnet register-neuron 1 --max-price 1plx --from alice
  plexus tx hotkey grant alice.miner --from alice
  plexus tx subnet set-weights 1 3=65535 4=20000 --from alice.miner --for alice
  plexus tx subnet claim --from alice
  plexus tx bank send alice plx1... 1.5plx

Amounts are in plx or nplx. A transaction costs the fee that the node asks for;
setting weights and updating an axon are free.`,
	}
	c.flags(cmd)
	f := cmd.PersistentFlags()
	f.StringVar(&c.from, "from", "", "name of the key that signs (default from home)")
	f.StringVar(&c.behalf, "for", "", "coldkey, by name or address, that a hotkey acts for")
	f.Uint64Var(&c.gas, "gas", 0, "limit of gas (default 1.3 times what a trial run uses)")
	f.DurationVar(&c.timeout, "timeout", 30*time.Second, "wait as long for a block")
	f.BoolVar(&c.dryRun, "generate-only", false, "print the transaction without signing it")

	builder := &autocli.Builder{Builder: newFlagBuilder(), AddTxConnFlags: func(*cobra.Command) {}}
	for _, name := range []string{"subnet", "emission", "bank", "staking", "distribution", "slashing", "gov", "authz", "feegrant", "upgrade"} {
		sub, err := c.module(name, builder)
		if err != nil {
			return nil, fmt.Errorf("transactions of %s: %w", name, err)
		}
		if sub.HasSubCommands() {
			cmd.AddCommand(sub)
		}
	}
	for _, leaf := range leaves(cmd) {
		c.take(leaf)
	}
	c.weights(find(cmd, "subnet"))
	cmd.AddCommand(hotkeyCmd(c))
	return cmd, nil
}

// module returns the commands of one module: those that it brings, and those
// derived from its messages.
func (c *txClient) module(name string, builder *autocli.Builder) (*cobra.Command, error) {
	sub := &cobra.Command{Use: name}
	if m, ok := c.cat.app.Modules()[name].(interface{ GetTxCmd() *cobra.Command }); ok {
		if own := m.GetTxCmd(); own != nil {
			sub = own
		}
	}
	sub.Short, sub.Long, sub.DisableFlagParsing = "Transactions of the module "+name, "", false
	o := c.cat.options[name]
	if o == nil || o.Tx == nil {
		return sub, nil
	}
	return sub, builder.AddMsgServiceCommands(sub, o.Tx)
}

// take makes a command of the SDK, which would sign and send by itself, hand
// its messages to c instead.
func (c *txClient) take(leaf *cobra.Command) {
	run := leaf.RunE
	if run == nil {
		return
	}
	hideFlags(leaf.Flags())
	leaf.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := c.signer(cmd, args)
		if err != nil {
			return err
		}
		var unsigned bytes.Buffer
		actor, err := c.actor(cmd, key)
		if err != nil {
			return err
		}
		conn, err := ledger.Connect(c.config.GRPC)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := c.prepare(cmd, actor, conn, &unsigned); err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		cmd.SetOut(&unsigned)
		err = run(cmd, args)
		cmd.SetOut(out)
		if err != nil {
			return err
		}
		tx, err := c.cat.app.Encoding.TxConfig.TxJSONDecoder()(unsigned.Bytes())
		if err != nil {
			return fmt.Errorf("read the transaction that %s made: %w", cmd.CommandPath(), err)
		}
		return c.submit(cmd, actor, tx.GetMsgs()...)
	}
}

// hideFlags hides the flags of the SDK that have no effect here.
func hideFlags(f *pflag.FlagSet) {
	for _, name := range []string{
		flags.FlagAccountNumber, flags.FlagSequence, flags.FlagNote, flags.FlagFees, flags.FlagGasPrices, flags.FlagNode,
		flags.FlagUseLedger, flags.FlagGasAdjustment, flags.FlagBroadcastMode, flags.FlagDryRun, flags.FlagGenerateOnly,
		flags.FlagOffline, flags.FlagSkipConfirmation, flags.FlagSignMode, flags.FlagTimeoutHeight, flags.TimeoutDuration,
		flags.FlagUnordered, flags.FlagFeePayer, flags.FlagFeeGranter, flags.FlagTip, flags.FlagAux, flags.FlagChainID,
		flags.FlagGas, flags.FlagKeyringDir, flags.FlagKeyringBackend, flags.FlagOutput, flags.FlagGRPC, flags.FlagGRPCInsecure,
	} {
		if fl := f.Lookup(name); fl != nil {
			fl.Hidden = true
		}
	}
	if fl := f.Lookup(flags.FlagOutput); fl != nil {
		fl.DefValue = flags.OutputFormatText
		if err := fl.Value.Set(fl.DefValue); err != nil {
			panic(err) // a string takes any
		}
	}
}

// signer opens the key that signs: --from, or an argument that a command of the
// SDK takes as the sender, or the one of the home folder.
func (c *txClient) signer(cmd *cobra.Command, args []string) (*wallet.Key, error) {
	ring, err := c.keys(cmd)
	if err != nil {
		return nil, err
	}
	name := c.from
	if fl := cmd.Flags().Lookup(flags.FlagFrom); name == "" && fl != nil {
		name = fl.Value.String()
	}
	if name == "" && strings.HasPrefix(cmd.Use, cmd.Name()+" [from_key") && len(args) > 0 {
		name = args[0]
	}
	if name == "" {
		name = c.config.Key
	}
	if name == "" {
		return nil, errors.New("who signs? Name a key with --from; plexus keys list shows them")
	}
	if !strings.HasPrefix(name, wallet.Prefix+"1") {
		return ring.Key(name)
	}
	all, err := ring.List()
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if k.Address() == name {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%w: of address %s", wallet.ErrNoKey, name)
}

// actor returns who acts: the key, or its coldkey through it.
func (c *txClient) actor(cmd *cobra.Command, key *wallet.Key) (ledger.Actor, error) {
	if c.behalf == "" {
		return ledger.Actor{Key: key}, nil
	}
	if _, err := wallet.ParseAddress(c.behalf); err == nil {
		return ledger.Actor{Key: key, For: c.behalf}, nil
	}
	ring, err := c.keys(cmd)
	if err != nil {
		return ledger.Actor{}, err
	}
	cold, err := ring.Key(c.behalf)
	if err != nil {
		return ledger.Actor{}, fmt.Errorf("--for: %w; give its address if its key is elsewhere", err)
	}
	return ledger.Actor{Key: key, For: cold.Address()}, nil
}

// prepare lets a command of the SDK believe that it prints a transaction of
// the actor's account for someone else to sign.
func (c *txClient) prepare(cmd *cobra.Command, a ledger.Actor, conn *grpc.ClientConn, out *bytes.Buffer) error {
	from, err := wallet.ParseAddress(a.Account())
	if err != nil {
		return err
	}
	ring, err := c.keys(cmd)
	if err != nil {
		return err
	}
	enc := c.cat.app.Encoding
	return sdkclient.SetCmdClientContext(cmd, sdkclient.Context{
		FromAddress:       from,
		From:              a.Account(),
		FromName:          a.Key.Name(),
		ChainID:           "unused",
		Codec:             enc.Codec,
		InterfaceRegistry: enc.Registry,
		LegacyAmino:       enc.Amino,
		TxConfig:          enc.TxConfig,
		Keyring:           ring.Raw(),
		GRPCClient:        conn,
		Output:            out,
		GenerateOnly:      true,
		OutputFormat:      "json",
		HomeDir:           c.home,
		CmdContext:        cmd.Context(),
	})
}

// submit sends messages and says what came of it.
func (c *txClient) submit(cmd *cobra.Command, a ledger.Actor, msgs ...sdk.Msg) error {
	if c.dryRun {
		return c.print(cmd, msgs)
	}
	l, err := c.dial(ledger.Options{Gas: c.gas, Timeout: c.timeout})
	if err != nil {
		return err
	}
	defer l.Close()
	r, err := l.Submit(cmd.Context(), a, msgs...)
	if err != nil {
		return c.hint(err)
	}
	if asJSON(cmd) {
		return printJSON(cmd, map[string]any{"hash": r.Hash, "height": r.Height, "gas_used": r.Gas, "fee_nplx": r.Fee})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "In block %d: %s (%d gas, fee %v)\n", r.Height, r.Hash, r.Gas, r.Fee)
	for i, m := range msgs {
		c.outcome(cmd, r, i, m)
	}
	return nil
}

// outcome says what a message brought, if that is more than success.
func (c *txClient) outcome(cmd *cobra.Command, r ledger.Result, i int, m sdk.Msg) {
	out := cmd.OutOrStdout()
	switch m.(type) {
	case *subnetv1.MsgRegisterNeuron:
		var resp subnetv1.MsgRegisterNeuronResponse
		if r.Decode(i, &resp) == nil {
			fmt.Fprintf(out, "Registered with uid %d for %v\n", resp.Uid, coin.Amount(resp.Burned.Amount.Uint64()))
		}
	case *subnetv1.MsgRegisterSubnet:
		var resp subnetv1.MsgRegisterSubnetResponse
		if r.Decode(i, &resp) == nil {
			fmt.Fprintf(out, "Registered subnet %d for %v\n", resp.Netuid, coin.Amount(resp.Burned.Amount.Uint64()))
		}
	case *subnetv1.MsgClaim:
		var resp subnetv1.MsgClaimResponse
		if r.Decode(i, &resp) == nil {
			fmt.Fprintf(out, "Claimed %v\n", coin.Amount(resp.Paid.Amount.Uint64()))
		}
	case *subnetv1.MsgCommitWeights:
		var resp subnetv1.MsgCommitWeightsResponse
		if r.Decode(i, &resp) == nil {
			fmt.Fprintf(out, "Reveal in epoch %d\n", resp.RevealEpoch)
		}
	}
}

// print shows the unsigned transaction.
func (c *txClient) print(cmd *cobra.Command, msgs []sdk.Msg) error {
	b := c.cat.app.Encoding.TxConfig.NewTxBuilder()
	if err := b.SetMsgs(msgs...); err != nil {
		return err
	}
	out, err := c.cat.app.Encoding.TxConfig.TxJSONEncoder()(b.GetTx())
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), string(out))
	return nil
}

// act makes a command that sends what build makes of its arguments.
func (c *txClient) act(use, short string, args cobra.PositionalArgs, build func(cmd *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error)) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  args,
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := c.signer(cmd, nil)
			if err != nil {
				return err
			}
			actor, err := c.actor(cmd, key)
			if err != nil {
				return err
			}
			msgs, err := build(cmd, actor, args)
			if err != nil {
				return err
			}
			return c.submit(cmd, actor, msgs...)
		},
	}
}

// weights puts the commands for weights in the place of the derived ones, with
// rows as people write them: "3=65535 4=20000".
func (c *txClient) weights(subnet *cobra.Command) {
	for _, name := range []string{"set-weights", "commit-weights", "reveal-weights"} {
		if old := find(subnet, name); old != nil {
			subnet.RemoveCommand(old)
		}
	}
	var version uint64
	var salt string
	set := c.act("set-weights NETUID UID=WEIGHT...", "Replace a validator's weights, each 0 to 65535", cobra.MinimumNArgs(1),
		func(_ *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			n, row, err := rowArgs(args)
			m := &subnetv1.MsgSetWeights{Account: a.Account(), Netuid: uint32(n), Version: version}
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
			hash, err := ledger.CommitHash(a.Account(), n, row, version, []byte(salt))
			if err != nil {
				return nil, err
			}
			cmd.PrintErrf("Keep the salt, without it the weights cannot be revealed: --salt %s\n", salt)
			return []sdk.Msg{&subnetv1.MsgCommitWeights{Account: a.Account(), Netuid: uint32(n), Hash: hash[:]}}, nil
		})
	reveal := c.act("reveal-weights NETUID UID=WEIGHT...", "Show the weights of a commit", cobra.MinimumNArgs(2),
		func(_ *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			if salt == "" {
				return nil, errors.New("reveal with the --salt that the commit showed")
			}
			n, row, err := rowArgs(args)
			m := &subnetv1.MsgRevealWeights{Account: a.Account(), Netuid: uint32(n), Version: version, Salt: []byte(salt)}
			m.Uids, m.Weights = columns(row)
			return []sdk.Msg{m}, err
		})
	for _, cmd := range []*cobra.Command{set, commit, reveal} {
		cmd.Flags().Uint64Var(&version, "version", 0, "the subnet's weights version")
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

// hotkeyCmd returns the commands by which a coldkey lets a hotkey act for it.
func hotkeyCmd(c *txClient) *cobra.Command {
	cmd := &cobra.Command{Use: "hotkey", Short: "Let a hotkey act for a coldkey, or no longer"}
	var fees string
	var lasts time.Duration
	grant := c.act("grant HOTKEY", "Let a hotkey set weights and update axons for the coldkey that signs", cobra.ExactArgs(1),
		func(cmd *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			hot, err := c.address(cmd, args[0])
			if err != nil {
				return nil, err
			}
			allowance := wallet.Allowance{}
			if fees != "" {
				if allowance.Fees, err = coin.Parse(fees); err != nil {
					return nil, fmt.Errorf("--fees: %w", err)
				}
			}
			if lasts > 0 {
				allowance.Until = time.Now().Add(lasts)
			}
			return wallet.Grants(a.Account(), hot, allowance)
		})
	grant.Flags().StringVar(&fees, "fees", "", "also let it spend as much of the coldkey's coins on fees, as 1plx")
	grant.Flags().DurationVar(&lasts, "lasts", 0, "end the grant after this time (default never)")
	var withFees bool
	revoke := c.act("revoke HOTKEY", "Take back what grant gave", cobra.ExactArgs(1),
		func(cmd *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			hot, err := c.address(cmd, args[0])
			if err != nil {
				return nil, err
			}
			return wallet.Revocation(a.Account(), hot, withFees)
		})
	revoke.Flags().BoolVar(&withFees, "fees", false, "fees were granted too")
	cmd.AddCommand(grant, revoke)
	return cmd
}

// address returns the address of a key of the keyring, or s if it is one.
func (c *txClient) address(cmd *cobra.Command, s string) (string, error) {
	if _, err := wallet.ParseAddress(s); err == nil {
		return s, nil
	}
	ring, err := c.keys(cmd)
	if err != nil {
		return "", err
	}
	k, err := ring.Key(s)
	if err != nil {
		return "", err
	}
	return k.Address(), nil
}
