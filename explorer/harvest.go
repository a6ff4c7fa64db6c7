package explorer

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"

	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/bech32"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
)

// A harvest is what one block says by itself, before anything is looked up.
type harvest struct {
	height, time   int64
	rows           rows
	deltas         map[string]int64 // of balances, by account
	minted, burned int64
	rewards        map[string]*reward // by operator
	epochs         []*subnetv1.EventEpoch
	seats          []seat
	stakeMoved     bool

	tx          int    // index of the transaction that is being read, or outside
	transfers   int    // so far
	collections int    // so far
	failed      int    // transactions
	collector   string // account that fees go to
}

// outside is the index of no transaction: what the block itself did.
const outside = -1

// A reward is what a validator and its delegators got in a block.
type reward struct{ whole, commission int64 }

// A seat is a slot that changed hands.
type seat struct {
	netuid, uid uint32
	account     string
}

// reap reads a block. It never fails: what it does not know it leaves out.
func reap(b *ledger.Block) *harvest {
	h := &harvest{
		height: int64(b.Height), time: b.Time.UnixMilli(), rows: rows{},
		deltas: map[string]int64{}, rewards: map[string]*reward{},
		collector: wallet.FormatAddress(authtypes.NewModuleAddress(authtypes.FeeCollectorName)),
	}
	for i := range b.Txs {
		h.tx = i
		h.transaction(&b.Txs[i])
	}
	h.tx = outside
	for i := range b.Events {
		h.event(&b.Events[i])
	}
	h.rows.add(blocksTable, h.height, h.time, strings.ToUpper(hex.EncodeToString(b.Hash[:])),
		strings.ToUpper(hex.EncodeToString(b.Proposer)), len(b.Txs), h.failed, h.minted, h.burned)
	return h
}

// transaction reads a transaction and its events.
func (h *harvest) transaction(t *ledger.Tx) {
	if t.Code != 0 {
		h.failed++
	}
	var fee int64
	var payer, signer string
	for i := range t.Events {
		e := &t.Events[i]
		if e.Type == "tx" {
			if v, ok := find(e, "fee"); ok {
				fee = nplx(v)
			}
			payer = pick(e, "fee_payer", payer)
			if seq, ok := find(e, "acc_seq"); ok && signer == "" {
				signer, _, _ = strings.Cut(seq, "/")
			}
		}
		h.event(e)
	}
	if signer == "" {
		signer = payer
	}
	sum := sha256.Sum256(t.Raw)
	messages, memo := contents(t.Raw)
	h.rows.add(txsTable, h.height, h.tx, h.time, strings.ToUpper(hex.EncodeToString(sum[:])), signer, messages, memo,
		fee, payer, t.GasWanted, t.GasUsed, int64(t.Code), shorten(t.Log, 500))
}

// contents returns the types of a transaction's messages, each once and at
// most 16, and its memo.
func contents(raw []byte) (messages, memo string) {
	var envelope txtypes.TxRaw
	var body txtypes.TxBody
	if envelope.Unmarshal(raw) != nil || body.Unmarshal(envelope.BodyBytes) != nil {
		return "", ""
	}
	var kinds []string
	for _, m := range body.Messages {
		kind := shorten(strings.TrimPrefix(m.TypeUrl, "/"), 100)
		if len(kinds) < 16 && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return strings.Join(kinds, " "), shorten(body.Memo, 512)
}

// shorten cuts s to at most n bytes.
func shorten(s string, n int) string { return s[:min(len(s), n)] }

// event reads one event.
func (h *harvest) event(e *abci.Event) {
	switch e.Type {
	case "coin_received":
		h.balance(e, "receiver", 1)
	case "coin_spent":
		h.balance(e, "spender", -1)
	case "coinbase":
		h.minted += amountOf(e)
	case "burn":
		h.burned += amountOf(e)
	case "transfer":
		h.transfer(e)
	case "rewards":
		h.reward(e).whole += amountOf(e)
	case "commission":
		h.reward(e).commission += amountOf(e)
	case "delegate", "unbond", "redelegate", "cancel_unbonding_delegation", "complete_unbonding", "create_validator",
		"slash", "withdraw_rewards":
		h.move(e)
	default:
		if strings.HasPrefix(e.Type, "plexus.subnet.") {
			h.typed(e)
		}
	}
}

// balance notes that an account's balance changes.
func (h *harvest) balance(e *abci.Event, who string, sign int64) {
	if account, ok := find(e, who); ok {
		h.deltas[account] += sign * amountOf(e)
	}
}

// transfer notes coins that went from one account to another.
func (h *harvest) transfer(e *abci.Event) {
	amount := amountOf(e)
	if amount == 0 {
		return
	}
	sender, recipient := pick(e, "sender", ""), pick(e, "recipient", "")
	_, ofMessage := find(e, "msg_index")
	kind := "message"
	switch {
	case h.tx == outside:
		kind = "block"
	case !ofMessage && recipient == h.collector:
		kind = "fee"
	}
	h.rows.add(transfersTable, h.height, h.transfers, h.time, h.tx, kind, sender, recipient, amount)
	h.transfers++
}

// reward returns the reward of the validator that e speaks of.
func (h *harvest) reward(e *abci.Event) *reward {
	operator := pick(e, "validator", "")
	r := h.rewards[operator]
	if r == nil {
		r = &reward{}
		h.rewards[operator] = r
	}
	return r
}

// moveKinds names what becomes of stake.
var moveKinds = map[string]string{
	"delegate": "delegate", "unbond": "undelegate", "redelegate": "redelegate", "cancel_unbonding_delegation": "cancel",
	"complete_unbonding": "matured", "create_validator": "create", "slash": "slash", "withdraw_rewards": "withdraw",
}

// move notes a change of stake, or of what it earned.
func (h *harvest) move(e *abci.Event) {
	kind, amount := moveKinds[e.Type], amountOf(e)
	delegator, validator := pick(e, "delegator", ""), pick(e, "validator", "")
	switch kind {
	case "withdraw":
		if amount == 0 {
			return
		}
	case "redelegate":
		validator = pick(e, "destination_validator", "")
	case "create":
		delegator = accountOf(validator)
	case "slash":
		validator = pick(e, "address", pick(e, "jailed", "")) // a consensus address
		amount = nplx(pick(e, "burned_coins", ""))
	}
	h.stakeMoved = h.stakeMoved || kind != "withdraw"
	h.rows.add(movesTable, h.height, h.next(), h.time, kind, delegator, validator, pick(e, "source_validator", ""), amount)
}

// next returns the index of the next of the block's rows that have one.
func (h *harvest) next() int {
	h.collections++
	return h.collections - 1
}

// typed reads an event of the subnets.
func (h *harvest) typed(e *abci.Event) {
	bare := abci.Event{Type: e.Type}
	for _, a := range e.Attributes {
		if a.Key != "mode" && a.Key != "msg_index" { // which are no JSON, or not the event's
			bare.Attributes = append(bare.Attributes, a)
		}
	}
	m, err := sdk.ParseTypedEvent(bare)
	if err != nil {
		return // of a later version of the chain
	}
	switch m := m.(type) {
	case *subnetv1.EventEpoch:
		h.epochs = append(h.epochs, m)
		h.rows.add(epochsTable, int64(m.Netuid), h.height, int64(m.Mechanism), h.time, stored(m.Epoch.Number), stored(m.Epoch.Pot), len(m.Epoch.Stake), "")
	case *subnetv1.EventEpochFailed:
		h.rows.add(epochsTable, int64(m.Netuid), h.height, 0, h.time, 0, 0, 0, shorten(m.Error, 500))
	case *subnetv1.EventSubnetRegistered:
		h.rows.add(registrationsTable, h.height, h.next(), h.time, "subnet", int64(m.Netuid), 0, m.Owner, stored(m.Burned), "")
		h.stakeMoved = true
	case *subnetv1.EventNeuronRegistered:
		h.rows.add(registrationsTable, h.height, h.next(), h.time, "neuron", int64(m.Netuid), int64(m.Uid), m.Account, stored(m.Burned), m.Replaced)
		h.seats = append(h.seats, seat{m.Netuid, m.Uid, m.Account})
	case *subnetv1.EventNeuronWorked:
		h.rows.add(registrationsTable, h.height, h.next(), h.time, "work", int64(m.Netuid), int64(m.Uid), m.Account, 0, m.Replaced)
		h.seats = append(h.seats, seat{m.Netuid, m.Uid, m.Account})
	case *subnetv1.EventSubnetOwned:
		h.rows.add(registrationsTable, h.height, h.next(), h.time, "owner", int64(m.Netuid), 0, m.Owner, 0, m.Previous)
	case *subnetv1.EventSubnetDissolved:
		h.rows.add(registrationsTable, h.height, h.next(), h.time, "dissolved", int64(m.Netuid), 0, "", 0, m.Owner)
	case *subnetv1.EventRotated:
		h.rows.add(registrationsTable, h.height, h.next(), h.time, "rotated", 0, 0, m.To, 0, m.Account)
	case *subnetv1.EventClaimed:
		h.rows.add(claimsTable, h.height, h.next(), h.time, m.Account, stored(m.Amount))
	}
}

// find returns an attribute of an event.
func find(e *abci.Event, key string) (string, bool) {
	for i := range e.Attributes {
		if e.Attributes[i].Key == key {
			return e.Attributes[i].Value, true
		}
	}
	return "", false
}

// pick returns an attribute of an event, or fallback if it has none.
func pick(e *abci.Event, key, fallback string) string {
	if v, ok := find(e, key); ok {
		return v
	}
	return fallback
}

// amountOf returns the coins that an event speaks of.
func amountOf(e *abci.Event) int64 { return nplx(pick(e, "amount", "")) }

// nplx returns the token's part of coins as text, "12nplx" or "3other,12.5nplx",
// without fractions of an nplx; 0 if there is none.
func nplx(coins string) int64 {
	for one := range strings.SplitSeq(coins, ",") {
		digits, ok := strings.CutSuffix(one, coin.Denom)
		if !ok {
			continue
		}
		whole, _, _ := strings.Cut(digits, ".")
		n, err := strconv.ParseUint(whole, 10, 64)
		if err == nil || n == math.MaxUint64 { // which it is if out of range
			return stored(n)
		}
	}
	return 0
}

// stored returns n as databases hold it. No sum of nplx that exists, and no
// count, exceeds the greatest they can; what claims to counts as that.
func stored[T ~uint64](n T) int64 { return int64(min(uint64(n), math.MaxInt64)) }

// accountOf returns the account that runs a validator; empty if operator is
// none.
func accountOf(operator string) string {
	_, b, err := bech32.DecodeAndConvert(operator)
	if err != nil {
		return ""
	}
	return wallet.FormatAddress(b)
}

// operatorOf returns the validator that an account may run; empty if it is no
// account.
func operatorOf(account string) string {
	b, err := wallet.ParseAddress(account)
	if err != nil {
		return ""
	}
	operator, err := bech32.ConvertAndEncode(wallet.Prefix+"valoper", b)
	if err != nil {
		return ""
	}
	return operator
}
