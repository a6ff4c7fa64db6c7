package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
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
	cmd.AddCommand(chainInit(c), chainStart(c), chainStatus(c), chainID(c))
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

// initOptions are the flags of chain init.
type initOptions struct {
	chainID    string
	validators int
	hosts      []string
	port       int
	blockTime  time.Duration
	moniker    string
	accounts   []string
	genesis    string
	peers      []string
	external   string
	gasPrice   string
}

// chainInit returns the command that makes homes of nodes.
func chainInit(c *client) *cobra.Command {
	o := initOptions{}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a chain with the homes of its nodes, or one home to join a chain",
		Long: `Make a chain with its genesis, its nodes' homes, and an operator's key in each
home; or with --genesis one home of a node that joins the chain of others.

With one validator its home is --home itself, with more they are node0, node1 ...
below it. On several hosts, name them in order with --hosts, and copy each home to
its host. Every node uses four ports from --port on: peers, RPC, gRPC, REST; on one
host each node's begin ten later.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.genesis != "" {
				return joinChain(cmd, c, o)
			}
			return makeChain(cmd, c, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.chainID, "chain-id", "plexus-local", "id of the new chain")
	f.IntVar(&o.validators, "validators", 1, "nodes that make blocks from the first on")
	f.StringSliceVar(&o.hosts, "hosts", nil, "host of each validator (default all on 127.0.0.1)")
	f.IntVar(&o.port, "port", 26650, "first port")
	f.DurationVar(&o.blockTime, "block-time", 6*time.Second, "time aimed at between blocks")
	f.StringVar(&o.moniker, "moniker", "node", "name of the node among others")
	f.StringArrayVar(&o.accounts, "account", nil, "test networks only: ADDRESS=AMOUNT that exists from the start")
	f.StringVar(&o.genesis, "genesis", "", "join the chain of this genesis file")
	f.StringSliceVar(&o.peers, "peers", nil, "with --genesis: nodes to keep connected to, as id@host:port")
	f.StringVar(&o.external, "external", "", "with --genesis: host:port that others reach this node at")
	f.StringVar(&o.gasPrice, "min-gas-price", "", "least price of gas that the nodes take, as 0.01nplx (default none)")
	return cmd
}

// ports returns the addresses of a node whose first port is given.
func (s *nodeSettings) ports(host string, first int) {
	at := func(i int) string { return net.JoinHostPort(host, strconv.Itoa(first+i)) }
	s.P2P, s.RPC, s.GRPC, s.REST = at(0), at(1), at(2), at(3)
}

// makeChain makes the homes of a new chain's validators.
func makeChain(cmd *cobra.Command, c *client, o initOptions) error {
	if o.validators < 1 || o.validators > 100 {
		return fmt.Errorf("--validators %d: from 1 to 100", o.validators)
	}
	if len(o.hosts) > 0 && len(o.hosts) != o.validators {
		return fmt.Errorf("--hosts names %d hosts for %d validators: name one for each", len(o.hosts), o.validators)
	}
	if last := o.port + 10*o.validators; o.port < 1 || last > 65535 {
		return fmt.Errorf("--port %d: the nodes' ports must lie between 1 and 65535, and go up to %d", o.port, last)
	}
	genesis := chain.GenesisOptions{ChainID: o.chainID}
	for _, a := range o.accounts {
		account, err := genesisAccount(a)
		if err != nil {
			return err
		}
		genesis.Accounts = append(genesis.Accounts, account)
	}
	homes := make([]string, o.validators)
	nodes := make([]nodeSettings, o.validators)
	peers := make([]string, o.validators)
	for i := range homes {
		homes[i] = c.home
		if o.validators > 1 {
			homes[i] = filepath.Join(c.home, fmt.Sprintf("node%d", i))
		}
		nodes[i] = o.settings(i)
		v, peer, err := makeValidator(homes[i], &nodes[i], c.backend())
		if err != nil {
			return err
		}
		genesis.Validators = append(genesis.Validators, v)
		peers[i] = peer
	}
	doc, err := chain.Genesis(genesis)
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	for i, home := range homes {
		nodes[i].Peers = slices.Delete(slices.Clone(peers), i, i+1)
		if err := writeHome(home, nodes[i], doc, c.backend(), "operator"); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s  peers at %s, gRPC at %s, operator %s\n",
			home, peers[i], nodes[i].GRPC, genesis.Validators[i].Operator)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "\nChain %s is ready: run plexus chain start --home HOME for each home.\n", o.chainID)
	if c.backend() == wallet.Test {
		fmt.Fprintln(cmd.OutOrStdout(), "The operators' keys are not encrypted. For a chain of worth make it with --keyring file.")
	}
	return nil
}

// backend returns where operators' keys go: for a chain made by one command,
// files without a passphrase unless the flag says otherwise.
func (c *client) backend() wallet.Backend {
	if c.keyring == "" {
		return wallet.Test
	}
	return wallet.Backend(c.keyring)
}

// settings returns those of validator i.
func (o initOptions) settings(i int) nodeSettings {
	s := nodeSettings{
		Moniker:     fmt.Sprintf("%s%d", o.moniker, i),
		BlockTime:   duration(o.blockTime),
		MinGasPrice: o.gasPrice,
		Local:       len(o.hosts) == 0,
	}
	if s.Local {
		s.ports("127.0.0.1", o.port+10*i)
		return s
	}
	s.ports("127.0.0.1", o.port)
	s.P2P = net.JoinHostPort("0.0.0.0", strconv.Itoa(o.port))
	s.External = net.JoinHostPort(o.hosts[i], strconv.Itoa(o.port))
	return s
}

// genesisAccount reads ADDRESS=AMOUNT.
func genesisAccount(s string) (chain.GenesisAccount, error) {
	addr, amount, _ := strings.Cut(s, "=")
	if _, err := wallet.ParseAddress(addr); err != nil {
		return chain.GenesisAccount{}, fmt.Errorf("--account %s: %w", s, err)
	}
	a, err := coin.Parse(amount)
	if err != nil {
		return chain.GenesisAccount{}, fmt.Errorf("--account %s: %w", s, err)
	}
	return chain.GenesisAccount{Address: addr, Balance: a}, nil
}

// makeValidator makes the keys of a validator in its home.
func makeValidator(home string, s *nodeSettings, backend wallet.Backend) (chain.GenesisValidator, string, error) {
	var none chain.GenesisValidator
	if err := emptyHome(home); err != nil {
		return none, "", err
	}
	id, err := chain.LoadIdentity(home)
	if err != nil {
		return none, "", fmt.Errorf("keys of %s: %w", home, err)
	}
	ring, err := wallet.Open(wallet.Options{Home: home, Backend: backend})
	if err != nil {
		return none, "", err
	}
	operator, _, err := ring.Create("operator")
	if err != nil {
		return none, "", err
	}
	at := s.External
	if at == "" {
		at = s.P2P
	}
	return chain.GenesisValidator{Moniker: s.Moniker, Operator: operator.Address(), Key: id.Key}, id.NodeID + "@" + at, nil
}

// emptyHome tells whether a new node may be made in a folder.
func emptyHome(home string) error {
	for _, file := range []string{filepath.Join(home, nodeFile), genesisFile(home), filepath.Join(home, "network.json")} {
		if _, err := os.Stat(file); err == nil {
			return fmt.Errorf("%s holds a node already (%s): choose another folder with --home, or delete it", home, file)
		}
	}
	return os.MkdirAll(home, 0o700)
}

// writeHome writes what a node needs beside its keys.
func writeHome(home string, s nodeSettings, g *genutiltypes.AppGenesis, backend wallet.Backend, key string) error {
	if err := os.MkdirAll(filepath.Dir(genesisFile(home)), 0o700); err != nil {
		return err
	}
	if err := g.SaveAs(genesisFile(home)); err != nil {
		return fmt.Errorf("genesis of %s: %w", home, err)
	}
	if err := (ledger.Config{ChainID: g.ChainID, GRPC: s.GRPC, Keyring: backend, Key: key}).Write(home); err != nil {
		return err
	}
	return s.write(home)
}

// joinChain makes the home of a node that joins a chain.
func joinChain(cmd *cobra.Command, c *client, o initOptions) error {
	g, err := readGenesis(o.genesis)
	if err != nil {
		return err
	}
	if len(o.peers) == 0 {
		return errors.New("whom does the node ask for blocks? Name nodes of the chain with --peers id@host:port")
	}
	for _, p := range o.peers {
		if err := checkPeer(p); err != nil {
			return err
		}
	}
	if err := emptyHome(c.home); err != nil {
		return err
	}
	id, err := chain.LoadIdentity(c.home)
	if err != nil {
		return fmt.Errorf("keys of %s: %w", c.home, err)
	}
	s := nodeSettings{Moniker: o.moniker, External: o.external, Peers: o.peers, BlockTime: duration(o.blockTime), MinGasPrice: o.gasPrice}
	s.ports("127.0.0.1", o.port)
	s.Local = !slices.ContainsFunc(o.peers, func(p string) bool { return !isLoopback(p) })
	if !s.Local {
		s.P2P = net.JoinHostPort("0.0.0.0", strconv.Itoa(o.port))
	}
	if err := writeHome(c.home, s, g, wallet.File, ""); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Node %s is ready to join %s: run plexus chain start --home %s\n", id.NodeID, g.ChainID, c.home)
	return nil
}

// checkPeer tells what is wrong with the address of a peer.
func checkPeer(p string) error {
	id, addr, ok := strings.Cut(p, "@")
	if _, _, err := net.SplitHostPort(addr); !ok || err != nil || len(id) != 40 {
		return fmt.Errorf("peer %q: write id@host:port, with the 40 digits that plexus chain id shows", p)
	}
	return nil
}

// isLoopback tells whether a peer is on this host.
func isLoopback(p string) bool {
	_, addr, _ := strings.Cut(p, "@")
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// chainStart returns the command that runs a node.
func chainStart(c *client) *cobra.Command {
	var over nodeSettings
	var verbose bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run the node of a home folder until it is interrupted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := readNode(c.home)
			if err != nil {
				return err
			}
			over.GRPC = c.grpc
			s.override(over)
			return startNode(cmd, c.home, s, verbose)
		},
	}
	f := cmd.Flags()
	f.StringVar(&over.P2P, "p2p", "", "listen for peers here (default from node.json)")
	f.StringVar(&over.RPC, "rpc", "", "serve RPC here (default from node.json)")
	f.StringVar(&over.REST, "rest", "", "serve REST here (default from node.json)")
	f.StringSliceVar(&over.Peers, "peers", nil, "keep connected to these, as id@host:port (default from node.json)")
	f.BoolVar(&verbose, "verbose", false, "log all that happens")
	return cmd
}

// override replaces what o sets.
func (s *nodeSettings) override(o nodeSettings) {
	for _, f := range []struct{ to, from *string }{
		{&s.P2P, &o.P2P}, {&s.RPC, &o.RPC}, {&s.GRPC, &o.GRPC}, {&s.REST, &o.REST},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	if len(o.Peers) > 0 {
		s.Peers = o.Peers
	}
}

// startNode runs a node until the command's context ends.
func startNode(cmd *cobra.Command, home string, s nodeSettings, verbose bool) error {
	unlock, err := lockHome(home)
	if err != nil {
		return err
	}
	defer unlock()
	if err := readyToStart(home, s); err != nil {
		return err
	}
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelDebug
	}
	ctx := cmd.Context()
	node, err := chain.StartNode(ctx, chain.NodeConfig{
		Home:        home,
		Moniker:     s.Moniker,
		P2P:         s.P2P,
		RPC:         s.RPC,
		GRPC:        s.GRPC,
		REST:        s.REST,
		External:    s.External,
		Peers:       s.Peers,
		Local:       s.Local,
		BlockTime:   time.Duration(s.BlockTime),
		KeepStates:  s.KeepStates,
		KeepBlocks:  s.KeepBlocks,
		Snapshots:   s.Snapshots,
		MinGasPrice: s.MinGasPrice,
		Log:         slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return nodeError(home, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Node %s runs: peers at %s, gRPC at %s, RPC at %s. Ctrl-C stops it.\n",
		s.Moniker, node.PeerAddr(), s.GRPC, s.RPC)
	return nodeError(home, node.Run(ctx))
}

// lockHome takes a home for this process, and returns how to let go of it.
func lockHome(home string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(home, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("home folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("the node of %s runs already: stop that process first; two nodes with one key would be slashed", home)
	}
	return func() { f.Close() }, nil
}

// minFree is how much room a node must have to start: a day of small blocks.
const minFree = 256 << 20

// readyToStart tells, before anything is started, what would stop a node.
func readyToStart(home string, s nodeSettings) error {
	if _, err := readGenesis(genesisFile(home)); err != nil {
		return err
	}
	for _, p := range s.Peers {
		if err := checkPeer(p); err != nil {
			return err
		}
	}
	for _, l := range []struct{ flag, addr string }{
		{"--p2p", s.P2P}, {"--rpc", s.RPC}, {"--grpc", s.GRPC}, {"--rest", s.REST},
	} {
		if err := checkFree(l.flag, l.addr); err != nil {
			return err
		}
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(home, &disk); err != nil {
		return fmt.Errorf("disk of %s: %w", home, err)
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < minFree {
		return fmt.Errorf("the disk of %s has %d MB left, a node needs %d MB: free some space, or move the folder", home, free>>20, minFree>>20)
	}
	return nil
}

// checkFree tells whether an address can be listened on. flag chooses another.
func checkFree(flag, addr string) error {
	if addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program: stop that, or choose another address with %s or in %s", addr, flag, nodeFile)
	case err != nil:
		return fmt.Errorf("cannot listen on %s (%s): %w", addr, flag, err)
	default:
		return l.Close()
	}
}

// nodeError adds to why a node ended what to do about it.
func nodeError(home string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "no space left on device"):
		return fmt.Errorf("the disk of %s is full: free some space and start again, no final block is lost: %w", home, err)
	case strings.Contains(err.Error(), "resource temporarily unavailable"):
		return fmt.Errorf("another program has the database in %s open: stop it first: %w", filepath.Join(home, "data"), err)
	default:
		return fmt.Errorf("node of %s: %w", home, err)
	}
}

// status is what chain status tells.
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
	return &cobra.Command{
		Use:   "status",
		Short: "Tell how the chain is, as a node sees it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.status(cmd.Context())
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
}

// status asks a node.
func (c *client) status(ctx context.Context) (chainState, error) {
	l, err := c.dial(ledger.Options{})
	if err != nil {
		return chainState{}, err
	}
	defer l.Close()
	head, err := l.Head(ctx)
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
	defer conn.Close()
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
			at := s.External
			if at == "" {
				at = s.P2P
			}
			return printJSON(cmd, map[string]any{
				"peer": id.NodeID + "@" + at,
				"key": map[string]string{
					"@type": "/cosmos.crypto.ed25519.PubKey",
					"key":   base64.StdEncoding.EncodeToString(id.Key),
				},
			})
		},
	}
}
