package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	gogoproto "github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// An Actor is who signs a transaction, and for whom.
type Actor struct {
	Key *wallet.Key
	// For is the address of the coldkey that Key, a hotkey, acts for by its
	// grants; the coldkey also pays the fee. Empty means that Key acts for
	// itself.
	For string
}

// Account returns the address that the actor's messages are of: the coldkey's.
func (a Actor) Account() string {
	if a.For != "" {
		return a.For
	}
	return a.Key.Address()
}

// Result is a transaction that is in a block and did what it should.
type Result struct {
	Hash   string // upper-case hex
	Height yuma.Height
	Gas    uint64      // used
	Fee    coin.Amount // paid

	responses [][]byte // of the messages, in order
}

// Decode reads the response to message i of the transaction, counted from 0.
func (r Result) Decode(i int, into gogoproto.Message) error {
	if i >= len(r.responses) {
		return fmt.Errorf("transaction %s has %d responses, none of number %d", r.Hash, len(r.responses), i)
	}
	return gogoproto.Unmarshal(r.responses[i], into)
}

// attempts bounds how often a transaction is made anew because another of the
// same account came between.
const attempts = 20

// Submit sends one transaction with all messages and waits until it is in a
// block. It offers no fee at first, and what the node wants if it wants one,
// up to Options.MaxFee. Transactions of one account take turns, and keep their order.
//
// It returns a [*TxError] when the chain says no, and [ErrNotIncluded] when
// Options.Timeout has passed.
func (c *Client) Submit(ctx context.Context, a Actor, msgs ...sdk.Msg) (Result, error) {
	if a.Key == nil {
		return Result{}, errors.New("a transaction needs a key to sign it")
	}
	if len(msgs) == 0 {
		return Result{}, errors.New("a transaction needs a message")
	}
	body, err := wrap(a, msgs)
	if err != nil {
		return Result{}, err
	}
	r, err := c.settle(ctx, a, body)
	if err == nil && a.Account() != a.Key.Address() {
		r.responses, err = unwrapExec(r.responses)
	}
	return r, err
}

// settle sends body until it is in a block in its turn. A node may put two
// transactions of an account into a block the wrong way round, and the one that
// came too early is then made anew. Whoever saw the first could send it again
// later, so the second takes its sequence, or a greater one: only one of the two
// can ever pass.
func (c *Client) settle(ctx context.Context, a Actor, body *txtypes.TxBody) (Result, error) {
	until := time.Now().Add(c.opt.Timeout)
	floor := uint64(0)
	for try := range attempts {
		valid := until.Add(time.Duration(try)) // or the second would be the first
		body.TimeoutTimestamp = &valid
		sent, err := c.send(ctx, a, body, floor)
		if err != nil {
			return Result{}, err
		}
		r, err := c.await(ctx, sent.hash, until)
		r.Fee = sent.fee
		if early := (*TxError)(nil); !errors.As(err, &early) || !early.is(sdkerrors.ErrWrongSequence) {
			return r, err
		}
		floor = sent.sequence
	}
	return Result{}, fmt.Errorf("%w: %d times it stood in a block before its turn", ErrNotIncluded, attempts)
}

// wrap makes the body of a transaction: the messages, or one that executes
// them in the name of a.For.
func wrap(a Actor, msgs []sdk.Msg) (*txtypes.TxBody, error) {
	anys := make([]*codectypes.Any, len(msgs))
	for i, m := range msgs {
		packed, err := codectypes.NewAnyWithValue(m)
		if err != nil {
			return nil, fmt.Errorf("encode %T: %w", m, err)
		}
		anys[i] = packed
	}
	if a.Account() == a.Key.Address() {
		return &txtypes.TxBody{Messages: anys}, nil
	}
	exec, err := codectypes.NewAnyWithValue(&authz.MsgExec{Grantee: a.Key.Address(), Msgs: anys})
	if err != nil {
		return nil, fmt.Errorf("encode the act of %s for %s: %w", a.Key.Address(), a.For, err)
	}
	return &txtypes.TxBody{Messages: []*codectypes.Any{exec}}, nil
}

// unwrapExec returns the responses inside the one of a MsgExec.
func unwrapExec(responses [][]byte) ([][]byte, error) {
	if len(responses) != 1 {
		return nil, fmt.Errorf("%d responses to one message", len(responses))
	}
	var exec authz.MsgExecResponse
	if err := gogoproto.Unmarshal(responses[0], &exec); err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	return exec.Results, nil
}

// An account is what the chain will ask of an account's next transaction.
type account struct {
	turn     turn // held while a transaction is made and sent
	known    bool
	number   uint64
	sequence uint64
}

// A sending is a transaction that a node took in.
type sending struct {
	hash     string
	sequence uint64
	fee      coin.Amount
}

// errEarly means that an account has not come to a sequence yet.
var errEarly = errors.New("earlier transactions of the account are missing")

// send signs a transaction under a sequence of floor or more and hands it to
// the node. It waits until body's time for the account to come to the floor.
func (c *Client) send(ctx context.Context, a Actor, body *txtypes.TxBody, floor uint64) (sending, error) {
	for {
		s, err := c.sendNow(ctx, a, body, floor)
		if !errors.Is(err, errEarly) {
			return s, err
		}
		if time.Now().After(*body.TimeoutTimestamp) {
			return s, fmt.Errorf("%w: %w", ErrNotIncluded, err)
		}
		if !pause(ctx, c.opt.Poll) {
			return s, ctx.Err()
		}
	}
}

// sendNow signs a transaction and hands it to the node, as often as another one
// of the account comes between.
func (c *Client) sendNow(ctx context.Context, a Actor, body *txtypes.TxBody, floor uint64) (sending, error) {
	acc := c.account(a.Key.Address())
	if err := acc.turn.take(ctx); err != nil {
		return sending{}, err
	}
	defer acc.turn.give()
	var refused *TxError
	var fee coin.Amount
	for range attempts {
		s, err := c.try(ctx, a, acc, body, fee, floor)
		if !errors.As(err, &refused) {
			return s, err
		}
		want, counted := sequenceIn(refused)
		switch {
		case counted:
			acc.sequence = want
		case refused.is(sdkerrors.ErrWrongSequence):
			acc.known = false
		case feeIn(refused) > c.opt.MaxFee:
			return sending{}, fmt.Errorf("the node wants a fee of %v, above the most of %v: %w", feeIn(refused), c.opt.MaxFee, err)
		case feeIn(refused) > fee:
			fee = feeIn(refused)
		default:
			return sending{}, err
		}
	}
	return sending{}, fmt.Errorf("gave up after %d attempts, for another program sends with key %s at the same time: %w",
		attempts, a.Key.Name(), refused)
}

// try makes, signs and hands in a transaction once.
func (c *Client) try(ctx context.Context, a Actor, acc *account, body *txtypes.TxBody, fee coin.Amount, floor uint64) (sending, error) {
	if err := c.identify(ctx, a.Key, acc); err != nil {
		return sending{}, err
	}
	if acc.sequence < floor {
		acc.known = false
		return sending{}, fmt.Errorf("account %s is at sequence %d, not at %d: %w", a.Key.Address(), acc.sequence, floor, errEarly)
	}
	chainID, err := c.ChainID(ctx)
	if err != nil {
		return sending{}, err
	}
	d := draft{key: a.Key, body: body, chainID: chainID, number: acc.number, sequence: acc.sequence, gas: c.opt.Gas, fee: fee}
	if fee > 0 {
		d.payer = a.For
	}
	if d.gas == 0 {
		if d.gas, err = c.estimate(ctx, d); err != nil {
			return sending{}, err
		}
	}
	raw, err := d.sign()
	if err != nil {
		return sending{}, err
	}
	hash, err := c.broadcast(ctx, raw)
	if err != nil {
		return sending{}, err
	}
	acc.sequence++
	return sending{hash: hash, sequence: d.sequence, fee: d.fee}, nil
}

// account returns the one with that address, which stays the same.
func (c *Client) account(address string) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	acc := c.accounts[address]
	if acc == nil {
		acc = &account{turn: newTurn()}
		c.accounts[address] = acc
	}
	return acc
}

// identify asks the chain for an account's number and sequence unless they are
// known.
func (c *Client) identify(ctx context.Context, key *wallet.Key, acc *account) error {
	if acc.known {
		return nil
	}
	resp, err := authtypes.NewQueryClient(c.conn).AccountInfo(ctx, &authtypes.QueryAccountInfoRequest{Address: key.Address()})
	if err != nil {
		err = failed("account "+key.Address(), err)
		if errors.Is(err, ErrNotFound) {
			return fmt.Errorf("%w: key %s, account %s, has never received anything: send it coins, or grant it rights if it is a hotkey", ErrNotFound, key.Name(), key.Address())
		}
		return err
	}
	if resp.Info == nil {
		return fmt.Errorf("account %s: the node's answer is empty", key.Address())
	}
	acc.known, acc.number, acc.sequence = true, resp.Info.AccountNumber, resp.Info.Sequence
	return nil
}

// estimate returns the limit of gas for a transaction, 1.3 times what a trial
// run of it uses.
func (c *Client) estimate(ctx context.Context, d draft) (uint64, error) {
	body, auth, err := d.encode()
	if err != nil {
		return 0, err
	}
	raw, err := (&txtypes.TxRaw{BodyBytes: body, AuthInfoBytes: auth, Signatures: [][]byte{{}}}).Marshal()
	if err != nil {
		return 0, fmt.Errorf("encode a transaction: %w", err)
	}
	resp, err := txtypes.NewServiceClient(c.conn).Simulate(ctx, &txtypes.SimulateRequest{TxBytes: raw})
	if err != nil {
		return 0, trialError(err)
	}
	if resp.GasInfo == nil {
		return 0, errors.New("trial run: the node's answer is empty")
	}
	return resp.GasInfo.GasUsed * 13 / 10, nil
}

// trialError tells why a trial run failed. The node gives the reason in words
// only.
func trialError(err error) error {
	st, ok := status.FromError(err)
	switch {
	case !ok, st.Code() == codes.Unavailable, st.Code() == codes.Canceled, st.Code() == codes.DeadlineExceeded:
		return failed("trial run of the transaction", err)
	default:
		return &TxError{Log: plain(st.Message())}
	}
}

// broadcast hands a transaction to the node, which checks it, and returns its
// hash.
func (c *Client) broadcast(ctx context.Context, raw []byte) (string, error) {
	resp, err := txtypes.NewServiceClient(c.conn).BroadcastTx(ctx,
		&txtypes.BroadcastTxRequest{TxBytes: raw, Mode: txtypes.BroadcastMode_BROADCAST_MODE_SYNC})
	if err != nil {
		return "", failed("send the transaction", err)
	}
	if resp.TxResponse == nil {
		return "", errors.New("send the transaction: the node's answer is empty")
	}
	if err := txError(resp.TxResponse); err != nil {
		return "", err
	}
	return resp.TxResponse.TxHash, nil
}

// await waits until a transaction is in a block.
func (c *Client) await(ctx context.Context, hash string, until time.Time) (Result, error) {
	for {
		resp, err := txtypes.NewServiceClient(c.conn).GetTx(ctx, &txtypes.GetTxRequest{Hash: hash})
		switch {
		case err == nil && resp.TxResponse != nil:
			return result(resp.TxResponse)
		case ctx.Err() != nil:
			return Result{}, fmt.Errorf("transaction %s: %w", hash, ctx.Err())
		case err != nil && !pending(err):
			return Result{}, failed("transaction "+hash, err)
		case time.Now().After(until.Add(c.opt.Timeout / 4)):
			return Result{}, fmt.Errorf("%w: %s was sent, but no block took it within %v; is the chain making blocks?",
				ErrNotIncluded, hash, c.opt.Timeout)
		}
		if !pause(ctx, c.opt.Poll) {
			return Result{}, fmt.Errorf("transaction %s: %w", hash, ctx.Err())
		}
	}
}

// pending tells whether err is that of a transaction in no block yet, or of a
// node that may answer again.
func pending(err error) bool {
	switch status.Code(err) {
	case codes.NotFound, codes.Unavailable:
		return true
	default:
		return strings.Contains(err.Error(), "not found")
	}
}

// result reads a transaction that is in a block.
func result(resp *sdk.TxResponse) (Result, error) {
	r := Result{Hash: resp.TxHash, Height: height(resp.Height), Gas: uint64(max(resp.GasUsed, 0))}
	if err := txError(resp); err != nil {
		return r, err
	}
	data, err := hex.DecodeString(resp.Data)
	if err != nil {
		return r, fmt.Errorf("transaction %s: responses: %w", r.Hash, err)
	}
	var all sdk.TxMsgData
	if err := gogoproto.Unmarshal(data, &all); err != nil {
		return r, fmt.Errorf("transaction %s: responses: %w", r.Hash, err)
	}
	for _, m := range all.MsgResponses {
		r.responses = append(r.responses, m.Value)
	}
	return r, nil
}
