// Package sim runs whole networks in one process, in virtual time.
//
// A [Chain] is the real state machine, driven block by block through its ABCI
// as CometBFT would drive it: sets of validators take effect two blocks later,
// validators are away or sign twice, and the clock stands where the simulation
// puts it. Nothing waits, and nothing depends on the machine, so a seed gives
// the same chain every time.
//
// A [Storm] is a chain whose people do whatever comes to their minds, with all
// messages, while every block is checked against all invariants and run by a
// second state machine that must agree. Start at [Run]; the attacks on the
// economy are this package's tests.
package sim

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"

	"github.com/cosmos/cosmos-sdk/baseapp"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"

	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/wallet"
)

// chainID names every simulated chain.
const chainID = "plexus-sim"

// A Person has an account, and may operate a validator.
type Person struct{ *wallet.Key }

// NewPerson returns the person of a name: always the same, with the same keys.
func NewPerson(name string) *Person { return &Person{wallet.Derive(chainID, name)} }

// Operator returns the address of the validator that the person operates.
func (p *Person) Operator() sdk.ValAddress { return p.Account() }

// consensusKeys is how many keys to sign blocks with a person has: the first,
// and others to change to.
const consensusKeys = 4

// Consensus returns one of the keys that may sign the person's blocks; number 0
// is the first.
func (p *Person) Consensus(number int) ed25519.PublicKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "%s signs blocks %d", p.Name(), number))
	return ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
}

// A Replica is the state machine of one node, with its database.
type Replica struct {
	App *chain.App
	db  dbm.DB
}

// newReplica returns a state machine without a state.
func newReplica() (*Replica, error) {
	r := &Replica{db: dbm.NewMemDB()}
	return r, r.Restart()
}

// Restart loads the state from the database, as after a loss of power.
func (r *Replica) Restart() error {
	app, err := chain.NewApp(chain.AppOptions{DB: r.db, ChainID: chainID, Base: []func(*baseapp.BaseApp){baseapp.SetIAVLSyncPruning(true)}})
	if err != nil {
		return err
	}
	r.App = app
	return nil
}

// Apply runs a block and commits it.
func (r *Replica) Apply(b *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	done, err := r.App.FinalizeBlock(b)
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", b.Height, err)
	}
	if _, err := r.App.Commit(); err != nil {
		return nil, fmt.Errorf("commit block %d: %w", b.Height, err)
	}
	return done, nil
}

// State returns the committed state.
func (r *Replica) State() (sdk.Context, error) {
	return r.App.CreateQueryContext(r.App.LastBlockHeight(), false)
}

// A Chain makes blocks. Its fields may be changed between two of them.
type Chain struct {
	Replica
	Time   time.Time
	Step   time.Duration   // between blocks
	Absent map[string]bool // operators, in bech32, that sign no blocks

	// Proposer, unless nil, is the consensus address of who proposes the blocks;
	// otherwise those who may sign take turns.
	Proposer []byte

	// Follow, unless nil, gets every block once it is committed.
	Follow func(*abci.RequestFinalizeBlock, *abci.ResponseFinalizeBlock) error

	people     map[string]*Person // by consensus address
	validators map[int64]set      // by height
	height     int64              // of the next block
	genesis    *abci.RequestInitChain
	misbehaved []abci.Misbehavior // for the next block
	halted     bool               // the next block has no votes, as the first of a chain
}

// A set is who may sign blocks of a height: power by consensus address.
type set map[string]int64

// NewChain starts the chain that o describes. operators are all people who
// operate a validator now or may later. edit, unless nil, may change the state
// of modules that o says nothing of.
func NewChain(o chain.GenesisOptions, operators []*Person, edit func(state map[string]json.RawMessage) error) (*Chain, error) {
	o.ChainID = chainID
	if o.Time.IsZero() {
		o.Time = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	doc, err := chain.Genesis(o)
	if err != nil {
		return nil, err
	}
	var state map[string]json.RawMessage
	if err := json.Unmarshal(doc.AppState, &state); err != nil {
		return nil, err
	}
	if edit != nil {
		if err := edit(state); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(state)
	if err != nil {
		return nil, err
	}
	params := doc.Consensus.Params.ToProto()
	return startChain(&abci.RequestInitChain{
		ChainId: chainID, Time: doc.GenesisTime, AppStateBytes: text, InitialHeight: 1, ConsensusParams: &params,
	}, operators)
}

// startChain starts a chain from a state.
func startChain(r *abci.RequestInitChain, operators []*Person) (*Chain, error) {
	replica, err := newReplica()
	if err != nil {
		return nil, err
	}
	height := r.InitialHeight
	c := &Chain{
		Replica: *replica, Time: r.Time, Step: time.Second, Absent: map[string]bool{},
		people: map[string]*Person{}, validators: map[int64]set{}, height: height, genesis: r,
	}
	for _, p := range operators {
		for i := range consensusKeys {
			c.people[string(consensusAddress(p.Consensus(i)))] = p
		}
	}
	started, err := c.App.InitChain(c.genesis)
	if err != nil {
		return nil, err
	}
	first := set{}
	first.update(started.Validators)
	c.validators[height], c.validators[height+1] = first, maps.Clone(first)
	return c, nil
}

// update applies what a block said of validators.
func (s set) update(updates []abci.ValidatorUpdate) {
	for _, u := range updates {
		address := string(consensusAddress(u.PubKey.GetEd25519()))
		if u.Power == 0 {
			delete(s, address)
		} else {
			s[address] = u.Power
		}
	}
}

// consensusAddress returns the address of a key that signs blocks.
func consensusAddress(key ed25519.PublicKey) []byte {
	sum := sha256.Sum256(key)
	return sum[:20]
}

// Fork returns another replica at the beginning of the chain.
func (c *Chain) Fork() (*Replica, error) {
	r, err := newReplica()
	if err != nil {
		return nil, err
	}
	_, err = r.App.InitChain(c.genesis)
	return r, err
}

// Block makes a block of transactions and returns what became of them.
func (c *Chain) Block(txs ...[]byte) (*abci.ResponseFinalizeBlock, error) {
	c.Time = c.Time.Add(c.Step)
	proposer, err := c.proposer()
	if err != nil {
		return nil, err
	}
	b := &abci.RequestFinalizeBlock{
		Txs: txs, Height: c.height, Time: c.Time, Hash: blockHash(c.height, txs),
		ProposerAddress: proposer, DecidedLastCommit: c.votes(), Misbehavior: c.misbehaved,
	}
	done, err := c.Apply(b)
	if err != nil {
		return nil, err
	}
	next := maps.Clone(c.validators[c.height+1])
	next.update(done.ValidatorUpdates)
	c.validators[c.height+2] = next
	delete(c.validators, c.height-2)
	c.misbehaved, c.halted = nil, false
	c.height++
	if c.Follow != nil {
		return done, c.Follow(b, done)
	}
	return done, nil
}

// proposer returns the consensus address of who proposes the next block.
func (c *Chain) proposer() ([]byte, error) {
	if c.Proposer != nil {
		return c.Proposer, nil
	}
	signers := slices.Sorted(maps.Keys(c.validators[c.height]))
	if len(signers) == 0 {
		return nil, fmt.Errorf("block %d: there are no validators", c.height)
	}
	return []byte(signers[int(c.height)%len(signers)]), nil
}

// blockHash returns what stands for the hash of a block.
func blockHash(height int64, txs [][]byte) []byte {
	h := sha256.New()
	fmt.Fprint(h, "block ", height)
	for _, tx := range txs {
		h.Write(tx)
	}
	return h.Sum(nil)
}

// votes returns who signed the latest block, of those who could.
func (c *Chain) votes() abci.CommitInfo {
	var info abci.CommitInfo
	signers, ok := c.validators[c.height-1]
	if !ok || c.halted {
		return info
	}
	for _, address := range slices.Sorted(maps.Keys(signers)) {
		flag := cmtproto.BlockIDFlagCommit
		if p := c.people[address]; p != nil && c.Absent[p.Address()] {
			flag = cmtproto.BlockIDFlagAbsent
		}
		info.Votes = append(info.Votes, abci.VoteInfo{
			Validator: abci.Validator{Address: []byte(address), Power: signers[address]}, BlockIdFlag: flag,
		})
	}
	return info
}

// SignTwice makes the next block carry evidence that p signed the latest one
// twice. It tells whether p could sign it at all.
func (c *Chain) SignTwice(p *Person) bool {
	signers := c.validators[c.height-1]
	for i := range consensusKeys {
		address := consensusAddress(p.Consensus(i))
		power, ok := signers[string(address)]
		if !ok {
			continue
		}
		c.misbehaved = append(c.misbehaved, abci.Misbehavior{
			Type: abci.MisbehaviorType_DUPLICATE_VOTE, Validator: abci.Validator{Address: address, Power: power},
			Height: c.height - 1, Time: c.Time, TotalVotingPower: power,
		})
		return true
	}
	return false
}

// wire is a message of a query.
type wire interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// Query asks the state machine as a client would.
func (c *Chain) Query(path string, request, response wire) error {
	data, err := request.Marshal()
	if err != nil {
		return err
	}
	r, err := c.App.Query(context.Background(), &abci.RequestQuery{Path: path, Data: data})
	if err != nil {
		return err
	}
	if r.Code != 0 {
		return fmt.Errorf("%s: %s", path, r.Log)
	}
	return response.Unmarshal(r.Value)
}

// governance is the address of x/gov.
func governance() string { return authtypes.NewModuleAddress(govtypes.ModuleName).String() }

// nplx returns a as a coin of the SDK.
func nplx(a coin.Amount) sdk.Coin { return sdk.NewCoin(coin.Denom, sdkInt(a)) }
