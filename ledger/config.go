package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/plexus-network/plexus/wallet"
)

// ConfigFile is the name of the file in a home folder that holds a [Config].
const ConfigFile = "client.json"

// Config says how programs on this machine reach the chain, and with which
// keys. Who starts a node writes it, so that commands need no flags.
type Config struct {
	ChainID string         `json:"chain_id"`
	GRPC    string         `json:"grpc"`              // a node's address, as [Dial] takes it
	Keyring wallet.Backend `json:"keyring,omitempty"` // empty means wallet.File
	Key     string         `json:"key,omitempty"`     // name of the key to sign with if none is named
	Peers   []string       `json:"peers,omitempty"`   // multiaddresses of neurons to meet the network by
}

// DefaultConfig is what holds in a home folder without a file.
func DefaultConfig() Config { return Config{GRPC: "127.0.0.1:9090", Keyring: wallet.File} }

// ReadConfig returns the configuration in a home folder. Without one it
// returns [DefaultConfig] and an error that wraps [fs.ErrNotExist].
func ReadConfig(home string) (Config, error) {
	file := filepath.Join(home, ConfigFile)
	b, err := os.ReadFile(file)
	if err != nil {
		return DefaultConfig(), err
	}
	c := DefaultConfig()
	if err := json.Unmarshal(b, &c); err != nil {
		return DefaultConfig(), fmt.Errorf("%s is damaged: %w; repair or delete it", file, err)
	}
	return c, nil
}

// Write makes c the configuration in a home folder, whole or not at all.
func (c Config) Write(home string) (err error) {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return fmt.Errorf("home folder: %w", err)
	}
	f, err := os.CreateTemp(home, ConfigFile+".*")
	if err != nil {
		return fmt.Errorf("home folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(home, ConfigFile))
}
