//go:build unix

package grammar

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
)

// wide is a vocabulary of the size that models have: bytes, and words of two to
// ten letters with and without a space before them, and a share of punctuation.
func wide(size int) testVocabulary {
	v := newTestVocabulary()
	end := v[len(v)-1]
	v = v[:len(v)-1]
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	for len(v) < size-1 {
		b := make([]byte, 0, 12)
		if r.IntN(2) == 0 {
			b = append(b, ' ')
		}
		letters := "etaoinshrdlucmfwypvbgkjqxz"
		if r.IntN(10) == 0 {
			letters = `{}[]":,.0123456789\/-_<>`
		}
		for range 2 + r.IntN(9) {
			b = append(b, letters[min(r.IntN(len(letters)), r.IntN(len(letters)))])
		}
		if !seen[string(b)] {
			seen[string(b)] = true
			v = append(v, string(b))
		}
	}
	return append(v, end)
}

const benchSchema = `{"type":"object","properties":{"title":{"type":"string"},"year":{"type":"integer"},"rating":{"type":"number"},"genre":{"enum":["drama","comedy","crime","science fiction"]},
"people":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"role":{"type":["string","null"]}},"required":["name","role"],"additionalProperties":false}}},
"required":["title","year","rating","genre","people"],"additionalProperties":false}`

func sizes() []int {
	if n, err := strconv.Atoi(os.Getenv("PLEXUS_BENCH_VOCABULARY")); err == nil {
		return []int{n}
	}
	return []int{4096, 32000, 151936}
}

// BenchmarkCompile is a schema's first sight: the grammar and its start.
func BenchmarkCompile(b *testing.B) {
	began := processor()
	for b.Loop() {
		if _, err := Compile(schemaOf(benchSchema)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((processor()-began).Microseconds())/float64(b.N), "cpu-µs/op")
}

// BenchmarkVocabulary is what an engine does once.
func BenchmarkVocabulary(b *testing.B) {
	for _, n := range sizes() {
		v := wide(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			began := processor()
			for b.Loop() {
				NewVocabulary(v)
			}
			b.ReportMetric(float64((processor()-began).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// BenchmarkToken writes random answers: what a token's mask and the step cost,
// on a new machine for each answer, and on one that has seen the schema.
func BenchmarkToken(b *testing.B) {
	for _, n := range sizes() {
		v := wide(n)
		vocabulary := NewVocabulary(v)
		g := compile(b, schemaOf(benchSchema))
		for _, how := range []string{"first", "again"} {
			b.Run(fmt.Sprintf("%d/%s", n, how), func(b *testing.B) {
				m := NewMachine(g, vocabulary)
				r := rand.New(rand.NewPCG(3, 4))
				tokens, began := 0, processor()
				for b.Loop() {
					if how == "first" {
						m = NewMachine(g, vocabulary)
					}
					tokens += write1(m, v, r)
				}
				b.ReportMetric(float64((processor()-began).Microseconds())/float64(tokens), "cpu-µs/token")
			})
		}
	}
}

// processor is the processor time of this process so far.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// write1 writes one random answer of at most 200 tokens.
func write1(m *Machine, v testVocabulary, r *rand.Rand) int {
	x := m.Begin(200)
	for n := 1; ; n++ {
		allowed := x.Allowed()
		token := pick(allowed, r)
		if x.Advance(token); v.Ends(token) || n == 200 {
			return n
		}
	}
}

// pick takes an allowed token near a random place.
func pick(allowed engine.Mask, r *rand.Rand) engine.Token {
	for from := r.IntN(len(allowed)); ; from++ {
		if word := allowed[from%len(allowed)]; word != 0 {
			for t := engine.Token(from % len(allowed) * 64); ; t++ {
				if allowed.Has(t) {
					return t
				}
			}
		}
	}
}
