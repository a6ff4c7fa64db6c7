package embed

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
)

// asker makes requests of the shapes that users' requests have: a question to
// look something up by, or a few passages to be found later.
type asker struct {
	most int // texts

	mu   sync.Mutex
	rand *rand.ChaCha8
	dice *rand.Rand
}

func newAsker(seed [32]byte, most int) *asker {
	source := rand.NewChaCha8(seed)
	return &asker{most: most, rand: source, dice: rand.New(source)}
}

// next returns a request, whose nonce is as random as the tasks' ids are.
func (a *asker) next() Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	var r Request
	switch n := a.dice.IntN(10); {
	case n < 4:
		r.Texts = []string{a.question()}
	case n < 7:
		r.Texts = []string{a.passage(2 + a.dice.IntN(4))}
	default:
		for range 2 + a.dice.IntN(max(a.most-1, 1)) {
			r.Texts = append(r.Texts, a.passage(1+a.dice.IntN(3)))
		}
	}
	r.Texts = r.Texts[:min(len(r.Texts), a.most)]
	r.Nonce = make([]byte, 16)
	_, _ = a.rand.Read(r.Nonce) // never fails
	return r
}

func (a *asker) question() string { return a.fill(asks[a.dice.IntN(len(asks))]) }

func (a *asker) passage(sentences int) string {
	said := make([]string, sentences)
	for i := range said {
		said[i] = a.fill(facts[a.dice.IntN(len(facts))])
	}
	return strings.Join(said, " ")
}

// fill puts a thing for each T, a place for each P and a number for each N that
// follows a %.
func (a *asker) fill(form string) string {
	parts := strings.Split(form, "%")
	for i, p := range parts[1:] {
		var word string
		switch p[0] {
		case 'T':
			word = things[a.dice.IntN(len(things))]
		case 'P':
			word = places[a.dice.IntN(len(places))]
		default:
			word = fmt.Sprint(2 + a.dice.IntN(998))
		}
		parts[i+1] = word + p[1:]
	}
	return strings.Join(parts, "")
}

// What challenges are put together from.
var (
	asks = []string{
		"What is %T?", "How does %T work?", "Where can I find %T in %P?", "best %T in %P", "%T vs %T",
		"Who invented %T?", "how to repair %T", "Is %T safe?", "Why do people in %P like %T so much?",
		"price of %T in %P", "history of %T", "Tell me about %P.", "%T near %P open now", "%N uses of %T",
	}
	facts = []string{
		"%T was first made in %P about %N years ago.", "In %P, %T costs less than %T.", "Most people keep %T away from %T.",
		"The museum of %P shows %N pieces, among them %T.", "Nobody in %P knew what to do with %T.",
		"A good way to learn about %T is to visit %P.", "The report counts %N cases of %T.", "%T and %T are often confused.",
		"Every year %N tons of it leave the port of %P.", "After %N days the work on %T was done.",
		"She wrote a book of %N pages on %T and its use.", "The road to %P is closed, so %T is late.",
		"It is said that %T brings luck.", "An engineer from %P improved %T with %T.",
	}
	things = []string{
		"a bicycle", "olive oil", "the steam engine", "a solar panel", "green tea", "a wooden chair", "the telescope", "chess",
		"a neural network", "bread", "the printing press", "a violin", "salt", "paper money", "the compass", "a greenhouse",
		"honey", "a lighthouse", "the piano", "a vaccine", "wool", "an umbrella", "the telephone", "a sailing boat",
		"cheese", "a water pump", "silk", "the calendar", "a blockchain", "porcelain", "a map", "the bridge",
	}
	places = []string{
		"Paris", "Lagos", "Kyoto", "Lima", "Oslo", "Cairo", "Mumbai", "Toronto", "Athens", "Quito", "Hanoi", "Lisbon",
		"Nairobi", "Warsaw", "Santiago", "Dublin", "Tbilisi", "the north", "the old town", "the valley",
	}
)
