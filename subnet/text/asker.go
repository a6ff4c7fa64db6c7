package text

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/plexus-network/plexus/engine"
)

// asker makes requests of the shapes that users' requests have: chats, some
// with a system prompt or earlier turns, and bare texts to go on with, at many
// temperatures and lengths.
type asker struct {
	most int  // tokens
	cold bool // all at temperature 0

	mu     sync.Mutex
	rand   *rand.Rand
	hash   maphash.Seed
	seen   map[uint64]struct{}
	recent [recentAsks]uint64 // ring of what is in seen
	at     int
}

// recentAsks is how many requests back none is repeated.
const recentAsks = 4096

func newAsker(seed [32]byte, most int, cold bool) *asker {
	return &asker{
		most: most,
		cold: cold,
		rand: rand.New(rand.NewChaCha8(seed)),
		hash: maphash.MakeSeed(),
		seen: map[uint64]struct{}{},
	}
}

// next returns a request unlike those before it.
func (a *asker) next() Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		r := a.draft()
		key := maphash.String(a.hash, fmt.Sprint(r.Messages, r.Prompt))
		if _, again := a.seen[key]; again {
			continue
		}
		delete(a.seen, a.recent[a.at])
		a.recent[a.at], a.seen[key] = key, struct{}{}
		a.at = (a.at + 1) % recentAsks
		return r
	}
}

func (a *asker) draft() Request {
	r := Request{MaxTokens: a.most/2 + a.rand.IntN(a.most-a.most/2) + 1}
	a.setSampling(&r)
	if a.chance(0.12) {
		r.Prompt = a.opening()
		return r
	}
	if a.chance(0.25) {
		r.Messages = append(r.Messages, engine.Message{Role: engine.System, Content: a.fill(systems)})
	}
	for a.chance(0.2) && len(r.Messages) < 6 {
		r.Messages = append(r.Messages,
			engine.Message{Role: engine.User, Content: a.question()},
			engine.Message{Role: engine.Assistant, Content: a.fill(replies)})
	}
	r.Messages = append(r.Messages, engine.Message{Role: engine.User, Content: a.question()})
	return r
}

// setSampling draws settings as users choose them: mostly warm, because at
// temperature 0 only the probe tells a copied answer from the original.
func (a *asker) setSampling(r *Request) {
	if a.cold {
		return
	}
	if !a.chance(0.15) {
		r.Temperature = float32(6+a.rand.IntN(9)) / 10 // 0.6 to 1.4
	}
	if a.chance(0.25) {
		r.TopP = []float32{0.9, 0.95, 0.98}[a.rand.IntN(3)]
	}
	if a.chance(0.1) {
		r.TopK = 20 + 10*a.rand.IntN(3)
	}
	if a.chance(0.1) {
		r.Stop = []string{"\n\n"}
	}
}

func (a *asker) question() string {
	q := a.fill(questions)
	if a.chance(0.2) {
		q = a.fill(greetings) + " " + q
	}
	if a.chance(0.15) {
		q = strings.ToLower(q)
	}
	if a.chance(0.1) {
		q = strings.TrimRight(q, "?.!")
	}
	return q
}

func (a *asker) opening() string { return a.fill(openings) }

// fill takes one of forms and fills its blanks: T a topic, P a place, W a
// thing or word, N a number, C a person's name.
func (a *asker) fill(forms []string) string {
	form := forms[a.rand.IntN(len(forms))]
	var b strings.Builder
	for i := 0; i < len(form); i++ {
		if form[i] != '%' || i+1 == len(form) {
			b.WriteByte(form[i])
			continue
		}
		i++
		switch form[i] {
		case 'T':
			b.WriteString(a.pick(topics))
		case 'P':
			b.WriteString(a.pick(places))
		case 'W':
			b.WriteString(a.pick(words))
		case 'C':
			b.WriteString(a.pick(names))
		case 'N':
			fmt.Fprint(&b, 1+a.rand.IntN(20))
		default:
			b.WriteByte(form[i])
		}
	}
	return b.String()
}

func (a *asker) pick(from []string) string { return from[a.rand.IntN(len(from))] }

// sometimes is chance for other goroutines.
func (a *asker) sometimes(p float64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.chance(p)
}

func (a *asker) chance(p float64) bool { return a.rand.Float64() < p }
