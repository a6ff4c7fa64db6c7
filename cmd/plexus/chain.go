package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/yuma"
)

// newChainCmd returns the command that makes chains and runs their nodes.
func newChainCmd() *cobra.Command {
	c := &client{}
	cmd := &cobra.Command{
		Use:   "chain",
		Short: "Make a chain, run its nodes",
		Long: `Make a chain and run its nodes, each a process of its own, on one host or many.

  plexus chain init --validators 4 --home net     four nodes in net/node0 ... net/node3
  plexus chain start --home net/node0             run one of them

  plexus chain init --genesis genesis.json --peers id@host:port --home mine
  plexus chain start --home mine                  join a chain that others run`,
		GroupID: "chain",
	}
	c.flags(cmd)
	cmd.AddCommand(chainInit(c), chainStart(c), chainStatus(c), chainDoctor(c), chainID(c), chainExport(c))
	return cmd
}

// nodeFile is the name of the file that says how the node of a home folder
// runs.
const nodeFile = "node.json"

// nodeSettings are what nodeFile holds: addresses to listen on and to find
// others at.
type nodeSettings struct {
	Moniker     string   `json:"moniker"`
	P2P         string   `json:"p2p"`
	RPC         string   `json:"rpc"`
	GRPC        string   `json:"grpc"`
	REST        string   `json:"rest,omitempty"`
	External    string   `json:"external,omitempty"`
	Peers       []string `json:"peers"`
	Local       bool     `json:"local,omitempty"`
	BlockTime   duration `json:"block_time"`
	KeepStates  uint64   `json:"keep_states,omitempty"`
	KeepBlocks  uint64   `json:"keep_blocks,omitempty"`
	Snapshots   uint64   `json:"snapshots,omitempty"`
	MinGasPrice string   `json:"min_gas_price,omitempty"`
	Metrics     string   `json:"metrics,omitempty"`

	StateSync *stateSync `json:"state_sync,omitempty"`
}

// stateSync is a [chain.StateSync] as nodeFile holds it.
type stateSync struct {
	RPC    []string `json:"rpc"`
	Height uint64   `json:"height"`
	Hash   string   `json:"hash"`
}

// chain returns s as a node wants it.
func (s *stateSync) chain() *chain.StateSync {
	if s == nil {
		return nil
	}
	return &chain.StateSync{RPC: s.RPC, Height: yuma.Height(s.Height), Hash: s.Hash}
}

// A duration is written as "1s".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = duration(v)
	return err
}

// readNode returns the settings of a home folder.
func readNode(home string) (nodeSettings, error) {
	var s nodeSettings
	file := filepath.Join(home, nodeFile)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("no node in %s: make one with plexus chain init --home %s", home, home)
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s is damaged: %w; repair it, or make the node anew with plexus chain init", file, err)
	}
	return s, nil
}

// reachable returns where other nodes find this one.
func (s nodeSettings) reachable() string {
	if s.External != "" {
		return s.External
	}
	return s.P2P
}

// write makes s the settings of a home folder.
func (s nodeSettings) write(home string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return fmt.Errorf("home folder: %w", err)
	}
	return os.WriteFile(filepath.Join(home, nodeFile), append(b, '\n'), 0o600)
}

// genesisFile returns where a node keeps its genesis.
func genesisFile(home string) string { return filepath.Join(home, "config", "genesis.json") }

// readGenesis reads a genesis and checks it as far as one can without running
// it.
func readGenesis(file string) (*genutiltypes.AppGenesis, error) {
	if _, err := os.Stat(file); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no genesis at %s: copy the one of the network there, or make a chain with plexus chain init", file)
		}
		return nil, err
	}
	g, err := genutiltypes.AppGenesisFromFile(file)
	if err == nil {
		err = g.ValidateAndComplete()
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no valid genesis: %w", file, err)
	}
	return g, nil
}

// chainState is what chain status tells.
type chainState struct {
	ChainID    string             `json:"chain_id"`
	Height     uint64             `json:"height"`
	Hash       string             `json:"hash"`
	Time       time.Time          `json:"time"`
	Syncing    bool               `json:"syncing"`
	Validators []ledger.Validator `json:"validators"`
}

// chainStatus returns the command that tells how a chain is.
func chainStatus(c *client) *cobra.Command {
	var wait uint64
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell how the chain is, as a node sees it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.status(cmd.Context(), yuma.Height(wait), timeout)
			if err != nil {
				return c.hint(err)
			}
			if asJSON(cmd) {
				return printJSON(cmd, s)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "Chain %s, block %d of %s\n", s.ChainID, s.Height, s.Time.UTC().Format(time.RFC3339))
			fmt.Fprintf(out, "Hash %s\n", s.Hash)
			if s.Syncing {
				fmt.Fprintln(out, "The node is still catching up.")
			}
			w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "\nVALIDATOR\tSTAKE\tSTATE\tOPERATOR")
			for _, v := range s.Validators {
				fmt.Fprintf(w, "%s\t%v\t%s\t%s\n", v.Moniker, v.Stake, validatorState(v), v.Operator)
			}
			return w.Flush()
		},
	}
	cmd.Flags().Uint64Var(&wait, "wait", 0, "wait until the node answers and the chain has this height")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "give up --wait after this long")
	return cmd
}

// await returns the first block of a height or above that a node tells of
// within a time.
func await(ctx context.Context, l *ledger.Client, height yuma.Height, timeout time.Duration) (head ledger.Head, err error) {
	if timeout <= 0 {
		return head, fmt.Errorf("--timeout %v: want a time to wait, as 5m", timeout)
	}
	soon, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for head = range l.Heads(soon) {
		if head.Height >= height {
			return head, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return head, ctx.Err()
	case head.Height == 0:
		return head, fmt.Errorf("%w: no block was heard of within %v", ledger.ErrUnreachable, timeout)
	}
	return head, fmt.Errorf("the chain is at block %d after %v, and has not come to %d: is it running (plexus chain doctor)? --timeout waits longer", head.Height, timeout, height)
}

// status asks a node, once it has a height.
func (c *client) status(ctx context.Context, height yuma.Height, timeout time.Duration) (chainState, error) {
	l, err := c.dial(ledger.Options{})
	if err != nil {
		return chainState{}, err
	}
	defer shut(l)
	head, err := l.Head(ctx)
	if height > 0 {
		head, err = await(ctx, l, height, timeout)
	}
	if err != nil {
		return chainState{}, err
	}
	s := chainState{Height: uint64(head.Height), Hash: fmt.Sprintf("%X", head.Hash), Time: head.Time}
	if s.ChainID, err = l.ChainID(ctx); err != nil {
		return s, err
	}
	conn, err := ledger.Connect(c.config.GRPC)
	if err != nil {
		return s, err
	}
	defer shut(conn)
	sync, err := cmtservice.NewServiceClient(conn).GetSyncing(ctx, &cmtservice.GetSyncingRequest{})
	if err != nil {
		return s, ledger.Explain("state of the node", err)
	}
	s.Syncing = sync.Syncing
	s.Validators, err = l.Validators(ctx)
	return s, err
}

// validatorState says in a word how a validator is.
func validatorState(v ledger.Validator) string {
	switch {
	case v.Jailed:
		return "jailed"
	case v.Bonded:
		return "bonded"
	default:
		return "not bonded"
	}
}

// chainID returns the command that tells who a node is.
func chainID(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "Tell who the node of a home folder is to others",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := readNode(c.home)
			if err != nil {
				return err
			}
			id, err := chain.LoadIdentity(c.home)
			if err != nil {
				return fmt.Errorf("keys of %s: %w", c.home, err)
			}
			return printJSON(cmd, map[string]any{
				"peer": id.NodeID + "@" + s.reachable(),
				"key": map[string]string{
					"@type": "/cosmos.crypto.ed25519.PubKey",
					"key":   base64.StdEncoding.EncodeToString(id.Key),
				},
			})
		},
	}
}

// chainExport returns the command that turns a chain's state into a genesis.
func chainExport(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE",
		Short: "Write the state of a stopped node as the genesis of a chain that goes on from it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := readNode(c.home); err != nil {
				return err
			}
			unlock, err := lockHome(c.home)
			if err != nil {
				return err
			}
			defer unlock()
			g, err := chain.Export(c.home)
			if err != nil {
				return nodeError(c.home, err)
			}
			if err := g.SaveAs(args[0]); err != nil {
				return fmt.Errorf("write %s: %w", args[0], err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The state of %s is in %s\n", g.ChainID, args[0])
			return nil
		},
	}
}
