// Package receipt is the signed record of one answer: what was asked and
// answered, by hash, which miners were asked, what became of each, and the
// miners' own signatures on it.
//
// A [Receipt] travels in an [Envelope] that the validator's hotkey signed. The
// receipts of an epoch are the leaves of a Merkle tree whose root is published,
// so that a validator cannot later deny one or slip one in. An [Archive] keeps
// them; [Verify] checks one with nothing but the file. docs/receipts.md is the
// format, for those who check receipts in other languages.
package receipt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/plexus-network/plexus/yuma"
)

// Version is the version of the format. Version 1, which is still read, lacks
// the fields that are marked so.
const Version = 2

// ErrMalformed means that bytes are no receipt, or one out of its bounds.
var ErrMalformed = errors.New("receipt: malformed")

// MaxFile bounds the bytes of a file with all that belongs to a receipt.
const MaxFile = 2 << 20

// Bounds of a receipt. What exceeds them is [ErrMalformed].
const (
	maxMiners = 64
	maxOthers = 64
	maxVotes  = 64
	maxPath   = 64
)

// A Hash is a SHA-256 hash, in text as 64 lower-case hex digits.
type Hash [sha256.Size]byte

// String returns the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the hash in hex.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads 64 hex digits.
func (h *Hash) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(h) || len(b)%2 != 0 {
		return fmt.Errorf("%w: a hash of %d characters, not %d", ErrMalformed, len(b), hex.EncodedLen(len(h)))
	}
	if _, err := hex.Decode(h[:], b); err != nil {
		return fmt.Errorf("%w: a hash: %w", ErrMalformed, err)
	}
	return nil
}

// A Receipt says how one answer came about.
type Receipt struct {
	Version   int         `json:"version"`
	ID        string      `json:"id"`
	Request   string      `json:"request_id"` // of the request, as in its response's X-Request-Id
	Created   int64       `json:"created"`    // Unix seconds
	ChainID   string      `json:"chain_id"`
	Model     string      `json:"model"`
	Manifest  Hash        `json:"manifest_sha256"` // of the subnet's kind parameters, as they are on chain
	Netuid    yuma.Netuid `json:"netuid"`
	Kind      string      `json:"kind,omitempty"` // of the subnet, see Open; since version 2
	Height    yuma.Height `json:"height"`         // block that the answer is bound to
	BlockHash Hash        `json:"block_hash"`
	Validator Validator   `json:"validator"`
	Strategy  string      `json:"strategy"`
	Why       string      `json:"why"`                     // for people: why this answer
	Ranked    string      `json:"ranked_by,omitempty"`     // what put this answer first; since version 2
	Verified  bool        `json:"verified_only,omitempty"` // only answers that were examined could be given; since version 2
	Prompt    Hash        `json:"prompt_sha256"`
	Output                // that was given first
	Others    []Output    `json:"others,omitempty"` // further answers of the same response
	Usage     Usage       `json:"usage"`
	Miners    []Miner     `json:"miners"` // as they were asked
	Votes     []Vote      `json:"votes"`  // how the miners' answers were counted, the winner first; null where they were not
}

// What can put an answer first, as Ranked names it.
const (
	ByFirst   = "first"   // it came first, from a miner that had proved itself, or passed the check first
	ByScore   = "score"   // its verified score, before all that have none
	ByLogProb = "logprob" // the mean log-probability of its tokens
	ByVotes   = "votes"   // the weight of those that say the same
	ByJudge   = "judge"   // the word of a miner that read the answers
	ByMerge   = "merge"   // a miner wrote it out of the answers
)

// Open is the kind of a subnet that declares no model: whoever answered may run
// any.
const Open = "open"

// A Vote is an answer that miners agree on.
type Vote struct {
	Answer Hash    `json:"answer_sha256"` // of what they say, in the form that was compared
	Weight float64 `json:"weight"`        // sum of its miners' weights
	Miners []int   `json:"miners"`        // their places in the receipt's miners, the best first
}

// An Output is one answer by its hashes.
type Output struct {
	Tokens *Hash `json:"tokens_sha256"` // of the ids, uint32 little-endian each; null if the miner told none
	Text   Hash  `json:"text_sha256"`
}

// A Validator is who signs.
type Validator struct {
	UID     yuma.UID `json:"uid"`
	Account string   `json:"account"`
	Hotkey  string   `json:"hotkey"` // address of the key that signs
	PeerID  string   `json:"peer_id"`
}

// Usage counts tokens, as the response did.
type Usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// A Miner is one miner's part.
type Miner struct {
	UID     yuma.UID `json:"uid"`
	Account string   `json:"account"`
	PeerID  string   `json:"peer_id"`
	Task    *Task    `json:"task"`    // null if there was none
	Score   *float64 `json:"score"`   // 0 to 1; null without a verdict
	Verdict string   `json:"verdict"` // as in the response's report
	Reason  string   `json:"reason"`
	Chosen  bool     `json:"chosen"`

	// Since version 2.
	Standing float64  `json:"standing,omitempty"`     // running score before this answer, 0 to 1
	Examined bool     `json:"examined,omitempty"`     // this answer itself was checked, not passed on its miner's name
	Role     string   `json:"role,omitempty"`         // judge: it was asked about the others' answers
	LogProb  *float64 `json:"mean_logprob,omitempty"` // of its answer's tokens, where that ranked the answers
	Weight   *float64 `json:"vote_weight,omitempty"`  // what its answer counted in the vote; null if it had none

	Exchange json.RawMessage `json:"exchange"` // a p2p.Receipt; null if the miner signed nothing
}

// A Task is what seeds a miner's answer, beside the manifest and who is who.
type Task struct {
	ID        string      `json:"id"` // 32 hex digits
	Height    yuma.Height `json:"height"`
	BlockHash Hash        `json:"block_hash"`
}

// Tokens hashes token ids.
func Tokens[T ~int32 | ~int | ~uint32](ids []T) Hash {
	b := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return sha256.Sum256(b)
}

// Text hashes a text.
func Text(s string) Hash { return sha256.Sum256([]byte(s)) }

// A Message is one message of a conversation.
type Message struct{ Role, Content string }

// The prompt's hash begins with what the prompt is, so that no two prompts of
// different forms share one.
const (
	messagesForm = "plexus/prompt/v1/messages\x00"
	textForm     = "plexus/prompt/v1/text\x00"
	tokensForm   = "plexus/prompt/v1/tokens\x00"
)

// MessagesPrompt hashes a conversation: each role and each content stands
// behind its length in bytes as a little-endian uint32.
func MessagesPrompt(messages []Message) Hash {
	b := []byte(messagesForm)
	for _, m := range messages {
		for _, s := range []string{m.Role, m.Content} {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
			b = append(b, s...)
		}
	}
	return sha256.Sum256(b)
}

// TextPrompt hashes a bare text.
func TextPrompt(s string) Hash { return sha256.Sum256([]byte(textForm + s)) }

// TokensPrompt hashes a prompt of token ids, uint32 little-endian each.
func TokensPrompt[T ~int32 | ~int | ~uint32](ids []T) Hash {
	b := []byte(tokensForm)
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return sha256.Sum256(b)
}

// decode reads a receipt's JSON.
func decode(payload []byte) (Receipt, error) {
	var r Receipt
	if err := json.Unmarshal(payload, &r); err != nil {
		return r, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case r.Version < 1 || r.Version > Version:
		return r, fmt.Errorf("%w: version %d; this program knows 1 to %d", ErrMalformed, r.Version, Version)
	case r.ID == "" || len(r.ID) > 128:
		return r, fmt.Errorf("%w: an id of %d characters, 1 to 128 are allowed", ErrMalformed, len(r.ID))
	case len(r.Miners) > maxMiners || len(r.Others) > maxOthers || len(r.Votes) > maxVotes:
		return r, fmt.Errorf("%w: %d miners, %d further answers and %d votes; at most %d, %d and %d are allowed", ErrMalformed,
			len(r.Miners), len(r.Others), len(r.Votes), maxMiners, maxOthers, maxVotes)
	}
	return r, nil
}

// none tells whether raw JSON holds nothing.
func none(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}
