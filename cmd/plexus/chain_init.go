package main

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
)

// initOptions are the flags of chain init.
type initOptions struct {
	chainID    string
	validators int
	hosts      []string
	operators  []string
	port       int
	blockTime  time.Duration
	moniker    string
	accounts   []string
	genesis    string
	peers      []string
	external   string
	gasPrice   string
	sync       []string
	trust      string
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
its host. Every node uses five ports from --port on: peers, RPC, gRPC, REST, Prometheus; on
one host each node's begin ten later.

A node that joins runs the chain from its first block on, unless --state-sync and
--trust let it take the state from others: look up a block on a node that you
trust, with "plexus chain status", and give its height and hash.`,
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
	f.StringSliceVar(&o.operators, "operators", nil, "account of each validator (default a new key in each home)")
	f.IntVar(&o.port, "port", 26650, "first port")
	f.DurationVar(&o.blockTime, "block-time", 6*time.Second, "time aimed at between blocks")
	f.StringVar(&o.moniker, "moniker", "node", "name of the node among others")
	f.StringArrayVar(&o.accounts, "account", nil, "test networks only: ADDRESS=AMOUNT that exists from the start")
	f.StringVar(&o.genesis, "genesis", "", "join the chain of this genesis file")
	f.StringSliceVar(&o.peers, "peers", nil, "with --genesis: nodes to keep connected to, as id@host:port")
	f.StringVar(&o.external, "external", "", "with --genesis: host:port that others reach this node at")
	f.StringVar(&o.gasPrice, "min-gas-price", "", "least price of gas that the nodes take, as 0.01nplx (default that; none with all nodes on this host)")
	f.StringSliceVar(&o.sync, "state-sync", nil, "with --genesis: RPC addresses of two nodes or more, to start from their state")
	f.StringVar(&o.trust, "trust", "", "with --state-sync: HEIGHT:HASH of a block of the last week that is the chain's")
	return cmd
}

// What the nodes of a network of many hosts do unless told otherwise: a
// snapshot every 100 minutes for those who join, and a price on spam.
const (
	snapshotInterval = 1000
	minGasPrice      = "0.01nplx"
)

// ports returns the addresses of a node whose first port is given.
func (s *nodeSettings) ports(host string, first int) {
	at := func(i int) string { return net.JoinHostPort(host, strconv.Itoa(first+i)) }
	s.P2P, s.RPC, s.GRPC, s.REST, s.Metrics = at(0), at(1), at(2), at(3), at(4)
}

// A founder is a validator of a new chain, with its home.
type founder struct {
	home      string
	node      nodeSettings
	peer      string // where others find it
	validator chain.GenesisValidator
	key       string // name of the operator's key in the home; empty if it is elsewhere
	mnemonic  string // of a key that was made now
}

// makeChain makes the homes of a new chain's validators.
func makeChain(cmd *cobra.Command, c *client, o initOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	genesis := chain.GenesisOptions{ChainID: o.chainID}
	for _, a := range o.accounts {
		account, err := genesisAccount(a)
		if err != nil {
			return err
		}
		genesis.Accounts = append(genesis.Accounts, account)
	}
	founders := make([]founder, o.validators)
	for i := range founders {
		var err error
		if founders[i], err = o.found(c, i); err != nil {
			return err
		}
		genesis.Validators = append(genesis.Validators, founders[i].validator)
	}
	doc, err := chain.Genesis(genesis)
	if err != nil {
		return err
	}
	for i, f := range founders {
		for j, other := range founders {
			if j != i {
				f.node.Peers = append(f.node.Peers, other.peer)
			}
		}
		if err := writeHome(f.home, f.node, doc, c.backend(), f.key); err != nil {
			return err
		}
	}
	if o.validators > 1 {
		if err := (ledger.Config{ChainID: o.chainID, GRPC: founders[0].node.GRPC, Keyring: c.backend()}).Write(c.home); err != nil {
			return err
		}
	}
	sayFounded(cmd.OutOrStdout(), c, o, founders)
	return nil
}

// check tells what is wrong with the flags of a new chain.
func (o initOptions) check() error {
	if o.validators < 1 || o.validators > 100 {
		return fmt.Errorf("--validators %d: from 1 to 100", o.validators)
	}
	if len(o.hosts) > 0 && len(o.hosts) != o.validators {
		return fmt.Errorf("--hosts names %d hosts for %d validators: name one for each", len(o.hosts), o.validators)
	}
	if len(o.operators) > 0 && len(o.operators) != o.validators {
		return fmt.Errorf("--operators names %d accounts for %d validators: name one for each", len(o.operators), o.validators)
	}
	for _, a := range o.operators {
		if _, err := wallet.ParseAddress(a); err != nil {
			return fmt.Errorf("--operators: %w", err)
		}
	}
	if last := o.port + 10*o.validators; o.port < 1 || last > 65535 {
		return fmt.Errorf("--port %d: the nodes' ports must lie between 1 and 65535, and go up to %d", o.port, last)
	}
	return nil
}

// found makes the home of validator i with its keys.
func (o initOptions) found(c *client, i int) (founder, error) {
	f := founder{home: c.home, node: o.settings(i)}
	if o.validators > 1 {
		f.home = filepath.Join(c.home, fmt.Sprintf("node%d", i))
	}
	if err := emptyHome(f.home); err != nil {
		return f, err
	}
	id, err := chain.LoadIdentity(f.home)
	if err != nil {
		return f, fmt.Errorf("keys of %s: %w", f.home, err)
	}
	f.peer = id.NodeID + "@" + f.node.reachable()
	f.validator = chain.GenesisValidator{Moniker: f.node.Moniker, Key: id.Key}
	if len(o.operators) > 0 {
		f.validator.Operator = o.operators[i]
		return f, nil
	}
	ring, err := wallet.Open(wallet.Options{Home: f.home, Backend: c.backend()})
	if err != nil {
		return f, err
	}
	operator, mnemonic, err := ring.Create("operator")
	if err != nil {
		return f, err
	}
	f.validator.Operator, f.key, f.mnemonic = operator.Address(), operator.Name(), mnemonic
	return f, nil
}

// sayFounded tells a person what was made.
func sayFounded(out io.Writer, c *client, o initOptions, founders []founder) {
	for _, f := range founders {
		fmt.Fprintf(out, "%s  peers at %s, gRPC at %s, operator %s\n", f.home, f.peer, f.node.GRPC, f.validator.Operator)
		if f.mnemonic != "" && c.backend() != wallet.Test {
			fmt.Fprintf(out, "  mnemonic of the operator's key, kept nowhere: %s\n", f.mnemonic)
		}
	}
	fmt.Fprintf(out, "\nChain %s is ready: run plexus chain start --home HOME for each home.\n", o.chainID)
	if len(o.operators) == 0 && c.backend() == wallet.Test {
		fmt.Fprintln(out, "The operators' keys are not encrypted. For a chain of worth name --operators whose keys are elsewhere, or make it with --keyring file.")
	}
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
		Snapshots:   snapshotInterval,
		Local:       len(o.hosts) == 0,
	}
	if s.Local {
		s.ports("127.0.0.1", o.port+10*i)
		return s
	}
	s.MinGasPrice = cmp.Or(o.gasPrice, minGasPrice)
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
	sync, err := o.stateSync()
	if err != nil {
		return err
	}
	if err := emptyHome(c.home); err != nil {
		return err
	}
	id, err := chain.LoadIdentity(c.home)
	if err != nil {
		return fmt.Errorf("keys of %s: %w", c.home, err)
	}
	s := nodeSettings{
		Moniker: o.moniker, External: o.external, Peers: o.peers, BlockTime: duration(o.blockTime),
		MinGasPrice: o.gasPrice, Snapshots: snapshotInterval, StateSync: sync,
	}
	s.ports("127.0.0.1", o.port)
	s.Local = !slices.ContainsFunc(o.peers, func(p string) bool { return !isLoopback(p) })
	if !s.Local {
		s.MinGasPrice = cmp.Or(o.gasPrice, minGasPrice)
		s.P2P = net.JoinHostPort("0.0.0.0", strconv.Itoa(o.port))
	}
	if err := writeHome(c.home, s, g, wallet.File, ""); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Node %s is ready to join %s: run plexus chain start --home %s\n", id.NodeID, g.ChainID, c.home)
	return nil
}

// stateSync returns whence a node that joins takes its state; nil means from
// the first block on.
func (o initOptions) stateSync() (*stateSync, error) {
	if len(o.sync) == 0 && o.trust == "" {
		return nil, nil
	}
	height, hash, _ := strings.Cut(o.trust, ":")
	h, err := strconv.ParseUint(height, 10, 63)
	if b, hexErr := hex.DecodeString(hash); err != nil || h == 0 || hexErr != nil || len(b) != 32 {
		return nil, fmt.Errorf("--trust %q: write HEIGHT:HASH of a block, as plexus chain status shows them on a node that you trust", o.trust)
	}
	if len(o.sync) < 2 {
		return nil, fmt.Errorf("--state-sync names %d nodes: name the RPC addresses of at least 2, so that one can prove the other wrong", len(o.sync))
	}
	return &stateSync{RPC: o.sync, Height: h, Hash: hash}, nil
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
