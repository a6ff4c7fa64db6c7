package corpus

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
)

func TestNextIsAFunctionOfTheSeed(t *testing.T) {
	a, b, c := New(1), New(1), New(2)
	same := 0
	for range 200 {
		x, y, z := a.Next(8), b.Next(8), c.Next(8)
		if !reflect.DeepEqual(x, y) {
			t.Fatalf("one seed made %v and %v", x, y)
		}
		if reflect.DeepEqual(x, z) {
			same++
		}
	}
	if same > 100 {
		t.Errorf("%d of 200 documents are the same for two seeds", same)
	}
}

func TestNextMakesWellFormedDialogues(t *testing.T) {
	g := New(3)
	for range 20_000 {
		d := g.Next(8)
		if (d.Plain == "") == (len(d.Messages) == 0) {
			t.Fatalf("document is both or neither: %+v", d)
		}
		texts := []string{d.Plain}
		turns := d.Messages
		if len(turns) > 0 && turns[0].Role == engine.System {
			turns = turns[1:]
		}
		for i, m := range turns {
			if want := []engine.Role{engine.User, engine.Assistant}[i%2]; m.Role != want {
				t.Fatalf("turn %d is the %s's in %v", i, m.Role, turns)
			}
			if m.Content == "" {
				t.Fatalf("turn %d is empty in %v", i, turns)
			}
			texts = append(texts, m.Content)
		}
		for _, text := range texts {
			for _, left := range []string{"%!", "|", "%s", " %.", " % ", "  ", ".."} {
				if strings.Contains(text, left) {
					t.Fatalf("%q is left in %q", left, text)
				}
			}
		}
	}
}

func TestArithmeticIsRight(t *testing.T) {
	g := New(4)
	for range 5_000 {
		for _, make := range []func(*Generator) exchange{sum, difference, times} {
			x := make(g)
			var a, b, c int
			var op string
			if !scan(x.answer, &a, &op, &b, &c) {
				continue // in words
			}
			want := map[string]int{"+": a + b, "-": a - b, "*": a * b}[op]
			if c != want || c > most || c < 0 {
				t.Fatalf("%q is answered by %q", x.ask, x.answer)
			}
		}
	}
}

// scan reads "a op b = c.".
func scan(answer string, a *int, op *string, b, c *int) bool {
	n, err := fmt.Sscanf(answer, "%d %s %d = %d.", a, op, b, c)
	return err == nil && n == 4
}
