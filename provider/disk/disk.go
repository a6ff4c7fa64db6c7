// Package disk makes disks of a fixed size out of files: an ext4 file system
// in a file, mounted through a loop device.
//
// The size holds on every file system, with no quota support of the host, and
// all of it is reserved when the disk is made, so a provider cannot sell space
// that it does not have: who writes finds the disk full at its own size and
// never because of a neighbour.
package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// Options of a new disk. The zero value is a disk that outlives crashes, whose
// folder belongs to root.
type Options struct {
	UID, GID uint32 // who may write its top folder
	Scratch  bool   // it is thrown away after a crash, so it needs no journal
}

// Make reserves size bytes at file and formats them. A disk that is there
// already is left as it is, and so are its contents; only its size must match.
// Too little space on the host is [sandbox.ErrNoSpace], and leaves no file.
func Make(file string, size int64, o Options) error {
	if was, err := os.Stat(file); err == nil {
		if was.Size() != size {
			return fmt.Errorf("%w: disk %s has %d bytes and cannot become %d; a volume keeps its size", sandbox.ErrInvalid, filepath.Base(file), was.Size(), size)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	raw := file + ".new" // a disk is whole or absent
	err := reserve(raw, size)
	if err == nil {
		err = format(raw, o)
	}
	if err == nil {
		err = os.Rename(raw, file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("make a disk of %d bytes: %w", size, err), remove(raw))
	}
	return nil
}

func reserve(file string, size int64) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("%w: %s has %d bytes left", sandbox.ErrNoSpace, filepath.Dir(file), free(file))
	}
	return err
}

func free(file string) int64 {
	var s unix.Statfs_t
	if unix.Statfs(filepath.Dir(file), &s) != nil {
		return 0
	}
	return int64(s.Bavail) * s.Bsize
}

func format(file string, o Options) error {
	args := []string{
		"-q", "-F", "-m", "0", // nothing is reserved for root
		"-E", fmt.Sprintf("nodiscard,lazy_itable_init=1,root_owner=%d:%d", o.UID, o.GID),
	}
	if o.Scratch {
		args = append(args, "-O", "^has_journal")
	}
	out, err := exec.Command("mkfs.ext4", append(args, file)...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: install e2fsprogs", err)
	}
	if err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// Mount makes the disk in file appear at dir, which it creates. A disk that is
// mounted there is left as it is.
func Mount(file, dir string) error {
	if Mounted(dir) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	loop, err := attach(file)
	if err != nil {
		return fmt.Errorf("attach %s to a loop device: %w", file, err)
	}
	defer loop.Close() // the mount keeps the device, which goes with it
	if err := unix.Mount(loop.Name(), dir, "ext4", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOATIME, ""); err != nil {
		return fmt.Errorf("mount %s: %w", file, err)
	}
	// A database that finds a folder not empty refuses to use it.
	if err := os.Remove(filepath.Join(dir, "lost+found")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, Unmount(dir))
	}
	return nil
}

// attach gives file a loop device that vanishes when nothing uses it.
func attach(file string) (*os.File, error) {
	backing, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(backing.Fd())}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	copy(config.Info.File_name[:len(config.Info.File_name)-1], file)
	for { // another process may take the free device first
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		loop, err := os.OpenFile("/dev/loop"+strconv.Itoa(n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			return loop, nil
		}
		_ = loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
}

// Overlay makes image appear at dir with its changes kept on the disk mounted
// at scratch.
func Overlay(image, scratch, dir string) error {
	if Mounted(dir) {
		return nil
	}
	upper, work := filepath.Join(scratch, "upper"), filepath.Join(scratch, "work")
	for _, d := range []string{upper, work, dir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for _, p := range []string{image, scratch} {
		if strings.ContainsAny(p, ",:\\") {
			return fmt.Errorf("%w: the folder %q has a character that mount options cannot hold", sandbox.ErrInvalid, p)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", image, upper, work)
	if err := unix.Mount("overlay", dir, "overlay", unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount an overlay on %s: %w", image, err)
	}
	return nil
}

// Unmount takes away what is mounted at dir, and dir. What is in use goes when
// its last user does. Nothing there is no error.
func Unmount(dir string) error {
	for {
		err := unix.Unmount(dir, unix.MNT_DETACH)
		switch {
		case err == nil:
			continue // one mount may cover another
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return remove(dir)
		default:
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
}

// remove deletes a file or an empty folder; it never looks inside, so it
// cannot delete what somebody else mounted there.
func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Mounted tells whether something is mounted at dir.
func Mounted(dir string) bool {
	var at, above unix.Stat_t
	if unix.Lstat(dir, &at) != nil || unix.Lstat(filepath.Dir(dir), &above) != nil {
		return false
	}
	return at.Dev != above.Dev
}

// Used returns the bytes in use on the file system mounted at dir.
func Used(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("measure %s: %w", dir, err)
	}
	return int64(s.Blocks-s.Bfree) * s.Bsize, nil
}
