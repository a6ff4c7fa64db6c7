package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
)

// newKeysCmd returns the command that keeps coldkeys and hotkeys.
func newKeysCmd() *cobra.Command {
	c := &client{}
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Keep coldkeys and hotkeys",
		Long: `Keep coldkeys and hotkeys.

A coldkey owns coins, stake and neurons. A hotkey works for it: it is named
after its coldkey, as in alice.miner, and may do what the coldkey grants it with
"plexus tx hotkey grant".

Keys are in a file encrypted with a passphrase, unless --keyring says os (the
system's own store) or test (files that anyone on this machine can read).`,
		GroupID: "chain",
	}
	c.flags(cmd)
	cmd.AddCommand(keysCreate(c), keysRecover(c), keysList(c), keysShow(c), keysUse(c), keysDelete(c), keysExport(c), keysImport(c))
	return cmd
}

func keysCreate(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "create NAME",
		Short: "Make a key and show its mnemonic, once",
		Args:  cobra.ExactArgs(1),
		RunE: c.onKeys(func(cmd *cobra.Command, ring *wallet.Keyring, args []string) error {
			k, mnemonic, err := ring.Create(args[0])
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return printJSON(cmd, map[string]string{"name": k.Name(), "address": k.Address(), "mnemonic": mnemonic})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n\n", k.Name(), k.Address())
			fmt.Fprintf(cmd.OutOrStdout(), "Write down these 24 words. They are kept nowhere, and who has them has the key:\n\n%s\n", mnemonic)
			return nil
		}),
	}
}

func keysRecover(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "recover NAME",
		Short: "Make a key from its mnemonic, read from the input",
		Args:  cobra.ExactArgs(1),
		RunE: c.onKeys(func(cmd *cobra.Command, ring *wallet.Keyring, args []string) error {
			mnemonic, err := ask(cmd, "Mnemonic: ", false)
			if err != nil {
				return err
			}
			k, err := ring.Recover(args[0], mnemonic)
			if err != nil {
				return err
			}
			return printKeys(cmd, k)
		}),
	}
}

func keysList(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all keys",
		Args:  cobra.NoArgs,
		RunE: c.onKeys(func(cmd *cobra.Command, ring *wallet.Keyring, _ []string) error {
			keys, err := ring.List()
			if err != nil {
				return err
			}
			if len(keys) == 0 && !asJSON(cmd) {
				cmd.PrintErrln("No keys yet: plexus keys create NAME makes one.")
				return nil
			}
			return printKeys(cmd, keys...)
		}),
	}
}

func keysUse(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "use NAME",
		Short: "Have a key sign where no --from names another",
		Args:  cobra.ExactArgs(1),
		RunE: c.onKey(func(cmd *cobra.Command, _ *wallet.Keyring, k *wallet.Key) error {
			config, err := ledger.ReadConfig(c.home)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			config.Key = k.Name()
			if err := config.Write(c.home); err != nil {
				return err
			}
			return printKeys(cmd, k)
		}),
	}
}

func keysShow(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a key's address",
		Args:  cobra.ExactArgs(1),
		RunE: c.onKey(func(cmd *cobra.Command, _ *wallet.Keyring, k *wallet.Key) error {
			if !asJSON(cmd) {
				fmt.Fprintln(cmd.OutOrStdout(), k.Address())
				return nil
			}
			return printKeys(cmd, k)
		}),
	}
}

func keysDelete(c *client) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Forget a key for good",
		Args:  cobra.ExactArgs(1),
		RunE: c.onKey(func(cmd *cobra.Command, ring *wallet.Keyring, k *wallet.Key) error {
			if !yes {
				answer, err := ask(cmd, fmt.Sprintf("Forget %s? Only its mnemonic brings it back. Type its name: ", k), false)
				if err != nil {
					return err
				}
				if answer != k.Name() {
					return fmt.Errorf("not deleted: %q is not %q", answer, k.Name())
				}
			}
			return ring.Delete(k.Name())
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func keysExport(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "export NAME",
		Short: "Write a key, encrypted with a passphrase, to the output",
		Args:  cobra.ExactArgs(1),
		RunE: c.onKeys(func(cmd *cobra.Command, ring *wallet.Keyring, args []string) error {
			passphrase, err := ask(cmd, "Passphrase for the export: ", true)
			if err != nil {
				return err
			}
			armor, err := ring.Export(args[0], passphrase)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), strings.TrimSpace(armor))
			return nil
		}),
	}
}

func keysImport(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "import NAME FILE",
		Short: "Add a key that export wrote",
		Args:  cobra.ExactArgs(2),
		RunE: c.onKeys(func(cmd *cobra.Command, ring *wallet.Keyring, args []string) error {
			armor, err := os.ReadFile(args[1])
			if err != nil {
				return err
			}
			passphrase, err := ask(cmd, "Passphrase of the export: ", true)
			if err != nil {
				return err
			}
			k, err := ring.Import(args[0], string(armor), passphrase)
			if err != nil {
				return err
			}
			return printKeys(cmd, k)
		}),
	}
}

// onKeys makes what a command does out of what it does with the keyring.
func (c *client) onKeys(do func(*cobra.Command, *wallet.Keyring, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ring, err := c.keys(cmd)
		if err != nil {
			return err
		}
		return do(cmd, ring, args)
	}
}

// onKey is the same of a command whose argument names a key of the ring.
func (c *client) onKey(do func(*cobra.Command, *wallet.Keyring, *wallet.Key) error) func(*cobra.Command, []string) error {
	return c.onKeys(func(cmd *cobra.Command, ring *wallet.Keyring, args []string) error {
		k, err := ring.Key(args[0])
		if err != nil {
			return err
		}
		return do(cmd, ring, k)
	})
}

// printKeys shows keys as a table, or as JSON.
func printKeys(cmd *cobra.Command, keys ...*wallet.Key) error {
	type row struct {
		Name    string `json:"name"`
		Address string `json:"address"`
		Coldkey string `json:"coldkey,omitempty"`
	}
	rows := make([]row, 0, len(keys))
	for _, k := range keys {
		rows = append(rows, row{k.Name(), k.Address(), k.Coldkey()})
	}
	if asJSON(cmd) {
		return printJSON(cmd, rows)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tADDRESS\tKIND")
	for _, r := range rows {
		kind := "coldkey"
		if r.Coldkey != "" {
			kind = "hotkey of " + r.Coldkey
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Name, r.Address, kind)
	}
	return w.Flush()
}

// ask reads a line of the input, without showing it if it is secret and the
// input is a terminal.
func ask(cmd *cobra.Command, question string, secret bool) (string, error) {
	in := cmd.InOrStdin()
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		cmd.PrintErr(question)
		if secret {
			b, err := term.ReadPassword(int(f.Fd()))
			cmd.PrintErrln()
			return string(b), err
		}
	}
	line, err := bufio.NewReader(oneByte{in}).ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || line == "") {
		return "", fmt.Errorf("read the answer to %q: %w", strings.TrimSpace(question), err)
	}
	return strings.TrimSpace(line), nil
}

// oneByte reads no further than asked, so that what follows a line stays for
// the next question.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1]
	}
	return o.r.Read(p)
}

// asJSON tells whether the command was asked for JSON.
func asJSON(cmd *cobra.Command) bool {
	if f := cmd.Flag("json"); f != nil && f.Value.String() == "true" {
		return true
	}
	f := cmd.Flag("output")
	return f != nil && f.Value.String() == "json"
}

// printJSON writes v to the command's output.
func printJSON(cmd *cobra.Command, v any) error {
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
