package neuron

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

func amount(n uint64) coin.Amount { return coin.Amount(n) }

// live runs services until the test's bubble is done with them.
type live struct {
	cancel context.CancelFunc
	done   []chan error
}

func (w *town) run(services ...func(context.Context) error) *live {
	ctx, cancel := context.WithCancel(w.t.Context())
	l := &live{cancel: cancel}
	for _, s := range services {
		done := make(chan error, 1)
		l.done = append(l.done, done)
		go func() { done <- s(ctx) }()
	}
	return l
}

// stop ends the services and returns their errors.
func (l *live) stop() error {
	l.cancel()
	var errs []error
	for _, d := range l.done {
		errs = append(errs, <-d)
	}
	return errors.Join(errs...)
}

func TestTargetAfterFiveEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Two validators; three honest miners and three that are not.
		w := newTown(t, 20, 100, 100, 0, 0, 0, 0, 0, 0)
		var services []func(context.Context) error
		for i, behave := range []string{"", "", "", "cheat", "silent", "broken"} {
			services = append(services, NewMiner(w.self(2+i), newQuiz(behave), MinerOptions{}).Run)
		}
		validators := []*Validator{}
		for i := range 2 {
			v := NewValidator(w.self(i), newQuiz(""), t.TempDir(), ValidatorOptions{Round: 3 * time.Second, Timeout: 5 * time.Second})
			validators = append(validators, v)
			services = append(services, v.Run)
		}
		l := w.run(services...)
		time.Sleep(100 * time.Second)
		synctest.Wait()
		for i, v := range validators {
			if n := len(v.Standings()); n != 6 {
				t.Errorf("validator %d lists %d miners, want 6", i, n)
			}
			for _, s := range v.Standings() {
				honest := s.Peer.UID >= 2 && s.Peer.UID <= 4
				if honest && (s.Score < 0.9 || !s.Alive || s.Latency == 0 || s.Rate == 0) {
					t.Errorf("validator %d of an honest miner: %+v", i, s)
				}
				if !honest && s.Score != 0 {
					t.Errorf("validator %d of a cheat: %+v", i, s)
				}
				if !honest && s.LastReason == "" {
					t.Errorf("validator %d gives no reason for %+v", i, s)
				}
			}
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		// Once per epoch each, in its window, never on itself or a cheat.
		seen := map[string]bool{}
		for _, s := range w.chain.sets {
			key := fmt.Sprint(s.account, s.epoch)
			if seen[key] {
				t.Errorf("%s set weights twice in epoch %d", s.account, s.epoch)
			}
			seen[key] = true
			if in := s.height % 20; in < 12 || in > 18 {
				t.Errorf("weights at height %d, %d blocks before the epoch", s.height, 20-in)
			}
			if len(s.row) != 3 || s.row[0].UID != 2 || s.row[2].UID != 4 {
				t.Errorf("weights of %s = %v, want the three honest miners", s.account, s.row)
			}
		}
		if len(seen) != 10 {
			t.Errorf("weights were set %d times in 5 epochs by 2 validators", len(seen))
		}
	})
}

// One host works for two mechanisms of a subnet, well for one alone; each
// mechanism's validator asks its own miner and keeps its own state.
func TestMechanismsOfOneHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 20, 100, 0)
		selves := []Self{w.self(0), w.self(1)}
		on := func(i int, mechanism uint16) Self {
			s := selves[i]
			s.Mechanism = mechanism
			return s
		}
		dir := t.TempDir()
		o := ValidatorOptions{Round: 2 * time.Second}
		first, second := NewValidator(on(0, 0), newQuiz(""), dir, o), NewValidator(on(0, 1), newQuiz(""), dir, o)
		l := w.run(
			NewMiner(on(1, 0), newQuiz("cheat"), MinerOptions{}).Run,
			NewMiner(on(1, 1), newQuiz(""), MinerOptions{}).Run,
			first.Run, second.Run,
		)
		time.Sleep(30 * time.Second)
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		if a, b := first.Standings()[0].Score, second.Standings()[0].Score; a != 0 || b < 0.5 {
			t.Errorf("scores %v and %v, want 0 where it cheats and most of 1 where it works", a, b)
		}
		for _, name := range []string{"validator-1.state", "validator-1-1.state"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestValidatorSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 20, 100, 0, 0)
		dir := t.TempDir()
		miners := w.run(
			NewMiner(w.self(1), newQuiz(""), MinerOptions{}).Run,
			NewMiner(w.self(2), newQuiz("cheat"), MinerOptions{}).Run,
		)
		judge := newQuiz("")
		v := NewValidator(w.self(0), judge, dir, ValidatorOptions{Round: 2 * time.Second})
		l := w.run(v.Run)
		time.Sleep(39 * time.Second)
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		before := v.Standings()
		sets := len(w.chain.sets)

		again := newQuiz("")
		v = NewValidator(w.self(0), again, dir, ValidatorOptions{Round: time.Hour})
		l = w.run(v.Run)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := v.Standings(); !slices.Equal(got, before) {
			t.Errorf("standings after the restart = %+v, before = %+v", got, before)
		}
		if again.Rejects[2] != judge.Rejects[2] || again.Rejects[2] == 0 {
			t.Errorf("the mechanism remembers %v, want %v", again.Rejects, judge.Rejects)
		}
		if n := len(w.chain.sets); n != sets {
			t.Errorf("weights of one epoch were set again after a restart: %d, then %d", sets, n)
		}
		if err := errors.Join(l.stop(), miners.stop()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSlotThatChangesHandsStartsOver(t *testing.T) {
	for name, change := range map[string]func(n *ledger.Neuron){
		"account":      func(n *ledger.Neuron) { n.Account = "plx9" },
		"registration": func(n *ledger.Neuron) { n.Registered = 30 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t, 20, 100, 0, 0)
				judge := newQuiz("")
				v := NewValidator(w.self(0), judge, t.TempDir(), ValidatorOptions{Round: 2 * time.Second, Timeout: time.Second})
				l := w.run(v.Run, NewMiner(w.self(1), newQuiz(""), MinerOptions{}).Run, NewMiner(w.self(2), newQuiz("cheat"), MinerOptions{}).Run)
				time.Sleep(30 * time.Second)
				judge.mu.Lock()
				judge.Rejects[1] = 7
				judge.mu.Unlock()
				if s := v.Standings()[0]; s.Score < 0.5 {
					t.Fatalf("standing before = %+v", s)
				}
				w.chain.change(func(g *ledger.Metagraph) {
					change(&g.Neurons[1])
					g.Neurons[1].PeerID = testID(99).String()
				})
				time.Sleep(12 * time.Second)
				synctest.Wait()
				if s := v.Standings()[0]; s.Score > 0.01 {
					t.Errorf("standing after = %+v, want no score", s)
				}
				judge.mu.Lock()
				if _, known := judge.Rejects[1]; known {
					t.Error("the mechanism was not told to forget")
				}
				judge.mu.Unlock()
				if err := l.stop(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestCommitAndReveal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 20, 100, 0)
		w.chain.graph.CommitReveal, w.chain.graph.RevealEpochs = true, 2
		dir := t.TempDir()
		miner := w.run(NewMiner(w.self(1), newQuiz(""), MinerOptions{}).Run)
		// A restart in every epoch but the first, some between commit and reveal.
		for range 6 {
			l := w.run(NewValidator(w.self(0), newQuiz(""), dir, ValidatorOptions{Round: 2 * time.Second}).Run)
			time.Sleep(19*time.Second + 900*time.Millisecond)
			if err := l.stop(); err != nil {
				t.Fatal(err)
			}
		}
		if err := miner.stop(); err != nil {
			t.Fatal(err)
		}
		if len(w.chain.sets) != 0 || len(w.chain.commits) < 5 {
			t.Fatalf("%d sets and %d commits, want commits alone", len(w.chain.sets), len(w.chain.commits))
		}
		if got, want := len(w.chain.reveals), len(w.chain.commits)-2; got < want {
			t.Errorf("%d of %d due commits were revealed", got, want)
		}
	})
}

func TestSaltIsKeptBeforeCommit(t *testing.T) {
	w := newTown(t, 20, 100, 0)
	w.chain.graph.CommitReveal, w.chain.graph.RevealEpochs = true, 1
	v := NewValidator(w.self(0), newQuiz(""), t.TempDir(), ValidatorOptions{})
	if err := v.view.refetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.meet()
	row := yuma.Row{{UID: 1, Value: 65535}}
	lost := errors.New("the node went away")
	w.chain.refuse = lost
	graph, err := w.chain.Metagraph(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.speaker.commit(t.Context(), graph, row); !errors.Is(err, lost) {
		t.Fatalf("commit = %v, want %v", err, lost)
	}
	s, _, err := readState(v.path)
	if err != nil || len(s.Commits) != 1 || len(s.Commits[0].Salt) != 32 || s.Commits[0].Reveal != graph.EpochNumber+1 {
		t.Errorf("state = %+v, error %v; want the commit with its salt", s, err)
	}
	w.chain.refuse = &ledger.TxError{Log: "no"}
	if err := v.speaker.commit(t.Context(), graph, row); err == nil || len(v.speaker.commits) != 1 {
		t.Errorf("error %v, commits %+v; want that of a refused one dropped", err, v.speaker.commits)
	}
}

func TestWeightsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 60, 100, 0)
		w.chain.refuse = errors.New("mempool is full")
		l := w.run(
			NewMiner(w.self(1), newQuiz(""), MinerOptions{}).Run,
			NewValidator(w.self(0), newQuiz(""), t.TempDir(), ValidatorOptions{Round: 2 * time.Second}).Run,
		)
		time.Sleep(60 * time.Second)
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		if len(w.chain.sets) != 1 {
			t.Errorf("weights were set %d times in one epoch, want 1", len(w.chain.sets))
		}
	})
}

func TestRateLimitIsRespected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 20, 100, 0)
		w.chain.graph.WeightsRateLimit = 50
		l := w.run(
			NewMiner(w.self(1), newQuiz(""), MinerOptions{}).Run,
			NewValidator(w.self(0), newQuiz(""), t.TempDir(), ValidatorOptions{Round: 2 * time.Second}).Run,
		)
		time.Sleep(200 * time.Second)
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		for i, s := range w.chain.sets[1:] {
			if gap := s.height - w.chain.sets[i].height; gap < 50 {
				t.Errorf("weights at heights %d and %d, the limit is 50 blocks", w.chain.sets[i].height, s.height)
			}
		}
		if n := len(w.chain.sets); n < 3 || n > 4 {
			t.Errorf("weights were set %d times in 200 blocks at a limit of 50", n)
		}
	})
}

func TestWindow(t *testing.T) {
	for _, tempo := range []yuma.Height{1, 2, 3, 5, 20, 360} {
		for epoch := range uint64(50) {
			g := &ledger.Metagraph{Tempo: tempo, EpochNumber: epoch, NextEpoch: tempo * yuma.Height(epoch+1)}
			from, to := window(g, "plx1")
			if to != g.NextEpoch || from > to || to-from > tempo || tempo >= 3 && from == to {
				t.Fatalf("window of tempo %d = [%d, %d), the epoch is at %d", tempo, from, to, g.NextEpoch)
			}
		}
	}
}

func TestChainOutageIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 20, 100, 0)
		w.chain.down = true
		v := NewValidator(w.self(0), newQuiz(""), t.TempDir(), ValidatorOptions{Round: 2 * time.Second})
		l := w.run(NewMiner(w.self(1), newQuiz(""), MinerOptions{}).Run, v.Run)
		time.Sleep(10 * time.Second)
		if got := v.Standings(); got != nil {
			t.Errorf("standings before a block = %+v", got)
		}
		w.chain.mu.Lock()
		w.chain.down = false
		w.chain.mu.Unlock()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := v.Standings(); len(got) != 1 || got[0].Score < 0.3 {
			t.Errorf("standings after the outage = %+v", got)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAxonIsUpdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 20, 100, 0)
		w.chain.graph.Neurons[1].PeerID = ""
		l := w.run(NewMiner(w.self(1), newQuiz(""), MinerOptions{}).Run, NewMiner(w.self(0), newQuiz(""), MinerOptions{}).Run)
		time.Sleep(5 * time.Second)
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		if got := w.chain.graph.Neurons[1].PeerID; got != testID(1).String() || w.chain.axons != 1 {
			t.Errorf("peer id on chain = %q after %d updates, want one update", got, w.chain.axons)
		}
	})
}

// asked is a validator that has seen the chain, for asking by hand.
func (w *town) asker(i int) *Validator {
	w.t.Helper()
	v := NewValidator(w.self(i), newQuiz(""), w.t.TempDir(), ValidatorOptions{})
	if _, err := v.view.refresh(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	v.meet()
	return v
}

func TestMinerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 20, 100, 0, 50)
		l := w.run(NewMiner(w.self(1), newQuiz(""), MinerOptions{MaxAge: 10}).Run)
		time.Sleep(30 * time.Second)
		v := w.asker(0)
		good, to, err := v.dendrite.task(1, []byte("hello"), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			change func(t *subnet.Task)
			code   p2p.Code
			says   string
		}{
			"another uid":    {func(t *subnet.Task) { t.Miner.UID = 2 }, p2p.WrongReceiver, "uid 2"},
			"another subnet": {func(t *subnet.Task) { t.Netuid = 7 }, p2p.WrongReceiver, "subnet 7"},
			"an old block":   {func(t *subnet.Task) { t.Height, t.BlockHash = 5, w.chain.hash(5) }, p2p.Expired, "block 5"},
			"no block yet":   {func(t *subnet.Task) { t.Height = 1000 }, p2p.Expired, "block 1000"},
			"a false hash":   {func(t *subnet.Task) { t.BlockHash[0]++ }, p2p.Malformed, "same chain"},
			"an old false hash": {func(t *subnet.Task) {
				t.Height -= 3
			}, p2p.Malformed, "same chain"},
			"a bad body": {func(t *subnet.Task) { t.Body = []byte("bad") }, p2p.Malformed, "it is bad"},
		} {
			task := good
			c.change(&task)
			body, err := encodeTask(task)
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.self.Network.Call(t.Context(), to, v.self.method(), body, func([]byte) error { return nil })
			r, ok := errors.AsType[*p2p.Refused](err)
			if !ok || r.Code != c.code || !strings.Contains(r.Message, c.says) {
				t.Errorf("%s: error = %v, want code %v and %q", name, err, c.code, c.says)
			}
		}
		if _, err := v.self.Network.Call(t.Context(), to, v.self.method(), []byte{1, 2}, nil); err == nil || !strings.Contains(err.Error(), "malformed") {
			t.Errorf("garbage: error = %v", err)
		}
		stranger := w.net.host(50)
		body, _ := encodeTask(good)
		if _, err := stranger.Call(t.Context(), to, v.self.method(), body, nil); err == nil || !strings.Contains(err.Error(), "register") {
			t.Errorf("stranger: error = %v, want to hear about registration", err)
		}
		if trial, err := v.Ask(t.Context(), 1, []byte("hello"), time.Second, nil); err != nil || len(trial.Answer.Body) != 32 {
			t.Errorf("a good task: %v", err)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNewcomerIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 1000, 100, 0)
		m := NewMiner(w.self(1), newQuiz(""), MinerOptions{})
		m.view.stale = 1000
		l := w.run(m.Run)
		time.Sleep(5 * time.Second)
		w.chain.change(func(g *ledger.Metagraph) {
			g.Neurons = append(g.Neurons, ledger.Neuron{UID: 2, Account: account(2), PeerID: testID(2).String(), Registered: 5})
		})
		v := w.asker(2)
		if _, err := v.Ask(t.Context(), 1, []byte("hello"), time.Second, nil); err != nil {
			t.Errorf("a newcomer's task: %v", err)
		}
		// Strangers do not make the miner ask the chain every time.
		before := w.chain.fetches
		stranger := w.net.host(50)
		for range 100 {
			if err := m.admit(t.Context(), p2p.Request{From: stranger.ID()}); err == nil {
				t.Fatal("a stranger is admitted")
			}
		}
		if n := w.chain.fetches - before; n > 1 {
			t.Errorf("100 strangers made the miner fetch the metagraph %d times", n)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMinerWaitsForCallersBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 20, 100, 0)
		m := NewMiner(w.self(1), newQuiz(""), MinerOptions{Poll: 10 * time.Second})
		l := w.run(m.Run)
		time.Sleep(9500 * time.Millisecond) // the miner last looked 9.5 blocks ago
		v := w.asker(0)
		if _, err := v.Ask(t.Context(), 1, []byte("hello"), 5*time.Second, nil); err != nil {
			t.Errorf("a task bound to a block that the miner has not seen: %v", err)
		}
		task, to, _ := v.dendrite.task(1, []byte("hello"), 5*time.Second)
		task.Height++
		task.BlockHash = w.chain.hash(task.Height)
		body, _ := encodeTask(task)
		if _, err := v.self.Network.Call(t.Context(), to, v.self.method(), body, func([]byte) error { return nil }); err != nil {
			t.Errorf("a task bound to the next block: %v", err)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAskTellsWhoseFaultItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 20, 100, 0, 0, 0)
		l := w.run(
			NewMiner(w.self(1), newQuiz(""), MinerOptions{}).Run,
			NewMiner(w.self(2), newQuiz("silent"), MinerOptions{}).Run,
		)
		time.Sleep(time.Second)
		v := w.asker(0)

		start := time.Now()
		trial, err := v.Ask(t.Context(), 2, []byte("hello"), 3*time.Second, nil)
		if err == nil || !strings.Contains(err.Error(), "no answer within 3s") || errors.Is(err, ErrAbandoned) || time.Since(start) != 3*time.Second {
			t.Errorf("a silent miner: %v after %v", err, time.Since(start))
		}
		if s, err := v.Judge(t.Context(), []subnet.Trial{trial}); err != nil || s[0].Value != 0 || v.Standings()[1].LastReason == "" {
			t.Errorf("judged %+v, %v, standing %+v", s, err, v.Standings()[1])
		}

		enough := errors.New("enough")
		trial, err = v.Ask(t.Context(), 1, []byte("hello"), 3*time.Second, func([]byte) error { return enough })
		if !errors.Is(err, ErrAbandoned) || !errors.Is(err, enough) {
			t.Errorf("an asker who has enough: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		other, err := v.Ask(ctx, 1, []byte("hello"), 3*time.Second, nil)
		if !errors.Is(err, ErrAbandoned) {
			t.Errorf("an asker who goes: %v", err)
		}
		before := v.Standings()[0]
		if s, err := v.Judge(t.Context(), []subnet.Trial{trial, other}); err != nil || s[0].Reason == "" {
			t.Errorf("judged %+v, %v", s, err)
		}
		if after := v.Standings()[0]; after != before {
			t.Errorf("a given-up question changed the standing from %+v to %+v", before, after)
		}

		if _, err := v.Ask(t.Context(), 3, []byte("hello"), time.Second, nil); !errors.Is(err, p2p.ErrUnreachable) {
			t.Errorf("an absent miner: %v", err)
		}
		trial, err = v.Ask(t.Context(), 40, []byte("hello"), time.Second, nil)
		if !errors.Is(err, ErrUnknownUID) {
			t.Errorf("an unknown uid: %v", err)
		}
		trial.Task.Miner.UID, trial.Task.Miner.Account = 1, account(1)
		foreign := subnet.Trial{Task: subnet.Task{Miner: subnet.Peer{UID: 1, Account: "plx99"}}}
		before = v.Standings()[0]
		s, err := v.Judge(t.Context(), []subnet.Trial{trial, foreign})
		if err != nil || s[0].Reason == "" || s[1].Reason == "" || s[0].Reject || s[1].Reject || v.Standings()[0] != before {
			t.Errorf("what was never asked, or of whom: %+v, %v", s, err)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRelayAsksTheBestOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 20, 100, 0, 0, 0)
		w.chain.graph.Neurons[0].Incentive = 60000 // a validator, not asked
		w.chain.graph.Neurons[1].Incentive = 50000 // itself
		w.chain.graph.Neurons[2].Incentive = 45000 // fails
		w.chain.graph.Neurons[3].Incentive = 40000
		l := w.run(
			NewMiner(w.self(2), newQuiz("broken"), MinerOptions{}).Run,
			NewMiner(w.self(3), newQuiz(""), MinerOptions{}).Run,
		)
		time.Sleep(time.Second)
		var got []byte
		err := NewDendrite(w.self(1)).Relay(t.Context(), []byte("hello"), func(b []byte) error {
			got = append(got, b...)
			return nil
		})
		if err != nil || len(got) != 32 {
			t.Errorf("relayed %d bytes, error %v", len(got), err)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSilentNeuronIsAskedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 1000, 100, 0, 0)
		honest := newQuiz("")
		v := NewValidator(w.self(0), newQuiz(""), t.TempDir(), ValidatorOptions{Round: time.Second, Timeout: time.Second})
		l := w.run(v.Run, NewMiner(w.self(1), honest, MinerOptions{}).Run)
		time.Sleep(200 * time.Second)
		synctest.Wait()
		if n := v.book.save()[2].Missed; n < 5 || n > 30 {
			t.Errorf("an absent miner was asked %d times in 200 rounds, want about 16", n)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDamagedState(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	one := state{Netuid: 1, Account: "a", Spoken: 1}
	two := state{Netuid: 1, Account: "a", Spoken: 2, Commits: []commit{{Row: yuma.Row{{UID: 1, Value: 2}}, Salt: []byte{3}, Reveal: 4}}}
	if s, _, err := readState(path); err != nil || s.Spoken != 0 {
		t.Fatalf("no state: %+v, %v", s, err)
	}
	for _, s := range []state{one, two} {
		if err := writeState(path, s); err != nil {
			t.Fatal(err)
		}
	}
	if s, older, err := readState(path); err != nil || older || s.Spoken != 2 || len(s.Commits) != 1 || s.Commits[0].Row[0].Value != 2 {
		t.Fatalf("state = %+v, %v, %v", s, older, err)
	}
	good, _ := os.ReadFile(path)
	for name, bad := range map[string][]byte{
		"empty": {}, "cut": good[:len(good)-1], "flipped": append(slices.Clone(good[:len(good)-5]), "00000"...), "garbage": []byte("xyz\n{}"),
	} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, older, err := readState(path); err != nil || !older || s.Spoken != 1 {
			t.Errorf("%s: state = %+v, %v, %v; want the one before", name, s, older, err)
		}
	}
	if err := os.WriteFile(path+".prev", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readState(path); err == nil || !strings.Contains(err.Error(), "remove both") {
		t.Errorf("both damaged: error = %v, want advice", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*new*"))
	if len(left) != 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestForeignStateIsRefused(t *testing.T) {
	w := newTown(t, 20, 100, 0)
	dir := t.TempDir()
	v := NewValidator(w.self(0), newQuiz(""), dir, ValidatorOptions{})
	if err := v.restore(); err != nil {
		t.Fatal(err)
	}
	if err := NewValidator(w.self(1), newQuiz(""), dir, ValidatorOptions{}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another folder") {
		t.Errorf("error = %v, want advice", err)
	}
}

func TestRow(t *testing.T) {
	g := &ledger.Metagraph{Neurons: []ledger.Neuron{{UID: 0, Account: "a"}, {UID: 1, Account: "b"}, {UID: 2, Account: "c"}, {UID: 3, Account: "d"}}}
	for name, c := range map[string]struct {
		scores []float64
		least  int
		want   yuma.Row
	}{
		"none":         {[]float64{0, 0, 0, 0}, 0, nil},
		"self alone":   {[]float64{1, 0, 0, 0}, 0, nil},
		"not self":     {[]float64{1, .2, 0, .1}, 0, yuma.Row{{UID: 1, Value: 65535}, {UID: 3, Value: 32768}}},
		"at least 3":   {[]float64{0, .2, 0, .1}, 3, yuma.Row{{UID: 1, Value: 65535}, {UID: 2, Value: 1}, {UID: 3, Value: 32768}}},
		"at least 2":   {[]float64{0, 0, 0, .1}, 2, yuma.Row{{UID: 1, Value: 1}, {UID: 3, Value: 65535}}},
		"at least 100": {[]float64{0, 0, 0, .1}, 100, yuma.Row{{UID: 1, Value: 1}, {UID: 2, Value: 1}, {UID: 3, Value: 65535}}},
	} {
		b := newBook(0.1)
		b.sync(g)
		for i, s := range c.scores {
			b.entries[yuma.UID(i)].Score = s
		}
		g.MinWeights = c.least
		if got := b.row(g, 0); !slices.Equal(got, c.want) {
			t.Errorf("%s: row = %v, want %v", name, got, c.want)
		}
	}
}

func FuzzTask(f *testing.F) {
	b, err := encodeTask(subnet.Task{Netuid: 1, Height: 2, Body: []byte("x"), Timeout: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		task, err := decodeTask(b)
		if err != nil {
			return
		}
		again, err := encodeTask(task)
		if err != nil {
			t.Fatalf("a decoded task does not encode: %v", err)
		}
		if back, err := decodeTask(again); err != nil || back.ID != task.ID || back.Timeout != task.Timeout {
			t.Fatalf("task %+v comes back as %+v, %v", task, back, err)
		}
	})
}
