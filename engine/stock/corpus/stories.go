package corpus

import "strings"

// A story has six sentences: who and where, a wish, a hindrance, a helper, an
// end, and a moral. One hero, one place and one thing run through it.

var (
	heroes = []string{
		"cat", "dog", "fox", "bear", "mouse", "rabbit", "owl", "dragon", "robot", "bird", "frog", "horse", "lion", "duck", "hedgehog",
		"king", "queen", "girl", "boy", "miner", "sailor", "farmer", "giant", "wolf", "turtle", "elephant", "princess", "knight", "baker", "squirrel",
	}
	natures = []string{"small", "young", "old", "brave", "clever", "shy", "quiet", "curious", "kind", "lazy", "cheerful", "little"}
	places  = []string{
		"in a forest", "by the sea", "on a high hill", "in a small village", "near a river", "in an old castle", "on a farm",
		"in a big city", "on an island", "in a garden", "at the edge of a wood", "under a bridge",
	}
	wishes = []string{
		"to see the moon", "to find a friend", "to cross the river", "to learn to sing", "to find a golden key", "to build a house", "to see the sea",
		"to bake a cake", "to climb the mountain", "to find a red ball", "to learn to read", "to catch a star",
	}
	hindrances = []string{
		"But the way was long and it began to rain.", "But a big stone lay in the way.", "But the night came and it was very dark.",
		"But nobody knew how to do it.", "But the wind was strong and cold.", "But the door was closed.", "But it was too heavy to do alone.", "But the bridge was broken.",
	}
	helpers = []string{
		"Then a friendly owl came and showed the way.", "Then an old woman gave good advice.", "Then a small mouse came to help.", "Then a boy with a lamp came along.",
		"Then a girl with a rope came to help.", "Then a wise turtle had a good idea.", "Then many birds came and helped.", "Then a kind farmer stopped and helped.",
	}
	endings = []string{
		"Together they did it, and both laughed.", "In the end the wish came true.", "They worked all day, and in the evening it was done.",
		"Step by step it became easy.", "They tried again and again until it worked.", "When the sun came up, it was done.",
	}
	morals = []string{
		"From that day on they were friends.", "And everyone was happy.", "That night they slept very well.", "They still tell this story today.",
		"They had a big party with cake and music.", "And so they learned that it is good to help each other.",
	}
	storyAsks  = []string{"Tell me a story.", "Tell me a short story.", "Tell a story", "I want to hear a story.", "Can you tell me a story?", "A story, please.", "Please tell me a story.", "Write a story.", "Write a short story.", "Make up a story.", "Tell me another story."}
	storyAbout = []string{"Tell me a story about %.", "Write a story about %.", "A story about %, please.", "Can you tell me a story about %?", "I want a story about %.", "Tell me a short story about %.", "Write a short story about %."}
)

func story(g *Generator) exchange {
	hero, nature, wish := g.pick(heroes), g.pick(natures), g.pick(wishes)
	sentences := []string{
		fill(g.pick([]string{"Once upon a time there was % who lived %.", "Once there was % who lived %.", "Long ago, % lived %."}), article(nature+" "+hero), g.pick(places)),
		fill(g.pick([]string{"The % wanted %.", "Every day the % dreamed: it would be nice %.", "One day the % set out %."}), hero, wish),
		g.pick(hindrances), g.pick(helpers), g.pick(endings), g.pick(morals),
	}
	ask := g.pick(storyAsks)
	if g.chance(55) {
		ask = g.ask(storyAbout, article(hero))
	}
	return exchange{ask, strings.Join(sentences, " ")}
}
