package chain

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"

	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
)

// An Identity is who a node is among others.
type Identity struct {
	NodeID string            // among peers: the "id" of "id@host:port"
	Key    ed25519.PublicKey // signs blocks, if the node is a validator
}

// Files of a node's home.
const (
	genesisFile = "config/genesis.json"
	nodeKeyFile = "config/node_key.json"
	signerFile  = "config/priv_validator_key.json"
	signedFile  = "data/priv_validator_state.json"
)

// LoadIdentity returns the identity of the node in home, whose keys it makes
// if they are absent.
func LoadIdentity(home string) (Identity, error) {
	nodeKey, signer, err := loadKeys(home)
	if err != nil {
		return Identity{}, err
	}
	return Identity{NodeID: string(nodeKey.ID()), Key: ed25519.PublicKey(signer.Key.PubKey.Bytes())}, nil
}

// loadKeys returns the keys of the node in home, and makes them if absent.
func loadKeys(home string) (*p2p.NodeKey, *privval.FilePV, error) {
	for _, dir := range []string{"config", "data"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			return nil, nil, fmt.Errorf("home of the node: %w", err)
		}
	}
	nodeKey, err := p2p.LoadOrGenNodeKey(filepath.Join(home, nodeKeyFile))
	if err != nil {
		return nil, nil, fmt.Errorf("node key %s: %w", filepath.Join(home, nodeKeyFile), err)
	}
	signer, err := loadSigner(filepath.Join(home, signerFile), filepath.Join(home, signedFile))
	if err != nil {
		return nil, nil, err
	}
	return nodeKey, signer, nil
}

// loadSigner returns the key that signs blocks, and what it signed last. It
// reads the files itself first, because CometBFT ends the process if they are
// damaged.
func loadSigner(keyPath, statePath string) (*privval.FilePV, error) {
	text, err := os.ReadFile(keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		signer := privval.NewFilePV(cmted25519.GenPrivKey(), keyPath, statePath)
		return signer, saveSigner(signer)
	}
	if err != nil {
		return nil, fmt.Errorf("validator key: %w", err)
	}
	var key privval.FilePVKey
	if err := cmtjson.Unmarshal(text, &key); err != nil || key.PrivKey == nil {
		return nil, fmt.Errorf("validator key %s is damaged; restore it from your backup: %w", keyPath, err)
	}
	text, err = os.ReadFile(statePath)
	if errors.Is(err, fs.ErrNotExist) {
		signer := privval.NewFilePV(key.PrivKey, keyPath, statePath)
		return signer, saveSigner(signer)
	}
	if err != nil {
		return nil, fmt.Errorf("validator state: %w", err)
	}
	var state privval.FilePVLastSignState
	if err := cmtjson.Unmarshal(text, &state); err != nil {
		return nil, fmt.Errorf("validator state %s is damaged; a validator that forgot what it signed may sign twice and be slashed, so restore it: %w", statePath, err)
	}
	return privval.LoadFilePV(keyPath, statePath), nil
}

// saveSigner writes a new signer's files. CometBFT panics where it cannot.
func saveSigner(signer *privval.FilePV) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("save the validator's key: %v", r)
		}
	}()
	signer.Save()
	return nil
}

// LoadGenesis returns the genesis document in home.
func LoadGenesis(home string) (*genutiltypes.AppGenesis, error) {
	path := filepath.Join(home, genesisFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no genesis document: make one, or copy that of the network to %s: %w", home, path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("genesis document: %w", err)
	}
	var doc genutiltypes.AppGenesis
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("genesis document %s is damaged: %w", path, err)
	}
	if doc.Consensus == nil {
		return nil, fmt.Errorf("genesis document %s is not one of this software: it has no \"consensus\"", path)
	}
	if err := doc.ValidateAndComplete(); err != nil {
		return nil, fmt.Errorf("genesis document %s: %w", path, err)
	}
	return &doc, nil
}

// SaveGenesis writes the genesis document of a chain into home, unless one is
// there already, which must be of the same chain.
func SaveGenesis(home string, doc *genutiltypes.AppGenesis) error {
	have, err := LoadGenesis(home)
	if err == nil {
		if have.ChainID != doc.ChainID || !have.GenesisTime.Equal(doc.GenesisTime) {
			return fmt.Errorf("%s holds the chain %s of %v, not %s of %v: use another home or empty this one",
				home, have.ChainID, have.GenesisTime, doc.ChainID, doc.GenesisTime)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	path := filepath.Join(home, genesisFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := doc.SaveAs(path + ".new"); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
