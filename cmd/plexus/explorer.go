package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/plexus-network/plexus/explorer"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/yuma"
)

// newExplorerCmd returns the command that keeps the chain's history and serves
// it.
func newExplorerCmd() *cobra.Command {
	c := &client{}
	var (
		db, address string
		sample      uint64
		ahead       int
	)
	cmd := &cobra.Command{
		Use:   "explorer",
		Short: "Index the chain's history and serve it as JSON",
		Long: `Follow a node's blocks into a database, and serve what happened as JSON:
accounts, transfers, epochs of every neuron, stake, registrations and their
prices, subnets, validators' yields, and the supply.

  plexus explorer                                        into an SQLite file in the home folder
  plexus explorer --db postgres://user@127.0.0.1/plexus  into PostgreSQL
  curl 127.0.0.1:8090/v1                                 what there is to ask

It may be stopped and killed at any time, and goes on where it was.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			x, err := explorer.Open(cmd.Context(), c.database(db), log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, x.Close()) }()
			chain, err := c.dial(ledger.Options{Log: log})
			if err != nil {
				return err
			}
			defer func() { _ = chain.Close() }()
			listener, err := net.Listen("tcp", address)
			if err != nil {
				return fmt.Errorf("--http: %w (choose another address)", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "explorer of %s at http://%s/v1\n", c.config.GRPC, listener.Addr())
			group, ctx := errgroup.WithContext(cmd.Context())
			group.Go(func() error {
				return x.Follow(ctx, chain, explorer.FollowOptions{Sample: yuma.Blocks(sample), Ahead: ahead})
			})
			group.Go(func() error { return serveHTTP(ctx, listener, x.Handler()) })
			return group.Wait()
		},
	}
	c.flags(cmd)
	cmd.PersistentFlags().StringVar(&db, "db", "", "path of an SQLite file or postgres://user@host/name (default explorer.db in home)")
	cmd.Flags().StringVar(&address, "http", "127.0.0.1:8090", "address to serve on")
	cmd.Flags().Uint64Var(&sample, "sample", 60, "blocks between looks at subnets, stake and supply")
	cmd.Flags().IntVar(&ahead, "ahead", 8, "blocks to fetch at once while behind")
	cmd.AddCommand(newReindexCmd(c, &db))
	return cmd
}

// newReindexCmd returns the command that drops blocks from the index.
func newReindexCmd(c *client, db *string) *cobra.Command {
	var from uint64
	cmd := &cobra.Command{
		Use:   "reindex",
		Short: "Drop blocks from the index, to be indexed anew",
		Long: `Drop all blocks from a height on; plexus explorer then indexes them anew. What
is sampled from the chain's state comes back as far as the node still has that
state. Stop the explorer first.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			x, err := explorer.Open(cmd.Context(), c.database(*db), nil)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, x.Close()) }()
			if err := x.Rewind(cmd.Context(), yuma.Height(from)); err != nil {
				return err
			}
			s, err := x.Status(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the index ends at block %d\n", s.Height)
			return nil
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "first block to drop; 0 drops all")
	return cmd
}

// database returns the database that --db names.
func (c *client) database(flag string) string {
	if flag != "" {
		return flag
	}
	return filepath.Join(c.home, "explorer.db")
}

// serveHTTP serves until ctx ends, which also ends what streams.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(grace) // what does not end by then is cut off with the process
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return nil
}
