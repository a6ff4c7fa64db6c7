package neuron

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// ValidatorOptions tunes a Validator. The zero value works.
type ValidatorOptions struct {
	Round    time.Duration // between two rounds of challenges; 0 means 12 s
	Sample   int           // miners challenged in a round; 0 means 16
	Parallel int           // challenges under way at the same time; 0 means 4
	Timeout  time.Duration // for the answer to a challenge; 0 means 30 s
	Alpha    float64       // weight of one score in the moving average; 0 means 0.1
	Poll     time.Duration // between looks at the chain; 0 means 1 s
	Save     time.Duration // between two writes of the state; 0 means 10 s
}

func (o ValidatorOptions) withDefaults() ValidatorOptions {
	set := func(v *time.Duration, to time.Duration) {
		if *v <= 0 {
			*v = to
		}
	}
	set(&o.Round, 12*time.Second)
	set(&o.Timeout, 30*time.Second)
	set(&o.Poll, time.Second)
	set(&o.Save, 10*time.Second)
	if o.Sample <= 0 {
		o.Sample = 16
	}
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	if o.Alpha <= 0 || o.Alpha > 1 {
		o.Alpha = 0.1
	}
	return o
}

// Validator asks miners, judges their answers and sets weights.
type Validator struct {
	self     Self
	judge    subnet.Mechanism
	options  ValidatorOptions
	path     string // of the state
	view     *view
	dendrite *Dendrite
	book     *book
	speaker  *speaker
	running  chan struct{} // a slot per challenge
	grading  chan struct{} // held while a challenge's answer is judged: users' go beside
	deck     []yuma.UID    // miners still to be challenged before any is again

	saving  sync.Mutex
	spoken  uint64 // the speaker's, as of its last word
	commits []commit
}

// NewValidator returns a validator that keeps its state in dir.
func NewValidator(self Self, judge subnet.Mechanism, dir string, o ValidatorOptions) *Validator {
	self, o = self.withDefaults(), o.withDefaults()
	view := newView(self.Chain, self.Netuid)
	v := &Validator{
		self: self, judge: judge, options: o,
		path:     filepath.Join(dir, self.stateFile()),
		view:     view,
		dendrite: &Dendrite{self: self, view: view},
		book:     newBook(o.Alpha),
		running:  make(chan struct{}, o.Parallel),
		grading:  make(chan struct{}, 1),
	}
	v.speaker = &speaker{self: self, view: view, row: v.book.row, keep: v.keep}
	return v
}

// Run reads the state, writes the axon on chain if it differs, and validates
// until ctx ends; it then saves and returns nil. It returns an error at once
// if the state cannot be read or kept. While the account is not registered it
// waits. It can run once.
func (v *Validator) Run(ctx context.Context) error {
	if err := v.restore(); err != nil {
		return err
	}
	if !v.self.settle(ctx, v.view, v.options.Poll) {
		return nil
	}
	v.meet()
	blocks := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		v.view.follow(ctx, v.options.Poll, func(err error) {
			v.self.Log.Debug("the chain does not answer", "err", err)
		}, func() {
			v.meet()
			select {
			case blocks <- struct{}{}:
			default:
			}
		})
	})
	wg.Go(func() { v.challengeAll(ctx) })
	wg.Go(func() { v.speakAll(ctx, blocks) })
	wg.Go(func() { v.saveAll(ctx) })
	wg.Wait()
	return v.save()
}

// meet brings the book up to the metagraph.
func (v *Validator) meet() {
	_, graph, ok := v.view.now()
	if !ok {
		return
	}
	for _, uid := range v.book.sync(graph) {
		v.judge.Forget(uid)
	}
}

// speakAll sets weights as blocks come.
func (v *Validator) speakAll(ctx context.Context, blocks <-chan struct{}) {
	for {
		select {
		case <-blocks:
			v.speaker.speak(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// challengeAll starts a round every Round, beginning at a random time so that
// the validators of a subnet do not ask all at once.
func (v *Validator) challengeAll(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wait := rand.N(min(v.options.Round, time.Second))
	for round := uint64(0); pause(ctx, wait); round++ {
		wait = v.options.Round
		for _, uid := range v.crowd(ctx, &wg, v.draw(round)) {
			end, ok := v.book.challenge(uid)
			if !ok {
				continue
			}
			wg.Go(func() {
				defer end()
				v.challenge(ctx, uid)
			})
		}
	}
}

// crowd gives some of the miners drawn a challenge together, where the kind has
// one now, and returns the others.
func (v *Validator) crowd(ctx context.Context, wg *sync.WaitGroup, drawn []yuma.UID) (rest []yuma.UID) {
	c, ok := v.judge.(subnet.Crowd)
	if !ok {
		return drawn
	}
	body, n, err := c.CrowdChallenge(ctx)
	if err != nil {
		v.self.Log.Warn("no challenge made", "err", err)
		return drawn
	}
	if n < 1 || len(drawn) < n {
		return drawn
	}
	var uids []yuma.UID
	var ends []func()
	for _, uid := range drawn[:n] {
		if end, ok := v.book.challenge(uid); ok {
			uids, ends = append(uids, uid), append(ends, end)
		}
	}
	wg.Go(func() {
		defer func() {
			for _, end := range ends {
				end()
			}
		}()
		v.challengeCrowd(ctx, uids, body)
	})
	return drawn[n:]
}

// challengeCrowd asks miners the same at the same time and judges their answers
// together. However many, they take one of the slots.
func (v *Validator) challengeCrowd(ctx context.Context, uids []yuma.UID, body []byte) {
	if !take(ctx, v.running) {
		return
	}
	defer func() { <-v.running }()
	trials := make([]subnet.Trial, len(uids))
	asked := make([]bool, len(uids))
	var wg sync.WaitGroup
	for i, uid := range uids {
		wg.Go(func() {
			var err error
			trials[i], err = v.askMiner(ctx, uid, body, v.options.Timeout, nil)
			asked[i] = err == nil || trials[i].Answer.Err != nil
		})
	}
	wg.Wait()
	var judged []subnet.Trial
	for i, t := range trials {
		if asked[i] {
			judged = append(judged, t)
		}
	}
	if len(judged) == 0 || !take(ctx, v.grading) {
		return
	}
	defer func() { <-v.grading }()
	if _, err := v.Judge(ctx, judged); err != nil && ctx.Err() == nil {
		v.self.Log.Warn("the answers of a crowd could not be judged", "uids", uids, "err", err)
	}
}

// draw takes this round's miners from the deck. Every miner is drawn once
// before any is drawn again, in an order that nobody knows.
func (v *Validator) draw(round uint64) []yuma.UID {
	_, graph, ok := v.view.now()
	if !ok {
		return nil
	}
	var drawn []yuma.UID
	for fresh := false; len(drawn) < v.options.Sample; {
		if len(v.deck) == 0 {
			if fresh {
				break
			}
			fresh = true
			v.deck = v.shuffled(graph)
			continue
		}
		uid := v.deck[0]
		v.deck = v.deck[1:]
		if slices.Contains(drawn, uid) || !v.book.rested(uid, round) {
			continue
		}
		if n, err := v.view.miner(uid); err == nil && n.Account != v.self.Account {
			drawn = append(drawn, uid)
		}
	}
	return drawn
}

// shuffled returns all uids in random order, but first those that were never
// asked.
func (v *Validator) shuffled(graph *ledger.Metagraph) []yuma.UID {
	var unknown, known []yuma.UID
	for _, i := range rand.Perm(len(graph.Neurons)) {
		if uid := yuma.UID(i); v.book.asked(uid) {
			known = append(known, uid)
		} else {
			unknown = append(unknown, uid)
		}
	}
	return append(unknown, known...)
}

// challenge asks one miner and judges its answer.
func (v *Validator) challenge(ctx context.Context, uid yuma.UID) {
	if !take(ctx, v.running) {
		return
	}
	defer func() { <-v.running }()
	body, err := v.judge.Challenge(ctx)
	if err != nil {
		v.self.Log.Warn("no challenge made", "err", err)
		return
	}
	trial, err := v.askMiner(ctx, uid, body, v.options.Timeout, nil)
	if err != nil && trial.Answer.Err == nil {
		v.self.Log.Debug("not challenged", "uid", uid, "err", err)
		return
	}
	if !take(ctx, v.grading) {
		return
	}
	defer func() { <-v.grading }()
	if _, err := v.Judge(ctx, []subnet.Trial{trial}); err != nil && ctx.Err() == nil {
		v.self.Log.Warn("an answer could not be judged", "uid", uid, "err", err)
	}
}

// take takes a slot and reports whether it could before ctx ended.
func take(ctx context.Context, slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (v *Validator) askMiner(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func([]byte) error) (subnet.Trial, error) {
	end := v.book.begin(uid)
	defer end()
	return v.dendrite.ask(ctx, uid, body, timeout, onChunk)
}

// Standings returns what the validator thinks of the subnet's miners, itself
// left out, in order of uid. It is empty before Run has seen the chain.
func (v *Validator) Standings() []Standing {
	_, graph, ok := v.view.now()
	if !ok {
		return nil
	}
	return v.book.standings(graph, v.self.Account)
}

// Ask gives a miner a user's task; onChunk gets the answer's chunks as they
// come and may be nil. The trial says what happened, also when there is an
// error, which it then holds as Answer.Err; [ErrAbandoned] means that it is
// nobody's fault.
func (v *Validator) Ask(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func(chunk []byte) error) (subnet.Trial, error) {
	trial, err := v.askMiner(ctx, uid, body, timeout, onChunk)
	trial.Answer.Organic = true
	if err != nil && trial.Answer.Err == nil { // nobody was asked
		trial.Task.Miner.UID = uid
		trial.Answer.Err = fmt.Errorf("%w: %w", ErrAbandoned, err)
	}
	return trial, err
}

// Judge scores trials and lets the scores count for their miners. What the
// asker gave up, and answers of slots that changed hands since, are neither
// scored nor counted; the reason says so.
func (v *Validator) Judge(ctx context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	scores := make([]subnet.Score, len(trials))
	var judged []subnet.Trial
	var at []int
	for i, t := range trials {
		if errors.Is(t.Answer.Err, ErrAbandoned) {
			scores[i].Reason = t.Answer.Err.Error()
			continue
		}
		if !v.book.holds(t.Task.Miner) {
			scores[i].Reason = "the slot changed hands"
			continue
		}
		judged, at = append(judged, t), append(at, i)
	}
	if len(judged) == 0 {
		return scores, nil
	}
	got, err := v.judge.Score(ctx, judged)
	if err != nil {
		return nil, err
	}
	if len(got) != len(judged) {
		return nil, fmt.Errorf("neuron: kind %s scored %d of %d trials", v.judge.Kind(), len(got), len(judged))
	}
	for i, s := range got {
		scores[at[i]] = s
		if v.book.learn(judged[i], s) {
			v.self.Log.Info("miner rejected", "uid", judged[i].Task.Miner.UID, "reason", s.Reason)
		}
	}
	return scores, nil
}

// restore reads the state.
func (v *Validator) restore() error {
	if err := os.MkdirAll(filepath.Dir(v.path), 0o700); err != nil {
		return fmt.Errorf("validator state: %w", err)
	}
	s, older, err := readState(v.path)
	if err != nil {
		return err
	}
	if err := s.belongs(v.self.Netuid, v.self.Account); err != nil {
		return err
	}
	if older {
		v.self.Log.Warn("the validator's state is damaged, going on with the one before", "file", v.path)
	}
	if err := v.judge.Restore(s.Mechanism); err != nil {
		v.self.Log.Warn("what was learned of miners cannot be read, starting over", "err", err)
		if err := v.judge.Restore(nil); err != nil {
			return err
		}
	}
	v.book.load(s.Entries)
	v.spoken, v.commits = s.Spoken, s.Commits
	v.speaker.spoken, v.speaker.commits = s.Spoken, slices.Clone(s.Commits)
	return v.save()
}

// saveAll writes the state every Save.
func (v *Validator) saveAll(ctx context.Context) {
	for pause(ctx, v.options.Save) {
		if err := v.save(); err != nil {
			v.self.Log.Error("the validator's state is not saved", "err", err)
		}
	}
}

// keep takes over the speaker's part of the state and saves; it runs in the
// speaker's goroutine.
func (v *Validator) keep() error {
	v.saving.Lock()
	v.spoken, v.commits = v.speaker.spoken, slices.Clone(v.speaker.commits)
	v.saving.Unlock()
	return v.save()
}

func (v *Validator) save() error {
	v.saving.Lock()
	defer v.saving.Unlock()
	snapshot, err := v.judge.Snapshot()
	if err != nil {
		return fmt.Errorf("validator state: %w", err)
	}
	return writeState(v.path, state{
		Netuid: v.self.Netuid, Account: v.self.Account,
		Entries: v.book.save(), Mechanism: snapshot, Spoken: v.spoken, Commits: v.commits,
	})
}
