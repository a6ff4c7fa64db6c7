package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// file, folder, link, … are entries of a layer.
func file(name, content string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}, content}
}

func folder(name string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}, ""}
}

func symlink(name, to string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}, ""}
}

func hardlink(name, to string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}, ""}
}

type entry struct {
	tar.Header
	content string
}

func layer(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpackInto lays layers into a fresh folder's "root", beside which a file
// "secret" stands.
func unpackInto(t testing.TB, o Options, layers ...[]byte) (string, error) {
	t.Helper()
	base := t.TempDir()
	root := filepath.Join(base, "root")
	if err := errors.Join(os.Mkdir(root, 0o755), os.WriteFile(filepath.Join(base, "secret"), []byte("untouched"), 0o600)); err != nil {
		t.Fatal(err)
	}
	u, err := newUnpacker(root, limits(o))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		if err = u.layer(context.Background(), bytes.NewReader(l)); err != nil {
			break
		}
	}
	if err := u.close(); err != nil {
		t.Fatal(err)
	}
	names, _ := os.ReadDir(base)
	if text, _ := os.ReadFile(filepath.Join(base, "secret")); string(text) != "untouched" || len(names) != 2 {
		t.Fatalf("something was written outside: %q, %v", text, names)
	}
	return root, err
}

func limits(o Options) Options {
	o.MaxFiles = orElse(o.MaxFiles, 1000)
	o.MaxUnpacked = orElse(o.MaxUnpacked, 1<<20)
	return o
}

// tree lists what is below root, files with their contents.
func tree(t testing.TB, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		name, _ := filepath.Rel(root, p)
		switch {
		case d.IsDir():
			name += "/"
		case d.Type() == fs.ModeSymlink:
			to, _ := os.Readlink(p)
			name += "->" + to
		case d.Type().IsRegular():
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			name += "=" + string(text)
		}
		all = append(all, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestUnpackLaysLayersOverEachOther(t *testing.T) {
	for name, c := range map[string]struct {
		layers [][]entry
		want   []string
	}{
		"a file replaces a file": {
			[][]entry{{file("a", "1")}, {file("a", "2")}},
			[]string{"a=2"},
		},
		"a file replaces a folder": {
			[][]entry{{file("a/b", "1")}, {file("a", "2")}},
			[]string{"a=2"},
		},
		"a folder keeps what is in it": {
			[][]entry{{file("a/b", "1")}, {folder("a/"), file("a/c", "2")}},
			[]string{"a/", "a/b=1", "a/c=2"},
		},
		"a whiteout deletes": {
			[][]entry{{file("a/b", "1"), file("a/c", "1")}, {file("a/.wh.b", "")}},
			[]string{"a/", "a/c=1"},
		},
		"a whiteout deletes a folder": {
			[][]entry{{file("a/b/c", "1")}, {file("a/.wh.b", "")}},
			[]string{"a/"},
		},
		"a whiteout spares its own layer": {
			[][]entry{{file("a/b/old", "1")}, {file("a/b/new", "2"), file("a/.wh.b", "")}},
			[]string{"a/", "a/b/", "a/b/new=2"},
		},
		"an opaque folder hides lower layers": {
			[][]entry{{file("a/b", "1"), file("a/d/e", "1")}, {file("a/c", "2"), file("a/d/f", "2"), file("a/.wh..wh..opq", "")}},
			[]string{"a/", "a/c=2", "a/d/", "a/d/f=2"},
		},
		"bookkeeping of an old file system is left out": {
			[][]entry{{file(".wh..wh.plnk", ""), file("a", "1")}},
			[]string{"a=1"},
		},
		"a path through an absolute link stays inside": {
			[][]entry{{folder("run"), folder("var"), symlink("var/run", "/run")}, {file("var/run/pid", "1")}},
			[]string{"run/", "run/pid=1", "var/", "var/run->/run"},
		},
		"a link to elsewhere is kept, not followed": {
			[][]entry{{symlink("a", "/../../secret"), symlink("b", "../secret")}},
			[]string{"a->/../../secret", "b->../secret"},
		},
		"a hard link": {
			[][]entry{{file("a", "1"), hardlink("b/c", "a")}},
			[]string{"a=1", "b/", "b/c=1"},
		},
		"names may begin with a slash or a dot": {
			[][]entry{{file("/a", "1"), file("./b", "2"), folder("./")}},
			[]string{"a=1", "b=2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var layers [][]byte
			for _, l := range c.layers {
				layers = append(layers, layer(t, l...))
			}
			root, err := unpackInto(t, Options{}, layers...)
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(t, root); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestUnpackRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		entries []entry
		want    error
	}{
		"a name that climbs out":             {[]entry{file("../secret", "x")}, ErrUnsafe},
		"a name that climbs out later":       {[]entry{file("a/../../secret", "x")}, ErrUnsafe},
		"a path through a link that climbs":  {[]entry{symlink("a", ".."), file("a/secret", "x")}, ErrUnsafe},
		"a longer climb":                     {[]entry{folder("d"), symlink("d/a", "../../x"), file("d/a/secret", "x")}, ErrUnsafe},
		"a hard link that climbs out":        {[]entry{hardlink("a", "../secret")}, ErrUnsafe},
		"a hard link through a link":         {[]entry{symlink("a", ".."), hardlink("b", "a/secret")}, ErrUnsafe},
		"a hard link to nothing":             {[]entry{hardlink("a", "b")}, ErrInvalid},
		"a hard link to a folder":            {[]entry{folder("b"), hardlink("a", "b")}, ErrUnsafe},
		"a whiteout that climbs out":         {[]entry{file(".wh...", "")}, ErrUnsafe},
		"links in a circle":                  {[]entry{symlink("a", "b"), symlink("b", "a"), file("a/x", "")}, ErrUnsafe},
		"a block device":                     {[]entry{{tar.Header{Name: "sda", Typeflag: tar.TypeBlock, Devmajor: 8}, ""}}, ErrUnsafe},
		"a character device":                 {[]entry{{tar.Header{Name: "mem", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 1}, ""}}, ErrUnsafe},
		"a root that is a link":              {[]entry{symlink("./", "/")}, ErrUnsafe},
		"a folder inside a file":             {[]entry{file("a", ""), file("a/b", "")}, ErrInvalid},
		"more bytes than allowed":            {[]entry{file("a", strings.Repeat("x", 600<<10)), file("b", strings.Repeat("x", 600<<10))}, ErrTooLarge},
		"more bytes in a file of same layer": {[]entry{file("a", strings.Repeat("x", 2<<20))}, ErrTooLarge},
		"more files than allowed":            {slices.Repeat([]entry{file("a", "")}, 1001), ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if root, err := unpackInto(t, Options{}, layer(t, c.entries...)); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v; unpacked %q", err, c.want, tree(t, root))
			}
		})
	}
}

func TestUnpackKeepsAttributes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	program := entry{tar.Header{
		Name: "ping", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 12, Gid: 34, ModTime: at, Size: 1,
		PAXRecords: map[string]string{"SCHILY.xattr.user.note": "kept", "SCHILY.xattr.trusted.overlay.opaque": "y"},
	}, "x"}
	pipe := entry{tar.Header{Name: "pipe", Typeflag: tar.TypeFifo, Mode: 0o600}, ""}
	owned := entry{tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/nowhere", Uid: 7, Gid: 8}, ""}
	root, err := unpackInto(t, Options{}, layer(t, program, pipe, owned))
	if err != nil {
		t.Fatal(err)
	}
	var s unix.Stat_t
	if err := unix.Lstat(filepath.Join(root, "ping"), &s); err != nil {
		t.Fatal(err)
	}
	if s.Uid != 12 || s.Gid != 34 || s.Mode&0o7777 != 0o4755 || s.Mtim.Sec != at.Unix() {
		t.Errorf("owner %d:%d mode %o time %d, want 12:34 4755 %d", s.Uid, s.Gid, s.Mode, s.Mtim.Sec, at.Unix())
	}
	if err := unix.Lstat(filepath.Join(root, "link"), &s); err != nil || s.Uid != 7 || s.Gid != 8 {
		t.Errorf("the link's owner is %d:%d, %v, want 7:8", s.Uid, s.Gid, err)
	}
	value := make([]byte, 16)
	n, err := unix.Getxattr(filepath.Join(root, "ping"), "user.note", value)
	if err != nil && !errors.Is(err, unix.ENOTSUP) || err == nil && string(value[:n]) != "kept" {
		t.Errorf("attribute user.note: %q, %v", value[:max(n, 0)], err)
	}
	if _, err := unix.Getxattr(filepath.Join(root, "ping"), "trusted.overlay.opaque", value); err == nil {
		t.Error("a layer set an attribute that steers overlays")
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(layer(f, folder("a"), symlink("a/b", ".."), file("a/b/c", "x"), hardlink("d", "a/b/c")))
	f.Add(layer(f, file("a/.wh..wh..opq", ""), file(".wh.a", "")))
	f.Add([]byte("not a tar"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := unpackInto(t, Options{MaxFiles: 50, MaxUnpacked: 1 << 16}, data)
		_ = fmt.Sprint(err) // what it wrote, and where, is checked above
	})
}
