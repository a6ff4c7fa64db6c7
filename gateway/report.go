package gateway

import (
	"fmt"
	"math"
	"slices"

	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// A report says how an answer came about: the field "plexus" of a response.
type report struct {
	RequestID string        `json:"request_id"`
	Model     string        `json:"model"`
	Receipt   string        `json:"receipt,omitempty"`  // its id, for GET /v1/receipts/{id}
	Receipts  []string      `json:"receipts,omitempty"` // those of all prompts, where a request had several
	Strategy  Strategy      `json:"strategy"`
	Why       string        `json:"why"` // for people: why the chosen miner
	Subnet    yuma.Netuid   `json:"subnet"`
	Kind      string        `json:"kind,omitempty"`    // open where the subnet declares no model; empty where it does
	Ignored   []string      `json:"ignored,omitempty"` // settings of the request that no miner was told of
	Height    yuma.Height   `json:"height"`            // block that the answer is bound to
	Validator peerReport    `json:"validator"`
	Miners    []minerReport `json:"miners"`            // as they were asked
	Votes     []voteReport  `json:"votes,omitempty"`   // of the strategy vote, the winner first
	Resumed   []shift       `json:"resumed,omitempty"` // where another miner went on
}

// A voteReport is what some miners agreed on.
type voteReport struct {
	Answer string     `json:"answer"` // in the form that was compared
	Weight float64    `json:"weight"` // sum of the verified scores behind it
	Miners []yuma.UID `json:"miners"`

	legs []*leg
}

// A shift is where one miner's part of a stream ends and another's begins.
type shift struct {
	From  yuma.UID `json:"from_uid"`
	To    yuma.UID `json:"to_uid"`
	Token int      `json:"at_token"` // of the answer, from 0: the first of the new miner
	Gap   *float64 `json:"gap_ms"`   // between two pieces of text, as the client saw it; null when nothing came

	to *leg
}

type peerReport struct {
	UID     yuma.UID `json:"uid"`
	Account string   `json:"account"`
	Peer    string   `json:"peer"`
}

type minerReport struct {
	peerReport
	Score    *float64 `json:"score"`      // of this answer; null without a verdict
	Standing float64  `json:"standing"`   // the miner's running score before this answer
	Latency  *float64 `json:"latency_ms"` // to the first text; null when none came
	Total    *float64 `json:"total_ms"`   // to the end; null while it runs
	Tokens   int      `json:"tokens"`
	Rate     *float64 `json:"tokens_per_s"` // after the first text; null while unknown
	Verdict  string   `json:"verdict"`      // accepted, rejected, worthless, unchecked, pending, failed or cancelled
	Reason   string   `json:"reason"`       // for people; empty when all is well
	Chosen   bool     `json:"chosen"`
	Role     string   `json:"role,omitempty"`    // judge: it was asked about the others' answers
	Vote     string   `json:"vote,omitempty"`    // what its answer says, when answers vote
	Content  *string  `json:"content,omitempty"` // its text, when the request asked for all answers
	Text     *string  `json:"text,omitempty"`    // its text, when the request asked for all candidates
}

// rate is the leg's tokens per second after its first text, or nil.
func (l *leg) rate(tokens int) *float64 {
	took := l.total
	if l.first > 0 && l.total > l.first {
		took, tokens = l.total-l.first, tokens-1
	}
	if took <= 0 || tokens < 1 {
		return nil
	}
	v := math.Round(float64(tokens)/took.Seconds()*10) / 10
	return &v
}

func peerOf(p subnet.Peer) peerReport { return peerReport{p.UID, p.Account, p.PeerID} }

// verdict names where a leg stands.
func (l *leg) verdict() string {
	switch l.state {
	case running:
		return "pending"
	case complete:
		return "unchecked"
	case failed:
		return "failed"
	case cancelled:
		return "cancelled"
	case judged:
	}
	switch {
	case l.score.Reject:
		return "rejected"
	case l.score.Value > 0:
		return "accepted"
	}
	return "worthless"
}

// report describes the round as it stands, with chosen as the answers that were
// given, each by the legs that gave it in turn.
func (r *round) report(id string, chosen ...[]*leg) *report {
	out := &report{
		RequestID: id, Model: r.model.Name, Strategy: r.prompt.strategy,
		Subnet: r.model.Netuid, Ignored: r.prompt.ignored, Validator: peerOf(r.model.Validator), Receipt: r.receipt,
		Votes: r.votes, Resumed: r.shifts,
	}
	if r.model.openEnded() {
		out.Kind = r.model.Kind
	}
	r.request, r.chosen = id, chosen
	out.Why = r.whyChosen()
	for _, l := range r.legs {
		out.Height = max(out.Height, l.trial.Task.Height)
		m := minerReport{
			peerReport: peerOf(l.Peer), Standing: round4(l.Score),
			Latency: millis(l.first.Seconds()), Total: millis(l.total.Seconds()),
			Tokens: l.count(&r.prompt), Verdict: l.verdict(), Reason: l.why, Role: l.role, Vote: l.vote,
		}
		m.Rate = l.rate(m.Tokens)
		if l.state == judged {
			score := round4(l.score.Value)
			m.Score, m.Reason = &score, l.score.Reason
		}
		m.Chosen = r.chose(l)
		if r.prompt.answers {
			s := l.text.String()
			m.Content = &s
		}
		if r.prompt.candidates {
			s := l.text.String()
			m.Text = &s
		}
		out.Miners = append(out.Miners, m)
	}
	return out
}

// chose tells whether a leg's answer was given.
func (r *round) chose(l *leg) bool {
	return slices.ContainsFunc(r.chosen, func(legs []*leg) bool { return slices.Contains(legs, l) })
}

// each makes whole answers of legs.
func each(legs []*leg) (all [][]*leg) {
	for _, l := range legs {
		all = append(all, []*leg{l})
	}
	return all
}

// whyChosen says in words why the answers were given.
func (r *round) whyChosen() string {
	if len(r.chosen) == 0 {
		return ""
	}
	legs, accepted := r.chosen[0], len(r.ranked())
	l := legs[0]
	switch {
	case r.said != "":
		return r.said
	case len(r.chosen) > 1 && r.prompt.strategy == First:
		return fmt.Sprintf("the first %d answers of %d miners", len(r.chosen), len(r.legs))
	case len(r.chosen) > 1:
		return fmt.Sprintf("the %d best of %d answers", len(r.chosen), accepted)
	case len(legs) > 1:
		return fmt.Sprintf("miner %d took over when miner %d failed", legs[len(legs)-1].Peer.UID, l.Peer.UID)
	case l.state == judged && l.score.Reject:
		return "it came first, and did not pass the check afterwards"
	case r.prompt.strategy == First && l.proven:
		return fmt.Sprintf("first text of %d miners, after %.0f ms", len(r.legs), l.first.Seconds()*1e3)
	case r.prompt.strategy == First && l.state == judged:
		return fmt.Sprintf("first answer of %d miners that passed the check", len(r.legs))
	case l.state != judged:
		return "no answer was checked in time; this miner has the best name"
	case accepted == 1:
		return fmt.Sprintf("the only accepted answer of %d miners", len(r.legs))
	}
	return fmt.Sprintf("highest score, %.2f, of %d accepted answers", l.score.Value, accepted)
}

// millis turns seconds into milliseconds with a tenth, and 0 into nil.
func millis(seconds float64) *float64 {
	if seconds == 0 {
		return nil
	}
	ms := math.Round(seconds*1e4) / 10
	return &ms
}

func round4(f float64) float64 { return math.Round(f*1e4) / 1e4 }
