package corpus

import (
	"fmt"
	"strconv"
	"strings"
)

// Numbers up to twenty, and the calendar.

var numerals = strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty")

// most is the largest number that the models count to.
const most = 20

var sumAsks = []string{
	"What is % %s %?", "What is % %s %?", "What's % %s %?", "How much is % %s %?", "% %s %", "% %s % =", "% %s % = ?", "Calculate % %s %.", "Compute % %s %.", "Can you calculate % %s %?", "%?s?%",
}

// sign is how an operation is written and said.
type sign struct{ mark, word string }

var (
	plus    = sign{"+", "plus"}
	minus   = sign{"-", "minus"}
	product = sign{"*", "times"}
)

// calculation asks for a op b in marks or in words.
func (g *Generator) calculation(a int, op sign, b, result int) exchange {
	form := g.pick(sumAsks)
	left, mark, right := strconv.Itoa(a), op.mark, strconv.Itoa(b)
	answer := fmt.Sprintf("%d %s %d = %d.", a, op.mark, b, result)
	switch {
	case form == "%?s?%":
		return exchange{left + mark + right, answer}
	case g.chance(12):
		left, mark, right = numerals[a], op.word, numerals[b]
		answer = upper(fmt.Sprintf("%s %s %s is %s.", numerals[a], op.word, numerals[b], numerals[result]))
	case g.chance(25):
		mark = op.word
	}
	return exchange{upper(fill(strings.Replace(form, "%s", "%", 1), left, mark, right)), answer}
}

func sum(g *Generator) exchange {
	a := g.random.IntN(most + 1)
	b := g.random.IntN(most + 1 - a)
	if g.chance(50) {
		a, b = b, a
	}
	return g.calculation(a, plus, b, a+b)
}

func difference(g *Generator) exchange {
	a := g.random.IntN(most + 1)
	b := g.random.IntN(a + 1)
	return g.calculation(a, minus, b, a-b)
}

func times(g *Generator) exchange {
	a := 1 + g.random.IntN(10)
	b := g.random.IntN(min(10, most/a) + 1)
	if g.chance(50) {
		a, b = b, a
	}
	return g.calculation(a, product, b, a*b)
}

func bareSum(g *Generator) exchange {
	a := g.random.IntN(11)
	b := g.random.IntN(11)
	return exchange{g.ask([]string{"What is % + %?", "% + %", "How much is % + %?"}, strconv.Itoa(a), strconv.Itoa(b)), strconv.Itoa(a + b)}
}

// bigSum is more than the models can do.
func bigSum(g *Generator) []string {
	op := g.pick([]string{"+", "*", "-", "plus", "times"})
	return []string{strconv.Itoa(100 + g.random.IntN(9900)), op, strconv.Itoa(21 + g.random.IntN(9000))}
}

func compare(g *Generator) exchange {
	a, b := g.random.IntN(most+1), g.random.IntN(most+1)
	x, y := strconv.Itoa(a), strconv.Itoa(b)
	if a == b {
		return exchange{g.ask([]string{"Which is bigger, % or %?", "Is % equal to %?"}, x, y), x + " and " + y + " are equal."}
	}
	low, high := strconv.Itoa(min(a, b)), strconv.Itoa(max(a, b))
	if g.chance(40) {
		return exchange{g.ask([]string{"Which is smaller, % or %?", "What is less, % or %?"}, x, y), low + " is smaller than " + high + "."}
	}
	return exchange{g.ask([]string{"Which is bigger, % or %?", "What is more, % or %?", "Which number is larger, % or %?"}, x, y), high + " is bigger than " + low + "."}
}

func counting(g *Generator) exchange {
	from, to := 1, 2+g.random.IntN(most-1)
	ask := g.ask([]string{"Count to %.", "Can you count to %?", "Please count to %."}, strconv.Itoa(to))
	if g.chance(15) {
		ask = g.ask([]string{"Count to %.", "Can you count to %?"}, numerals[to])
	}
	if g.chance(30) {
		from = 1 + g.random.IntN(12)
		to = from + 2 + g.random.IntN(most-from-1)
		ask = g.ask([]string{"Count from % to %.", "Can you count from % to %?"}, strconv.Itoa(from), strconv.Itoa(to))
	}
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, strconv.Itoa(i))
	}
	if g.chance(20) && from == 1 {
		to = min(to, 12)
		all = all[:to]
		for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
			all[i], all[j] = all[j], all[i]
		}
		ask = g.ask([]string{"Count down from %.", "Count backwards from %."}, strconv.Itoa(to))
	}
	return exchange{ask, strings.Join(all, ", ") + "."}
}

func nextNumber(g *Generator) exchange {
	n := 1 + g.random.IntN(most-1)
	if g.chance(50) {
		return exchange{
			g.ask([]string{"What number comes after %?", "What comes after %?", "Which number follows %?"}, strconv.Itoa(n)),
			fmt.Sprintf("After %d comes %d.", n, n+1),
		}
	}
	return exchange{
		g.ask([]string{"What number comes before %?", "What comes before %?"}, strconv.Itoa(n)),
		fmt.Sprintf("Before %d comes %d.", n, n-1),
	}
}

func parity(g *Generator) exchange {
	n := g.random.IntN(most + 1)
	kinds := []string{"even", "odd"}
	is, other := kinds[n%2], kinds[1-n%2]
	switch g.random.IntN(3) {
	case 0:
		return exchange{fmt.Sprintf("Is %d %s?", n, is), fmt.Sprintf("Yes, %d is %s.", n, is)}
	case 1:
		return exchange{fmt.Sprintf("Is %d %s?", n, other), fmt.Sprintf("No, %d is %s.", n, is)}
	}
	return exchange{g.ask([]string{"Is % even or odd?", "Is % odd or even?"}, strconv.Itoa(n)), fmt.Sprintf("%d is %s.", n, is)}
}

func doubling(g *Generator) exchange {
	n := g.random.IntN(most/2 + 1)
	if g.chance(40) {
		return exchange{g.ask([]string{"What is half of %?", "Half of %?"}, strconv.Itoa(2*n)), fmt.Sprintf("Half of %d is %d.", 2*n, n)}
	}
	return exchange{g.ask([]string{"What is twice %?", "What is the double of %?", "Double %."}, strconv.Itoa(n)), fmt.Sprintf("Twice %d is %d.", n, 2*n)}
}

var counted = strings.Fields("apples books balls coins cakes eggs stones stars flowers keys")

func wordProblem(g *Generator) exchange {
	name, thing := g.pick(names), g.pick(counted)
	a := 2 + g.random.IntN(9)
	if g.chance(50) {
		b := 2 + g.random.IntN(9)
		return exchange{
			fmt.Sprintf("%s has %d %s and gets %d more. How many %s does %s have?", name, a, thing, b, thing, name),
			fmt.Sprintf("%d + %d = %d. %s has %d %s.", a, b, a+b, name, a+b, thing),
		}
	}
	b := 1 + g.random.IntN(a-1)
	return exchange{
		fmt.Sprintf("%s has %d %s and gives away %d. How many %s does %s have?", name, a, thing, b, thing, name),
		fmt.Sprintf("%d - %d = %d. %s has %d left.", a, b, a-b, name, a-b),
	}
}

var (
	days    = strings.Fields("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
	months  = strings.Fields("January February March April May June July August September October November December")
	seasons = strings.Fields("spring summer autumn winter")
	ordinal = strings.Fields("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth")
)

var calendarFacts = rows(`
A week has seven days.|How many days are in a week?|How many days does a week have?
A year has twelve months.|How many months are in a year?|How many months does a year have?
A year has 365 days.|How many days are in a year?|How many days does a year have?
A day has 24 hours.|How many hours are in a day?|How many hours does a day have?
An hour has 60 minutes.|How many minutes are in an hour?|How many minutes does an hour have?
A minute has 60 seconds.|How many seconds are in a minute?|How many seconds does a minute have?
The days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.|What are the days of the week?|Name the days of the week.|List the days of the week.
The months are January, February, March, April, May, June, July, August, September, October, November and December.|What are the months?|Name the months of the year.|List the months.
The four seasons are spring, summer, autumn and winter.|What are the seasons?|Name the four seasons.|How many seasons are there?
The weekend is Saturday and Sunday.|What days are the weekend?|When is the weekend?
`)

func calendar(g *Generator) exchange {
	switch g.random.IntN(4) {
	case 0:
		line := g.row(calendarFacts)
		return exchange{g.pick(line[1:]), line[0]}
	case 1:
		return g.cycle(days, "day")
	case 2:
		return g.cycle(months, "month")
	}
	if g.chance(30) {
		return g.cycle(seasons, "season")
	}
	list, of := months, "month of the year"
	if g.chance(40) {
		list, of = days, "day of the week"
	}
	i := g.random.IntN(len(list))
	return exchange{
		g.ask([]string{"What is the % %?", "Which is the % %?", "Name the % %."}, ordinal[i], of),
		fmt.Sprintf("The %s %s is %s.", ordinal[i], of, list[i]),
	}
}

// cycle asks for the neighbour in a list that goes round.
func (g *Generator) cycle(list []string, kind string) exchange {
	i := g.random.IntN(len(list))
	if g.chance(65) {
		return exchange{
			g.ask([]string{"What comes after %?", "Which " + kind + " comes after %?", "What " + kind + " comes after %?"}, list[i]),
			fmt.Sprintf("After %s comes %s.", list[i], list[(i+1)%len(list)]),
		}
	}
	return exchange{
		g.ask([]string{"What comes before %?", "Which " + kind + " comes before %?"}, list[i]),
		fmt.Sprintf("Before %s comes %s.", list[i], list[(i+len(list)-1)%len(list)]),
	}
}
