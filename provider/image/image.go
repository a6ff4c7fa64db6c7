// Package image fetches container images and unpacks them for an engine.
//
// An image is a stranger's archive from a stranger's server. A [Store] asks
// only servers on the public internet, takes what the manifest's digest
// promises and nothing else, stops at its limits before the disk is full, and
// writes nothing outside the image's own folder. An image is unpacked once,
// kept under its digest, and shared by all that run it. Start at [Open].
package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// What callers test for.
var (
	ErrTooLarge = errors.New("image: larger than this provider takes")
	ErrUnsafe   = errors.New("image: unsafe")
	ErrInvalid  = errors.New("image: invalid")
)

// Options of a [Store]. The zero value works.
type Options struct {
	MaxLayer    int64 // compressed bytes of one layer; 0 means 8 GiB
	MaxUnpacked int64 // bytes of all files, also those of lower layers that higher ones replace; 0 means 32 GiB
	MaxFiles    int   // entries of all layers; 0 means 1,000,000
	MaxLayers   int   // 0 means 128

	// Bare keeps what images say of themselves and fetches none of their files,
	// for engines whose machines pull images: Root is then "".
	Bare bool

	// Private allows registries at private and loopback addresses, over plain
	// HTTP. Tenants name registries, so without it a tenant could have the
	// provider send requests into its own network.
	Private bool

	InHand time.Duration // after its last use in which an image is not pruned; 0 means 10 min
}

// A Store is a folder of unpacked images.
type Store struct {
	dir  string
	o    Options
	http http.RoundTripper

	mu      sync.Mutex
	turns   map[string]*turn // by digest: one unpacks, the others wait
	used    map[string]time.Time
	written map[string]time.Time // when used was written to disk
	pulled  Pulled
}

type turn struct {
	free  chan struct{} // holds one while somebody works
	users int
}

// Credentials open a private registry. The zero value is nobody's.
type Credentials struct{ Username, Password string }

// An Image is unpacked and ready to run.
type Image struct {
	Digest string // of the manifest for this platform: "sha256:…"
	Root   string // the folder of its files, which nobody may write; "" in a bare Store
	Config v1.Config
}

// Open makes dir a Store, and throws away what an earlier process did not
// finish.
func Open(dir string, o Options) (*Store, error) {
	o.MaxLayer = orElse(o.MaxLayer, 8<<30)
	o.MaxUnpacked = orElse(o.MaxUnpacked, 32<<30)
	o.MaxFiles = orElse(o.MaxFiles, 1_000_000)
	o.MaxLayers = orElse(o.MaxLayers, 128)
	o.InHand = orElse(o.InHand, inHand)
	// Nobody else on this machine may enter: images hold setuid programs.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	unfinished, err := filepath.Glob(filepath.Join(dir, "*.new*"))
	if err != nil {
		return nil, err
	}
	for _, u := range unfinished {
		if err := os.RemoveAll(u); err != nil {
			return nil, err
		}
	}
	s := &Store{dir: dir, o: o, turns: map[string]*turn{}, used: map[string]time.Time{}, written: map[string]time.Time{}}
	s.http = counted{transport(o.Private), s}
	return s, nil
}

func orElse[T ~int | ~int64](n, otherwise T) T {
	if n == 0 {
		return otherwise
	}
	return n
}

// Pull returns the image that ref names, by tag or by digest, for this
// machine's processor. It asks the registry for the digest of a tag each time,
// and fetches layers only if that digest is not in the Store. Callers that want
// the same image at once fetch it once.
func (s *Store) Pull(ctx context.Context, ref string, c Credentials) (Image, error) {
	parsed, err := s.parse(ref)
	if err != nil {
		return Image{}, err
	}
	if digest, ok := parsed.(name.Digest); ok {
		if i, err := s.find(digest.DigestStr()); err == nil {
			return i, nil
		}
	}
	options := []remote.Option{
		remote.WithContext(ctx),
		remote.WithTransport(s.http),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}),
		remote.WithUserAgent("plexus"),
		remote.WithJobs(2),
	}
	if c != (Credentials{}) {
		options = append(options, remote.WithAuth(&authn.Basic{Username: c.Username, Password: c.Password}))
	}
	from, err := remote.Image(parsed, options...)
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w", ref, err)
	}
	digest, err := from.Digest()
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w", ref, err)
	}
	i, err := s.keep(ctx, digest.String(), from)
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w", ref, err)
	}
	return i, nil
}

func (s *Store) parse(ref string) (name.Reference, error) {
	var options []name.Option
	if s.o.Private {
		options = append(options, name.Insecure)
	}
	parsed, err := name.ParseReference(ref, options...)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no image's name, such as nginx:1.27 or ghcr.io/owner/image@sha256:…: %w", ErrInvalid, ref, err)
	}
	return parsed, nil
}

// Find returns an image of the Store by its digest, or [fs.ErrNotExist].
func (s *Store) Find(digest string) (Image, error) {
	hash, err := v1.NewHash(digest)
	if err != nil {
		return Image{}, fmt.Errorf("%w: digest %q: %w", ErrInvalid, digest, err)
	}
	i := Image{Digest: digest}
	if !s.o.Bare {
		i.Root = filepath.Join(s.path(hash.String()), "root")
	}
	text, err := os.ReadFile(filepath.Join(s.path(hash.String()), "config.json"))
	if err != nil {
		return Image{}, err
	}
	if err := json.Unmarshal(text, &i.Config); err != nil {
		return Image{}, fmt.Errorf("image %s: %w", digest, err)
	}
	return i, nil
}

func (s *Store) path(digest string) string {
	return filepath.Join(s.dir, strings.ReplaceAll(digest, ":", "-"))
}

// keep unpacks an image unless it is here.
func (s *Store) keep(ctx context.Context, digest string, from v1.Image) (Image, error) {
	done, err := s.turn(ctx, digest)
	if err != nil {
		return Image{}, err
	}
	defer done()
	if i, err := s.find(digest); err == nil {
		return i, nil
	}
	began := time.Now()
	i, err := s.fetch(ctx, digest, from)
	s.count(began, err)
	return i, err
}

// find is Find for one who uses the image.
func (s *Store) find(digest string) (Image, error) {
	s.use(digest) // first, so that it is not pruned once it is found
	return s.Find(digest)
}

// fetch fetches and unpacks an image.
func (s *Store) fetch(ctx context.Context, digest string, from v1.Image) (Image, error) {
	layers, total, err := s.layers(from)
	if err != nil {
		return Image{}, err
	}
	config, err := from.ConfigFile()
	if err != nil {
		return Image{}, err
	}
	text, err := json.Marshal(config.Config)
	if err != nil {
		return Image{}, err
	}
	trackOf(ctx).begin(total)
	temporary := s.path(digest) + ".new"
	err = s.unpack(ctx, layers, temporary)
	if err == nil {
		err = os.WriteFile(filepath.Join(temporary, "config.json"), text, 0o600)
	}
	if err == nil {
		err = os.Rename(temporary, s.path(digest))
	}
	if err != nil {
		return Image{}, errors.Join(err, os.RemoveAll(temporary))
	}
	return s.find(digest)
}

// layers refuses an image whose own manifest says that it is too large, and
// returns how many compressed bytes they have.
func (s *Store) layers(from v1.Image) (all []v1.Layer, total int64, err error) {
	manifest, err := from.Manifest()
	if err != nil {
		return nil, 0, err
	}
	if size := manifest.Config.Size; size > maxDocument {
		return nil, 0, fmt.Errorf("%w: its configuration has %d bytes, at most %d", ErrTooLarge, size, maxDocument)
	}
	layers, err := from.Layers()
	if err != nil {
		return nil, 0, err
	}
	if len(layers) > s.o.MaxLayers {
		return nil, 0, fmt.Errorf("%w: %d layers, at most %d", ErrTooLarge, len(layers), s.o.MaxLayers)
	}
	for n, l := range layers {
		size, err := l.Size()
		if err != nil {
			return nil, 0, err
		}
		if size > s.o.MaxLayer {
			return nil, 0, fmt.Errorf("%w: layer %d has %d bytes compressed, at most %d", ErrTooLarge, n+1, size, s.o.MaxLayer)
		}
		total += size
	}
	return layers, total, nil
}

func (s *Store) unpack(ctx context.Context, layers []v1.Layer, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	at := filepath.Join(dir, "root")
	if s.o.Bare {
		return os.MkdirAll(dir, 0o700)
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	u, err := newUnpacker(at, s.o)
	if err != nil {
		return err
	}
	for n, l := range layers {
		if err := unpackLayer(ctx, u, l); err != nil {
			return errors.Join(fmt.Errorf("layer %d of %d: %w", n+1, len(layers), err), u.close())
		}
	}
	return u.close()
}

func unpackLayer(ctx context.Context, u *unpacker, l v1.Layer) error {
	r, err := l.Uncompressed()
	if err != nil {
		return err
	}
	err = u.layer(ctx, r)
	return errors.Join(err, r.Close())
}

// turn waits until no other caller works on a digest; call done at the end.
func (s *Store) turn(ctx context.Context, digest string) (done func(), err error) {
	s.mu.Lock()
	t := s.turns[digest]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		s.turns[digest] = t
	}
	t.users++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(s.turns, digest)
		}
	}
	select {
	case t.free <- struct{}{}:
		return func() { <-t.free; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
