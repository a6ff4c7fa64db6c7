package chain

import (
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"cosmossdk.io/math"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/cosmos/gogoproto/proto"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cosmosed25519 "github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/emission"
	"github.com/plexus-network/plexus/chain/market"
	"github.com/plexus-network/plexus/chain/registry"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// GenesisOptions says how a chain begins. Only ChainID and one of Validators
// are required. Addresses are in bech32 with [Prefix].
type GenesisOptions struct {
	ChainID    string
	Time       time.Time // of the first block; zero means now
	Validators []GenesisValidator
	Subnets    []GenesisSubnet  // netuids 1, 2, … in this order
	Hotkeys    []GenesisHotkey  // who may act for whom
	Accounts   []GenesisAccount // test networks only: there is no pre-mine

	SubnetParams   *subnetv1.Params   // nil means the defaults
	RegistryParams *registryv1.Params // nil means the defaults
	MarketParams   *marketv1.Params   // nil means the defaults
	Unbonding      time.Duration      // 0 means 21 days
}

// A GenesisValidator produces blocks from the first on. Nobody owns its stake:
// it belongs to the schedule, which burns it as organic stake grows.
type GenesisValidator struct {
	Moniker    string            // 1 to 70 bytes
	Operator   string            // account that earns the commission
	Key        ed25519.PublicKey // signs blocks; see [Identity]
	Bootstrap  coin.Amount       // stake; 0 means 1,000 PLX
	Commission uint16            // its take, in hundredths of a percent; 0 means 1,000, which is 10 %
}

// A GenesisSubnet exists from the first block on, without burning its price.
type GenesisSubnet struct {
	Owner           string // account; empty means governance
	Kind            string // name of the mechanism, as "text"
	Name            string // empty means Kind
	KindParams      []byte
	Hyperparameters *subnetv1.Hyperparameters // nil means the defaults
	Neurons         []GenesisNeuron           // uids 0, 1, … in this order
}

// A GenesisNeuron is registered from the first block on.
type GenesisNeuron struct {
	Account string
	PeerID  string // libp2p peer id in text form; may be empty
}

// A GenesisHotkey is a key that may set, commit and reveal weights and update
// the axon for an account, and may spend up to 1 PLX a day of it on fees.
type GenesisHotkey struct {
	Account string // the coldkey
	Hotkey  string
}

// A GenesisAccount has coins that no schedule minted.
type GenesisAccount struct {
	Address string
	Balance coin.Amount
}

// Genesis returns the genesis document of a new chain. Save it with its SaveAs
// method, or hand it to [StartNode].
func Genesis(o GenesisOptions) (*genutiltypes.AppGenesis, error) {
	app, err := NewApp(AppOptions{ChainID: o.ChainID})
	if err != nil {
		return nil, err
	}
	defer func() { _ = app.Close() }() // it is in memory
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	state := app.basics.DefaultGenesis(app.Encoding.Codec)
	d := draft{GenesisOptions: o, app: app, state: state}
	for _, part := range []func() error{d.accounts, d.bank, d.staking, d.chores, d.hotkeys, d.emission, d.subnets, d.registry, d.market} {
		if err := part(); err != nil {
			return nil, fmt.Errorf("genesis: %w", err)
		}
	}
	if err := app.basics.ValidateGenesis(app.Encoding.Codec, app.Encoding.TxConfig, state); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	text, err := json.Marshal(state)
	if err != nil {
		return nil, err
	}
	doc := genutiltypes.NewAppGenesisWithVersion(o.ChainID, text)
	doc.AppName = Name
	doc.GenesisTime = o.Time
	doc.InitialHeight = 1
	doc.Consensus.Params = consensusParams(o.Unbonding)
	return doc, doc.ValidateAndComplete()
}

// complete fills in what o leaves out, and checks the rest.
func (o *GenesisOptions) complete() error {
	if o.ChainID == "" || len(o.ChainID) > genutiltypes.MaxChainIDLen {
		return fmt.Errorf("chain id has %d bytes; it must have 1 to %d", len(o.ChainID), genutiltypes.MaxChainIDLen)
	}
	if len(o.Validators) == 0 {
		return errors.New("a chain needs at least one validator")
	}
	if o.Time.IsZero() {
		o.Time = time.Now()
	}
	o.Time = o.Time.UTC().Truncate(time.Millisecond)
	if o.Unbonding == 0 {
		o.Unbonding = 21 * 24 * time.Hour
	}
	o.Validators = slices.Clone(o.Validators)
	seen := map[string]bool{}
	for i := range o.Validators {
		v := &o.Validators[i]
		if v.Bootstrap == 0 {
			v.Bootstrap = 1000 * coin.PLX
		}
		if v.Commission == 0 {
			v.Commission = 1000
		}
		if v.Commission > 10_000 {
			return fmt.Errorf("validator %s takes %d hundredths of a percent; at most 10000", v.Operator, v.Commission)
		}
		if len(v.Key) != ed25519.PublicKeySize {
			return fmt.Errorf("validator %s has a key of %d bytes; it must have %d", v.Operator, len(v.Key), ed25519.PublicKeySize)
		}
		if seen[v.Operator] || seen[string(v.Key)] {
			return fmt.Errorf("validator %s is listed twice, or its key is", v.Operator)
		}
		seen[v.Operator], seen[string(v.Key)] = true, true
	}
	return nil
}

// A draft is a genesis in the making.
type draft struct {
	GenesisOptions
	app   *App
	state map[string]json.RawMessage
}

// set stores the state of a module.
func (d *draft) set(module string, state proto.Message) error {
	text, err := d.app.Encoding.Codec.MarshalJSON(state)
	d.state[module] = text
	return err
}

// get reads the state of a module.
func (d *draft) get(module string, state proto.Message) error {
	return d.app.Encoding.Codec.UnmarshalJSON(d.state[module], state)
}

// bootstrap returns the stake of all validators.
func (d *draft) bootstrap() coin.Amount {
	var sum coin.Amount
	for _, v := range d.Validators {
		sum += v.Bootstrap
	}
	return sum
}

// accounts makes an account for every address that occurs, in the order of
// addresses.
func (d *draft) accounts() error {
	var all []string
	for _, v := range d.Validators {
		all = append(all, v.Operator)
	}
	for _, h := range d.Hotkeys {
		all = append(all, h.Account, h.Hotkey)
	}
	for _, a := range d.Accounts {
		all = append(all, a.Address)
	}
	for _, s := range d.Subnets {
		if s.Owner != "" {
			all = append(all, s.Owner)
		}
		for _, n := range s.Neurons {
			all = append(all, n.Account)
		}
	}
	slices.Sort(all)
	var list authtypes.GenesisAccounts
	for _, text := range slices.Compact(all) {
		account, err := sdk.AccAddressFromBech32(text)
		if err != nil {
			return fmt.Errorf("account %q: %w", text, err)
		}
		list = append(list, authtypes.NewBaseAccountWithAddress(account))
	}
	return d.set(authtypes.ModuleName, authtypes.NewGenesisState(authtypes.DefaultParams(), list))
}

// bank puts the bootstrap stake where x/staking expects it: validators begin
// unbonded, so their tokens are in the pool of what is not bonded.
func (d *draft) bank() error {
	balances := []banktypes.Balance{{
		Address: authtypes.NewModuleAddress(stakingtypes.NotBondedPoolName).String(),
		Coins:   sdk.NewCoins(nplx(d.bootstrap())),
	}}
	for _, a := range d.Accounts {
		if a.Balance > 0 {
			balances = append(balances, banktypes.Balance{Address: a.Address, Coins: sdk.NewCoins(nplx(a.Balance))})
		}
	}
	state := banktypes.DefaultGenesisState()
	state.Balances = banktypes.SanitizeGenesisBalances(balances)
	state.DenomMetadata = []banktypes.Metadata{{
		Description: "The token of the Plexus network",
		DenomUnits: []*banktypes.DenomUnit{
			{Denom: coin.Denom, Exponent: 0, Aliases: []string{"nanoplx"}},
			{Denom: coin.Display, Exponent: 9},
		},
		Base: coin.Denom, Display: coin.Display, Name: "Plexus", Symbol: "PLX",
	}}
	return d.set(banktypes.ModuleName, state)
}

// staking bonds the validators by delegations of the bootstrap account.
func (d *draft) staking() error {
	params := stakingtypes.DefaultParams()
	params.UnbondingTime = d.Unbonding
	state := &stakingtypes.GenesisState{Params: params, LastTotalPower: math.ZeroInt()}
	for _, v := range d.Validators {
		operator, err := sdk.AccAddressFromBech32(v.Operator)
		if err != nil {
			return fmt.Errorf("operator %q: %w", v.Operator, err)
		}
		val := sdk.ValAddress(operator).String()
		validator, err := stakingtypes.NewValidator(val, &cosmosed25519.PubKey{Key: v.Key}, stakingtypes.NewDescription(v.Moniker, "", "", "", ""))
		if err != nil {
			return err
		}
		validator.Tokens = sdkInt(v.Bootstrap)
		validator.DelegatorShares = math.LegacyNewDecFromInt(validator.Tokens)
		validator.Commission = stakingtypes.NewCommissionWithTime(
			math.LegacyNewDecWithPrec(int64(v.Commission), 4), math.LegacyOneDec(), math.LegacyNewDecWithPrec(1, 2), d.Time)
		validator.MinSelfDelegation = math.OneInt()
		state.Validators = append(state.Validators, validator)
		state.Delegations = append(state.Delegations, stakingtypes.NewDelegation(
			authtypes.NewModuleAddress(emission.BootstrapName).String(), val, validator.DelegatorShares))
	}
	return d.set(stakingtypes.ModuleName, state)
}

// chores sets what x/slashing and x/gov ask of people: validators may be away
// for most of 10,000 blocks, and a proposal is backed by 100 PLX.
func (d *draft) chores() error {
	slash := slashingtypes.DefaultGenesisState()
	slash.Params.SignedBlocksWindow = 10_000
	slash.Params.MinSignedPerWindow = math.LegacyNewDecWithPrec(5, 2)
	slash.Params.SlashFractionDowntime = math.LegacyNewDecWithPrec(1, 4)
	if err := d.set(slashingtypes.ModuleName, slash); err != nil {
		return err
	}
	var g govv1.GenesisState
	if err := d.get(govtypes.ModuleName, &g); err != nil {
		return err
	}
	g.Params.MinDeposit = sdk.NewCoins(nplx(100 * coin.PLX))
	g.Params.ExpeditedMinDeposit = sdk.NewCoins(nplx(500 * coin.PLX))
	return d.set(govtypes.ModuleName, &g)
}

// hotkeyMessages are what a hotkey may do for its account, as wallet grants it
// to hotkeys that come later.
var hotkeyMessages = []sdk.Msg{
	&subnetv1.MsgSetWeights{}, &subnetv1.MsgSetWeightsBatch{}, &subnetv1.MsgCommitWeights{}, &subnetv1.MsgRevealWeights{},
	&subnetv1.MsgUpdateAxon{}, &subnetv1.MsgSetCommitment{},
	&registryv1.MsgRegisterManifest{}, &registryv1.MsgCommitAudit{}, &registryv1.MsgRevealAudit{},
	&registryv1.MsgReportFraud{}, &registryv1.MsgVoteFraud{}, &registryv1.MsgPublishRoot{},
}

// hotkeys grants every hotkey its messages, by x/authz, and their fees, by
// x/feegrant.
func (d *draft) hotkeys() error {
	grants := authz.DefaultGenesisState()
	fees := feegrant.DefaultGenesisState()
	for _, h := range d.Hotkeys {
		for _, m := range hotkeyMessages {
			a, err := codectypes.NewAnyWithValue(authz.NewGenericAuthorization(sdk.MsgTypeURL(m)))
			if err != nil {
				return err
			}
			grants.Authorization = append(grants.Authorization, authz.GrantAuthorization{Granter: h.Account, Grantee: h.Hotkey, Authorization: a})
		}
		allowance, err := d.allowance()
		if err != nil {
			return err
		}
		fees.Allowances = append(fees.Allowances, feegrant.Grant{Granter: h.Account, Grantee: h.Hotkey, Allowance: allowance})
	}
	if err := d.set(authz.ModuleName, grants); err != nil {
		return err
	}
	return d.set(feegrant.ModuleName, fees)
}

// allowance returns what a hotkey may spend on fees: 1 PLX a day.
func (d *draft) allowance() (*codectypes.Any, error) {
	daily := sdk.NewCoins(nplx(coin.PLX))
	allowed, err := feegrant.NewAllowedMsgAllowance(&feegrant.PeriodicAllowance{
		Period: 24 * time.Hour, PeriodSpendLimit: daily, PeriodCanSpend: daily, PeriodReset: d.Time.Add(24 * time.Hour),
	}, []string{sdk.MsgTypeURL(&authz.MsgExec{})})
	if err != nil {
		return nil, err
	}
	return codectypes.NewAnyWithValue(allowed)
}

// emission notes what exists before the first block.
func (d *draft) emission() error {
	state := emission.DefaultGenesis()
	state.State.Bootstrap = uint64(d.bootstrap())
	state.State.GenesisSupply = state.State.Bootstrap
	for _, a := range d.Accounts {
		state.State.GenesisSupply += uint64(a.Balance)
	}
	return d.set(emission.ModuleName, state)
}

// subnets adds the subnets to the root.
func (d *draft) subnets() error {
	state := subnet.DefaultGenesis(governance().String())
	if d.SubnetParams != nil {
		state.Params = *d.SubnetParams
	}
	for i, s := range d.Subnets {
		record := subnetv1.Subnet{
			Netuid: uint32(i + 1), Owner: cmp.Or(s.Owner, governance().String()), Kind: s.Kind, Name: cmp.Or(s.Name, s.Kind),
			KindParams: s.KindParams, Hyperparameters: subnet.DefaultHyperparameters(), Neurons: uint32(len(s.Neurons)),
		}
		if s.Hyperparameters != nil {
			record.Hyperparameters = *s.Hyperparameters
		}
		g := subnetv1.SubnetGenesis{Subnet: record}
		for uid, n := range s.Neurons {
			g.Neurons = append(g.Neurons, subnetv1.Neuron{Uid: uint32(uid), Account: n.Account, Axon: subnetv1.Axon{PeerId: n.PeerID}})
		}
		state.Subnets = append(state.Subnets, g)
	}
	return d.set(subnet.ModuleName, state)
}

// registry sets the registry's parameters; it begins empty.
func (d *draft) registry() error {
	state := registry.DefaultGenesis()
	if d.RegistryParams != nil {
		state.Params = *d.RegistryParams
	}
	return d.set(registry.ModuleName, state)
}

// market sets the market's parameters; it begins empty.
func (d *draft) market() error {
	state := market.DefaultGenesis()
	if d.MarketParams != nil {
		state.Params = *d.MarketParams
	}
	return d.set(market.ModuleName, state)
}

// consensusParams bounds blocks to 4 MiB and 200 million gas, and keeps
// evidence as long as stake can be slashed for it.
func consensusParams(unbonding time.Duration) *cmttypes.ConsensusParams {
	p := cmttypes.DefaultConsensusParams()
	p.Block.MaxBytes = 4 << 20
	p.Block.MaxGas = 200_000_000
	p.Evidence.MaxAgeDuration = unbonding
	p.Evidence.MaxAgeNumBlocks = int64(unbonding/(6*time.Second)) + 1
	return p
}
