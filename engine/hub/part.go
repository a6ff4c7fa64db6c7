package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxState bounds the bytes of the file that says of what a part is.
const maxState = 16 << 10

// margin is the room that a fetch leaves on the disk, in bytes.
const margin = 64 << 20

// part is a file that is being fetched, held by this process alone.
type part struct {
	f    *os.File
	size int64 // bytes that have come
	path string
}

// state is kept beside a part.
type state struct {
	URL     string `json:"url"`
	Version string `json:"version"`
	Size    int64  `json:"size"`
}

// openPart takes the part of the file at path, and makes it if it is absent.
func openPart(path string) (*part, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	path += ".part"
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			return nil, fmt.Errorf("another process is fetching it: %s is locked (%w)", path, err)
		}
		held, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		// Whoever held it before may have given it its name, or removed it.
		there, err := os.Stat(path)
		if err == nil && os.SameFile(held, there) {
			return &part{f: f, size: held.Size(), path: path}, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// close lets go of the part, which stays.
func (p *part) close() { p.f.Close() }

func (p *part) stateFile() string { return p.path + ".json" }

// resume keeps what has come if it is of t's version, and drops it otherwise.
func (p *part) resume(t target) error {
	want := state{URL: t.source(), Version: t.version, Size: t.size}
	if t.version != "" && p.size <= t.size && p.state() == want {
		return nil
	}
	if err := p.restart(); err != nil {
		return err
	}
	data, err := json.Marshal(want)
	if err != nil {
		return err
	}
	return os.WriteFile(p.stateFile(), append(data, '\n'), 0o644)
}

// state reads of what the part is; it is zero where that is not known.
func (p *part) state() state {
	f, err := os.Open(p.stateFile())
	if err != nil {
		return state{}
	}
	defer f.Close()
	var s state
	if json.NewDecoder(io.LimitReader(f, maxState)).Decode(&s) != nil {
		return state{}
	}
	return s
}

// restart drops what has come.
func (p *part) restart() error {
	p.size = 0
	return p.f.Truncate(0)
}

// Write appends.
func (p *part) Write(b []byte) (int, error) {
	n, err := p.f.WriteAt(b, p.size)
	p.size += int64(n)
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("the disk is full after %s: make room", Bytes(p.size))
	}
	return n, err
}

// remove deletes the part and what is known of it.
func (p *part) remove() error { return errors.Join(os.Remove(p.path), p.forget()) }

func (p *part) forget() error {
	if err := os.Remove(p.stateFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// room tells whether the disk can hold what is still to come.
func (p *part) room(t target) error {
	dir := filepath.Dir(p.path)
	free, err := freeBytes(dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if need := t.size - p.size; need+margin > free {
		return fmt.Errorf("%s are still to come, and %s has %s free: make room, or choose another folder with --dir", Bytes(need), dir, Bytes(free))
	}
	return nil
}

func freeBytes(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail * uint64(s.Bsize)), nil
}
