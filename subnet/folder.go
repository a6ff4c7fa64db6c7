package subnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Folder keeps files that a validator must not lose, such as what it has found
// out of others. The end of a file's name, its suffix, begins with a dot and says
// its kind; what became of a file, if anything can, stands before that in a word,
// and its suffix has no other dot. The folder is made when the first file is kept.
type Folder struct{ Path string }

// Keep makes a file that is whole or not there, even if the machine loses its
// power.
func (f Folder) Keep(name string, b []byte) error {
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	path := filepath.Join(f.Path, name)
	err := writeDown(path+".new", b)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

func writeDown(path string, b []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	return errors.Join(err, file.Sync(), file.Close())
}

// Open returns the paths of the files with a suffix of which nothing has become
// yet, the oldest first.
func (f Folder) Open(suffix string) ([]string, error) {
	infos, err := f.Files(suffix)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, info := range slices.Backward(infos) {
		if name := strings.TrimSuffix(info.Name(), suffix); !strings.Contains(name, ".") {
			paths = append(paths, filepath.Join(f.Path, info.Name()))
		}
	}
	return paths, nil
}

// Settle notes in a file's name what became of it, in a word without dots, so
// that it is open no longer. It does nothing for a file that was removed
// meanwhile.
func (f Folder) Settle(path, word string) error {
	suffix := filepath.Ext(path)
	to := strings.TrimSuffix(path, suffix) + "." + word + suffix
	if err := os.Rename(path, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("settle %s as %s: %w", filepath.Base(path), word, err)
	}
	return nil
}

// Files lists the files with a suffix, the newest first; none if there is no
// folder.
func (f Folder) Files(suffix string) ([]os.FileInfo, error) {
	entries, err := os.ReadDir(f.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", f.Path, err)
	}
	var infos []os.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), suffix) {
			infos = append(infos, info)
		}
	}
	slices.SortStableFunc(infos, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	return infos, nil
}
