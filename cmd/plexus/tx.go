package main

import (
	"bytes"
	"errors"
	"fmt"
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
	maxFee  coinValue
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
  plexus tx subnet register-neuron 1 --pow --from bob
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
	f.Var(&c.maxFee, "max-fee", "most that one transaction may cost in fees (default 0.1plx)")
	f.DurationVar(&c.timeout, "timeout", 30*time.Second, "wait as long for a block")
	f.BoolVar(&c.dryRun, "generate-only", false, "print the transaction without signing it")

	flagBuilder, err := newFlagBuilder()
	if err != nil {
		return nil, err
	}
	builder := &autocli.Builder{Builder: flagBuilder, AddTxConnFlags: func(*cobra.Command) {}}
	for _, name := range []string{"subnet", "registry", "market", "emission", "bank", "staking", "distribution", "slashing", "gov", "authz", "feegrant", "upgrade"} {
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
	c.people(find(cmd, "subnet"))
	c.work(find(cmd, "subnet", "register-neuron"))
	cmd.AddCommand(hotkeyCmd(c), compoundCmd(c))
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
		if err := c.named(cmd, args); err != nil {
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
		defer shut(conn)
		if err := c.prepare(cmd, actor, conn, &unsigned); err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		cmd.SetOut(&unsigned)
		err = run(cmd, args)
		cmd.SetOut(out)
		if err != nil {
			return c.hint(err)
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
	ring, err := c.keys(cmd)
	if err != nil {
		return ledger.Actor{}, err
	}
	cold, err := addressOf(ring, c.behalf)
	if err != nil {
		return ledger.Actor{}, fmt.Errorf("--for: %w", err)
	}
	return ledger.Actor{Key: key, For: cold}, nil
}

// addressOf returns the address that is named by itself or by its key; "" is
// nobody's.
func addressOf(ring *wallet.Keyring, name string) (string, error) {
	if _, err := wallet.ParseAddress(name); err == nil || name == "" {
		return name, nil
	}
	key, err := ring.Key(name)
	if err != nil {
		return "", fmt.Errorf("%w; give its address if its key is elsewhere", err)
	}
	return key.Address(), nil
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
	if len(msgs) == 0 {
		return errors.New("nothing to do: the command found nothing that it could change")
	}
	if c.dryRun {
		return c.print(cmd, msgs)
	}
	o := ledger.Options{Gas: c.gas, Timeout: c.timeout}
	if c.maxFee.amount != nil {
		o.MaxFee = *c.maxFee.amount
	}
	l, err := c.dial(o)
	if err != nil {
		return err
	}
	defer shut(l)
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
	case *subnetv1.MsgSetChildren:
		var resp subnetv1.MsgSetChildrenResponse
		if r.Decode(i, &resp) == nil {
			fmt.Fprintf(out, "In force from the first epoch at or after block %d\n", resp.Due)
		}
	case *subnetv1.MsgRotate:
		var resp subnetv1.MsgRotateResponse
		if r.Decode(i, &resp) == nil {
			fmt.Fprintf(out, "Moved with all that goes with them: neurons %d, subnets %d\n", resp.Neurons, resp.Subnets)
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
