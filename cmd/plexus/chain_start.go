package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/chain"
)

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
	f.StringVar(&over.Metrics, "metrics", "", "serve Prometheus here (default from node.json)")
	f.StringSliceVar(&over.Peers, "peers", nil, "keep connected to these, as id@host:port (default from node.json)")
	f.BoolVar(&verbose, "verbose", false, "log all that happens")
	return cmd
}

// override replaces what o sets.
func (s *nodeSettings) override(o nodeSettings) {
	for _, f := range []struct{ to, from *string }{
		{&s.P2P, &o.P2P}, {&s.RPC, &o.RPC}, {&s.GRPC, &o.GRPC}, {&s.REST, &o.REST}, {&s.Metrics, &o.Metrics},
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
		Metrics:     s.Metrics,
		StateSync:   s.StateSync.chain(),
		Log:         slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return nodeError(home, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Node %s runs: peers at %s, gRPC at %s, RPC at %s, metrics at %s. Ctrl-C stops it.\n",
		s.Moniker, node.PeerAddr(), s.GRPC, s.RPC, s.Metrics)
	return nodeError(home, node.Run(ctx))
}

// lockHome takes a home for this process, and returns how to let go of it.
func lockHome(home string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(home, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("home folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		shut(f)
		return nil, fmt.Errorf("the node of %s runs already: stop that process first; two nodes with one key would be slashed", home)
	}
	return func() { shut(f) }, nil
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
		{"--p2p", s.P2P}, {"--rpc", s.RPC}, {"--grpc", s.GRPC}, {"--rest", s.REST}, {"--metrics", s.Metrics},
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
	case strings.Contains(err.Error(), "UPGRADE \""):
		return fmt.Errorf("the network has a new version from here on: install the plexus that knows the upgrade, and start again with the same home %s: %w", home, err)
	case strings.Contains(err.Error(), "resource temporarily unavailable"):
		return fmt.Errorf("another program has the database in %s open: stop it first: %w", filepath.Join(home, "data"), err)
	default:
		return fmt.Errorf("node of %s: %w", home, err)
	}
}
