// Package quiz makes tasks whose answers can be checked, from a seed.
//
// There are seven families: arithmetic, work on words, sorting, logic, tracing
// a small program, converting units, and finding a fact in a passage; each on a
// ladder of five levels. One answer is right. It is read from a reply by a rule
// that takes a single value out of it, so that saying many things in hope that
// one is right earns nothing. It is pure. Start at [Make] and [Task.Right].
package quiz

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// Levels is the number of levels; 1 is the easiest.
const Levels = 5

// Task is a question with its answer.
type Task struct {
	Prompt string // what a miner sees
	Answer string // the right value, in its plain form
	Level  int    // 1 to Levels

	shape shape
}

// shape is what an answer looks like, which says how it is read.
type shape uint8

const (
	number shape = iota + 1 // a whole number
	word                    // one word
	list                    // values with commas between them
)

// family makes a task of a level.
type family func(d *dice, level int) Task

var families = []family{arithmetic, words, sorting, logic, tracing, units, retrieval}

// Make returns the task that seed stands for, on a level from 1 to Levels.
func Make(seed [32]byte, level int) Task {
	d := &dice{rand.New(rand.NewChaCha8(seed))}
	t := families[d.IntN(len(families))](d, level)
	t.Level = level
	if level > 1 || t.shape == list {
		t.Prompt += d.one(endings[t.shape])
	}
	return t
}

// endings tell how to answer. The easiest questions go without, as people ask
// them.
var endings = map[shape][]string{
	number: {" Answer with a number.", "\nEnd with a line \"Answer: \" and the number.", " Just the number, please.", ""},
	word:   {" Answer with one word.", "\nEnd with a line \"Answer: \" and the word.", " One word is enough.", ""},
	list:   {" Answer with the list, with commas.", "\nEnd with a line \"Answer: \" and the list, separated by commas."},
}

var (
	marked  = regexp.MustCompile(`(?im)^\W*answer\W*:[ \t]*(.*)$`)
	numbers = regexp.MustCompile(`-?\d[\d,]*`)
	letters = regexp.MustCompile(`\pL+`)
)

// maxReply is how much of a reply is looked at: the end of it.
const maxReply = 8 << 10

// Right tells whether a reply gives the answer. What counts is the line that
// begins with "Answer:" if there is one, and nothing if there are several that
// differ; else the last number, the last word, or the last line, as the task
// asks for.
func (t Task) Right(reply string) bool {
	got, ok := t.read(reply)
	return ok && got == t.plain(t.Answer)
}

func (t Task) read(reply string) (string, bool) {
	reply = strings.TrimSpace(reply[max(len(reply)-maxReply, 0):])
	said := marked.FindAllStringSubmatch(reply, -1)
	if len(said) > 0 {
		first := t.plain(said[0][1])
		for _, s := range said[1:] {
			if t.plain(s[1]) != first {
				return "", false
			}
		}
		return first, first != ""
	}
	var last []string
	switch t.shape {
	case number:
		last = numbers.FindAllString(reply, -1)
	case word:
		last = letters.FindAllString(reply, -1)
	default:
		last = strings.Split(reply, "\n")
	}
	if len(last) == 0 {
		return "", false
	}
	return t.plain(last[len(last)-1]), true
}

// plain is a value without what does not matter.
func (t Task) plain(s string) string {
	s = strings.ToLower(strings.Trim(strings.TrimSpace(s), "\"'`*_.!?[]()“” \t\r"))
	switch t.shape {
	case number:
		if all := numbers.FindAllString(s, -1); len(all) == 1 {
			s = all[0] // with a unit, or in a sentence
		}
		digits, negative := strings.CutPrefix(strings.ReplaceAll(s, ",", ""), "-")
		if digits != "" && strings.Trim(digits, "0") == "" {
			return "0"
		}
		digits = strings.TrimLeft(digits, "0")
		if negative {
			return "-" + digits
		}
		return digits
	case list:
		parts := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' })
		return strings.Join(parts, ",")
	default:
		return s
	}
}

// dice draws what tasks are made of.
type dice struct{ *rand.Rand }

// between draws from low to high, both included.
func (d *dice) between(low, high int) int { return low + d.IntN(high-low+1) }

func (d *dice) one(from []string) string { return from[d.IntN(len(from))] }

// some draws n different ones.
func (d *dice) some(n int, from []string) []string {
	out := make([]string, n)
	for i, j := range d.Perm(len(from))[:n] {
		out[i] = from[j]
	}
	return out
}

func numberTask(answer int, form string, a ...any) Task {
	return Task{Prompt: fmt.Sprintf(form, a...), Answer: fmt.Sprint(answer), shape: number}
}

func wordTask(answer, form string, a ...any) Task {
	return Task{Prompt: fmt.Sprintf(form, a...), Answer: answer, shape: word}
}
