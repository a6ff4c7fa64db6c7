package chain

import (
	"encoding/json"
	"errors"
	"fmt"

	cmttypes "github.com/cometbft/cometbft/types"

	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	"github.com/cosmos/cosmos-sdk/x/staking"
)

// Export returns the latest state in home as the genesis document of a chain
// that goes on from there. No node may run in home.
func Export(home string) (*genutiltypes.AppGenesis, error) {
	Configure()
	doc, err := LoadGenesis(home)
	if err != nil {
		return nil, err
	}
	app, err := openApp(NodeConfig{Home: home, Genesis: doc, KeepStates: 1000})
	if err != nil {
		return nil, err
	}
	exported, err := app.Export(doc.ChainID)
	return exported, errors.Join(err, app.Close())
}

// Export returns the latest state as the genesis document of a chain that goes
// on from there. The caller sets its time.
func (a *App) Export(chainID string) (*genutiltypes.AppGenesis, error) {
	height := a.LastBlockHeight()
	if height == 0 {
		return nil, errors.New("export: there is no block yet")
	}
	ctx, err := a.CreateQueryContext(height, false)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	state, err := a.modules.ExportGenesis(ctx, a.Encoding.Codec)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	text, err := json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	validators, err := staking.WriteValidators(ctx, a.Staking)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	params := cmttypes.ConsensusParamsFromProto(a.GetConsensusParams(ctx))
	doc := genutiltypes.NewAppGenesisWithVersion(chainID, text)
	doc.AppName = Name
	doc.GenesisTime = ctx.BlockTime()
	doc.InitialHeight = height + 1
	doc.Consensus.Validators = validators
	doc.Consensus.Params = &params
	return doc, nil
}
