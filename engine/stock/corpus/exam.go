package corpus

import (
	"strings"

	"github.com/plexus-network/plexus/engine"
)

// A Question asks a stock model something that it ought to know. The last
// message is the user's.
type Question struct {
	Messages []engine.Message
	Accept   []string // an answer that holds one of these is right, whatever its case
}

// Right tells whether answer is one that q accepts.
func (q Question) Right(answer string) bool {
	for _, a := range q.Accept {
		if strings.Contains(strings.ToLower(answer), strings.ToLower(a)) {
			return true
		}
	}
	return false
}

// A line is a question, or a dialogue of the user and the assistant in turn
// separated by slashes, and the accepted answers. Several phrasings are not
// among those that the models learn from.
const exam = `
Hello|how can i help|what would you like|nice to meet|what can i do
Hi! How are you?|fine|well
Who are you?|plexus
What's your name?|plexus
What can you do?|stor
Are you a human?|no
What is 3 + 4?|= 7|is seven
What is 7 + 8?|15
2+2|4
How much is 12 - 5?|= 7
What is nine plus three?|twelve|12
What is 5 times 3?|15
Which is bigger, 4 or 11?|11 is
Count to 6.|1, 2, 3, 4, 5, 6
What number comes after 12?|13
Is 7 even or odd?|odd
What is the capital of France?|paris
What is the capital of Japan?|tokyo
Do you know the capital of Egypt?|cairo
capital of spain|madrid
Is Rome the capital of Italy?|yes
What is a validator?|weights
What is a miner?|subnet
What is a subnet?|network
What does stake mean?|PLX
Explain emission.|block
What is an epoch?|yuma
What is the metagraph?|state of a subnet
What is PLX?|token
How do miners earn money?|validators
What is the opposite of hot?|cold
What is the opposite of fast?|slow
How do you say cat in Spanish?|gato
Translate water into French.|eau
What is house in German?|haus
What color is the sky?|blue
What colour is snow?|white
What does a cow say?|moo
How many days are in a week?|seven|7
What comes after Monday?|tuesday
How many legs does a spider have?|eight|8
Is ice cold?|yes
Is an apple a fruit?|yes
What is the plural of mouse?|mice
Tell me a story.|once|long ago
Tell me a story about a dragon.|dragon
My name is Anna.|anna
My name is Tom./Hello, Tom! How can I help you?/What is my name?|tom
What is the capital of Italy?/The capital of Italy is Rome./And what is 2 + 3?|5
Thank you!|welcome
Who won the game last night?|do not know
What is 4821 * 77?|too large
`

// Exam returns the questions that the stock models are measured by.
func Exam() []Question {
	var all []Question
	for _, r := range rows(exam) {
		q := Question{Accept: r[1:]}
		for i, text := range strings.Split(r[0], "/") {
			role := engine.User
			if i%2 == 1 {
				role = engine.Assistant
			}
			q.Messages = append(q.Messages, engine.Message{Role: role, Content: text})
		}
		all = append(all, q)
	}
	return all
}
