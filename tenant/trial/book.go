package trial

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// maxOpen bounds the deployments in a book: more are a fault, and not opened.
const maxOpen = 1000

// A book keeps the numbers of deployments that are open, on disk.
type book struct {
	file string

	mu sync.Mutex
}

// all returns the numbers, sorted.
func (b *book) all() ([]uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read()
}

func (b *book) read() ([]uint64, error) {
	text, err := os.ReadFile(b.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []uint64
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("the list of open probes, %s, is damaged: %w; see plexus deploy list, and remove it", b.file, err)
	}
	return all, nil
}

func (b *book) add(dseq uint64) error {
	return b.change(func(all []uint64) []uint64 { return append(all, dseq) })
}

func (b *book) remove(dseq uint64) error {
	return b.change(func(all []uint64) []uint64 { return slices.DeleteFunc(all, func(d uint64) bool { return d == dseq }) })
}

// change replaces the file as a whole.
func (b *book) change(do func([]uint64) []uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := b.read()
	if err != nil {
		return err
	}
	all = do(all)
	slices.Sort(all)
	if len(all) > maxOpen {
		return fmt.Errorf("%d probes are open, %d at most are allowed", len(all), maxOpen)
	}
	text, err := json.Marshal(slices.Compact(all))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(b.file), filepath.Base(b.file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone, if it was renamed
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), b.file)
}
