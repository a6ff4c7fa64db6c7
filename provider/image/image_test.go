package image_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/plexus-network/plexus/provider/image"
)

// shelf is a registry on loopback that counts the blobs it hands out.
type shelf struct {
	host     string
	blobs    atomic.Int64
	password string // "" means open to all
}

func newShelf(t testing.TB) *shelf {
	s := &shelf{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); s.password != "" && password != s.password {
			w.Header().Set("WWW-Authenticate", `Basic realm="shelf"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			s.blobs.Add(1)
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	return s
}

// push puts i at a tag and returns its name.
func (s *shelf) push(t testing.TB, tag string, i v1.Image) string {
	t.Helper()
	ref, err := name.ParseReference(s.host+"/owner/image:"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, i); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

func open(t testing.TB, o image.Options) (*image.Store, string) {
	t.Helper()
	dir := t.TempDir()
	o.Private = true
	s, err := image.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func sample(t testing.TB) v1.Image {
	t.Helper()
	i, err := random.Image(1000, 3)
	if err != nil {
		t.Fatal(err)
	}
	if i, err = mutate.Config(i, v1.Config{Cmd: []string{"/x"}, Env: []string{"A=1"}}); err != nil {
		t.Fatal(err)
	}
	return i
}

func TestPullUnpacksOnce(t *testing.T) {
	from := newShelf(t)
	ref := from.push(t, "v1", sample(t))
	store, _ := open(t, image.Options{})
	first, err := store.Pull(t.Context(), ref, image.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(first.Root)
	if err != nil || len(files) != 3 || !slices.Equal(first.Config.Cmd, []string{"/x"}) {
		t.Errorf("root holds %v (%v), config %+v", files, err, first.Config)
	}
	fetched := from.blobs.Load()
	again, err := store.Pull(t.Context(), ref, image.Credentials{})
	if err != nil || again.Root != first.Root || again.Digest != first.Digest {
		t.Errorf("second pull: %+v, %v, want %+v", again, err, first)
	}
	repository, _, _ := strings.Cut(ref, ":v1")
	byDigest, err := store.Pull(t.Context(), repository+"@"+first.Digest, image.Credentials{})
	if err != nil || byDigest.Root != first.Root {
		t.Errorf("by digest: %+v, %v", byDigest, err)
	}
	if got := from.blobs.Load(); got != fetched {
		t.Errorf("%d blobs were fetched again", got-fetched)
	}
}

func TestPullFollowsATagThatMoves(t *testing.T) {
	from := newShelf(t)
	store, _ := open(t, image.Options{})
	first, err := store.Pull(t.Context(), from.push(t, "v1", sample(t)), image.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := store.Pull(t.Context(), from.push(t, "v1", sample(t)), image.Credentials{})
	if err != nil || second.Digest == first.Digest {
		t.Errorf("the tag moved, yet both are %s (%v)", second.Digest, err)
	}
}

func TestPullAtTheSameTimeUnpacksOnce(t *testing.T) {
	from := newShelf(t)
	ref := from.push(t, "v1", sample(t))
	store, _ := open(t, image.Options{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := store.Pull(t.Context(), ref, image.Credentials{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := from.blobs.Load(); got > 3+8 { // each pull may read the configuration
		t.Errorf("%d blobs were fetched, want 3 layers once", got)
	}
}

func TestPullNeedsCredentials(t *testing.T) {
	from := newShelf(t)
	ref := from.push(t, "v1", sample(t))
	from.password = "secret"
	store, _ := open(t, image.Options{})
	if _, err := store.Pull(t.Context(), ref, image.Credentials{Username: "u", Password: "wrong"}); err == nil {
		t.Error("a wrong password opened the registry")
	}
	if _, err := store.Pull(t.Context(), ref, image.Credentials{Username: "u", Password: "secret"}); err != nil {
		t.Error(err)
	}
}

func TestPullRefusesLargeImages(t *testing.T) {
	from := newShelf(t)
	ref := from.push(t, "v1", sample(t))
	for name, o := range map[string]image.Options{
		"a layer":  {MaxLayer: 100},
		"layers":   {MaxLayers: 2},
		"unpacked": {MaxUnpacked: 2500},
		"files":    {MaxFiles: 2},
	} {
		store, dir := open(t, o)
		if _, err := store.Pull(t.Context(), ref, image.Credentials{}); !errors.Is(err, image.ErrTooLarge) {
			t.Errorf("%s: %v, want %v", name, err, image.ErrTooLarge)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v (%v)", name, left, err)
		}
	}
}

// huge is a layer that says it has 10 GB, and has none.
type huge struct{ v1.Layer }

func (huge) Size() (int64, error) { return 10_000_000_000, nil }

func TestPullRefusesATenGigabyteLayerBeforeFetchingIt(t *testing.T) {
	from := newShelf(t)
	i, err := mutate.AppendLayers(empty.Image, huge{static.NewLayer([]byte("small"), types.DockerLayer)})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := i.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	// The blobs go up by an image of the same layers that tells the truth.
	honest, err := mutate.AppendLayers(empty.Image, static.NewLayer([]byte("small"), types.DockerLayer))
	if err != nil {
		t.Fatal(err)
	}
	from.push(t, "honest", honest)
	r, err := http.NewRequest(http.MethodPut, "http://"+from.host+"/v2/owner/image/manifests/huge", bytes.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", string(types.DockerManifestSchema2))
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != http.StatusCreated {
		t.Fatalf("push: %v, %v", answer, err)
	}
	_ = answer.Body.Close()
	before := from.blobs.Load()
	store, _ := open(t, image.Options{})
	_, err = store.Pull(t.Context(), from.host+"/owner/image:huge", image.Credentials{})
	if !errors.Is(err, image.ErrTooLarge) || !strings.Contains(err.Error(), "10000000000") {
		t.Errorf("error %v, want %v with the size", err, image.ErrTooLarge)
	}
	if got := from.blobs.Load(); got != before {
		t.Errorf("%d blobs were fetched all the same", got-before)
	}
}

func TestPullAsksPublicRegistriesOnly(t *testing.T) {
	store, err := image.Open(t.TempDir(), image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1:5000", "localhost:5000", "169.254.169.254", "10.0.0.1", "192.168.1.1:5000", "100.64.0.1", "[::1]:5000"} {
		if _, err := store.Pull(t.Context(), host+"/a/b:c", image.Credentials{}); !errors.Is(err, image.ErrUnsafe) {
			t.Errorf("%s: %v, want %v", host, err, image.ErrUnsafe)
		}
	}
	if _, err := store.Pull(t.Context(), "no such:name", image.Credentials{}); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("a name that is none: %v, want %v", err, image.ErrInvalid)
	}
}

func TestStoreForgetsWhatIsNotInUse(t *testing.T) {
	from := newShelf(t)
	store, dir := open(t, image.Options{})
	kept, err := store.Pull(t.Context(), from.push(t, "v1", sample(t)), image.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	gone, err := store.Pull(t.Context(), from.push(t, "v2", sample(t)), image.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sha256-1.new"), 0o700); err != nil { // a pull that was cut off
		t.Fatal(err)
	}
	never := func(time.Duration) bool { return false }
	if all, err := store.Prune(t.Context(), map[string]bool{kept.Digest: true}, never); len(all) != 0 || err != nil {
		t.Errorf("pruned %q (%v) right after the pull", all, err)
	}
	long := time.Now().Add(-time.Hour)
	if store, err = image.Open(dir, image.Options{}); err != nil { // a later run
		t.Fatal(err)
	}
	for _, one := range []string{kept.Digest, gone.Digest} {
		if err := os.Chtimes(filepath.Join(dir, strings.Replace(one, ":", "-", 1), "config.json"), long, long); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sha256-1.new"), 0o700); err != nil { // a pull that was cut off
		t.Fatal(err)
	}
	if all, err := store.Prune(t.Context(), map[string]bool{kept.Digest: true}, func(unused time.Duration) bool { return unused < 2*time.Hour }); len(all) != 0 || err != nil {
		t.Errorf("pruned %q (%v) though it was enough", all, err)
	}
	if all, err := store.Prune(t.Context(), map[string]bool{kept.Digest: true}, never); !slices.Equal(all, []string{gone.Digest}) || err != nil {
		t.Errorf("pruned %q (%v), want %s", all, err, gone.Digest)
	}
	if _, err := store.Find(gone.Digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the image that went: %v", err)
	}
	again, err := image.Open(dir, image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Find(kept.Digest); err != nil {
		t.Errorf("the image in use: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left %v, want one image", left)
	}
}

func TestProcess(t *testing.T) {
	root := t.TempDir()
	for file, text := range map[string]string{
		"passwd": "root:x:0:0::/:/bin/sh\napp:x:1000:2000::/:/bin/sh\n",
		"group":  "root:x:0:\napp:x:2000:\naudio:x:29:app,other\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Join(root, "etc"), 0o755), os.WriteFile(filepath.Join(root, "etc", file), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	with := func(user string) image.Image {
		return image.Image{Root: root, Config: v1.Config{User: user, Entrypoint: []string{"/e"}, Cmd: []string{"c"}, Env: []string{"A=1", "B=1"}, WorkingDir: "/w"}}
	}
	p, err := with("app").Process(nil, nil, []string{"B=2"})
	if err != nil || !slices.Equal(p.Args, []string{"/e", "c"}) || !slices.Equal(p.Env, []string{"A=1", "B=2"}) || p.Dir != "/w" ||
		p.UID != 1000 || p.GID != 2000 || !slices.Equal(p.Groups, []uint32{29}) {
		t.Errorf("process %+v, %v", p, err)
	}
	if p, _ = with("1000:29").Process([]string{"/x"}, []string{"y"}, nil); !slices.Equal(p.Args, []string{"/x", "y"}) || p.UID != 1000 || p.GID != 29 {
		t.Errorf("with a command: %+v", p)
	}
	if p, _ = with("").Process(nil, []string{"y"}, nil); !slices.Equal(p.Args, []string{"/e", "y"}) || p.UID != 0 {
		t.Errorf("with arguments: %+v", p)
	}
	if p, _ = with("4321").Process(nil, nil, nil); p.UID != 4321 || p.GID != 0 {
		t.Errorf("a number without an account: %+v", p)
	}
	for _, bad := range []image.Image{with("nobody"), with("0:nobody"), with("-1"), {Root: root}} {
		if _, err := bad.Process(nil, nil, nil); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("user %q, args %q: %v, want %v", bad.Config.User, bad.Config.Entrypoint, err, image.ErrInvalid)
		}
	}
}
