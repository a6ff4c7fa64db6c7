package quiz

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var calculates = []string{"What is %s?", "How much is %s?", "Calculate %s.", "%s = ?", "Compute %s.", "Can you calculate %s?"}

// arithmetic asks for a sum up to twenty on level 1, and for long expressions
// on level 5.
func arithmetic(d *dice, level int) Task {
	ask := func(answer int, form string, a ...any) Task {
		return numberTask(answer, d.one(calculates), fmt.Sprintf(form, a...))
	}
	switch level {
	case 1:
		a, b := d.between(0, 20), d.between(0, 20)
		low, high := min(a, b), max(a, b)
		if a+b <= 20 {
			return ask(a+b, d.one([]string{"%d + %d", "%d plus %d"}), a, b)
		}
		return ask(high-low, d.one([]string{"%d - %d", "%d minus %d"}), high, low)
	case 2:
		a, b := d.between(21, 999), d.between(21, 999)
		if d.IntN(2) == 0 {
			return ask(a+b, "%d + %d", a, b)
		}
		return ask(a-b, "%d - %d", a, b)
	case 3:
		a, b, c := d.between(12, 99), d.between(12, 99), d.between(100, 999)
		return ask(a*b+c, "%d * %d + %d", a, b, c)
	case 4:
		a, b, c, e := d.between(12, 99), d.between(12, 99), d.between(3, 29), d.between(100, 9999)
		return ask((a+b)*c-e, "(%d + %d) * %d - %d", a, b, c, e)
	default:
		a, b, m := d.between(100, 999), d.between(100, 999), d.between(11, 97)
		return numberTask(a*b%m, "What is the remainder of %d * %d divided by %d?", a, b, m)
	}
}

// things are words of different spelling.
var things = strings.Fields("apple bridge candle desert engine forest garden hammer island jacket kitchen ladder mirror needle orange pencil river silver tiger umbrella violin window yellow anchor butter castle doctor feather guitar honey jungle lemon market paper rabbit school thunder valley winter bottle circle dragon flower harbour letter number planet rocket saddle tunnel velvet wagon")

// names are people's.
var names = strings.Fields("Anna Ben Clara David Emma Felix Grace Hugo Ida Jonas Kim Lena Max Nora Oscar Paula Quinn Rosa Sam Tara Uma Victor Wendy Yara Zoe")

// phrase is n things in a row.
func (d *dice) phrase(n int) string { return strings.Join(d.some(n, things), " ") }

// words asks about letters.
func words(d *dice, level int) Task {
	text := d.phrase(level)
	letter := string(text[d.IntN(strings.IndexAny(text+" ", " "))])
	switch d.IntN(3) {
	case 0:
		return numberTask(strings.Count(text, letter), "How often does the letter %q occur in %q?", letter, text)
	case 1:
		joined := strings.ReplaceAll(text, " ", "")
		return wordTask(reversed(joined), "Write %q backwards, without spaces.", joined)
	default:
		answer := ""
		for w := range strings.FieldsSeq(text) {
			answer += w[len(w)-1:]
		}
		if level == 1 {
			return wordTask(text[:1], "What is the first letter of %q?", text)
		}
		return wordTask(answer, "Put the last letters of these words together: %s.", strings.ReplaceAll(text, " ", ", "))
	}
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// sorting asks for an order.
func sorting(d *dice, level int) Task {
	n := 2 + 2*level
	if d.IntN(2) == 0 {
		all := d.some(n, things)
		sorted := slices.Sorted(slices.Values(all))
		return Task{Prompt: "Sort these words by the alphabet: " + strings.Join(all, ", ") + ".", Answer: strings.Join(sorted, ", "), shape: list}
	}
	var all []int
	for len(all) < n {
		if x := d.IntN(pow(10, level+1)); !slices.Contains(all, x) {
			all = append(all, x)
		}
	}
	asked := joined(all)
	how := d.one([]string{"smallest", "largest"})
	slices.SortFunc(all, func(a, b int) int {
		if how == "largest" {
			return cmp.Compare(b, a)
		}
		return cmp.Compare(a, b)
	})
	return Task{Prompt: fmt.Sprintf("Sort these numbers, the %s first: %s.", how, asked), Answer: joined(all), shape: list}
}

func joined(all []int) string {
	said := make([]string, len(all))
	for i, x := range all {
		said[i] = strconv.Itoa(x)
	}
	return strings.Join(said, ", ")
}

func pow(base, n int) int {
	p := 1
	for range n {
		p *= base
	}
	return p
}

// logic asks who stands where in an order that is told in pairs, mixed up.
func logic(d *dice, level int) Task {
	n := 2 + level
	line := d.some(n, names)
	more, most, least := "taller", "tallest", "shortest"
	if d.IntN(2) == 0 {
		more, most, least = "older", "oldest", "youngest"
	}
	said := make([]string, 0, n-1)
	for i := range n - 1 {
		said = append(said, fmt.Sprintf("%s is %s than %s.", line[i], more, line[i+1]))
	}
	d.Shuffle(len(said), func(i, j int) { said[i], said[j] = said[j], said[i] })
	told := strings.Join(said, " ")
	switch d.IntN(3) {
	case 0:
		return wordTask(line[0], "%s Who is the %s?", told, most)
	case 1:
		return wordTask(line[n-1], "%s Who is the %s?", told, least)
	default:
		k := d.between(1, n-1)
		return numberTask(k, "%s How many of them are %s than %s?", told, more, line[k])
	}
}

// tracing asks what a small program leaves in a variable.
func tracing(d *dice, level int) Task {
	x, y := d.between(1, 9), d.between(1, 9)
	var program strings.Builder
	fmt.Fprintf(&program, "x = %d\ny = %d\n", x, y)
	for range level {
		a, times := d.between(2, 9), d.between(2, 3)
		switch d.IntN(4) {
		case 0:
			fmt.Fprintf(&program, "x = x + %d * y\n", a)
			x += a * y
		case 1:
			fmt.Fprintf(&program, "repeat %d times: y = y + x\n", times)
			y += times * x
		case 2:
			fmt.Fprintf(&program, "if x > y: x = x - y, else: y = y - x + %d\n", a)
			if x > y {
				x -= y
			} else {
				y += a - x
			}
		default:
			fmt.Fprintf(&program, "x, y = y, x + %d\n", a)
			x, y = y, x+a
		}
	}
	return numberTask(x, "What is x after this program?\n%s", program.String())
}

// unit is a conversion that comes out whole.
type unit struct {
	from, to string
	factor   int
}

var conversions = [...][]unit{
	{{"hours", "minutes", 60}, {"minutes", "seconds", 60}, {"metres", "centimetres", 100}, {"days", "hours", 24}, {"weeks", "days", 7}},
	{{"kilometres", "metres", 1000}, {"kilograms", "grams", 1000}, {"feet", "inches", 12}, {"litres", "millilitres", 1000}, {"dozens", "pieces", 12}},
	{{"hours", "seconds", 3600}, {"days", "minutes", 1440}, {"weeks", "hours", 168}, {"yards", "inches", 36}, {"tonnes", "grams", 1_000_000}},
}

// units asks for a conversion: one on the lower levels, a sum of two above.
func units(d *dice, level int) Task {
	table := conversions[min((level-1)/2, 2)]
	u := table[d.IntN(len(table))]
	n := d.between(2, 4*pow(3, level))
	if level < 4 {
		return numberTask(n*u.factor, d.one([]string{"How many %[2]s are %[1]d %[3]s?", "%[1]d %[3]s are how many %[2]s?", "Convert %[1]d %[3]s to %[2]s."}), n, u.to, u.from)
	}
	extra := d.between(1, 999)
	return numberTask(n*u.factor+extra, "How many %s are %d %s and %d %s together?", u.to, n, u.from, extra, u.to)
}

var rooms = strings.Fields("attic cellar kitchen garage garden hall study library tower workshop stable chapel bakery school harbour market")

// retrieval asks for a fact out of a passage of many like it.
func retrieval(d *dice, level int) Task {
	n := 2 + 3*level
	who, what := d.some(n, names), d.some(n, things)
	said, where := make([]string, n), make([]string, n)
	for i := range n {
		where[i] = d.one(rooms)
		said[i] = fmt.Sprintf("%s keeps a %s in the %s.", who[i], what[i], where[i])
	}
	i := d.IntN(n)
	told := strings.Join(said, " ")
	switch d.IntN(3) {
	case 0:
		return wordTask(what[i], "%s What does %s keep?", told, who[i])
	case 1:
		return wordTask(where[i], "%s Where is the %s?", told, what[i])
	default:
		return wordTask(who[i], "%s Who keeps the %s?", told, what[i])
	}
}
