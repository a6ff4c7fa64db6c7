package quiz

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

func seed(i int) [32]byte { return sha256.Sum256(fmt.Append(nil, i)) }

func TestMakeIsAFunctionOfItsSeed(t *testing.T) {
	for i := range 200 {
		level := i%Levels + 1
		if a, b := Make(seed(i), level), Make(seed(i), level); a != b || a.Level != level || a.Prompt == "" {
			t.Fatalf("seed %d gives %+v and %+v", i, a, b)
		}
	}
}

func TestTheAnswerIsRightHoweverItIsSaid(t *testing.T) {
	for i := range 2000 {
		task := Make(seed(i), i%Levels+1)
		for _, form := range []string{"%s", " %s.", "Let me see.\nAnswer: %s", "**Answer:** %s", "Answer: \"%s\"\n"} {
			if reply := fmt.Sprintf(form, task.Answer); !task.Right(reply) {
				t.Errorf("%q is not taken for the answer %q to %q", reply, task.Answer, task.Prompt)
			}
		}
		if task.shape != list && !task.Right("I think that it is "+task.Answer) {
			t.Errorf("a sentence with %q at its end is not taken", task.Answer)
		}
	}
}

func TestFormatGamesDoNotPay(t *testing.T) {
	for i := range 500 {
		task := Make(seed(i), i%Levels+1)
		wrong := "7777777"
		if task.shape != number {
			wrong = "nonsense"
		}
		for _, reply := range []string{
			"", " ", wrong, "Answer:", "Answer: ",
			task.Answer + "\n" + wrong,
			"Answer: " + task.Answer + "\nAnswer: " + wrong,
			"Answer: " + task.Answer + " or " + wrong,
			"It is " + task.Answer + " or " + wrong,
			strings.Repeat(task.Answer+" ", 10) + wrong,
			task.Prompt + "\n" + wrong,
		} {
			if task.Right(reply) {
				t.Errorf("%q is taken for the answer %q", reply, task.Answer)
			}
		}
	}
}

func TestGuessersSeldomGuess(t *testing.T) {
	right := map[string]int{}
	const n = 3000
	for i := range n {
		task := Make(seed(i), i%Levels+1)
		for _, guess := range []string{"0", "1", "2", "Anna", "a", "kitchen", "apple"} {
			if task.Right(guess) {
				right[guess]++
			}
		}
	}
	for guess, k := range right {
		if k > n/20 {
			t.Errorf("%q is right %d times of %d", guess, k, n)
		}
	}
}

func TestTasksSeldomRepeat(t *testing.T) {
	for level := 2; level <= Levels; level++ {
		seen := map[string]bool{}
		for i := range 2000 {
			seen[Make(seed(i), level).Prompt] = true
		}
		if len(seen) < 1900 {
			t.Errorf("level %d: %d different prompts of 2000", level, len(seen))
		}
	}
}

// TestAnswersByHand holds the families to cases worked out by a person.
func TestAnswersByHand(t *testing.T) {
	for _, c := range []struct {
		reply, answer string
		shape         shape
		want          bool
	}{
		{"12 + 7 = 19.", "19", number, true},
		{"12 + 7 = 19, and 7 + 12 = 18", "19", number, false},
		{"It is 1,234.", "1234", number, true},
		{"-5", "-5", number, true},
		{"5", "-5", number, false},
		{"007", "7", number, true},
		{"Answer: 120 minutes", "120", number, true},
		{"Answer: 120 or 121", "120", number, false},
		{"0", "0", number, true},
		{"1, 2, 3", "1, 2, 3", list, true},
		{"[1 2 3]", "1, 2, 3", list, true},
		{"3, 2, 1", "1, 2, 3", list, false},
		{"The oldest is Nora.", "Nora", word, true},
		{"Nora, not Max.", "Nora", word, false},
	} {
		if got := (Task{Answer: c.answer, shape: c.shape}).Right(c.reply); got != c.want {
			t.Errorf("%q for %q: %t", c.reply, c.answer, got)
		}
	}
}

func FuzzRight(f *testing.F) {
	f.Add("Answer: 5", uint16(3))
	f.Fuzz(func(t *testing.T, reply string, i uint16) {
		Make(seed(int(i)), int(i)%Levels+1).Right(reply) // must stand whatever came
	})
}
