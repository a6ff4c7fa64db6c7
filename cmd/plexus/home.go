package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
)

// defaultHome returns the folder that holds everything unless --home names
// another: $PLEXUS_HOME, or .plexus in the user's own.
func defaultHome() string {
	if dir := os.Getenv("PLEXUS_HOME"); dir != "" {
		return dir
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return ".plexus"
	}
	return filepath.Join(dir, ".plexus")
}

// A client is what commands that speak to the chain know before they do.
type client struct {
	home    string
	grpc    string // flag, over the configuration
	keyring string // flag, over the configuration
	config  ledger.Config
	ring    *wallet.Keyring // once it is open
	answer  any             // to the last derived query
}

// flags adds the client's flags to a command and all below it.
func (c *client) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&c.home, "home", defaultHome(), "folder of keys and settings, also $PLEXUS_HOME")
	f.StringVar(&c.grpc, "grpc", "", "gRPC address of a node (default from home, else 127.0.0.1:9090)")
	f.StringVar(&c.keyring, "keyring", "", "where keys are: os, file or test (default from home, else file)")
	f.StringP("output", "o", "text", "text or json")
	f.Bool("json", false, "the same as -o json")
}

// load reads the home folder. What the flags say counts more.
func (c *client) load() error {
	var err error
	if c.config, err = ledger.ReadConfig(c.home); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if c.grpc != "" {
		c.config.GRPC, c.config.ChainID = c.grpc, ""
	}
	if c.keyring != "" {
		c.config.Keyring = wallet.Backend(c.keyring)
	}
	return nil
}

// keys opens the keyring, once, so that it asks for its passphrase once.
func (c *client) keys(cmd *cobra.Command) (*wallet.Keyring, error) {
	if c.ring != nil {
		return c.ring, nil
	}
	err := c.load()
	if err != nil {
		return nil, err
	}
	c.ring, err = wallet.Open(wallet.Options{Home: c.home, Backend: c.config.Keyring, Input: cmd.InOrStdin()})
	return c.ring, err
}

// dial returns the chain, which the caller closes.
func (c *client) dial(o ledger.Options) (*ledger.Client, error) {
	if err := c.load(); err != nil {
		return nil, err
	}
	return ledger.Dial(c.config.GRPC, o)
}

// position finds the name that derived commands give an argument: "--0" is the
// first.
var position = regexp.MustCompile(`invalid argument (".*") for "--(\d)" flag: `)

// hint adds to an error what to do about it.
func (c *client) hint(err error) error {
	if err == nil {
		return nil
	}
	if m := position.FindStringSubmatch(err.Error()); m != nil {
		i := int(m[2][0] - '0')
		return fmt.Errorf("argument %d, %s: %s", i+1, m[1], position.ReplaceAllString(err.Error(), ""))
	}
	if errors.Is(err, ledger.ErrUnreachable) {
		return fmt.Errorf("%w: start a network with plexus up or a node with plexus chain start, or name a node with --grpc (tried %s)",
			err, c.config.GRPC)
	}
	return err
}

// shut closes what a command is done with. There is nobody left to tell if that
// fails.
func shut(c io.Closer) { c.Close() }
