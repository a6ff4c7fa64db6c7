package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/plexus-network/plexus/coin"
)

// network is the record of a network that [Up] made: what cannot change once
// its genesis is written. It is the file network.json of the home folder, and
// written last, so that a home without it holds no network yet.
type network struct {
	Version   int           `json:"version"`
	ChainID   string        `json:"chain_id"`
	Created   time.Time     `json:"created"`
	BlockTime time.Duration `json:"block_time_ns"`
	Tempo     uint64        `json:"tempo"`
	Model     string        `json:"model"`
	Embed     bool          `json:"embed,omitempty"` // has an embedding subnet; older networks have none
	Members   []member      `json:"members"`
	Accounts  []account     `json:"accounts,omitempty"`
}

// account is a key of no neuron that has coins from the start.
type account struct {
	Name    string      `json:"name"`
	Address string      `json:"address"`
	Balance coin.Amount `json:"balance"`
}

// member is a neuron of the network, in order of uid.
type member struct {
	Name      string `json:"name"`
	Role      role   `json:"role"`
	Behaviour string `json:"behaviour,omitempty"` // of a miner that cheats
	Account   string `json:"account"`
	Hotkey    string `json:"hotkey,omitempty"` // of a validator
	PeerID    string `json:"peer_id"`
	Chainhome string `json:"chain_home,omitempty"` // of a validator, below the home folder
}

type role string

const (
	validatorRole role = "validator"
	minerRole     role = "miner"
)

const networkVersion = 1

// home is a folder that one process owns at a time.
type home struct {
	dir  string
	lock *os.File
}

// openHome makes the folder if it is absent and takes it for this process.
func openHome(dir string) (*home, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("home folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("home folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("home folder %s is in use by another plexus: stop it, or choose another with --home", dir)
	}
	return &home{dir: dir, lock: lock}, nil
}

// close lets go of the folder.
func (h *home) close() error { return h.lock.Close() }

// path joins names to the folder.
func (h *home) path(names ...string) string {
	return filepath.Join(append([]string{h.dir}, names...)...)
}

// readNetwork returns the network that the folder holds, or nil if it holds
// none.
func (h *home) readNetwork() (*network, error) {
	file := h.path("network.json")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var n network
	if err := json.Unmarshal(data, &n); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): restore it, or start anew in another folder with --home", file, err)
	}
	if n.Version != networkVersion {
		return nil, fmt.Errorf("%s has version %d, this program knows %d: use the program that made it", file, n.Version, networkVersion)
	}
	if n.ChainID == "" || len(n.Members) == 0 {
		return nil, fmt.Errorf("%s is damaged: it names no chain or no members; restore it, or start anew in another folder with --home", file)
	}
	return &n, nil
}

// writeJSON replaces a file of the folder with v, whole or not at all.
func (h *home) writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(h.path(name), append(data, '\n'))
}

// replaceFile writes data beside file and renames it there.
func replaceFile(file string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// checkFree tells whether an address can be listened on, before anything is
// started that would have to be stopped again. Flag names the option that
// chooses another.
func checkFree(address, flag string) error {
	if address == "" || strings.HasSuffix(address, ":0") {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use by another program: stop it, or choose another address with %s", address, flag)
	}
	if err != nil {
		return fmt.Errorf("listen on %s (%s): %w", address, flag, err)
	}
	return l.Close()
}
