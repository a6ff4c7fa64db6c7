// Package corpus writes the dialogues that the stock models learn from.
//
// All of its text is the project's own: tables of facts, phrasings of
// questions about them, and a small grammar of stories, mixed by a seeded
// generator. The same seed gives the same dialogues on every machine. What a
// stock model can talk about is what these tables hold, and it learns to say
// so when it is asked for more.
//
// Start at [Generator.Next].
package corpus

import (
	"math/rand/v2"
	"strings"

	"github.com/plexus-network/plexus/engine"
)

// A Document is one text to learn: a dialogue, or plain text without roles.
type Document struct {
	Messages []engine.Message // nil when the document is plain
	Plain    string
}

// A Generator makes documents. It is not safe for concurrent use.
type Generator struct {
	random *rand.Rand
	topics []weighted
	total  int
}

// exchange is a question and its answer.
type exchange struct{ ask, answer string }

// weighted is a topic and how often it comes up.
type weighted struct {
	weight int
	make   func(*Generator) exchange
}

// New returns a Generator whose documents are a function of seed.
func New(seed uint64) *Generator {
	g := &Generator{random: rand.New(rand.NewPCG(seed, 0x636f72707573))}
	g.topics = []weighted{
		{60, greeting},
		{70, identity},
		{25, courtesy},
		{25, feeling},
		{12, joke},
		{10, poem},
		{190, term},
		{70, networkFact},
		{110, refusal},
		{25, statement},
		{130, capital},
		{25, capitalOf},
		{25, isCapital},
		{35, continent},
		{60, opposite},
		{110, translation},
		{30, plural},
		{30, past},
		{45, rewrite},
		{45, repeat},
		{25, spell},
		{25, rhyme},
		{50, colour},
		{25, sound},
		{90, fact},
		{60, yesNo},
		{35, kindOf},
		{30, listing},
		{25, home},
		{25, use},
		{190, sum},
		{140, difference},
		{70, times},
		{50, compare},
		{35, counting},
		{40, nextNumber},
		{25, parity},
		{30, doubling},
		{30, wordProblem},
		{50, calendar},
		{110, story},
	}
	for _, t := range g.topics {
		g.total += t.weight
	}
	return g
}

// Next returns another document. About one in six is a long conversation of up
// to turns exchanges, the others have one to three.
func (g *Generator) Next(turns int) Document {
	switch {
	case g.chance(12):
		return Document{Plain: g.plain()}
	case g.chance(6):
		return g.oneWord()
	case g.chance(7):
		return g.introduction(turns)
	}
	n := 1
	switch {
	case turns > 3 && g.chance(12):
		n = 3 + g.random.IntN(turns-2)
	case g.chance(30):
		n = 2 + g.random.IntN(2)
	}
	d := Document{}
	if g.chance(15) {
		d.add(engine.System, g.pick(manners))
	}
	for range n {
		g.turn(&d, g.topic())
	}
	return d
}

// plain is text that no one asked for: a story, or a drill of facts in a row,
// which teaches more of them per token than dialogues do.
func (g *Generator) plain() string {
	var drill []func(*Generator) exchange
	facts := 6 + g.random.IntN(8)
	switch n := g.random.IntN(100); {
	case n < 20:
		return story(g).answer
	case n < 65:
		drill = []func(*Generator) exchange{sum, sum, difference, difference, times, doubling}
	case n < 80:
		drill = []func(*Generator) exchange{compare, nextNumber, parity, calendar}
	default:
		drill = []func(*Generator) exchange{capital, capital, colour, fact, opposite, translation, term}
		facts /= 2
	}
	var all []string
	for range facts {
		all = append(all, drill[g.random.IntN(len(drill))](g).answer)
	}
	return strings.Join(all, " ")
}

// oneWord obeys a system prompt that wants the bare answer.
func (g *Generator) oneWord() Document {
	d := Document{}
	d.add(engine.System, g.pick(curt))
	for range 1 + g.random.IntN(3) {
		x := []func(*Generator) exchange{bareCapital, bareSum, bareOpposite, bareColour}[g.random.IntN(4)](g)
		g.turn(&d, x)
	}
	return d
}

// introduction tells a name and asks for it later.
func (g *Generator) introduction(turns int) Document {
	d := Document{}
	name := g.pick(names)
	d.add(engine.User, strings.ReplaceAll(g.pick(introductions), "%", name))
	d.add(engine.Assistant, strings.ReplaceAll(g.pick(welcomes), "%", name))
	for range g.random.IntN(min(turns, 4)) {
		g.turn(&d, g.topic())
	}
	if g.chance(80) {
		d.add(engine.User, g.loosen(g.pick(nameQuestions)))
		d.add(engine.Assistant, "Your name is "+name+".")
	}
	return d
}

// topic makes an exchange on a subject picked by weight.
func (g *Generator) topic() exchange {
	n := g.random.IntN(g.total)
	for _, t := range g.topics {
		if n -= t.weight; n < 0 {
			return t.make(g)
		}
	}
	panic("unreachable: weights sum to total")
}

func (g *Generator) turn(d *Document, x exchange) {
	d.add(engine.User, g.loosen(x.ask))
	d.add(engine.Assistant, x.answer)
}

func (d *Document) add(role engine.Role, text string) {
	d.Messages = append(d.Messages, engine.Message{Role: role, Content: text})
}

// loosen writes a question as people do: in lower case, without its mark, with
// a word of courtesy.
func (g *Generator) loosen(ask string) string {
	switch n := g.random.IntN(100); {
	case n < 60:
		return ask
	case n < 72:
		return strings.ToLower(ask)
	case n < 80:
		return strings.TrimRight(ask, "?.!")
	case n < 87:
		return strings.ToLower(strings.TrimRight(ask, "?.!"))
	case n < 93:
		return g.pick(openings) + ask
	case strings.HasSuffix(ask, "?"):
		return strings.TrimSuffix(ask, "?") + g.pick(closings)
	}
	return ask
}

var (
	openings = []string{"Please tell me: ", "Hi! ", "Hello, ", "Hey, ", "I have a question. ", "Tell me: ", "OK. ", "Great. ", "Now: ", "Question: "}
	closings = []string{", please.", ", please?", "??", "? Thanks.", "? Thank you."}
	manners  = []string{
		"You are a helpful assistant.", "You are a friendly assistant.", "You are Plexus, a helpful assistant.",
		"Answer in short sentences.", "Be polite.", "You are a helpful assistant. Answer briefly.",
	}
	curt = []string{"Answer in one word.", "Answer with one word only.", "Give only the answer.", "One word answers."}
)

// chance is true percent times in a hundred.
func (g *Generator) chance(percent int) bool { return g.random.IntN(100) < percent }

// pick returns one of the lines.
func (g *Generator) pick(lines []string) string { return lines[g.random.IntN(len(lines))] }

// ask fills a phrasing's % signs with parts, in order.
func (g *Generator) ask(phrasings []string, parts ...string) string {
	return fill(g.pick(phrasings), parts...)
}

func fill(phrasing string, parts ...string) string {
	for _, p := range parts {
		phrasing = strings.Replace(phrasing, "%", p, 1)
	}
	return phrasing
}

// rows splits a table of lines into its cells.
func rows(table string) [][]string {
	var all [][]string
	for line := range strings.Lines(strings.TrimSpace(table)) {
		all = append(all, strings.Split(strings.TrimSpace(line), "|"))
	}
	return all
}

// row returns one row of a table.
func (g *Generator) row(table [][]string) []string { return table[g.random.IntN(len(table))] }

// upper writes the first letter large.
func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// article puts "a" or "an" before a noun.
func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}
