package compute

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/plexus-network/plexus/subnet/compute/exercise"
)

// How hard a probe works, and what is checked of it.
const (
	working   = 3 * time.Second // of all cores, if they are as fast as the manifest says
	marks     = 64              // values told of each hash chain
	segments  = 8               // of them computed again
	looks     = 1 << 15         // blocks looked at, but no more than 64 of a page
	relooks   = 24              // of them made again, but no more than there are pages
	headroom  = 0.75            // of memory and disks that is filled; the rest is the program's own
	looking   = 2 * time.Second // for all looks, on a core
	streaming = 2 * time.Second // of traffic each way, if the network is as fast as the manifest says
	measuring = 10 * time.Minute
)

// maxTraffic bounds a stream, in bytes; an ingress lets no more through.
const maxTraffic = 64 << 20

// A figure is the share of its promise that something delivered, 0 to 1; below
// 0 it was not measured.
type figure = float64

const unmeasured figure = -1

// figures is what a probe found.
type figures struct {
	Start  figure `json:"start"`
	CPU    figure `json:"cpu"`
	Memory figure `json:"memory"`
	Disk   figure `json:"disk"`
	Net    figure `json:"net"`
}

func (f *figures) all() []*figure { return []*figure{&f.Start, &f.CPU, &f.Memory, &f.Disk, &f.Net} }

// nothing is the figures before any was measured.
func nothing() figures { return figures{unmeasured, unmeasured, unmeasured, unmeasured, unmeasured} }

// A session is the measuring of one service of a probe.
type session struct {
	m      Manifest
	url    string
	key    string
	client *http.Client
	rtt    time.Duration // the least that was seen
	disk   exercise.Fill // what lies on the disks
	got    figures
	why    error           // of the first figure that is 0
	cheat  error           // what proves the provider a cheat
	faked  exercise.Chains // that cheat is about
	answer []byte          // to it
}

func nonce() (n exercise.Nonce) {
	crand.Read(n[:])
	return n
}

// draw is what samples are drawn by; no provider can foresee it.
func draw() *rand.Rand { return rand.New(rand.NewChaCha8(nonce())) }

// post sends a request and hands the answer to take, which reads it.
func (s *session) post(ctx context.Context, path string, body io.Reader, size int64, take func(io.Reader) error) (took time.Duration, err error) {
	method := http.MethodPost
	if body == nil {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		return 0, err
	}
	r.ContentLength = size
	r.Header.Set("Authorization", "Bearer "+s.key)
	began := time.Now()
	resp, err := s.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // it is only told
		return 0, fmt.Errorf("%s: %s: %s", path, resp.Status, bytes.TrimSpace(text))
	}
	if err := take(resp.Body); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return max(time.Since(began)-s.rtt, time.Microsecond), nil
}

// ask does an exercise and returns its answer, of at most size bytes.
func (s *session) ask(ctx context.Context, path string, exercise any, size int) (answer []byte, took time.Duration, err error) {
	text, err := json.Marshal(exercise)
	if err != nil {
		return nil, 0, err
	}
	took, err = s.post(ctx, path, bytes.NewReader(text), int64(len(text)), func(r io.Reader) error {
		answer, err = io.ReadAll(io.LimitReader(r, int64(size)+1))
		return err
	})
	return answer, took, err
}

// hello asks for a sign of life, and learns how far away the provider is.
func (s *session) hello(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	was := s.rtt
	s.rtt = 0
	took, err := s.post(ctx, exercise.PathHello, nil, 0, func(r io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(r, 64))
		if err == nil && string(text) != "hello\n" {
			err = fmt.Errorf("it says %.20q", text)
		}
		return err
	})
	if s.rtt = was; err == nil && (was == 0 || took < was) {
		s.rtt = took
	}
	return err
}

// await says hello until there is an answer, or for so long.
func (s *session) await(ctx context.Context, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		err := s.hello(ctx)
		if err == nil {
			return nil
		}
		if !pause(ctx, 500*time.Millisecond) {
			return err
		}
	}
}

// fail notes that something delivered nothing, and why.
func (s *session) fail(f *figure, err error) {
	*f = 0
	if s.why == nil {
		s.why = err
	}
}

// chains asks for hash chains that take so long on cores as promised, checks
// them, and returns the share of the speed promised.
func (s *session) chains(ctx context.Context, long time.Duration) (figure, error) {
	n := int(math.Ceil(s.m.cores()))
	each := uint64(float64(s.m.Hashes) * s.m.cores() / float64(n) * long.Seconds() / marks)
	c := exercise.Chains{Nonce: nonce(), Chains: n, Every: max(each, 1)}
	c.Steps = c.Every * marks
	ctx, cancel := context.WithTimeout(ctx, 10*long+time.Minute)
	defer cancel()
	answer, took, err := s.ask(ctx, exercise.PathChains, &c, c.Size())
	if err != nil {
		return 0, err
	}
	if err := c.Verify(answer, segments, draw()); err != nil {
		if errors.Is(err, exercise.ErrWrong) {
			s.cheat, s.faked, s.answer = err, c, answer
		}
		return 0, err
	}
	ideal := float64(uint64(n)*c.Steps) / (float64(s.m.Hashes) * s.m.cores())
	return min(1, ideal/took.Seconds()), nil
}

func (s *session) cpu(ctx context.Context) {
	var err error
	if s.got.CPU, err = s.chains(ctx, working); err != nil {
		s.fail(&s.got.CPU, err)
	}
}

// fill fills the memory with pages of a new nonce.
func (s *session) fill(ctx context.Context, bytes float64) (exercise.Fill, error) {
	f := exercise.Fill{Nonce: nonce(), Pages: max(int(bytes/exercise.PageSize), 1)}
	// A page takes a millisecond, on one core; ten times that is patience.
	long := time.Duration(float64(f.Pages)/min(s.m.cores(), 1)*10)*time.Millisecond + time.Minute
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	_, _, err := s.ask(ctx, exercise.PathFill, &f, 64)
	return f, err
}

// prepare makes what is written to the disks.
func (s *session) prepare(ctx context.Context) {
	var err error
	if s.disk, err = s.fill(ctx, min(s.mebibytes(s.m.Storage), s.mebibytes(s.m.Memory))); err != nil {
		s.disk.Pages = 0
		s.fail(&s.got.Disk, fmt.Errorf("fill the memory for the disks: %w", err))
	}
}

func (s *session) mebibytes(n int) float64 { return float64(n) * headroom * (1 << 20) }

// write measures how fast the disks take it.
func (s *session) write(ctx context.Context) {
	for _, place := range s.places() {
		ctx, cancel := context.WithTimeout(ctx, measuring/4)
		_, took, err := s.ask(ctx, exercise.PathWrite, &exercise.Write{Place: place}, 64)
		cancel()
		if err != nil {
			s.fail(&s.got.Disk, fmt.Errorf("write to %s: %w", place, err))
			s.disk.Pages = 0
			return
		}
		rate := float64(s.disk.Pages) * exercise.PageSize / 1e6 / took.Seconds()
		s.got.Disk = min(math.Abs(s.got.Disk), rate/float64(s.m.Disk), 1)
	}
}

// places are the disks that there is something on.
func (s *session) places() []string {
	switch {
	case s.disk.Pages == 0:
		return nil
	case s.m.Volume > 0:
		return []string{exercise.Scratch, exercise.Volume}
	default:
		return []string{exercise.Scratch}
	}
}

// memory fills the memory, or half or a quarter of it, and looks whether it is
// kept.
func (s *session) memory(ctx context.Context) {
	for share := 1.0; share >= 0.25; share /= 2 {
		f, err := s.fill(ctx, share*s.mebibytes(s.m.Memory))
		if err == nil {
			err = s.look(ctx, exercise.Memory, f)
		}
		if err == nil {
			s.got.Memory = share
			return
		}
		s.disk.Pages = 0 // a container that was killed has lost it
		s.fail(&s.got.Memory, fmt.Errorf("%.0f MiB of memory: %w", share*s.mebibytes(s.m.Memory)/(1<<20), err))
		if s.await(ctx, time.Minute) != nil {
			return
		}
	}
}

// look looks at what was filled, in a time that is too short to make it again.
func (s *session) look(ctx context.Context, place string, f exercise.Fill) error {
	long := time.Duration(float64(looking)/min(s.m.cores(), 1)) + s.rtt
	if place != exercise.Memory {
		long += 30 * time.Second // a disk has to seek
	}
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	l := exercise.Look{Seed: nonce(), Count: min(looks, 64*f.Pages), Place: place}
	answer, _, err := s.ask(ctx, exercise.PathLook, &l, l.Size())
	if err != nil {
		return err
	}
	return l.Verify(f, answer, min(relooks, f.Pages), draw())
}

// again looks at the disks, after the memory was filled with other things.
func (s *session) again(ctx context.Context) {
	for _, place := range s.places() {
		if err := s.look(ctx, place, s.disk); err != nil {
			s.fail(&s.got.Disk, err)
			return
		}
	}
}

// net measures the network, one way and then the other.
func (s *session) net(ctx context.Context) {
	size := int64(min(float64(s.m.Net)*1e6/8*streaming.Seconds(), maxTraffic))
	ctx, cancel := context.WithTimeout(ctx, 10*streaming+time.Minute)
	defer cancel()
	down := exercise.Stream{Nonce: nonce(), Bytes: size}
	text, err := json.Marshal(&down)
	if err != nil {
		s.fail(&s.got.Net, err)
		return
	}
	in, err := s.post(ctx, exercise.PathSource, bytes.NewReader(text), int64(len(text)), down.Verify)
	if err != nil {
		s.fail(&s.got.Net, err)
		return
	}
	up := exercise.Stream{Nonce: nonce(), Bytes: size}
	want := sha256.New()
	if _, err := io.Copy(want, up.Reader()); err != nil {
		s.fail(&s.got.Net, err)
		return
	}
	out, err := s.post(ctx, exercise.PathSink, up.Reader(), size, func(r io.Reader) error {
		sum, err := io.ReadAll(io.LimitReader(r, sha256.Size+1))
		if err == nil && !bytes.Equal(sum, want.Sum(nil)) {
			err = fmt.Errorf("%w: the hash of an upload", exercise.ErrWrong)
		}
		return err
	})
	if err != nil {
		s.fail(&s.got.Net, err)
		return
	}
	slowest := max(in, out)
	s.got.Net = min(1, float64(size)*8/1e6/slowest.Seconds()/float64(s.m.Net))
}

// measure goes through the exercises, all sessions at the same time: two
// providers that are one machine deliver half each. The network is measured in
// turn, for the validator has but one itself.
func measure(ctx context.Context, all []*session) {
	ctx, cancel := context.WithTimeout(ctx, measuring)
	defer cancel()
	for _, step := range []func(*session, context.Context){
		(*session).cpu, (*session).prepare, (*session).write, (*session).memory, (*session).again,
	} {
		each(all, func(s *session) {
			if s.cheat == nil && s.url != "" {
				step(s, ctx)
			}
		})
	}
	for _, s := range all {
		if s.cheat == nil && s.url != "" {
			s.net(ctx)
		}
	}
}
