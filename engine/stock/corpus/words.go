package corpus

import (
	"fmt"
	"strings"
)

// Words: opposites, translations, forms, sentences to rewrite and to repeat.

var opposites = rows(`
hot|cold
big|small
tall|short
up|down
left|right
day|night
good|bad
happy|sad
fast|slow
old|young
new|old
open|closed
full|empty
light|dark
hard|soft
high|low
early|late
easy|difficult
rich|poor
strong|weak
wet|dry
loud|quiet
clean|dirty
near|far
long|short
thick|thin
true|false
yes|no
first|last
inside|outside
begin|end
win|lose
buy|sell
give|take
come|go
love|hate
friend|enemy
north|south
east|west
black|white
summer|winter
always|never
more|less
push|pull
question|answer
heavy|light
brave|afraid
wide|narrow
before|after
above|below
in|out
on|off
alive|dead
sweet|sour
smooth|rough
safe|dangerous
`)

func opposite(g *Generator) exchange {
	r := g.row(opposites)
	a, b := r[0], r[1]
	return exchange{
		g.ask([]string{"What is the opposite of %?", "What is the opposite of %?", "Opposite of %?", "Give me the opposite of %.", "The opposite of %", "Name the opposite of %."}, a),
		fmt.Sprintf("The opposite of %s is %s.", a, b),
	}
}

func bareOpposite(g *Generator) exchange {
	r := g.row(opposites)
	return exchange{g.ask([]string{"What is the opposite of %?", "Opposite of %?"}, r[0]), upper(r[1])}
}

var languages = []string{"Spanish", "French", "German", "Italian"}

var dictionary = rows(`
hello|hola|bonjour|hallo|ciao
thank you|gracias|merci|danke|grazie
please|por favor|s'il vous plaît|bitte|per favore
yes|sí|oui|ja|sì
no|no|non|nein|no
goodbye|adiós|au revoir|auf Wiedersehen|arrivederci
good morning|buenos días|bonjour|guten Morgen|buongiorno
cat|gato|chat|Katze|gatto
dog|perro|chien|Hund|cane
house|casa|maison|Haus|casa
water|agua|eau|Wasser|acqua
bread|pan|pain|Brot|pane
milk|leche|lait|Milch|latte
sun|sol|soleil|Sonne|sole
moon|luna|lune|Mond|luna
day|día|jour|Tag|giorno
night|noche|nuit|Nacht|notte
friend|amigo|ami|Freund|amico
book|libro|livre|Buch|libro
tree|árbol|arbre|Baum|albero
red|rojo|rouge|rot|rosso
blue|azul|bleu|blau|blu
green|verde|vert|grün|verde
white|blanco|blanc|weiß|bianco
black|negro|noir|schwarz|nero
one|uno|un|eins|uno
two|dos|deux|zwei|due
three|tres|trois|drei|tre
apple|manzana|pomme|Apfel|mela
fish|pez|poisson|Fisch|pesce
bird|pájaro|oiseau|Vogel|uccello
horse|caballo|cheval|Pferd|cavallo
man|hombre|homme|Mann|uomo
woman|mujer|femme|Frau|donna
child|niño|enfant|Kind|bambino
mother|madre|mère|Mutter|madre
father|padre|père|Vater|padre
school|escuela|école|Schule|scuola
city|ciudad|ville|Stadt|città
sea|mar|mer|Meer|mare
love|amor|amour|Liebe|amore
heart|corazón|cœur|Herz|cuore
door|puerta|porte|Tür|porta
table|mesa|table|Tisch|tavolo
hand|mano|main|Hand|mano
big|grande|grand|groß|grande
small|pequeño|petit|klein|piccolo
good|bueno|bon|gut|buono
flower|flor|fleur|Blume|fiore
king|rey|roi|König|re
`)

func translation(g *Generator) exchange {
	r := g.row(dictionary)
	i := g.random.IntN(len(languages))
	word, language, foreign := r[0], languages[i], r[i+1]
	if g.chance(15) && foreign != "no" {
		return exchange{
			g.ask([]string{"What does % mean in English?", "What is % in English?", "Translate % into English."}, foreign),
			fmt.Sprintf("\"%s\" means \"%s\" in English.", foreign, meaning(foreign)),
		}
	}
	form := g.pick([]string{"How do you say % in %?", "How do you say \"%\" in %?", "What is % in %?", "Translate % into %.", "Translate \"%\" to %.", "Translate % to %", "What is the % word for %?", "Say % in %."})
	ask := fill(form, word, language)
	if strings.Contains(form, "word for") {
		ask = fill(form, language, word)
	}
	return exchange{ask, fmt.Sprintf("\"%s\" in %s is \"%s\".", upper(word), language, foreign)}
}

// meaning is the first English word of the dictionary with this translation.
func meaning(foreign string) string {
	for _, r := range dictionary {
		for _, f := range r[1:] {
			if f == foreign {
				return r[0]
			}
		}
	}
	panic("unreachable: every foreign word is from the dictionary")
}

var plurals = rows(`
cat|cats
dog|dogs
house|houses
child|children
man|men
woman|women
mouse|mice
foot|feet
tooth|teeth
goose|geese
fish|fish
sheep|sheep
box|boxes
baby|babies
city|cities
leaf|leaves
knife|knives
book|books
tree|trees
bus|buses
potato|potatoes
person|people
wolf|wolves
story|stories
key|keys
star|stars
miner|miners
block|blocks
`)

func plural(g *Generator) exchange {
	r := g.row(plurals)
	return exchange{g.ask([]string{"What is the plural of %?", "Plural of %?", "Make this plural: %", "Give me the plural of %."}, r[0]), fmt.Sprintf("The plural of %s is %s.", r[0], r[1])}
}

var pasts = rows(`
go|went
see|saw
eat|ate
run|ran
come|came
take|took
give|gave
make|made
say|said
find|found
write|wrote
sing|sang
swim|swam
think|thought
buy|bought
play|played
walk|walked
work|worked
know|knew
have|had
is|was
sleep|slept
fly|flew
drink|drank
begin|began
win|won
tell|told
read|read
`)

func past(g *Generator) exchange {
	r := g.row(pasts)
	return exchange{g.ask([]string{"What is the past tense of %?", "Past tense of %?", "What is the past of %?", "Put % into the past."}, r[0]), fmt.Sprintf("The past tense of %s is %s.", r[0], r[1])}
}

// A verb with what it takes, now and then.
var deeds = rows(`
plays in the garden|played in the garden
walks to school|walked to school
eats an apple|ate an apple
reads a book|read a book
sings a song|sang a song
sees a bird|saw a bird
drinks a glass of milk|drank a glass of milk
finds a key|found a key
writes a letter|wrote a letter
works on the farm|worked on the farm
opens the door|opened the door
buys a red ball|bought a red ball
runs to the river|ran to the river
bakes a cake|baked a cake
swims in the sea|swam in the sea
sleeps under a tree|slept under a tree
`)

var wants = []string{"the book", "the key", "some water", "an apple", "the blue cup", "your name", "the time", "a chair", "the salt", "some bread", "the red ball", "a story"}

func rewrite(g *Generator) exchange {
	name, deed, want := g.pick(names), g.row(deeds), g.pick(wants)
	now := name + " " + deed[0] + "."
	switch g.random.IntN(4) {
	case 0:
		return exchange{g.ask([]string{"Rewrite in the past tense: %", "Put this in the past tense: %", "Change to the past: %"}, now), name + " " + deed[1] + "."}
	case 1:
		return exchange{g.ask([]string{"Make this polite: Give me %.", "Say it politely: Give me %.", "Rewrite politely: Give me %."}, want), "Could you please give me " + want + "?"}
	case 2:
		other := g.pick(names)
		return exchange{fmt.Sprintf("Replace %s with %s: %s", name, other, now), other + " " + deed[0] + "."}
	}
	return exchange{g.ask([]string{"Write in capital letters: %", "Make this upper case: %"}, g.pick(shouted)), ""}.shouted()
}

var shouted = []string{"hello", "yes", "no", "stop", "thank you", "good morning", "plexus", "welcome", "help", "good night"}

// shouted answers with the last part of the question in capitals.
func (x exchange) shouted() exchange {
	_, text, _ := strings.Cut(x.ask, ": ")
	return exchange{x.ask, strings.ToUpper(text) + "."}
}

func repeat(g *Generator) exchange {
	switch g.random.IntN(4) {
	case 0:
		a, b := g.pick(repeated), g.pick(repeated)
		return exchange{g.ask([]string{"Reverse the order: %, %", "Swap these: %, %"}, a, b), upper(b) + ", " + a + "."}
	case 1:
		word := g.pick(repeated)
		return exchange{g.ask([]string{"Say %.", "Say the word %.", "Please say %.", "Say \"%\"."}, word), upper(word) + "."}
	case 2:
		name, deed := g.pick(names), g.row(deeds)
		now := name + " " + deed[0] + "."
		return exchange{g.ask([]string{"Repeat: %", "Repeat after me: %", "Repeat this sentence: %", "Say: %"}, now), now}
	}
	var list []string
	for range 3 + g.random.IntN(2) {
		list = append(list, g.pick(repeated))
	}
	line := strings.Join(list, ", ")
	return exchange{g.ask([]string{"Repeat: %", "Repeat after me: %", "Repeat these words: %"}, line), upper(line) + "."}
}

var repeated = strings.Fields("apple river stone cat moon green seven house music bread friend winter block chain token star paper hello yellow dog window garden silver north lamp")

var spelled = strings.Fields("cat dog sun moon house water tree book star hello plexus block miner apple green blue red one two")

func spell(g *Generator) exchange {
	word := g.pick(spelled)
	return exchange{g.ask([]string{"How do you spell %?", "Spell %.", "Spell the word %."}, word), upper(word) + " is spelled " + strings.Join(strings.Split(word, ""), "-") + "."}
}

var rhymes = rows(`
cat|hat
house|mouse
tree|sea
moon|spoon
star|car
night|light
day|play
dog|frog
rain|train
king|ring
cake|lake
boat|goat
ball|wall
book|cook
bed|red
`)

func rhyme(g *Generator) exchange {
	r := g.row(rhymes)
	return exchange{g.ask([]string{"What rhymes with %?", "Give me a word that rhymes with %.", "A rhyme for %?"}, r[0]), fmt.Sprintf("%s rhymes with %s.", upper(r[1]), r[0])}
}
