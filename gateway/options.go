package gateway

import (
	"math"
	"slices"

	"github.com/plexus-network/plexus/coin"
)

// Strategy says which of the miners' answers a user gets.
type Strategy string

// Best waits for the miners, checks their answers and gives the one with the
// highest score. First gives the answer that comes first among miners that
// have proved themselves. Without a word from the user a stream is First and
// all else is Best.
//
// BestOfK ranks the checked answers by the user's wish. Vote gives an answer
// that most of the miners agree on. Merge has one miner write one answer out of
// all. Best, BestOfK and Vote check before they speak, so a stream says all at
// once; Merge streams what a proven miner writes.
const (
	Best    Strategy = "best"
	First   Strategy = "first"
	BestOfK Strategy = "best-of-k"
	Vote    Strategy = "vote"
	Merge   Strategy = "merge"
)

var strategies = []Strategy{First, Best, BestOfK, Vote, Merge}

// What BestOfK ranks by: the verified score, the mean log-probability of the
// answer's tokens, or the word of a miner that reads all of them.
const (
	byScore   = "score"
	byLogProb = "logprob"
	byJudge   = "judge"
)

// plexusOptions are what a user may ask for beyond the OpenAI API.
type plexusOptions struct {
	Miners     *int     `json:"miners"`        // how many to ask
	Strategy   Strategy `json:"strategy"`      // whose answer to give
	By         string   `json:"by"`            // what best-of-k ranks by: score, logprob or judge
	Extract    string   `json:"extract"`       // what of an answer votes: auto, exact, number, last-line or json
	Field      string   `json:"field"`         // with json, the field that votes, such as result.value
	Verified   bool     `json:"verified_only"` // give only answers that were examined themselves
	MinScore   *float64 `json:"min_score"`     // ask only miners with at least this standing, 0 to 1
	MaxPrice   *uint64  `json:"max_price"`     // nplx that 1,000 tokens beyond the quota may cost
	Verdict    bool     `json:"verdict"`       // a stream goes on after its text until the scores are known
	Answers    bool     `json:"answers"`       // the report holds every miner's text, as content
	Candidates bool     `json:"candidates"`    // the report holds every miner's text, as text
}

// extras takes in what the user asked of Plexus.
func (p *prompt) extras(o *plexusOptions, l Limits) *problem {
	if o == nil {
		return nil
	}
	p.verdict, p.answers, p.candidates, p.verified = o.Verdict, o.Answers, o.Candidates, o.Verified
	if o.Miners != nil {
		p.miners = *o.Miners
	}
	if p.miners < 1 || p.miners > l.MaxMiners {
		return invalid("plexus.miners", "plexus.miners is %d; 1 to %d is allowed", p.miners, l.MaxMiners)
	}
	if o.MinScore != nil {
		p.minScore = *o.MinScore
	}
	if !(p.minScore >= 0 && p.minScore <= 1) || math.IsNaN(p.minScore) {
		return invalid("plexus.min_score", "plexus.min_score is %v; 0 to 1 is allowed", p.minScore)
	}
	if o.MaxPrice != nil {
		most := coin.Amount(*o.MaxPrice)
		p.maxPrice = &most
	}
	if o.Strategy != "" {
		if !slices.Contains(strategies, o.Strategy) {
			return invalid("plexus.strategy", "plexus.strategy is %.40q; %q are known", o.Strategy, strategies)
		}
		p.strategy = o.Strategy
	}
	if p.n > 1 && (p.strategy == Vote || p.strategy == Merge) {
		return invalid("n", "n is %d; %s makes one answer: leave n out, and set plexus.miners", p.n, p.strategy)
	}
	return p.ensemble(o)
}

// ensemble takes in how several answers become one.
func (p *prompt) ensemble(o *plexusOptions) *problem {
	p.by, p.extract, p.field = byScore, extractAuto, o.Field
	if o.By != "" {
		p.by = o.By
	}
	if o.Extract != "" {
		p.extract = o.Extract
	}
	switch p.by {
	case byScore, byJudge:
	case byLogProb:
		if p.model.Tokenizer == nil {
			return unsupported("plexus.by", "plexus.by is logprob, and %s tells none here; use score or judge", p.model.Name)
		}
	default:
		return invalid("plexus.by", "plexus.by is %.40q; score, logprob and judge are known", p.by)
	}
	if !slices.Contains(extracts, p.extract) {
		return invalid("plexus.extract", "plexus.extract is %.40q; %q are known", p.extract, extracts)
	}
	if p.field != "" && p.extract != extractJSON {
		return invalid("plexus.field", `plexus.field needs plexus.extract to be "json"`)
	}
	return nil
}
