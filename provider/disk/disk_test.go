package disk_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/plexus-network/plexus/provider/disk"
	"github.com/plexus-network/plexus/provider/sandbox"
)

const size = 8 << 20

// mounted makes and mounts a disk, or skips.
func mounted(t testing.TB, o disk.Options) (file, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil && os.Getenv("PLEXUS_SANDBOX") == "" {
		t.Skipf("this machine makes no disks: %v", err)
	}
	base := t.TempDir()
	file, dir = filepath.Join(base, "disk"), filepath.Join(base, "at")
	if err := disk.Make(file, size, o); err != nil {
		t.Fatal(err)
	}
	if err := disk.Mount(file, dir); err != nil {
		t.Skipf("this machine mounts no disks: %v", err)
	}
	t.Cleanup(func() {
		if err := disk.Unmount(dir); err != nil {
			t.Error(err)
		}
	})
	return file, dir
}

func TestDiskIsFullAtItsSize(t *testing.T) {
	_, dir := mounted(t, disk.Options{Scratch: true})
	before, err := disk.Used(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = os.WriteFile(filepath.Join(dir, "x"), make([]byte, 2*size), 0o600)
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("writing twice its size: %v, want %v", err, unix.ENOSPC)
	}
	after, err := disk.Used(dir)
	if err != nil || after <= before || after > size {
		t.Errorf("in use %d, then %d (%v), want more, at most %d", before, after, err, size)
	}
}

func TestDiskIsEmptyAndItsOwners(t *testing.T) {
	_, dir := mounted(t, disk.Options{UID: 1000, GID: 2000})
	names, err := os.ReadDir(dir)
	if err != nil || len(names) > 0 {
		t.Errorf("a new disk holds %v (%v)", names, err)
	}
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil || s.Uid != 1000 || s.Gid != 2000 {
		t.Errorf("it belongs to %d:%d (%v), want 1000:2000", s.Uid, s.Gid, err)
	}
}

func TestDiskKeepsItsContents(t *testing.T) {
	file, dir := mounted(t, disk.Options{})
	if err := os.WriteFile(filepath.Join(dir, "x"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := disk.Mount(file, dir); err != nil { // again
		t.Fatal(err)
	}
	if err := disk.Unmount(dir); err != nil {
		t.Fatal(err)
	}
	if disk.Mounted(dir) {
		t.Fatal("it is still mounted")
	}
	if err := disk.Make(file, size, disk.Options{}); err != nil {
		t.Errorf("making what is there: %v", err)
	}
	if err := disk.Make(file, 2*size, disk.Options{}); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("another size: %v, want %v", err, sandbox.ErrInvalid)
	}
	if err := disk.Mount(file, dir); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "x")); err != nil || !bytes.Equal(text, []byte("kept")) {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestMakeReservesItsSpace(t *testing.T) {
	dir := t.TempDir()
	if err := disk.Make(filepath.Join(dir, "d"), 1<<60, disk.Options{}); err == nil {
		t.Error("an exabyte was reserved")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v (%v)", left, err)
	}
}

func TestMakeSaysThatTheHostIsFull(t *testing.T) {
	_, dir := mounted(t, disk.Options{})
	err := disk.Make(filepath.Join(dir, "inner"), 2*size, disk.Options{})
	if !errors.Is(err, sandbox.ErrNoSpace) {
		t.Errorf("error %v, want %v", err, sandbox.ErrNoSpace)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v (%v)", left, err)
	}
}

func TestOverlayKeepsTheImageAsItIs(t *testing.T) {
	_, dir := mounted(t, disk.Options{Scratch: true})
	image, at := t.TempDir(), filepath.Join(t.TempDir(), "root")
	if err := os.WriteFile(filepath.Join(image, "a"), []byte("image"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := disk.Overlay(image, dir, at); err != nil {
		t.Skipf("this machine has no overlays: %v", err)
	}
	defer func() {
		if err := disk.Unmount(at); err != nil {
			t.Error(err)
		}
	}()
	if err := os.WriteFile(filepath.Join(at, "a"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(image, "a")); err != nil || string(text) != "image" {
		t.Errorf("the image holds %q (%v)", text, err)
	}
	if err := disk.Overlay(image+",x", dir, at+"2"); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("a folder with a comma: %v, want %v", err, sandbox.ErrInvalid)
	}
}

func TestUnmountOfNothing(t *testing.T) {
	if err := disk.Unmount(filepath.Join(t.TempDir(), "nothing")); err != nil {
		t.Error(err)
	}
}
