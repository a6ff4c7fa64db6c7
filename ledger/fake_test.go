package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	sdk "github.com/cosmos/cosmos-sdk/types"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	gogoproto "github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// A fake is a node whose answers a test chooses. It makes a block a second and
// keeps the transactions that it takes in.
type fake struct {
	began    time.Time
	sequence uint64            // that it wants next
	broken   bool              // does not answer
	lost     bool              // takes transactions into no block
	answers  map[string]answer // by method, over what it would say
	sent     []*txtypes.TxRaw
	looks    int // for the latest block
}

type answer func(in any) (gogoproto.Message, error)

func newFake() *fake { return &fake{began: time.Now(), answers: map[string]answer{}} }

func (f *fake) height() int64 { return 1 + int64(time.Since(f.began)/time.Second) }

func (f *fake) Invoke(_ context.Context, method string, in, out any, _ ...grpc.CallOption) error {
	if f.broken {
		return status.Error(codes.Unavailable, "connection refused")
	}
	name := method[strings.LastIndexByte(method, '/')+1:]
	say, ok := f.answers[name]
	if !ok {
		say = f.say(name)
	}
	m, err := say(in)
	if err != nil {
		return err
	}
	b, err := gogoproto.Marshal(m)
	if err != nil {
		return err
	}
	return gogoproto.Unmarshal(b, out.(gogoproto.Message))
}

func (f *fake) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("no streams")
}

// say returns what an honest node answers.
func (f *fake) say(method string) answer {
	switch method {
	case "GetLatestBlock":
		return func(any) (gogoproto.Message, error) {
			f.looks++
			return &cmtservice.GetLatestBlockResponse{
				BlockId: &cmtproto.BlockID{Hash: []byte(fmt.Sprintf("%032d", f.height()))},
				Block:   &cmtproto.Block{Header: cmtproto.Header{ChainID: "fake", Height: f.height(), Time: time.Now()}}, //nolint:staticcheck // what the client reads
			}, nil
		}
	case "AccountInfo":
		return func(any) (gogoproto.Message, error) {
			return &authtypes.QueryAccountInfoResponse{Info: &authtypes.BaseAccount{AccountNumber: 7, Sequence: f.sequence}}, nil
		}
	case "Simulate":
		return func(any) (gogoproto.Message, error) {
			return &txtypes.SimulateResponse{GasInfo: &sdk.GasInfo{GasUsed: 1000}}, nil
		}
	case "BroadcastTx":
		return f.take
	case "GetTx":
		return func(in any) (gogoproto.Message, error) {
			if f.lost {
				return nil, status.Error(codes.NotFound, "tx not found")
			}
			return &txtypes.GetTxResponse{TxResponse: &sdk.TxResponse{TxHash: in.(*txtypes.GetTxRequest).Hash, Height: f.height()}}, nil
		}
	default:
		return func(any) (gogoproto.Message, error) {
			return nil, status.Error(codes.Unimplemented, "unknown method "+method)
		}
	}
}

// take checks the sequence of a transaction, as a node does.
func (f *fake) take(in any) (gogoproto.Message, error) {
	var raw txtypes.TxRaw
	var auth txtypes.AuthInfo
	if err := raw.Unmarshal(in.(*txtypes.BroadcastTxRequest).TxBytes); err != nil {
		return nil, err
	}
	if err := auth.Unmarshal(raw.AuthInfoBytes); err != nil {
		return nil, err
	}
	if got := auth.SignerInfos[0].Sequence; got != f.sequence {
		return &txtypes.BroadcastTxResponse{TxResponse: &sdk.TxResponse{
			Codespace: "sdk", Code: 32,
			RawLog: fmt.Sprintf("account sequence mismatch, expected %d, got %d: incorrect account sequence", f.sequence, got),
		}}, nil
	}
	f.sequence++
	f.sent = append(f.sent, &raw)
	return &txtypes.BroadcastTxResponse{TxResponse: &sdk.TxResponse{TxHash: fmt.Sprint("TX", f.sequence)}}, nil
}

var claimant = wallet.Derive("fake", "claimant")

func claim() sdk.Msg { return &subnetv1.MsgClaim{Account: claimant.Address()} }

func TestSubmitFollowsTheSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := New(f, Options{})
		for i, jump := range []uint64{0, 0, 5, 0} {
			f.sequence += jump // as if others had sent with the key
			if _, err := c.Submit(t.Context(), Actor{Key: claimant}, claim()); err != nil {
				t.Fatalf("transaction %d: %v", i, err)
			}
		}
		if f.sequence != 9 || len(f.sent) != 4 {
			t.Errorf("sequence %d after %d transactions, want 9 after 4", f.sequence, len(f.sent))
		}
	})
}

// A transaction stands in a block before its turn; the one that replaces it
// must not leave it a sequence at which it could still pass.
func TestSubmitAgainWhenTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.sequence = 5
		in := f.say("GetTx")
		f.answers["GetTx"] = func(ask any) (gogoproto.Message, error) {
			if ask.(*txtypes.GetTxRequest).Hash != "TX6" || len(f.sent) > 1 {
				return in(ask)
			}
			f.sequence = 3 // those before it are still to come
			return &txtypes.GetTxResponse{TxResponse: &sdk.TxResponse{TxHash: "TX6", Code: 32, Codespace: "sdk", Height: 2}}, nil
		}
		go func() {
			time.Sleep(10 * time.Second)
			f.sequence = 7 // they came, and one more
		}()
		if _, err := New(f, Options{}).Submit(t.Context(), Actor{Key: claimant}, claim()); err != nil {
			t.Fatal(err)
		}
		var auth txtypes.AuthInfo
		if len(f.sent) != 2 || auth.Unmarshal(f.sent[1].AuthInfoBytes) != nil {
			t.Fatalf("%d transactions sent, want 2 that can be read", len(f.sent))
		}
		if got := auth.SignerInfos[0].Sequence; got != 7 || time.Since(f.began) < 10*time.Second {
			t.Errorf("sequence %d after %v, want 7 after the account came to 5 or more", got, time.Since(f.began))
		}
		if bytes.Equal(f.sent[0].BodyBytes, f.sent[1].BodyBytes) {
			t.Error("the second transaction is the first")
		}
	})
}

func TestSubmitSigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		if _, err := New(f, Options{}).Submit(t.Context(), Actor{Key: claimant}, claim()); err != nil {
			t.Fatal(err)
		}
		tx := f.sent[0]
		doc, err := (&txtypes.SignDoc{BodyBytes: tx.BodyBytes, AuthInfoBytes: tx.AuthInfoBytes, ChainId: "fake", AccountNumber: 7}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if !claimant.PubKey().VerifySignature(doc, tx.Signatures[0]) {
			t.Error("the signature is not over the chain's id, the account and the transaction")
		}
		var auth txtypes.AuthInfo
		if err := auth.Unmarshal(tx.AuthInfoBytes); err != nil {
			t.Fatal(err)
		}
		if auth.Fee.GasLimit != 1300 || len(auth.Fee.Amount) != 0 {
			t.Errorf("fee %v, want 1300 gas for nothing", auth.Fee)
		}
		var body txtypes.TxBody
		if err := body.Unmarshal(tx.BodyBytes); err != nil {
			t.Fatal(err)
		}
		if want := time.Now().Add(30 * time.Second); body.TimeoutTimestamp == nil || body.TimeoutTimestamp.Sub(want).Abs() > time.Second {
			t.Errorf("valid until %v, want %v", body.TimeoutTimestamp, want)
		}
	})
}

func TestSubmitGivesUp(t *testing.T) {
	refuse := func(code uint32, log string) answer {
		return func(any) (gogoproto.Message, error) {
			return &txtypes.BroadcastTxResponse{TxResponse: &sdk.TxResponse{Codespace: "sdk", Code: code, RawLog: log}}, nil
		}
	}
	tests := map[string]struct {
		prepare func(*fake)
		check   func(error) bool
		want    string
	}{
		"no block takes it": {
			func(f *fake) { f.lost = true },
			func(err error) bool { return errors.Is(err, ErrNotIncluded) }, "no block took it within 30s",
		},
		"the key is used elsewhere": {
			func(f *fake) {
				f.answers["BroadcastTx"] = refuse(32, "account sequence mismatch, expected 3, got 2: incorrect account sequence")
			},
			func(err error) bool { var e *TxError; return errors.As(err, &e) }, "another program sends with key claimant",
		},
		"the trial run fails": {
			func(f *fake) {
				f.answers["Simulate"] = func(any) (gogoproto.Message, error) {
					return nil, status.Error(codes.Unknown, "failed to execute message; message index: 0: wait 37 blocks: invalid request with gas used: '5'")
				}
			},
			func(err error) bool { var e *TxError; return errors.As(err, &e) }, "wait 37 blocks",
		},
		"the fee is never enough": {
			func(f *fake) {
				f.answers["BroadcastTx"] = refuse(13, "insufficient fees; got:  required: 5nplx: insufficient fee")
			},
			func(err error) bool { var e *TxError; return errors.As(err, &e) }, "required: 5nplx",
		},
		"the fee is a robbery": {
			func(f *fake) {
				f.answers["BroadcastTx"] = refuse(13, "insufficient fees; got:  required: 5000000000nplx: insufficient fee")
			},
			func(err error) bool { var e *TxError; return errors.As(err, &e) }, "a fee of 5plx, above the most of 0.1plx",
		},
		"the answer is empty": {
			func(f *fake) {
				f.answers["BroadcastTx"] = func(any) (gogoproto.Message, error) { return &txtypes.BroadcastTxResponse{}, nil }
			},
			func(error) bool { return true }, "the node's answer is empty",
		},
		"no node": {
			func(f *fake) { f.broken = true },
			func(err error) bool { return errors.Is(err, ErrUnreachable) }, "connection refused",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				tt.prepare(f)
				_, err := New(f, Options{}).Submit(t.Context(), Actor{Key: claimant}, claim())
				if err == nil || !tt.check(err) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want one with %q", err, tt.want)
				}
			})
		})
	}
}

func TestHeadsOutliveTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := New(f, Options{})
		go func() {
			time.Sleep(3 * time.Second)
			f.broken = true
			time.Sleep(time.Minute)
			f.broken = false
		}()
		var heights []yuma.Height
		for h := range c.Heads(t.Context()) {
			if heights = append(heights, h.Height); len(heights) == 6 {
				break
			}
		}
		if got, want := fmt.Sprint(heights[:3]), "[1 2 3]"; got != want || heights[5] < 60 {
			t.Errorf("heights %v, want 1, 2, 3 and, after a minute without a node, some past 60", heights)
		}
	})
}

func TestHeadIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := New(f, Options{})
		for range 20 {
			go func() {
				for range c.Heads(t.Context()) {
				}
			}()
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if f.looks > 101 {
			t.Errorf("20 readers looked %d times in 10 s, want one look per 100 ms at most", f.looks)
		}
	})
}

func TestNodeLies(t *testing.T) {
	f := newFake()
	c := New(f, Options{})
	lie := func(method string, m gogoproto.Message) {
		f.answers[method] = func(any) (gogoproto.Message, error) { return m, nil }
	}
	lie("Metagraph", &subnetv1.QueryMetagraphResponse{Neurons: make([]subnetv1.NeuronState, yuma.MaxNeurons+1)})
	if m, err := c.Metagraph(t.Context(), 1); err == nil {
		t.Errorf("took a metagraph of %d neurons", len(m.Neurons))
	}
	lie("Metagraph", &subnetv1.QueryMetagraphResponse{Neurons: []subnetv1.NeuronState{{Neuron: subnetv1.Neuron{Uid: 3}}}})
	if _, err := c.Metagraph(t.Context(), 1); err == nil {
		t.Error("took a metagraph that begins with uid 3")
	}
	lie("Weights", &subnetv1.QueryWeightsResponse{Rows: []subnetv1.RowView{{Uids: []uint32{1, 2}, Values: []uint32{1}}}})
	if r, err := c.Weights(t.Context(), 1); err == nil {
		t.Errorf("took a row of two uids and one value: %v", r)
	}
	lie("GetBlockByHeight", &cmtservice.GetBlockByHeightResponse{
		BlockId: &cmtproto.BlockID{Hash: make([]byte, 32)},
		Block:   &cmtproto.Block{Header: cmtproto.Header{Height: 6}}, //nolint:staticcheck // what the client reads
	})
	if h, err := c.BlockHash(t.Context(), 5); err == nil {
		t.Errorf("took block 6 for block 5: %x", h)
	}
	lie("GetLatestBlock", &cmtservice.GetLatestBlockResponse{})
	if h, err := c.Head(t.Context()); err == nil {
		t.Errorf("took nothing for a block: %+v", h)
	}
}
