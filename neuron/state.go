package neuron

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/plexus-network/plexus/yuma"
)

// state is what a validator keeps on disk.
type state struct {
	Netuid    yuma.Netuid        `json:"netuid"`
	Account   string             `json:"account"`
	Entries   map[yuma.UID]entry `json:"entries"`
	Mechanism []byte             `json:"mechanism"` // its snapshot
	Spoken    uint64             `json:"spoken"`    // number of the last epoch that weights were set for, plus 1
	Commits   []commit           `json:"commits,omitempty"`
}

// commit is hidden weights with what reveals them.
type commit struct {
	Row     yuma.Row `json:"row"`
	Version uint64   `json:"version"`
	Salt    []byte   `json:"salt"`
	Reveal  uint64   `json:"reveal"` // number of the epoch in which to reveal
}

// stateHeader begins a file of state; the SHA-256 of the JSON that follows, in
// hex, and a line feed come after it.
const stateHeader = "plexus validator state 1 "

// maxState bounds a file of state, in bytes.
const maxState = 64 << 20

// errDamaged means that a file of state is not what was written.
var errDamaged = errors.New("damaged")

// writeState replaces the file at path so that it is the old or the new one,
// whole, whenever power fails. The one before stays as path + ".prev".
func writeState(path string, s state) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("validator state: %w", err)
	}
	sum := sha256.Sum256(body)
	data := append([]byte(stateHeader+hex.EncodeToString(sum[:])+"\n"), body...)
	if err := replaceFile(path, data); err != nil {
		return fmt.Errorf("validator state: %w", err)
	}
	return nil
}

func replaceFile(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*") // mode 0600: salts are secret
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	prev := path + ".prev"
	if err := os.Remove(prev); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(path, prev); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readState reads what writeState wrote, or the file before where the latest is
// damaged, which it then reports as older. A missing file is a zero state.
func readState(path string) (s state, older bool, err error) {
	s, err = readOne(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, false, nil
	}
	if err == nil || !errors.Is(err, errDamaged) {
		return s, false, err
	}
	s, prevErr := readOne(path + ".prev")
	if prevErr != nil {
		return state{}, false, fmt.Errorf("%w, and so is the one before (%w): remove both to start with no opinion of any miner", err, prevErr)
	}
	return s, true, nil
}

func readOne(path string) (s state, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return s, fmt.Errorf("validator state: %w", err)
	}
	if info.Size() > maxState {
		return s, fmt.Errorf("validator state %s is %w: %d bytes, at most %d are written", path, errDamaged, info.Size(), maxState)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("validator state: %w", err)
	}
	head, body, ok := bytes.Cut(data, []byte("\n"))
	sum := sha256.Sum256(body)
	if !ok || string(head) != stateHeader+hex.EncodeToString(sum[:]) {
		return s, fmt.Errorf("validator state %s is %w: its checksum does not match", path, errDamaged)
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("validator state %s is %w: %w", path, errDamaged, err)
	}
	return s, nil
}

// belongs refuses the state of another neuron.
func (s state) belongs(netuid yuma.Netuid, account string) error {
	if s.Account == "" || s.Account == account && s.Netuid == netuid {
		return nil
	}
	return fmt.Errorf("validator state: it is of %s on subnet %d, this is %s on subnet %d: use another folder",
		s.Account, s.Netuid, account, netuid)
}
