package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"

	"cosmossdk.io/client/v2/autocli"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// newQueryCmd returns the command that reads the chain: a subcommand per module
// and query.
func newQueryCmd() *cobra.Command {
	return lazy(&cobra.Command{
		Use:     "query",
		Aliases: []string{"q"},
		Short:   "Read the chain",
		GroupID: "chain",
	}, buildQuery)
}

// queried lists the modules with queries.
var queried = []string{
	"subnet", "registry", "market", "emission", "bank", "staking", "distribution", "slashing", "gov", "authz", "feegrant", "auth",
	"evidence", "upgrade", "consensus", "comet", "node",
}

// buildQuery makes the command with all of its subcommands.
func buildQuery() (*cobra.Command, error) {
	cat, err := newCatalogue()
	if err != nil {
		return nil, err
	}
	c := &client{}
	cmd := &cobra.Command{
		Use:     "query",
		Aliases: []string{"q"},
		Short:   "Read the chain",
		Long: `Read the chain through a node: the one of the home folder, or --grpc.

  plexus query subnet metagraph 1            who is on subnet 1, and what they earn
  plexus query subnet price 1                what a slot on it costs
  plexus query stake plx1...                 an account's stake, dividends and yields
  plexus query bank balances plx1...         an account's coins
  plexus query staking validators            who makes blocks
  plexus query emission schedule             what was minted, and the next halving

With --json every query answers in JSON, with amounts in nplx.`,
	}
	c.flags(cmd)
	flags, err := newFlagBuilder()
	if err != nil {
		return nil, err
	}
	builder := &autocli.Builder{
		Builder:       flags,
		GetClientConn: c.conn,
		AddQueryConnFlags: func(leaf *cobra.Command) {
			leaf.Flags().Uint64("height", 0, "see the state after this block; 0 means the latest")
		},
	}
	for _, name := range queried {
		o := cat.options[name]
		if o == nil || o.Query == nil {
			continue
		}
		sub := &cobra.Command{Use: name, Short: "Queries of the module " + name}
		if err := builder.AddQueryServiceCommands(sub, o.Query); err != nil {
			return nil, fmt.Errorf("queries of %s: %w", name, err)
		}
		if strings.HasPrefix(o.Query.Service, "plexus.") {
			for _, leaf := range sub.Commands() {
				c.inFull(leaf)
			}
		}
		cmd.AddCommand(sub)
	}
	cmd.AddCommand(queryTx(c, cat))
	c.asTable(find(cmd, "subnet", "metagraph"), printMetagraph)
	c.asTable(find(cmd, "subnet", "list"), printSubnets)
	c.asTable(find(cmd, "subnet", "price"), printPrice)
	cmd.AddCommand(queryStake(c))
	c.asTable(find(cmd, "subnet", "work"), printWork)
	c.asTable(find(cmd, "subnet", "claimable"), printClaimable)
	c.asTable(find(cmd, "emission", "schedule"), printSchedule)
	for _, leaf := range leaves(cmd) {
		run := leaf.RunE
		leaf.RunE = func(leaf *cobra.Command, args []string) error {
			if err := c.named(leaf, args); err != nil {
				return err
			}
			return c.hint(run(leaf, args))
		}
	}
	return cmd, nil
}

// named puts addresses for the names of keys among a query's arguments.
func (c *client) named(leaf *cobra.Command, args []string) error {
	for i, arg := range args {
		if _, err := wallet.ParseAddress(arg); err == nil || !takesAddress(leaf, i) {
			continue
		}
		ring, err := c.keys(leaf)
		if err != nil {
			return err
		}
		if key, err := ring.Key(arg); err == nil {
			args[i] = key.Address()
		}
	}
	return nil
}

// addressed finds the arguments that are accounts, by how a command's use names
// them.
var addressed = regexp.MustCompile(`(?i)address|account|owner|tenant|provider|granter|grantee|delegator|auditor|voter|depositor`)

// takesAddress tells whether the argument at a position is an account's address.
func takesAddress(leaf *cobra.Command, i int) bool {
	words := strings.Fields(leaf.Use)
	return i+1 < len(words) && addressed.MatchString(words[i+1])
}

// conn returns a connection for a derived query.
func (c *client) conn(cmd *cobra.Command) (grpc.ClientConnInterface, error) {
	if err := c.load(); err != nil {
		return nil, err
	}
	conn, err := ledger.Connect(c.config.GRPC)
	if err != nil {
		return nil, err
	}
	if asJSON(cmd) {
		if err := cmd.Flags().Set("output", "json"); err != nil {
			return nil, err
		}
	}
	return &queryConn{conn: conn, height: heightFlag(cmd), answer: &c.answer}, nil
}

// inFull makes a query print what is 0 or empty as well, which derived queries
// leave out.
func (c *client) inFull(leaf *cobra.Command) {
	derived := leaf.RunE
	leaf.RunE = func(cmd *cobra.Command, args []string) error {
		out := cmd.OutOrStdout()
		cmd.SetOut(io.Discard)
		err := derived(cmd, args)
		cmd.SetOut(out)
		if err != nil {
			return err
		}
		m, ok := c.answer.(proto.Message)
		if !ok {
			return fmt.Errorf("the answer, a %T, cannot be printed", c.answer)
		}
		b, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
		if err != nil {
			return err
		}
		if !asJSON(cmd) {
			b, err = yaml.JSONToYAML(b)
			fmt.Fprint(out, string(b))
			return err
		}
		var tidy bytes.Buffer // protojson leaves spaces to chance
		if err := json.Indent(&tidy, b, "", "  "); err != nil {
			return err
		}
		fmt.Fprintln(out, tidy.String())
		return nil
	}
}

// heightFlag returns the block whose state a query asks for; 0 for the latest.
func heightFlag(cmd *cobra.Command) yuma.Height {
	h, err := cmd.Flags().GetUint64("height")
	if err != nil {
		return 0
	}
	return yuma.Height(h)
}

// A queryConn asks one query and is done.
type queryConn struct {
	conn   *grpc.ClientConn
	height yuma.Height
	answer *any // gets the answer
}

// Invoke asks the query, of the state that was asked for.
func (q *queryConn) Invoke(ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
	if q.height > 0 {
		ctx = ledger.At(ctx, q.height)
	}
	*q.answer = out
	err := q.conn.Invoke(ctx, method, in, out, opts...)
	if err != nil {
		err = ledger.Explain(method[strings.LastIndexByte(method, '/')+1:], err)
	}
	return errors.Join(err, q.conn.Close())
}

// NewStream is what no query needs.
func (q *queryConn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "queries do not stream")
}

// asTable lets a query print for people, unless it is asked for JSON.
func (c *client) asTable(leaf *cobra.Command, show func(context.Context, *cobra.Command, *ledger.Client, []string) error) {
	derived := leaf.RunE
	leaf.RunE = func(cmd *cobra.Command, args []string) error {
		if asJSON(cmd) {
			return derived(cmd, args)
		}
		l, err := c.dial(ledger.Options{})
		if err != nil {
			return err
		}
		defer shut(l)
		ctx := cmd.Context()
		if h := heightFlag(cmd); h > 0 {
			ctx = ledger.At(ctx, h)
		}
		return show(ctx, cmd, l, args)
	}
}

// netuidArg reads the number of a subnet.
func netuidArg(s string) (yuma.Netuid, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("netuid %q: give the number of a subnet, 0 to 65535", s)
	}
	return yuma.Netuid(n), nil
}

func printMetagraph(ctx context.Context, cmd *cobra.Command, l *ledger.Client, args []string) error {
	netuid, err := netuidArg(args[0])
	if err != nil {
		return err
	}
	m, err := l.Metagraph(ctx, netuid)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Subnet %d %q, kind %s, owner %s\n", m.Netuid, m.Name, m.Kind, m.Owner)
	fmt.Fprintf(cmd.OutOrStdout(), "Height %d, epoch %d of every %d blocks, the last at %d, the next at %d\n\n",
		m.Height, m.EpochNumber, m.Tempo, m.LastEpoch, m.NextEpoch)
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "UID\tACCOUNT\tSTAKE\tINCENTIVE\tDIVIDENDS\tTRUST\tCONSENSUS\tEMISSION\tCLAIMABLE\tPERMIT\tUPDATED\t")
	for _, n := range m.Neurons {
		trust := n.Trust
		if n.Permit {
			trust = n.ValidatorTrust
		}
		emission, err := n.ServerEmission.Add(n.ValidatorEmission)
		if err != nil {
			return fmt.Errorf("emission of uid %d: %w", n.UID, err)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", n.UID, n.Account, plx(n.Stake),
			percent(n.Incentive), percent(n.Dividends), part(trust), part(n.Consensus),
			plx(emission), plx(n.Claimable), mark(n.Permit), n.LastUpdate)
	}
	return w.Flush()
}

func printSubnets(ctx context.Context, cmd *cobra.Command, l *ledger.Client, _ []string) error {
	subnets, err := l.Subnets(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NETUID\tNAME\tKIND\tNEURONS\tTEMPO\tEPOCH\tSHARE\tPENDING\tOWNER")
	for _, s := range subnets {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d/%d\t%d\t%d\t%.2f %%\t%s\t%s\n", s.Netuid, s.Name, s.Kind, s.Neurons,
			s.Hyperparameters.MaxUids, s.Hyperparameters.Tempo, s.Epoch, 100*float64(s.Share)/(1<<64), plx(coin.Amount(s.Pending)), s.Owner)
	}
	return w.Flush()
}

func printPrice(ctx context.Context, cmd *cobra.Command, l *ledger.Client, args []string) error {
	netuid, err := netuidArg(args[0])
	if err != nil {
		return err
	}
	q, err := l.Price(ctx, netuid)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("A slot on subnet %d", netuid)
	if netuid == 0 {
		what = "A new subnet"
	}
	fall := "it falls in a straight line"
	if q.HalfLife > 0 {
		fall = fmt.Sprintf("it halves every %d blocks", q.HalfLife)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s costs %v now and %v after one more registration; %s, down to %v.\n", what, q.Price, q.After, fall, q.Floor)
	if netuid == 0 {
		return nil
	}
	return printWork(ctx, cmd, l, args)
}

func printClaimable(ctx context.Context, cmd *cobra.Command, l *ledger.Client, args []string) error {
	a, err := l.Claimable(ctx, args[0])
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), a)
	return nil
}

func printSchedule(ctx context.Context, cmd *cobra.Command, l *ledger.Client, _ []string) error {
	s, err := l.Schedule(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "minted\t%v of %v\n", s.Minted, s.Cap)
	fmt.Fprintf(w, "supply\t%v\n", s.Supply)
	fmt.Fprintf(w, "burned\t%v\n", s.Burned)
	fmt.Fprintf(w, "not yet given to a subnet\t%v\n", s.Unallocated)
	fmt.Fprintf(w, "bootstrap stake left\t%v\n", s.Bootstrap)
	fmt.Fprintf(w, "a day mints\t%v\n", s.PerDay)
	fmt.Fprintf(w, "halvings so far\t%d\n", s.Era)
	fmt.Fprintf(w, "next halving\t%s\n", s.NextHalving.UTC().Format("2006-01-02 15:04 MST"))
	return w.Flush()
}

// queryTx returns the command that shows a transaction.
func queryTx(c *client, cat *catalogue) *cobra.Command {
	return &cobra.Command{
		Use:   "tx HASH",
		Short: "Show a transaction that is in a block, as JSON",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if hash, err := hex.DecodeString(args[0]); err != nil || len(hash) != 32 {
				return fmt.Errorf("hash %q: give the 64 hexadecimal digits that plexus tx showed", args[0])
			}
			conn, err := c.conn(cmd)
			if err != nil {
				return err
			}
			var resp txtypes.GetTxResponse
			if err := conn.Invoke(cmd.Context(), "/cosmos.tx.v1beta1.Service/GetTx", &txtypes.GetTxRequest{Hash: args[0]}, &resp); err != nil {
				return err
			}
			b, err := cat.app.Encoding.Codec.MarshalJSON(resp.TxResponse)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), string(b))
			return nil
		},
	}
}

// plx formats an amount in PLX without its unit, to 6 decimals.
func plx(a coin.Amount) string {
	return fmt.Sprintf("%d.%06d", a/coin.PLX, a%coin.PLX/1000)
}

// percent formats a proportion of 65535 in percent.
func percent(v uint16) string { return fmt.Sprintf("%.2f%%", 100*float64(v)/65535) }

// mark formats a yes or no.
func mark(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

// fmtUint formats a number in decimal.
func fmtUint(n uint64) string { return strconv.FormatUint(n, 10) }
