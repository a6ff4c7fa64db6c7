package corpus

import (
	"fmt"
	"strings"
)

// The world in tables: countries, colours, animals, plain facts.

// Country, capital, continent.
var countries = rows(`
France|Paris|Europe
Germany|Berlin|Europe
Italy|Rome|Europe
Spain|Madrid|Europe
Portugal|Lisbon|Europe
England|London|Europe
the United Kingdom|London|Europe
Ireland|Dublin|Europe
Scotland|Edinburgh|Europe
the Netherlands|Amsterdam|Europe
Belgium|Brussels|Europe
Switzerland|Bern|Europe
Austria|Vienna|Europe
Poland|Warsaw|Europe
the Czech Republic|Prague|Europe
Hungary|Budapest|Europe
Greece|Athens|Europe
Turkey|Ankara|Asia
Russia|Moscow|Europe
Ukraine|Kyiv|Europe
Sweden|Stockholm|Europe
Norway|Oslo|Europe
Denmark|Copenhagen|Europe
Finland|Helsinki|Europe
Iceland|Reykjavik|Europe
Romania|Bucharest|Europe
Bulgaria|Sofia|Europe
Croatia|Zagreb|Europe
Serbia|Belgrade|Europe
China|Beijing|Asia
Japan|Tokyo|Asia
South Korea|Seoul|Asia
India|New Delhi|Asia
Thailand|Bangkok|Asia
Vietnam|Hanoi|Asia
Indonesia|Jakarta|Asia
Mongolia|Ulaanbaatar|Asia
Nepal|Kathmandu|Asia
Iran|Tehran|Asia
Iraq|Baghdad|Asia
Egypt|Cairo|Africa
Kenya|Nairobi|Africa
Ethiopia|Addis Ababa|Africa
Nigeria|Abuja|Africa
Morocco|Rabat|Africa
Ghana|Accra|Africa
Senegal|Dakar|Africa
Canada|Ottawa|North America
the United States|Washington, D.C.|North America
Mexico|Mexico City|North America
Cuba|Havana|North America
Brazil|Brasilia|South America
Argentina|Buenos Aires|South America
Chile|Santiago|South America
Peru|Lima|South America
Colombia|Bogota|South America
Australia|Canberra|Oceania
New Zealand|Wellington|Oceania
`)

func sentence(form string, parts ...string) string { return ended(upper(fill(form, parts...))) }

// ended adds a full stop where none is.
func ended(s string) string { return strings.TrimSuffix(s, ".") + "." }

func capital(g *Generator) exchange {
	r := g.row(countries)
	return exchange{
		g.ask([]string{
			"What is the capital of %?", "What is the capital of %?", "What's the capital of %?", "Capital of %?", "Which city is the capital of %?",
			"Name the capital of %.", "Tell me the capital of %.", "Do you know the capital of %?", "What is the capital city of %?",
		}, r[0]),
		sentence("the capital of % is %", r[0], r[1]),
	}
}

func bareCapital(g *Generator) exchange {
	r := g.row(countries)
	return exchange{g.ask([]string{"What is the capital of %?", "Capital of %?"}, r[0]), r[1]}
}

func capitalOf(g *Generator) exchange {
	r := g.row(countries)
	return exchange{
		g.ask([]string{"% is the capital of which country?", "Which country has the capital %?", "What country is % the capital of?", "Where is %?", "In which country is %?"}, r[1]),
		sentence("% is the capital of %", r[1], homeOf(r[1])),
	}
}

// homeOf is the first country of the table with this capital.
func homeOf(city string) string {
	for _, r := range countries {
		if r[1] == city {
			return r[0]
		}
	}
	panic("unreachable: every city is from the table")
}

func isCapital(g *Generator) exchange {
	r, other := g.row(countries), g.row(countries)
	city := r[1]
	if g.chance(50) {
		city = other[1]
	}
	answer := "Yes, the capital of % is %"
	if city != r[1] {
		answer = "No, the capital of % is %"
	}
	return exchange{g.ask([]string{"Is % the capital of %?", "Is % really the capital of %?"}, city, r[0]), sentence(answer, r[0], r[1])}
}

func continent(g *Generator) exchange {
	r := g.row(countries)
	return exchange{g.ask([]string{"Where is %?", "On which continent is %?", "Which continent is % in?", "In which part of the world is %?"}, r[0]), sentence("% is in %", r[0], r[2])}
}

var colours = rows(`
the sky|blue
grass|green
snow|white
the sun|yellow
a banana|yellow
blood|red
coal|black
a strawberry|red
a tomato|red
milk|white
an orange|orange
a carrot|orange
a lemon|yellow
chocolate|brown
the sea|blue
a leaf|green
the night|black
gold|yellow
a frog|green
an elephant|grey
a cherry|red
a cloud|white
a rose|red
a fire engine|red
a polar bear|white
a raven|black
`)

func colour(g *Generator) exchange {
	r := g.row(colours)
	return exchange{
		g.ask([]string{"What colour is %?", "What color is %?", "Which colour is %?", "What is the colour of %?", "Which color does % have?"}, r[0]),
		sentence("% is %", r[0], r[1]),
	}
}

func bareColour(g *Generator) exchange {
	r := g.row(colours)
	return exchange{g.ask([]string{"What colour is %?", "What color is %?"}, r[0]), upper(r[1])}
}

var sounds = rows(`
cow|moo
dog|woof
cat|meow
sheep|baa
duck|quack
pig|oink
horse|neigh
bird|tweet
frog|croak
lion|roar
bee|buzz
snake|hiss
owl|hoot
mouse|squeak
`)

func sound(g *Generator) exchange {
	r := g.row(sounds)
	return exchange{g.ask([]string{"What does a % say?", "What sound does a % make?", "Which sound does a % make?"}, r[0]), fmt.Sprintf("A %s says %s.", r[0], r[1])}
}

// An answer and the questions that it answers.
var facts = rows(`
The sun is a star.|What is the sun?|Is the sun a star?
The moon goes around the Earth.|What is the moon?|What does the moon do?|What goes around the Earth?
The Earth is the planet that we live on.|What is the Earth?|Which planet do we live on?
There are eight planets around the sun.|How many planets are there?|How many planets does the sun have?
Jupiter is the largest planet.|What is the largest planet?|Which planet is the biggest?
Mercury is the planet closest to the sun.|Which planet is closest to the sun?
Water freezes at 0 degrees Celsius.|When does water freeze?|At what temperature does water freeze?
Water boils at 100 degrees Celsius.|When does water boil?|At what temperature does water boil?
Ice is frozen water.|What is ice?|What is frozen water?
Rain is water that falls from clouds.|What is rain?|Where does rain come from?
Snow is frozen rain.|What is snow?
A spider has eight legs.|How many legs does a spider have?|How many legs has a spider?
An insect has six legs.|How many legs does an insect have?|How many legs does a bee have?
A dog has four legs.|How many legs does a dog have?
A cat has four legs.|How many legs does a cat have?
A bird has two legs.|How many legs does a bird have?
A hand has five fingers.|How many fingers does a hand have?|How many fingers are on a hand?
People have two eyes.|How many eyes do people have?|How many eyes do you need to see well?
A triangle has three sides.|How many sides does a triangle have?|What is a triangle?
A square has four sides.|How many sides does a square have?|What is a square?
A circle is round.|What is a circle?|What shape is a circle?
Bees make honey.|What do bees make?|Who makes honey?|Where does honey come from?
Cows give milk.|What do cows give?|Where does milk come from?|Who gives milk?
Hens lay eggs.|Where do eggs come from?|Who lays eggs?
Cheese is made from milk.|What is cheese made from?|What is cheese?
Bread is made from flour.|What is bread made from?|What is bread?
Wine is made from grapes.|What is wine made from?
Paper is made from wood.|What is paper made from?|What is paper?
Glass is made from sand.|What is glass made from?|What is glass?
A fish lives in water.|Where do fish live?|Where does a fish live?
The whale is the largest animal.|What is the largest animal?|Which animal is the biggest?
The cheetah is the fastest animal on land.|What is the fastest animal?|Which animal is the fastest?
The giraffe is the tallest animal.|What is the tallest animal?|Which animal is the tallest?
The lion is called the king of the animals.|Who is the king of the animals?
A young dog is called a puppy.|What is a young dog called?|What is a puppy?
A young cat is called a kitten.|What is a young cat called?|What is a kitten?
A doctor helps people who are sick.|What does a doctor do?|What is a doctor?
A teacher helps people to learn.|What does a teacher do?|What is a teacher?
A baker makes bread.|What does a baker do?|What is a baker?
A farmer grows food.|What does a farmer do?|What is a farmer?
A pilot flies planes.|What does a pilot do?|What is a pilot?
An author writes books.|What does an author do?|What is an author?
A computer is a machine that follows instructions.|What is a computer?|What does a computer do?
A program is a list of instructions for a computer.|What is a program?|What is software?
The internet connects computers all over the world.|What is the internet?
A language model is a program that predicts the next word.|What is a language model?|What is an LLM?|How does a language model work?
Artificial intelligence is the art of making machines that learn and answer.|What is artificial intelligence?|What is AI?
A mountain is very high land.|What is a mountain?
A river is water that flows to the sea.|What is a river?
An island is land with water all around.|What is an island?
A friend is someone whom you like and trust.|What is a friend?
A library is a place with many books.|What is a library?
Asia is the largest continent.|What is the largest continent?|Which continent is the biggest?
There are seven continents.|How many continents are there?
The Pacific is the largest ocean.|What is the largest ocean?|Which ocean is the biggest?
The alphabet has 26 letters.|How many letters does the alphabet have?|How many letters are in the alphabet?
The first letter of the alphabet is A.|What is the first letter of the alphabet?
A dozen is twelve.|How many is a dozen?|What is a dozen?
One hundred years are a century.|What is a century?|How long is a century?
The sun rises in the east.|Where does the sun rise?
The sun sets in the west.|Where does the sun set?
A compass shows where north is.|What does a compass show?|What is a compass?
We hear with our ears.|What do we hear with?
We see with our eyes.|What do we see with?
Plants need water, light and air.|What do plants need?|What does a plant need?
`)

func fact(g *Generator) exchange {
	line := g.row(facts)
	return exchange{g.pick(line[1:]), line[0]}
}

// Subject, what it is, what it is not.
var truths = rows(`
fire|hot|cold
ice|cold|hot
water|wet|dry
a lemon|sour|sweet
sugar|sweet|sour
an elephant|big|small
a mouse|small|big
a snail|slow|fast
a stone|hard|soft
the sun|hot|cold
the night|dark|light
grass|green|red
snow|white|black
a feather|light|heavy
honey|sweet|sour
a giraffe|tall|short
the sea|deep|dry
a car|fast|alive
a baby|young|old
a pillow|soft|hard
`)

func yesNo(g *Generator) exchange {
	r := g.row(truths)
	if g.chance(50) {
		return exchange{fmt.Sprintf("Is %s %s?", r[0], r[1]), fmt.Sprintf("Yes, %s is %s.", r[0], r[1])}
	}
	return exchange{fmt.Sprintf("Is %s %s?", r[0], r[2]), fmt.Sprintf("No, %s is %s.", r[0], r[1])}
}

// A kind and its members.
var kinds = rows(`
animal|dog|cat|horse|lion|bear|elephant|cow|fox|mouse|rabbit
fruit|apple|banana|cherry|pear|orange|lemon|grape|plum
colour|red|blue|green|yellow|black|white|brown
vegetable|carrot|potato|onion|tomato|cabbage|bean
bird|owl|duck|eagle|raven|hen|swan
tool|hammer|saw|knife|axe|spade
drink|water|milk|tea|coffee|juice
country|France|Japan|Brazil|Egypt|Canada|India
metal|iron|gold|silver|copper
planet|Mars|Venus|Jupiter|Saturn|Earth
instrument|piano|guitar|violin|drum|flute
`)

var kindPlurals = map[string]string{"country": "countries", "fruit": "fruits"}

func many(kind string) string {
	if p, ok := kindPlurals[kind]; ok {
		return p
	}
	return kind + "s"
}

func kindOf(g *Generator) exchange {
	r := g.row(kinds)
	kind, member := r[0], g.pick(r[1:])
	if strings.Contains("colour metal drink planet country", kind) {
		return exchange{g.ask([]string{"Is % %?", "Is % really %?"}, member, article(kind)), sentence("Yes, % is %", member, article(kind))}
	}
	switch g.random.IntN(3) {
	case 0:
		return exchange{fmt.Sprintf("What is %s?", article(member)), sentence("% is %", article(member), article(kind))}
	case 1:
		return exchange{fmt.Sprintf("Is %s %s?", article(member), article(kind)), sentence("Yes, % is %", article(member), article(kind))}
	}
	other := g.row(kinds)
	for other[0] == kind || strings.Contains("animal bird fruit vegetable", other[0]) {
		other = g.row(kinds)
	}
	return exchange{fmt.Sprintf("Is %s %s?", article(member), article(other[0])), sentence("No, % is %", article(member), article(kind))}
}

func listing(g *Generator) exchange {
	r := g.row(kinds)
	kind, from := r[0], r[1:]
	n := 2 + g.random.IntN(2)
	if n > len(from) {
		n = len(from)
	}
	order := g.random.Perm(len(from))[:n]
	var list []string
	for _, i := range order {
		list = append(list, from[i])
	}
	last := list[n-1]
	answer := strings.Join(list[:n-1], ", ") + " and " + last
	return exchange{g.ask([]string{"Name % %.", "Give me % %.", "List % %.", "Can you name % %?"}, numerals[n], many(kind)), ended(upper(answer))}
}

var homes = rows(`
fish|in the water
bird|in a nest
bee|in a hive
bear|in a cave
king|in a castle
farmer|on a farm
spider|in a web
fox|in a den
camel|in the desert
penguin|in the snow
frog|near a pond
cow|on a farm
`)

func home(g *Generator) exchange {
	r := g.row(homes)
	return exchange{g.ask([]string{"Where does a % live?", "What is the home of a %?"}, r[0]), fmt.Sprintf("A %s lives %s.", r[0], r[1])}
}

var uses = rows(`
a knife|to cut
a pen|to write
a cup|to drink
a bed|to sleep
a key|to open doors
a lamp|to see in the dark
a clock|to tell the time
a boat|to cross the water
an oven|to bake
a broom|to sweep the floor
an umbrella|to stay dry
a phone|to talk to people far away
a chair|to sit
a book|to read
`)

func use(g *Generator) exchange {
	r := g.row(uses)
	return exchange{g.ask([]string{"What is % for?", "What do you need % for?", "What do people use % for?"}, r[0]), fmt.Sprintf("You need %s %s.", r[0], r[1])}
}
