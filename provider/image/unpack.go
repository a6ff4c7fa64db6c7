package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// The marks by which a layer deletes what lower ones hold, by the OCI image
// specification (layer.md, "Whiteouts").
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
	aufs     = ".wh..wh." // other bookkeeping of an old file system
)

const maxPath = 4096

// An unpacker lays layers over each other in one folder.
type unpacker struct {
	root  *os.Root
	owner bool // whether it may give files away

	files    int   // that may still come
	bytes    int64 // that may still come
	maxFiles int
	maxBytes int64

	here map[string]bool // what the layer at hand has made, and the folders above it
}

func newUnpacker(dir string, o Options) (*unpacker, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &unpacker{
		root: root, owner: os.Geteuid() == 0,
		files: o.MaxFiles, bytes: o.MaxUnpacked, maxFiles: o.MaxFiles, maxBytes: o.MaxUnpacked,
	}, nil
}

func (u *unpacker) close() error { return u.root.Close() }

// layer applies one uncompressed layer.
func (u *unpacker) layer(ctx context.Context, from io.Reader) error {
	u.here = map[string]bool{}
	for r := tar.NewReader(from); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			// The rest must be read, since only then is the digest checked;
			// it holds no files, and no more than a tar's padding.
			n, err := io.Copy(io.Discard, io.LimitReader(from, 64<<20))
			if err == nil && n == 64<<20 {
				err = fmt.Errorf("%w: %d bytes follow the archive's end", ErrUnsafe, n)
			}
			return err
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if err := u.entry(h, r); err != nil {
			return fmt.Errorf("%q: %w", h.Name, err)
		}
	}
}

// entry applies one entry.
func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	if u.files--; u.files < 0 {
		return fmt.Errorf("%w: more than %d files", ErrTooLarge, u.maxFiles)
	}
	if h.Size < 0 || h.Size > u.bytes {
		return fmt.Errorf("%w: more than %d bytes unpacked", ErrTooLarge, u.maxBytes)
	}
	clean, err := inside(h.Name)
	if err != nil {
		return err
	}
	if clean == "." {
		if h.Typeflag != tar.TypeDir {
			return fmt.Errorf("%w: the root is no folder", ErrUnsafe)
		}
		return u.attributes(h, ".")
	}
	dir, err := u.parent(path.Dir(clean))
	if err != nil {
		return err
	}
	base := path.Base(clean)
	if strings.HasPrefix(base, whiteout) {
		return u.erase(dir, base)
	}
	at := path.Join(dir, base)
	if err := u.makeRoom(at, h.Typeflag == tar.TypeDir); err != nil {
		return err
	}
	if err := u.create(h, content, at); err != nil {
		return err
	}
	for ; at != "." && !u.here[at]; at = path.Dir(at) {
		u.here[at] = true
	}
	at = path.Join(dir, base)
	if h.Typeflag == tar.TypeLink {
		return nil // its attributes are those of the file
	}
	return u.attributes(h, at)
}

// inside returns a name relative to the root, or an error for one that leads
// out of it.
func inside(name string) (string, error) {
	if len(name) > maxPath || strings.IndexByte(name, 0) >= 0 {
		return "", fmt.Errorf("%w: a name of %d bytes, or with a zero byte", ErrUnsafe, len(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("%w: the name leads out of the image", ErrUnsafe)
		}
	}
	return path.Join(".", strings.TrimLeft(name, "/")), nil
}

// parent returns the real folder that dir stands for, made where it is
// missing. Links on the way are followed as they would be inside the
// container: an absolute one begins at the image's root. One that climbs above
// the root is refused.
func (u *unpacker) parent(dir string) (string, error) {
	todo := strings.Split(dir, "/")
	at := "."
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at == "." {
				return "", fmt.Errorf("%w: a link leads out of the image", ErrUnsafe)
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		info, err := u.root.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := u.root.Mkdir(next, 0o755); err != nil {
				return "", err
			}
			at = next
		case err != nil:
			return "", err
		case info.IsDir():
			at = next
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > 40 {
				return "", fmt.Errorf("%w: more than 40 links in one name", ErrUnsafe)
			}
			to, err := u.root.Readlink(next)
			if err != nil {
				return "", err
			}
			if path.IsAbs(to) {
				at = "."
			}
			todo = append(strings.Split(to, "/"), todo...)
		default:
			return "", fmt.Errorf("%w: %q is a file and a folder", ErrInvalid, next)
		}
	}
	return at, nil
}

// erase deletes what a whiteout names, of lower layers only.
func (u *unpacker) erase(dir, base string) error {
	if base == opaque {
		return u.empty(dir)
	}
	if strings.HasPrefix(base, aufs) {
		return nil
	}
	name := strings.TrimPrefix(base, whiteout)
	if name == "" || name == "." || name == ".." {
		return fmt.Errorf("%w: a whiteout of %q", ErrUnsafe, name)
	}
	return u.eraseLower(path.Join(dir, name))
}

// eraseLower deletes what lower layers put at a path and below it.
func (u *unpacker) eraseLower(at string) error {
	if !u.here[at] {
		return u.root.RemoveAll(at)
	}
	info, err := u.root.Lstat(at)
	if err != nil || !info.IsDir() {
		return err
	}
	return u.empty(at)
}

// empty deletes what lower layers put into dir.
func (u *unpacker) empty(dir string) error {
	d, err := u.root.Open(dir)
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if err := u.eraseLower(path.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom removes what stands where an entry goes, but for a folder where a
// folder goes.
func (u *unpacker) makeRoom(at string, folder bool) error {
	info, err := u.root.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) || err == nil && folder && info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	return u.root.RemoveAll(at)
}

// create makes the file, without its owner and time.
func (u *unpacker) create(h *tar.Header, content io.Reader, at string) error {
	switch h.Typeflag {
	case tar.TypeDir:
		if err := u.root.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case tar.TypeReg, tar.TypeRegA: //nolint:staticcheck // old archives have it
		return u.file(at, content)
	case tar.TypeSymlink:
		// Where it leads does not matter until something is put there: see parent.
		return u.root.Symlink(h.Linkname, at)
	case tar.TypeLink:
		return u.link(h.Linkname, at)
	case tar.TypeFifo:
		return u.fifo(at)
	default:
		return fmt.Errorf("%w: entries of type %q are not taken: devices belong to the machine", ErrUnsafe, h.Typeflag)
	}
}

func (u *unpacker) file(at string, content io.Reader) error {
	f, err := u.root.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(content, u.bytes+1))
	u.bytes -= n
	if u.bytes < 0 {
		err = fmt.Errorf("%w: more than %d bytes unpacked", ErrTooLarge, u.maxBytes)
	}
	return errors.Join(err, f.Close())
}

// link makes a hard link to a file of the image.
func (u *unpacker) link(to, at string) error {
	clean, err := inside(to)
	if err != nil {
		return err
	}
	dir, err := u.parent(path.Dir(clean))
	if err != nil {
		return err
	}
	target := path.Join(dir, path.Base(clean))
	info, err := u.root.Lstat(target)
	if err != nil {
		return fmt.Errorf("%w: a hard link to %q: %w", ErrInvalid, to, err)
	}
	if info.IsDir() {
		return fmt.Errorf("%w: a hard link to the folder %q", ErrUnsafe, to)
	}
	return u.root.Link(target, at)
}

func (u *unpacker) fifo(at string) error {
	dir, err := u.root.Open(path.Dir(at))
	if err != nil {
		return err
	}
	return errors.Join(unix.Mkfifoat(int(dir.Fd()), path.Base(at), 0o600), dir.Close())
}

// attributes sets owner, mode, extended attributes and time, in the order in
// which one does not undo the other: a change of owner drops setuid and
// capabilities.
func (u *unpacker) attributes(h *tar.Header, at string) error {
	if u.owner {
		if err := u.root.Lchown(at, h.Uid, h.Gid); err != nil {
			return err
		}
	}
	if h.Typeflag == tar.TypeSymlink {
		return nil
	}
	if err := u.root.Chmod(at, h.FileInfo().Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeFifo {
		if err := u.extended(h, at); err != nil {
			return err
		}
	}
	return u.root.Chtimes(at, h.ModTime, h.ModTime)
}

// extended sets the attributes that mean something inside a container:
// programs' capabilities and users' own. Others belong to the host, or, as
// trusted.overlay.*, would change what an overlay shows.
func (u *unpacker) extended(h *tar.Header, at string) error {
	const pax = "SCHILY.xattr."
	for name, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(name, pax)
		if !ok || name != "security.capability" && !strings.HasPrefix(name, "user.") {
			continue
		}
		if !u.owner && name == "security.capability" {
			continue
		}
		f, err := u.root.Open(at)
		if err != nil {
			return err
		}
		err = unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0)
		if errors.Is(err, unix.ENOTSUP) {
			err = nil // the store's file system has none
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	return nil
}
