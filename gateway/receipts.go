package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/gateway/receipt"
	"github.com/plexus-network/plexus/subnet"
)

// newReceipt returns an id for the receipt of a round, empty where none are
// kept. Until the round ends the receipt counts as pending.
func (g *Gateway) newReceipt() string {
	if g.receipts == nil {
		return ""
	}
	id := "rcpt_" + newID()
	g.pending.Store(id, true)
	return id
}

// also adds the receipts of another prompt of the same request.
func (o *report) also(other *report) {
	if other.Receipt == "" {
		return
	}
	if len(o.Receipts) == 0 {
		o.Receipts = []string{o.Receipt}
	}
	o.Receipts = append(o.Receipts, other.Receipt)
}

// file signs and keeps the receipt of a round whose answer was given, and which
// is not going to change.
func (g *Gateway) file(ctx context.Context, r *round) {
	if r.receipt == "" || len(r.chosen) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := g.receipts.File(ctx, r.record()); err != nil {
		g.log.Error("a receipt is lost", "receipt", r.receipt, "error", err)
	}
}

// record writes down what happened in a round.
func (r *round) record() receipt.Receipt {
	p, m := &r.prompt, r.model
	gave := slices.Concat(r.chosen...)
	counted := usageOf(p, gave...)
	task := gave[len(gave)-1].trial.Task
	out := receipt.Receipt{
		ID: r.receipt, Request: r.request, Created: r.began.Unix(), Model: m.Name, Manifest: m.Manifest,
		Netuid: m.Netuid, Height: task.Height, BlockHash: task.BlockHash,
		Validator: receipt.Validator{UID: m.Validator.UID, Account: m.Validator.Account, PeerID: m.Validator.PeerID},
		Strategy:  string(p.strategy), Why: r.whyChosen(), Ranked: r.by, Verified: p.verified, Prompt: p.hash(),
		Usage: receipt.Usage{Prompt: counted.Prompt, Completion: counted.Completion, Total: counted.Total},
	}
	out.Output = output(r.chosen[0])
	for _, legs := range r.chosen[1:] {
		out.Others = append(out.Others, output(legs))
	}
	for _, l := range r.legs {
		out.Miners = append(out.Miners, r.part(l))
	}
	if m.openEnded() {
		out.Kind = m.Kind
	}
	for _, v := range r.votes {
		vote := receipt.Vote{Answer: receipt.Text(v.Answer), Weight: v.Weight}
		for _, l := range v.legs {
			place := slices.Index(r.legs, l)
			weight := l.weight()
			vote.Miners, out.Miners[place].Weight = append(vote.Miners, place), &weight
		}
		out.Votes = append(out.Votes, vote)
	}
	return out
}

// output hashes what legs said in turn.
func output(legs []*leg) receipt.Output {
	var said strings.Builder
	var ids []engine.Token
	told := true
	for _, l := range legs {
		said.WriteString(l.text.String())
		ids = append(ids, tokensOf(l.tokens)...)
		told = told && (len(l.tokens) > 0 || l.text.Len() == 0)
	}
	out := receipt.Output{Text: receipt.Text(said.String())}
	if told {
		h := receipt.Tokens(ids)
		out.Tokens = &h
	}
	return out
}

// part writes down what one miner did.
func (r *round) part(l *leg) receipt.Miner {
	m := receipt.Miner{
		UID: l.Peer.UID, Account: l.Peer.Account, PeerID: l.Peer.PeerID,
		Verdict: l.verdict(), Reason: l.why, Exchange: l.trial.Answer.Receipt,
		Standing: round4(l.Score), Role: l.role,
	}
	if t := l.trial.Task; t.ID != (subnet.TaskID{}) {
		m.Task = &receipt.Task{ID: hex.EncodeToString(t.ID[:]), Height: t.Height, BlockHash: t.BlockHash}
	}
	if l.state == judged {
		score := round4(l.score.Value)
		m.Score, m.Reason, m.Examined = &score, l.score.Reason, l.score.Checked
	}
	if r.by == receipt.ByLogProb && len(l.tokens) > 0 {
		mean := round4(l.meanLogProb())
		m.LogProb = &mean
	}
	m.Chosen = r.chose(l)
	return m
}

// hash names what was asked.
func (p *prompt) hash() receipt.Hash {
	switch {
	case len(p.ask.Tokens) > 0:
		return receipt.TokensPrompt(p.ask.Tokens)
	case len(p.ask.Messages) == 0:
		return receipt.TextPrompt(p.ask.Prompt)
	}
	messages := make([]receipt.Message, len(p.ask.Messages))
	for i, m := range p.ask.Messages {
		messages[i] = receipt.Message{Role: string(m.Role), Content: m.Content}
	}
	return receipt.MessagesPrompt(messages)
}

// showReceipt serves GET /v1/receipts/{id}.
func (g *Gateway) showReceipt(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	rec, err := g.receipts.Read(r.Context(), id)
	_, pending := g.pending.Load(id)
	switch {
	case err == nil:
		w.Header().Set("Cache-Control", "no-cache") // its proof comes later
		writeJSON(w, http.StatusOK, rec)
	case errors.Is(err, receipt.ErrNotFound) && pending:
		(&problem{
			status: http.StatusNotFound, kind: kindInvalid, code: "receipt_pending", retry: time.Second,
			message: "the receipt is signed once all miners' answers are checked; ask again in a second",
		}).write(w)
	case errors.Is(err, receipt.ErrNotFound):
		(&problem{
			status: http.StatusNotFound, kind: kindInvalid, code: "receipt_not_found",
			message: "there is no such receipt here, or it is too old",
		}).write(w)
	default:
		asProblem(err, g).write(w)
	}
}

// listRoots serves GET /v1/receipts: the roots of the latest epochs.
func (g *Gateway) listRoots(w http.ResponseWriter, r *http.Request) {
	roots, err := g.receipts.Roots(r.Context())
	if err != nil {
		asProblem(err, g).write(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": roots})
}
