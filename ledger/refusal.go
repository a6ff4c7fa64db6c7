package ledger

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// A TxError is a transaction that the chain refused or that failed in a block.
type TxError struct {
	Codespace string // the module that refused
	Code      uint32 // its reason
	Log       string // the reason in words
	Hash      string // empty if a trial run failed, and nothing was sent
	Height    yuma.Height
}

// Error says why in words, with great amounts in PLX.
func (e *TxError) Error() string {
	text := great.ReplaceAllStringFunc(e.Log, func(found string) string {
		digits := strings.IndexFunc(found, unicode.IsDigit)
		amount, err := coin.Parse(found[digits:])
		if err != nil {
			return found
		}
		return found[:digits] + amount.String()
	})
	return funds.ReplaceAllString(text, "the account has $1 to spend, and this takes $2: send it coins")
}

// great finds amounts of a thousandth of a PLX and more, and of nothing, with
// what stands before them: not the fraction of a price.
var great = regexp.MustCompile(`(?:^|[^0-9.])(?:0|[0-9]{7,19})` + coin.Denom + `\b`)

// funds finds how x/bank says that there is too little.
var funds = regexp.MustCompile(`spendable balance (\S+) is smaller than (\S+): insufficient funds`)

// is tells whether e is the SDK's error want.
func (e *TxError) is(want *errorsmod.Error) bool {
	return e.Codespace == want.Codespace() && e.Code == want.ABCICode()
}

// txError returns why a transaction failed, nil if it did not.
func txError(resp *sdk.TxResponse) error {
	if resp.Code == 0 {
		return nil
	}
	log := plain(resp.RawLog)
	if log == "" {
		log = fmt.Sprintf("%s refuses it with code %d", resp.Codespace, resp.Code)
	}
	return &TxError{Codespace: resp.Codespace, Code: resp.Code, Log: log, Hash: resp.TxHash, Height: height(resp.Height)}
}

// noise is what the state machine and its transport put around the words of a
// module.
var noise = regexp.MustCompile(`rpc error: code = \w+ desc = |codespace \w+ code \d+: (not found: )?|` +
	`failed to execute message; message (index: \d+|.*?): | \[[^\]\s]*\.go:\d+\]|` +
	`(: unknown request)?( with gas used: '\d+')|: (invalid request|not found)$`)

// plain returns what a node says in the words of who said it first.
func plain(log string) string {
	for {
		less := noise.ReplaceAllString(log, "")
		if less == log {
			return strings.TrimSpace(log)
		}
		log = less
	}
}

// expected finds the sequence that the chain wanted.
var expected = regexp.MustCompile(`account sequence mismatch, expected (\d+), got \d+`)

// sequenceIn returns the sequence that the chain says it wants, if it does. It
// counts transactions that wait for a block, which the account's state does
// not.
func sequenceIn(e *TxError) (uint64, bool) {
	m := expected.FindStringSubmatch(e.Log)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	return n, err == nil
}

// required finds the fee that the node wanted.
var required = regexp.MustCompile(`required: (\d+)` + coin.Denom)

// feeIn returns the fee that the node says it wants, or 0.
func feeIn(e *TxError) coin.Amount {
	m := required.FindStringSubmatch(e.Log)
	if m == nil || !e.is(sdkerrors.ErrInsufficientFee) {
		return 0
	}
	fee, err := coin.Parse(m[1] + coin.Denom)
	if err != nil {
		return 0
	}
	return fee
}
