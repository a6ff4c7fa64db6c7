package vocab

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWordsFollowTheRule(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"Hello, world!", []string{"Hello", ",", " world", "!"}},
		{"it's 12 o'clock", []string{"it", "'s", " 12", " o", "'", "clock"}},
		{"a  b", []string{"a", " ", " b"}},
		{"a\nb", []string{"a", "\n", "b"}},
		{"a \n", []string{"a", " \n"}},
		{"a \n b", []string{"a", " \n", " b"}},
		{"3+4=7.", []string{"3", "+", "4", "=", "7", "."}},
		{" ", []string{" "}},
		{"árbol niño", []string{"árbol", " niño"}},
	} {
		if got := Words(c.text); !slices.Equal(got, c.want) {
			t.Errorf("Words(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}

func TestEncodeIsUndoneByDecode(t *testing.T) {
	v := Learn([]string{"the cat and the dog and the cat", "the end of the day"}, 280)
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		if got := v.Decode(v.Encode(text)); got != text {
			t.Fatalf("%q came back as %q", text, got)
		}
	})
}

func TestLearnMergesTheMostFrequentPair(t *testing.T) {
	v := Learn([]string{"abab ab", "ab"}, 300)
	if got := v.Merges()[0]; got != "a b" {
		t.Errorf("first merge is %q, want %q", got, "a b")
	}
	if got := v.Encode("ab"); len(got) != 1 {
		t.Errorf("ab is %d tokens, want 1", len(got))
	}
}

func TestParseReadsWhatMergesSpells(t *testing.T) {
	text := strings.Repeat("How do you say niño? It's 12 o'clock. ", 4)
	v := Learn([]string{text}, 300)
	again, err := Parse(v.Merges())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.Tokens(), v.Tokens()) || !slices.Equal(again.Encode(text), v.Encode(text)) {
		t.Error("the vocabulary changed on the way")
	}
	if _, err := Parse([]string{"xy z"}); err == nil {
		t.Error("a merge of an unknown token was taken")
	}
}
