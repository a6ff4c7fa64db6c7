package receipt

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// kept reads a receipt that was made once. The page's tests check it too.
func kept(t *testing.T, file string) Record {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// Receipts are good for ever, those of the first version too.
func TestKeptReceiptsVerify(t *testing.T) {
	rec, text := kept(t, "v1.json"), "Paris"
	if f := Verify(rec, Known{Text: &text, Root: &rec.Proof.Root}); !f.Valid || len(f.Proved) != 7 || f.ID != "rcpt_1" {
		t.Errorf("version 1: found %+v", f)
	}
	rec = kept(t, "votes.json")
	if f := Verify(rec, Known{Text: &text, Hotkey: hotkey.Address()}); !f.Valid || !slices.Contains(f.Proved, "the answer has the greatest weight, 1.05, of 2 that 3 miners voted for") {
		t.Errorf("version 2: found %+v", f)
	}
}

func point(f float64) *float64 { return &f }

// polled is a receipt of a vote that miners 0 and 2 won against 1; 3 was
// rejected and 4 said nothing that can be counted.
func polled() Receipt {
	miner := func(verdict string, score, weight *float64) Miner {
		return Miner{PeerID: "12D3n", Verdict: verdict, Score: score, Weight: weight, Standing: 0.9}
	}
	r := Receipt{
		Version: Version, ID: "rcpt_v", Strategy: "vote", Ranked: ByVotes, Validator: Validator{Hotkey: hotkey.Address()},
		Miners: []Miner{
			miner("accepted", point(0.6), point(0.6)), miner("accepted", point(0.95), point(0.95)),
			miner("unchecked", nil, point(0.45)), miner("rejected", point(0), nil), miner("accepted", point(0.9), nil),
		},
		Votes: []Vote{{Text("4"), 1.05, []int{0, 2}}, {Text("7"), 0.95, []int{1}}},
	}
	r.Miners[0].Chosen = true
	return r
}

func TestVotesAreCountedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *Receipt)
		want   string // what fails; empty if nothing does
	}{
		"as it was":         {func(*Receipt) {}, ""},
		"another won":       {func(r *Receipt) { r.Miners[0].Chosen, r.Miners[1].Chosen = false, true }, "chosen and did not win"},
		"two are chosen":    {func(r *Receipt) { r.Miners[2].Chosen = true }, "chosen and did not win"},
		"a heavier one":     {func(r *Receipt) { slices.Reverse(r.Votes) }, "greatest weight"},
		"a wrong sum":       {func(r *Receipt) { r.Votes[0].Weight = 1.06 }, "weighs 1.06, and its miners 1.05"},
		"a wrong weight":    {func(r *Receipt) { r.Miners[2].Weight = point(0.5) }, "does not weigh 0.45"},
		"a liar votes":      {func(r *Receipt) { r.Miners[3].Weight = point(0.001); r.Votes[1] = Vote{Text("7"), 0.951, []int{1, 3}} }, "rejected"},
		"twice":             {func(r *Receipt) { r.Votes[1].Miners = []int{1, 1} }, "voted before"},
		"nobody":            {func(r *Receipt) { r.Votes[1].Miners = nil }, "nobody"},
		"not there":         {func(r *Receipt) { r.Votes[1].Miners = []int{-1} }, "not there"},
		"no votes":          {func(r *Receipt) { r.Votes = nil }, "none"},
		"one is left out":   {func(r *Receipt) { r.Miners[4].Weight = point(0.9) }, "not counted"},
		"a judge votes":     {func(r *Receipt) { r.Miners[1].Role = "judge" }, "does not weigh"},
		"unexamined":        {func(r *Receipt) { r.Verified = true }, "does not weigh"},
		"an unknown way":    {func(r *Receipt) { r.Ranked = "luck" }, ""},
		"the highest score": {func(r *Receipt) { r.Ranked = ByScore }, "it has 0.6, and another 0.95"},
		"score of a loser":  {func(r *Receipt) { r.Ranked, r.Miners[0].Chosen, r.Miners[3].Chosen = ByScore, false, true }, "rejected, was chosen"},
		"the best score":    {func(r *Receipt) { r.Ranked, r.Miners[0].Chosen, r.Miners[1].Chosen = ByScore, false, true }, ""},
		"no log-probability": {func(r *Receipt) {
			r.Ranked, r.Miners[1].LogProb = ByLogProb, point(-9)
		}, "highest mean log-probability"},
		"no judge":                 {func(r *Receipt) { r.Ranked = ByJudge }, "no miner was asked"},
		"a judge":                  {func(r *Receipt) { r.Ranked, r.Miners[4].Role = ByJudge, "judge" }, ""},
		"no merger":                {func(r *Receipt) { r.Ranked, r.Miners[4].Role = ByMerge, "judge" }, "no miner was asked"},
		"a subnet without a model": {func(r *Receipt) { r.Kind = Open }, ""},
	} {
		r := polled()
		c.change(&r)
		f := Verify(seal(t, r), Known{})
		if failed := strings.Join(f.Failed, "\n"); f.Valid != (c.want == "") || !strings.Contains(failed, c.want) {
			t.Errorf("%s: failed %q, want %q", name, failed, c.want)
		}
		if open := strings.Join(f.Open, "\n"); (r.Kind == Open) != strings.Contains(open, "declares none") {
			t.Errorf("%s: open is %q", name, open)
		}
	}
}
