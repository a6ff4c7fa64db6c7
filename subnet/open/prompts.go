package open

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// freePrompt makes an open question, as users ask them.
func freePrompt(seed [32]byte) string {
	dice := rand.New(rand.NewChaCha8(seed))
	one := func(from []string) string { return from[dice.IntN(len(from))] }
	parts := strings.Split(one(openQuestions), "%")
	for i, p := range parts[1:] {
		word := fmt.Sprint(2 + dice.IntN(8))
		switch p[0] {
		case 'T':
			word = one(topics)
		case 'C':
			word = one(people)
		}
		parts[i+1] = word + p[1:]
	}
	return strings.Join(parts, "")
}

// What open questions are put together from: %T is a topic, %C a person, %N a
// number.
var (
	openQuestions = []string{
		"Tell me a story about %T and %T.", "Write a poem about %T.", "Explain %T to a child of %N.",
		"Write a letter to %C about %T.", "Give me %N reasons to learn about %T.", "What is the difference between %T and %T?",
		"How would you teach %T to %C?", "Describe %T in %N sentences.", "Why do people like %T?",
		"Plan a day for %C around %T and %T.", "What would happen without %T?", "Write the first lines of a book about %C and %T.",
		"Convince %C that %T matters.", "What should %C know about %T before the age of %N0?", "Make up a riddle about %T.",
	}
	topics = []string{
		"bread", "the moon", "a bicycle", "chess", "the sea", "a lighthouse", "photosynthesis", "money", "a violin", "winter",
		"an old clock", "the internet", "a garden", "volcanoes", "friendship", "trains", "honey bees", "a lost letter",
		"the number zero", "coffee", "a small robot", "rivers", "maps", "a good question", "music", "democracy", "snow",
		"a bridge", "whales", "the printing press", "sleep", "stars", "paper", "a market", "the alphabet", "rain",
	}
	people = []string{"Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ida", "Jonas", "Lena", "Max", "Nora", "Oscar", "Rosa"}
)
