package image_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/plexus-network/plexus/provider/image"
)

func TestABareStoreFetchesNoFiles(t *testing.T) {
	from := newShelf(t)
	ref := from.push(t, "v1", sample(t))
	store, dir := open(t, image.Options{Bare: true})
	i, err := store.Pull(t.Context(), ref, image.Credentials{})
	if err != nil || i.Root != "" || i.Digest == "" || !slices.Equal(i.Config.Cmd, []string{"/x"}) {
		t.Fatalf("%+v, %v, want no root and the command /x", i, err)
	}
	if got := from.blobs.Load(); got > 1 {
		t.Errorf("%d blobs were fetched, want the configuration alone", got)
	}
	i.Config.User = "nginx"
	if p, err := i.Process(nil, nil, nil); err != nil || p.User != "nginx" || p.UID != 0 {
		t.Errorf("process %+v, %v, want the user left to the machine", p, err)
	}
	again, err := image.Open(dir, image.Options{Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := again.Find(i.Digest); err != nil || found.Root != "" {
		t.Errorf("after a restart: %+v, %v", found, err)
	}
	small, _ := open(t, image.Options{Bare: true, MaxLayer: 1})
	if _, err := small.Pull(t.Context(), ref, image.Credentials{}); !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("a layer beyond the cap: %v, want %v", err, image.ErrTooLarge)
	}
}
