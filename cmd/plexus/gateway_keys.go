package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/gateway/access"
	"github.com/plexus-network/plexus/gateway/store"
)

// newGatewayKeysCmd returns the command by which an operator keeps API keys.
func newGatewayKeysCmd() *cobra.Command {
	c := &client{}
	var db string
	cmd := &cobra.Command{
		Use:   "gateway-keys",
		Short: "Make, list and revoke API keys of your own gateway",
		Long: `Make, list and revoke the operator's API keys, each with a fixed quota. The
gateway may run meanwhile; it knows of a change at once.

  plexus gateway-keys create --name team --quota 1000000
  plexus gateway-keys list
  plexus gateway-keys revoke key_…`,
	}
	c.flags(cmd)
	cmd.PersistentFlags().StringVar(&db, "gateway-db", "", "the gateway's database: a path or postgres://user@host/name (default gateway.db in home)")
	// with opens the database for one of the commands.
	with := func(f func(cmd *cobra.Command, r access.Register, args []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) (err error) {
			if db == "" {
				db = filepath.Join(c.home, "gateway.db")
			}
			d, err := store.Open(cmd.Context(), db)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.Close()) }()
			return f(cmd, access.NewRegister(d), args)
		}
	}
	cmd.AddCommand(gatewayKeysCreate(with), gatewayKeysList(with), gatewayKeysRevoke(with))
	return cmd
}

type withRegister = func(func(*cobra.Command, access.Register, []string) error) func(*cobra.Command, []string) error

func gatewayKeysCreate(with withRegister) *cobra.Command {
	var name string
	var quota int64
	var life time.Duration
	cmd := &cobra.Command{Use: "create", Short: "Make a key and show it, once", Args: cobra.NoArgs}
	cmd.RunE = with(func(cmd *cobra.Command, r access.Register, _ []string) error {
		key, k, err := r.CreateKey(cmd.Context(), "", name, quota, life)
		if err != nil {
			return err
		}
		if asJSON(cmd) {
			return printJSON(cmd, struct {
				Secret string `json:"key"`
				access.Key
			}{key, k})
		}
		fmt.Fprintln(cmd.OutOrStdout(), key)
		cmd.PrintErrf("\nThis key is shown once. It is %s, with %d tokens per epoch.\n", k.ID, k.Limit)
		return nil
	})
	cmd.Flags().StringVar(&name, "name", "", "what the key is for")
	cmd.Flags().Int64Var(&quota, "quota", 1_000_000, "tokens per epoch")
	cmd.Flags().DurationVar(&life, "life", 0, "how long it is good (default for ever)")
	return cmd
}

func gatewayKeysList(with withRegister) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the operator's keys", Args: cobra.NoArgs}
	cmd.RunE = with(func(cmd *cobra.Command, r access.Register, _ []string) error {
		keys, err := r.Keys(cmd.Context(), "")
		if err != nil {
			return err
		}
		if asJSON(cmd) {
			return printJSON(cmd, keys)
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tKEY\tNAME\tQUOTA\tSTATE")
		for _, k := range keys {
			state := "good"
			switch {
			case !k.Revoked.IsZero():
				state = "revoked " + k.Revoked.Format(time.DateOnly)
			case !k.Expires.IsZero():
				state = "until " + k.Expires.Format(time.DateOnly)
			}
			fmt.Fprintf(w, "%s\t%s…\t%s\t%d\t%s\n", k.ID, k.Prefix, k.Name, k.Limit, state)
		}
		return w.Flush()
	})
	return cmd
}

func gatewayKeysRevoke(with withRegister) *cobra.Command {
	cmd := &cobra.Command{Use: "revoke ID", Short: "End a key", Args: cobra.ExactArgs(1)}
	cmd.RunE = with(func(cmd *cobra.Command, r access.Register, args []string) error {
		return r.RevokeKey(cmd.Context(), "", args[0])
	})
	return cmd
}
