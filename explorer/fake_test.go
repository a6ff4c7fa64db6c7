package explorer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cosmossdk.io/math"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	grpctypes "github.com/cosmos/cosmos-sdk/types/grpc"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	gogoproto "github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
)

// A fake is a chain of made-up blocks, with a ledger that its events tell of.
// Equal seeds make equal chains.
type fake struct {
	people []string
	blocks []*cmtservice.GetBlockByHeightResponse
	did    []*cmtservice.GetBlockResultsResponse
	states []state // after each block; the first is that of the genesis

	rng *rand.Rand
	now state
	tx  []abci.Event // events of what is being made

	mu     sync.Mutex
	head   int                       // blocks that the node shows
	prune  int                       // blocks that it no longer has
	pruned int                       // states that it no longer has
	fail   func(method string) error // makes a call fail
	calls  int
}

// A state is what the fake knows after a block.
type state struct {
	balances map[string]uint64
	stake    uint64 // of the one validator
	seats    []string
	minted   uint64
	burned   uint64
	epoch    subnetv1.Epoch
	height   int64
}

const fakeTempo = 5

var genesisTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newFake makes a chain of n blocks with some transactions each.
func newFake(n, txs int, seed uint64) *fake {
	f := &fake{rng: rand.New(rand.NewPCG(seed, seed)), head: n}
	for i := range 20 {
		f.people = append(f.people, wallet.Derive("explorer", fmt.Sprint("p", i)).Address())
	}
	f.now.balances = map[string]uint64{}
	for _, p := range f.people[:10] {
		f.now.balances[p] = uint64(coin.PLX) * 1000
	}
	f.now.seats = slices.Clone(f.people[:3])
	f.now.stake = 5000 * uint64(coin.PLX)
	f.keep()
	for h := 1; h <= n; h++ {
		f.block(int64(h), txs)
	}
	return f
}

// keep notes the state after a block.
func (f *fake) keep() {
	s := f.now
	s.balances, s.seats = map[string]uint64{}, slices.Clone(f.now.seats)
	for k, v := range f.now.balances {
		s.balances[k] = v
	}
	f.states = append(f.states, s)
}

func (f *fake) operator() string { return operatorOf(f.people[0]) }

func module(name string) string { return wallet.FormatAddress(authtypes.NewModuleAddress(name)) }

func event(kind string, pairs ...string) abci.Event {
	e := abci.Event{Type: kind}
	for i := 0; i < len(pairs); i += 2 {
		e.Attributes = append(e.Attributes, abci.EventAttribute{Key: pairs[i], Value: pairs[i+1]})
	}
	return e
}

func amountText(n uint64) string { return strconv.FormatUint(n, 10) + coin.Denom }

func (f *fake) emit(kind string, pairs ...string) { f.tx = append(f.tx, event(kind, pairs...)) }

// emitTyped emits an event as the chain's modules do.
func (f *fake) emitTyped(m gogoproto.Message, mode string) {
	e, err := sdk.TypedEventToEvent(m)
	if err != nil {
		panic(err)
	}
	f.tx = append(f.tx, abci.Event{Type: e.Type, Attributes: append(e.Attributes, abci.EventAttribute{Key: "mode", Value: mode})})
}

func (f *fake) mint(to string, n uint64) {
	f.now.balances[to] += n
	f.now.minted += n
	f.emit("coin_received", "receiver", to, "amount", amountText(n))
	f.emit("coinbase", "minter", to, "amount", amountText(n))
}

func (f *fake) burn(from string, n uint64) {
	f.now.balances[from] -= n
	f.now.burned += n
	f.emit("coin_spent", "spender", from, "amount", amountText(n))
	f.emit("burn", "burner", from, "amount", amountText(n))
}

func (f *fake) send(from, to string, n uint64, more ...string) {
	f.now.balances[from] -= n
	f.now.balances[to] += n
	f.emit("coin_spent", append([]string{"spender", from, "amount", amountText(n)}, more...)...)
	f.emit("coin_received", append([]string{"receiver", to, "amount", amountText(n)}, more...)...)
	f.emit("transfer", append([]string{"recipient", to, "sender", from, "amount", amountText(n)}, more...)...)
}

// block makes the next block.
func (f *fake) block(h int64, txs int) {
	b := &cmtproto.Block{Header: cmtproto.Header{
		ChainID: "fake", Height: h, Time: genesisTime.Add(time.Duration(h) * 6 * time.Second), ProposerAddress: make([]byte, 20),
	}}
	did := &cmtservice.GetBlockResultsResponse{Height: h}
	for i := range txs {
		raw, result := f.transaction(h, i)
		b.Data.Txs = append(b.Data.Txs, raw)
		did.TxsResults = append(did.TxsResults, result)
	}
	f.tx = nil
	f.mint(module("emission"), 500_000_000)
	if h%fakeTempo == 0 {
		f.epoch(h)
	}
	for i := range f.tx {
		did.FinalizeBlockEvents = append(did.FinalizeBlockEvents, &f.tx[i])
	}
	hash := make([]byte, 32)
	binary.BigEndian.PutUint64(hash, uint64(h))
	hash[31] = byte(f.rng.Uint32())
	f.blocks = append(f.blocks, &cmtservice.GetBlockByHeightResponse{BlockId: &cmtproto.BlockID{Hash: hash}, Block: b}) //nolint:staticcheck // the field that the ledger reads
	f.did = append(f.did, did)
	f.now.height = h
	f.keep()
}

// transaction makes a transaction: mostly a payment, with a fee.
func (f *fake) transaction(h int64, i int) ([]byte, *abci.ExecTxResult) {
	f.tx = nil
	from := f.people[f.rng.IntN(10)]
	fee := uint64(f.rng.IntN(1000))
	f.send(from, module("fee_collector"), fee)
	f.emit("tx", "fee", amountText(fee), "fee_payer", from)
	f.emit("tx", "acc_seq", from+"/7")
	result := &abci.ExecTxResult{GasWanted: 100_000, GasUsed: 60_000 + int64(i)}
	memo, kind := "", "/cosmos.bank.v1beta1.MsgSend"
	msg := []string{"msg_index", "0"}
	switch f.rng.IntN(20) {
	case 0:
		result.Code, result.Codespace, result.Log = 5, "sdk", "insufficient funds\x00\xff"
		memo = "\x00 a memo \xff"
	case 1:
		n := uint64(f.rng.IntN(1e9))
		f.send(from, module("bonded_tokens_pool"), n, msg...)
		f.now.stake += n
		f.emit("delegate", append([]string{"validator", f.operator(), "delegator", from, "amount", amountText(n)}, msg...)...)
		kind = "/cosmos.staking.v1beta1.MsgDelegate"
	case 2:
		f.burn(from, 500_000)
		uid := f.rng.IntN(len(f.now.seats) + 1)
		e := &subnetv1.EventNeuronRegistered{Netuid: 1, Uid: uint32(uid), Account: from, Burned: 500_000}
		if uid == len(f.now.seats) {
			f.now.seats = append(f.now.seats, from)
		} else {
			e.Replaced, f.now.seats[uid] = f.now.seats[uid], from
		}
		f.emitTyped(e, "")
		kind = "/plexus.subnet.v1.MsgRegisterNeuron"
	default:
		f.send(from, f.people[f.rng.IntN(20)], uint64(f.rng.IntN(1e6)), msg...)
	}
	body, err := (&txtypes.TxBody{Messages: []*codectypes.Any{{TypeUrl: kind}}, Memo: memo}).Marshal()
	if err != nil {
		panic(err)
	}
	raw, err := (&txtypes.TxRaw{BodyBytes: body, AuthInfoBytes: fmt.Append(nil, h, i)}).Marshal()
	if err != nil {
		panic(err)
	}
	result.Events = f.tx
	return raw, result
}

// epoch makes an epoch of subnet 1 that pays its validator and its miners.
func (f *fake) epoch(h int64) {
	n := len(f.now.seats)
	e := subnetv1.Epoch{Height: h, Number: uint64(h / fakeTempo), Pot: 2_000_000_000}
	for uid := range n {
		e.Stake = append(e.Stake, 0)
		e.Active = append(e.Active, true)
		e.Permit = append(e.Permit, uid == 0)
		e.Trust = append(e.Trust, 65535)
		e.Consensus = append(e.Consensus, 30000)
		e.Incentive = append(e.Incentive, uint32(65535/n))
		e.Dividends = append(e.Dividends, 0)
		e.ValidatorTrust = append(e.ValidatorTrust, 0)
		e.ServerEmission = append(e.ServerEmission, uint64(1_000_000_000/n))
		e.ValidatorEmission = append(e.ValidatorEmission, 0)
	}
	e.Stake[0], e.Dividends[0], e.ValidatorEmission[0] = f.now.stake, 65535, 1_000_000_000
	f.send(module("emission"), module("distribution"), 1_000_000_000, "mode", "EndBlock")
	f.emit("commission", "amount", "100000000.500000000000000000nplx", "validator", f.operator(), "mode", "EndBlock")
	f.emit("rewards", "amount", "1000000000.000000000000000000nplx", "validator", f.operator(), "mode", "EndBlock")
	f.emitTyped(&subnetv1.EventEpoch{Netuid: 1, Epoch: e}, "EndBlock")
	f.emitTyped(&subnetv1.EventEpoch{Netuid: 1, Mechanism: 1, Epoch: subnetv1.Epoch{Height: h, Number: e.Number, Stake: e.Stake}}, "EndBlock")
	f.now.epoch = e
}

// client returns the chain as the explorer sees it.
func (f *fake) client() *ledger.Client {
	return ledger.New(f, ledger.Options{Poll: 2 * time.Millisecond})
}

// NewStream is what no query needs.
func (f *fake) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("no streams")
}

// Invoke answers a query.
func (f *fake) Invoke(ctx context.Context, method string, in, out any, _ ...grpc.CallOption) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	f.calls++
	if f.fail != nil {
		if err := f.fail(method); err != nil {
			return err
		}
	}
	switch in := in.(type) {
	case *cmtservice.GetLatestBlockRequest:
		b := f.blocks[f.head-1]
		*out.(*cmtservice.GetLatestBlockResponse) = cmtservice.GetLatestBlockResponse{BlockId: b.BlockId, Block: b.Block} //nolint:staticcheck // the field that the ledger reads
		return nil
	case *cmtservice.GetBlockByHeightRequest:
		if in.Height > int64(f.head) || in.Height <= int64(f.prune) {
			return status.Errorf(codes.Internal, "height %d is not available", in.Height)
		}
		*out.(*cmtservice.GetBlockByHeightResponse) = *f.blocks[in.Height-1]
		return nil
	case *cmtservice.GetBlockResultsRequest:
		*out.(*cmtservice.GetBlockResultsResponse) = *f.did[in.Height-1]
		return nil
	}
	return f.query(ctx, out)
}

// query answers a query of the state that ctx asks for.
func (f *fake) query(ctx context.Context, out any) error {
	md, _ := metadata.FromOutgoingContext(ctx)
	at := int64(f.head)
	if v := md.Get(grpctypes.GRPCBlockHeightHeader); len(v) > 0 {
		at, _ = strconv.ParseInt(v[0], 10, 64)
	}
	if at <= int64(f.pruned) || at > int64(f.head) {
		return status.Errorf(codes.InvalidArgument, "failed to load state at height %d", at)
	}
	s := &f.states[at]
	switch out := out.(type) {
	case *banktypes.QueryDenomOwnersResponse:
		for account, balance := range s.balances {
			out.DenomOwners = append(out.DenomOwners, &banktypes.DenomOwner{
				Address: account, Balance: sdk.NewCoin(coin.Denom, math.NewIntFromUint64(balance)),
			})
		}
	case *emissionv1.QueryScheduleResponse:
		*out = emissionv1.QueryScheduleResponse{
			State: emissionv1.State{Minted: s.minted}, Scheduled: s.minted, Supply: s.minted - s.burned, Burned: s.burned,
			NextHalving: genesisTime.Add(4 * year),
		}
	case *subnetv1.QueryPriceResponse:
		out.Price = sdk.NewCoin(coin.Denom, math.NewInt(1000))
	case *stakingtypes.QueryValidatorsResponse:
		out.Validators = []stakingtypes.Validator{{
			OperatorAddress: f.operator(), Status: stakingtypes.Bonded, Tokens: math.NewIntFromUint64(s.stake),
			Description: stakingtypes.Description{Moniker: "v\x00"},
		}}
	case *subnetv1.QuerySubnetsResponse:
		out.Subnets = []subnetv1.Subnet{f.subnet(s)}
	case *subnetv1.QuerySubnetResponse:
		out.Subnet = f.subnet(s)
	case *subnetv1.QueryMetagraphResponse:
		*out = subnetv1.QueryMetagraphResponse{Height: at, Subnet: f.subnet(s)}
		for uid, account := range s.seats {
			out.Neurons = append(out.Neurons, subnetv1.NeuronState{Neuron: subnetv1.Neuron{Uid: uint32(uid), Account: account}})
		}
	default:
		return status.Errorf(codes.Unimplemented, "%T", out)
	}
	return nil
}

func (f *fake) subnet(s *state) subnetv1.Subnet {
	return subnetv1.Subnet{
		Netuid: 1, Owner: f.people[1], Kind: "text", Name: "one", KindParams: []byte(`{"a":1}`), Neurons: uint32(len(s.seats)),
		Hyperparameters: subnetv1.Hyperparameters{Tempo: fakeTempo, BurnMin: 500_000, BurnMax: 1 << 63, BurnHalfLife: 360, BurnIncrease: 126},
		Epoch:           s.epoch.Number, Burn: 500_000, Share: 1 << 63,
	}
}

// show sets how many blocks the node shows.
func (f *fake) show(head int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head = head
}

// followTo follows the fake until the index holds its newest block.
func followTo(t *testing.T, x *Index, f *fake, o FollowOptions) {
	t.Helper()
	if err := follow(t.Context(), x, f, o); err != nil {
		t.Fatal(err)
	}
}

// follow follows the fake until the index holds its newest block, or fails.
func follow(ctx context.Context, x *Index, f *fake, o FollowOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- x.Follow(ctx, f.client(), o) }()
	for {
		moved := x.changed()
		s, err := x.Status(ctx)
		if err == nil && int(s.Height) >= f.head {
			cancel()
			return <-done
		}
		select {
		case <-moved:
		case err := <-done:
			return err
		}
	}
}

// dump returns all that an index holds, but for what names the database.
func dump(t *testing.T, x *Index) string {
	t.Helper()
	var b strings.Builder
	for _, name := range append([]string{"meta"}, tableNames()...) {
		columns := "name, value"
		if name == "balances" {
			columns = "address, height, balance"
		}
		for _, tab := range tables {
			if tab.name == name {
				columns = tab.columns
			}
		}
		q := "SELECT " + columns + " FROM " + name
		rows, err := x.read.QueryContext(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		n := strings.Count(columns, ",") + 1
		for rows.Next() {
			values, into := make([]any, n), make([]any, n)
			for i := range into {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			for i, v := range values {
				switch v := v.(type) {
				case []byte:
					values[i] = string(v)
				case bool: // which SQLite holds as a number
					values[i] = int64(0)
					if v {
						values[i] = int64(1)
					}
				}
			}
			lines = append(lines, fmt.Sprint(values...))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(lines)
		fmt.Fprintf(&b, "== %s %d\n%s\n", name, len(lines), strings.Join(lines, "\n"))
	}
	return b.String()
}

func tableNames() []string {
	names := []string{"accounts", "subnets", "validators"}
	return append(names, histories...)
}
