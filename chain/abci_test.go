package chain

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"

	"github.com/cosmos/cosmos-sdk/baseapp"
	clienttx "github.com/cosmos/cosmos-sdk/client/tx"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// A person is a test account with its keys.
type person struct {
	key      cryptotypes.PrivKey
	account  sdk.AccAddress
	consKey  ed25519.PublicKey
	sequence uint64
}

// newPerson returns the person of a name, always the same.
func newPerson(name string) *person {
	seed := sha256.Sum256([]byte(name))
	cons := ed25519.NewKeyFromSeed(seed[:])
	key := secp256k1.GenPrivKeyFromSecret(seed[:])
	return &person{key: key, account: sdk.AccAddress(key.PubKey().Address()), consKey: cons.Public().(ed25519.PublicKey)}
}

func (p *person) address() sdk.AccAddress { return p.account }
func (p *person) val() sdk.ValAddress     { return sdk.ValAddress(p.account) }
func (p *person) cons() []byte            { return cmttypes.Address(cmtAddress(p.consKey)) }
func (p *person) String() string          { return p.address().String() }

// cmtAddress returns the consensus address of a key.
func cmtAddress(key ed25519.PublicKey) []byte {
	sum := sha256.Sum256(key)
	return sum[:20]
}

// A bench drives the real state machine block by block, as CometBFT would, in
// this goroutine. After every block it checks all invariants.
type bench struct {
	t    testing.TB
	app  *App
	db   dbm.DB
	doc  []byte // genesis state
	time time.Time
	step time.Duration // between blocks

	validators []*person
	absent     map[int]bool // validators that do not sign
	people     map[string]*person
	unchecked  bool   // skip the invariants
	initial    int64  // height of the first block
	proposals  uint64 // of governance so far
}

// tempo is that of the test subnets.
const tempo = 10

// quickHyperparameters fit tests: short tempo, no rate limits to speak of.
func quickHyperparameters() subnetv1.Hyperparameters {
	h := subnet.DefaultHyperparameters()
	h.Tempo, h.WeightsRateLimit, h.AxonRateLimit, h.ImmunityPeriod = tempo, 1, 1, 3
	h.MaxUids, h.MaxValidators, h.ActivityCutoff = 16, 8, 1000
	return h
}

// newBench starts a chain of n validators v0, v1, …, one subnet with the
// validators and the named miners as neurons, and 10,000 PLX for each of the
// rich. change may alter the genesis.
func newBench(t testing.TB, n int, miners, rich []string, change func(*GenesisOptions)) *bench {
	t.Helper()
	Configure()
	b := &bench{t: t, db: dbm.NewMemDB(), step: time.Second, people: map[string]*person{}, absent: map[int]bool{}, initial: 1}
	h := quickHyperparameters()
	s := GenesisSubnet{Kind: "text", Owner: b.person("owner").String(), Hyperparameters: &h}
	o := GenesisOptions{ChainID: "plexus-test", Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i := range n {
		p := b.person(fmt.Sprint("v", i))
		b.validators = append(b.validators, p)
		o.Validators = append(o.Validators, GenesisValidator{Moniker: fmt.Sprint("v", i), Operator: p.String(), Key: p.consKey})
		s.Neurons = append(s.Neurons, GenesisNeuron{Account: p.String()})
	}
	for _, m := range miners {
		s.Neurons = append(s.Neurons, GenesisNeuron{Account: b.person(m).String()})
	}
	for _, r := range rich {
		o.Accounts = append(o.Accounts, GenesisAccount{Address: b.person(r).String(), Balance: 10_000 * coin.PLX})
	}
	o.Subnets = []GenesisSubnet{s}
	if change != nil {
		change(&o)
	}
	doc, err := Genesis(o)
	if err != nil {
		t.Fatal(err)
	}
	b.doc, b.time = doc.AppState, doc.GenesisTime
	b.open()
	b.initChain(doc.AppState, doc.Consensus.Params)
	b.block()
	return b
}

// open loads the state machine from the database.
func (b *bench) open() {
	b.t.Helper()
	app, err := NewApp(AppOptions{DB: b.db, ChainID: "plexus-test", Base: []func(*baseapp.BaseApp){baseapp.SetIAVLSyncPruning(true)}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.app = app
}

func (b *bench) initChain(state []byte, p *cmttypes.ConsensusParams) {
	b.t.Helper()
	params := p.ToProto()
	if _, err := b.app.InitChain(&abci.RequestInitChain{
		ChainId: "plexus-test", Time: b.time, AppStateBytes: state, InitialHeight: 1, ConsensusParams: &params,
	}); err != nil {
		b.t.Fatal(err)
	}
}

// person returns the person of a name.
func (b *bench) person(name string) *person {
	if b.people[name] == nil {
		b.people[name] = newPerson(name)
	}
	return b.people[name]
}

// ctx returns the committed state.
func (b *bench) ctx() sdk.Context {
	b.t.Helper()
	ctx, err := b.app.CreateQueryContext(b.app.LastBlockHeight(), false)
	if err != nil {
		b.t.Fatal(err)
	}
	return ctx
}

// block makes a block of txs and returns what became of them.
func (b *bench) block(txs ...[]byte) *abci.ResponseFinalizeBlock {
	b.t.Helper()
	b.time = b.time.Add(b.step)
	height := max(b.app.LastBlockHeight()+1, b.initial)
	r, err := b.app.FinalizeBlock(&abci.RequestFinalizeBlock{
		Txs: txs, Height: height, Time: b.time, Hash: blockHash(height),
		ProposerAddress: b.validators[0].cons(), DecidedLastCommit: b.votes(),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.app.Commit(); err != nil {
		b.t.Fatal(err)
	}
	if !b.unchecked {
		if err := b.app.Check(b.ctx()); err != nil {
			b.t.Fatalf("after block %d: %v", b.app.LastBlockHeight(), err)
		}
	}
	return r
}

// blockHash returns what stands for the hash of the block at a height.
func blockHash(height int64) []byte {
	sum := sha256.Sum256(fmt.Append(nil, "block ", height))
	return sum[:]
}

// votes returns who signed the latest block.
func (b *bench) votes() abci.CommitInfo {
	var c abci.CommitInfo
	if b.app.LastBlockHeight() == 0 {
		return c
	}
	ctx := b.ctx()
	for i, p := range b.validators {
		v, err := b.app.Staking.GetValidator(ctx, p.val())
		if err != nil || !v.IsBonded() {
			continue
		}
		flag := cmtproto.BlockIDFlagCommit
		if b.absent[i] {
			flag = cmtproto.BlockIDFlagAbsent
		}
		c.Votes = append(c.Votes, abci.VoteInfo{
			Validator: abci.Validator{Address: p.cons(), Power: v.GetConsensusPower(sdk.DefaultPowerReduction)}, BlockIdFlag: flag,
		})
	}
	return c
}

// tx signs messages, with a fee in nplx.
func (b *bench) tx(p *person, fee coin.Amount, msgs ...sdk.Msg) []byte {
	b.t.Helper()
	account := b.app.Accounts.GetAccount(b.ctx(), p.address())
	var number, sequence uint64 // of an account that does not exist yet
	if account != nil {
		number, sequence = account.GetAccountNumber(), max(account.GetSequence(), p.sequence)
	}
	return b.signed(p, number, sequence, 4_000_000, fee, msgs...)
}

// signed returns a transaction of an account's number and sequence.
func (b *bench) signed(p *person, number, sequence, gas uint64, fee coin.Amount, msgs ...sdk.Msg) []byte {
	b.t.Helper()
	cfg := b.app.Encoding.TxConfig
	builder := cfg.NewTxBuilder()
	if err := builder.SetMsgs(msgs...); err != nil {
		b.t.Fatal(err)
	}
	builder.SetGasLimit(gas)
	builder.SetFeeAmount(sdk.NewCoins(nplx(fee)))
	sig := signing.SignatureV2{PubKey: p.key.PubKey(), Sequence: sequence, Data: &signing.SingleSignatureData{SignMode: signing.SignMode_SIGN_MODE_DIRECT}}
	if err := builder.SetSignatures(sig); err != nil {
		b.t.Fatal(err)
	}
	sig, err := clienttx.SignWithPrivKey(b.t.Context(), signing.SignMode_SIGN_MODE_DIRECT, authsigning.SignerData{
		Address: p.String(), ChainID: "plexus-test", AccountNumber: number, Sequence: sequence, PubKey: p.key.PubKey(),
	}, builder, p.key, cfg, sequence)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := builder.SetSignatures(sig); err != nil {
		b.t.Fatal(err)
	}
	text, err := cfg.TxEncoder()(builder.GetTx())
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// do makes a block with one transaction and returns its log: empty if it
// succeeded.
func (b *bench) do(p *person, msgs ...sdk.Msg) string {
	b.t.Helper()
	r := b.block(b.tx(p, 0, msgs...))
	if r.TxResults[0].Code == 0 {
		return ""
	}
	return r.TxResults[0].Log
}

// must makes a block with one transaction that must succeed.
func (b *bench) must(p *person, msgs ...sdk.Msg) {
	b.t.Helper()
	if log := b.do(p, msgs...); log != "" {
		b.t.Fatalf("%T of %v: %s", msgs[0], p, log)
	}
}

// until makes blocks up to a height.
func (b *bench) until(height int64) {
	b.t.Helper()
	for b.app.LastBlockHeight() < height {
		b.block()
	}
}

// weigh sets the weights of a validator: names and their weights in turn.
func (b *bench) weigh(netuid uint32, p *person, pairs ...any) *subnetv1.MsgSetWeights {
	b.t.Helper()
	m := &subnetv1.MsgSetWeights{Account: p.String(), Netuid: netuid}
	for i := 0; i < len(pairs); i += 2 {
		m.Uids = append(m.Uids, b.uid(netuid, pairs[i].(string)))
		m.Weights = append(m.Weights, uint32(pairs[i+1].(int)))
	}
	return m
}

// uid returns the uid of a name.
func (b *bench) uid(netuid uint32, name string) uint32 {
	b.t.Helper()
	for _, n := range b.metagraph(netuid).Neurons {
		if n.Neuron.Account == b.person(name).String() {
			return n.Neuron.Uid
		}
	}
	b.t.Fatalf("%s has no neuron on subnet %d", name, netuid)
	return 0
}

// wire is a message that can be sent.
type wire interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// query asks the state machine as a client would.
func (b *bench) query(path string, request, response wire) {
	b.t.Helper()
	data, err := request.Marshal()
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := b.app.Query(b.t.Context(), &abci.RequestQuery{Path: path, Data: data})
	if err != nil {
		b.t.Fatal(err)
	}
	if r.Code != 0 {
		b.t.Fatalf("%s: %s", path, r.Log)
	}
	if err := response.Unmarshal(r.Value); err != nil {
		b.t.Fatal(err)
	}
}

// metagraph returns a subnet's state.
func (b *bench) metagraph(netuid uint32) *subnetv1.QueryMetagraphResponse {
	b.t.Helper()
	m := &subnetv1.QueryMetagraphResponse{}
	b.query("/plexus.subnet.v1.Query/Metagraph", &subnetv1.QueryMetagraphRequest{Netuid: netuid}, m)
	return m
}

// neuron returns the state of a name on subnet 1.
func (b *bench) neuron(name string) subnetv1.NeuronState {
	b.t.Helper()
	return b.metagraph(1).Neurons[b.uid(1, name)]
}

// export returns the whole state as genesis.
func (b *bench) export() map[string]json.RawMessage {
	b.t.Helper()
	state, err := b.app.modules.ExportGenesis(b.ctx(), b.app.Encoding.Codec)
	if err != nil {
		b.t.Fatal(err)
	}
	return state
}

// claimMsg returns the message by which p claims.
func claimMsg(p *person) *subnetv1.MsgClaim { return &subnetv1.MsgClaim{Account: p.String()} }

// delegateMsg returns the message by which p delegates to a validator.
func delegateMsg(p, to *person, amount coin.Amount) sdk.Msg {
	return stakingtypes.NewMsgDelegate(p.String(), to.val().String(), nplx(amount))
}
