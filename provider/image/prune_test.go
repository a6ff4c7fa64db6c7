package image_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/plexus-network/plexus/provider/image"
)

// TestPruneWhilePulling checks that what a Pull returned is there, whatever is
// pruned meanwhile, and that the least recently used go first.
func TestPruneWhilePulling(t *testing.T) {
	shelf := newShelf(t)
	var refs []string
	for _, tag := range []string{"a", "b", "c"} {
		i, err := random.Image(4096, 2)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, shelf.push(t, tag, i))
	}
	const inHand = 50 * time.Millisecond
	store, _ := open(t, image.Options{InHand: inHand})
	never := func(time.Duration) bool { return false }
	ctx, cancel := context.WithCancel(t.Context())
	var pruned int
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			gone, err := store.Prune(ctx, nil, never)
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			pruned += len(gone)
		}
	})
	var pullers sync.WaitGroup
	for n := range 4 {
		pullers.Go(func() {
			told := 0 // rounds that went fast enough to tell something
			for round := 0; told < 6 && round < 1000; round++ {
				began := time.Now()
				i, err := store.Pull(t.Context(), refs[(n+round)%len(refs)], image.Credentials{})
				if err != nil {
					t.Error(err)
					continue
				}
				if _, err = os.Stat(i.Root); time.Since(began) < inHand {
					told++
					if err != nil {
						t.Errorf("right after its pull: %v", err)
					}
				}
				time.Sleep(20 * time.Millisecond) // lets it grow old
			}
			if told == 0 {
				t.Error("not one of 1000 pulls took less than the time that an image is in hand")
			}
		})
	}
	pullers.Wait()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if gone, err := store.Prune(t.Context(), nil, never); err != nil || len(gone) == 0 && time.Now().After(end) {
			t.Fatal("nothing was pruned within 30 s", err)
		} else if len(gone) > 0 || pruned > 0 {
			break
		}
	}
	cancel()
	all.Wait()
}

func TestPruneTakesTheLeastRecentlyUsedFirst(t *testing.T) {
	shelf := newShelf(t)
	store, _ := open(t, image.Options{InHand: time.Nanosecond})
	var digests []string
	for _, tag := range []string{"a", "b", "c"} {
		i, err := random.Image(1024, 1)
		if err != nil {
			t.Fatal(err)
		}
		pulled, err := store.Pull(t.Context(), shelf.push(t, tag, i), image.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, pulled.Digest)
	}
	if _, err := store.Pull(t.Context(), shelf.host+"/owner/image@"+digests[0], image.Credentials{}); err != nil {
		t.Fatal(err)
	}
	left := 2
	gone, err := store.Prune(t.Context(), map[string]bool{digests[2]: true}, func(time.Duration) bool { left--; return left < 0 })
	if err != nil || !slices.Equal(gone, []string{digests[1], digests[0]}) {
		t.Errorf("gone %q, %v; want %q", gone, err, digests[:2])
	}
}

func TestOneImageIsFetchedOnce(t *testing.T) {
	shelf := newShelf(t)
	i, err := random.Image(1<<16, 3)
	if err != nil {
		t.Fatal(err)
	}
	ref := shelf.push(t, "same", i)
	store, _ := open(t, image.Options{})
	var most, total int64
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			ctx := image.WithProgress(t.Context(), func(done, of int64) {
				mu.Lock()
				defer mu.Unlock()
				most, total = max(most, done), of
			})
			if _, err := store.Pull(ctx, ref, image.Credentials{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := shelf.blobs.Load(); n > 5+3 { // each caller looks at the configuration, one takes the layers
		t.Errorf("%d blobs were fetched for five leases with one image of 3 layers", n)
	}
	if p := store.Pulled(); p.Done != 1 || p.Failed != 0 || p.Bytes < total {
		t.Errorf("counted %+v", p)
	}
	if total == 0 || most != total {
		t.Errorf("progress ended at %d of %d bytes", most, total)
	}
}

func TestWaitingForAPullCanBeGivenUp(t *testing.T) {
	shelf := newShelf(t)
	i, err := random.Image(1<<16, 3)
	if err != nil {
		t.Fatal(err)
	}
	ref := shelf.push(t, "slow", i)
	store, _ := open(t, image.Options{})
	begun, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	done := make(chan error, 1)
	go func() {
		ctx := image.WithProgress(t.Context(), func(int64, int64) { once.Do(func() { close(begun); <-free }) })
		_, err := store.Pull(ctx, ref, image.Credentials{})
		done <- err
	}()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := store.Pull(ctx, ref, image.Credentials{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one who waits no longer: %v", err)
	}
	close(free)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
