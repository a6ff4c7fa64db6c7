package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	abci "github.com/cometbft/cometbft/abci/types"

	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
)

// comesBack exports the state, starts another chain from it and compares both
// after one and the same block: every module must say the same. To the new
// chain it is the first block, which has no votes; so it has none here either,
// as after a halt. And it has the same proposer, which x/distribution remembers:
// by themselves the two chains could differ in that, for the new one starts with
// the validators of the state, which the old one lets sign two blocks later.
//
// Of a validator whose consensus key is being changed the two differ by design:
// what the old chain told its consensus engine, the new one has to tell again, and
// so an export puts the change off by two blocks. Staking is not compared then.
func (s *Storm) comesBack() error {
	changing, err := s.keysChange()
	if err != nil {
		return err
	}
	doc, err := s.App.Export(chainID)
	if err != nil {
		return err
	}
	params := doc.Consensus.Params.ToProto()
	var validators []abci.ValidatorUpdate
	for _, v := range doc.Consensus.Validators {
		validators = append(validators, abci.Ed25519ValidatorUpdate(v.PubKey.Bytes(), v.Power))
	}
	other, err := startChain(&abci.RequestInitChain{
		ChainId: chainID, Time: s.Time, AppStateBytes: doc.AppState, InitialHeight: doc.InitialHeight,
		ConsensusParams: &params, Validators: validators,
	}, s.operators)
	if err != nil {
		return fmt.Errorf("import at block %d: %w", s.height-1, err)
	}
	if other.Proposer, err = s.proposer(); err != nil {
		return err
	}
	other.Step, s.halted = s.Step, true
	if _, err := other.Block(); err != nil {
		return fmt.Errorf("first block after an import: %w", err)
	}
	if err := other.Audit(); err != nil {
		return fmt.Errorf("after an import: %w", err)
	}
	if _, err := s.Block(); err != nil {
		return err
	}
	if changing {
		return same(s.Chain, other, stakingtypes.ModuleName)
	}
	return same(s.Chain, other)
}

// keysChange tells whether the consensus key of a validator is being changed:
// told to consensus, and not in force at the next block.
func (s *Storm) keysChange() (bool, error) {
	ctx, err := s.State()
	if err != nil {
		return false, err
	}
	pending, err := s.App.Staking.PendingConsKeyRotations(ctx)
	for _, r := range pending {
		if r.ApplyHeight > s.height {
			return true, err
		}
	}
	return false, err
}

// same returns an error that says where the states of two chains differ, but for
// some modules.
func same(a, b *Chain, but ...string) error {
	var modules [2]map[string]json.RawMessage
	for i, c := range []*Chain{a, b} {
		doc, err := c.App.Export(chainID)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(doc.AppState, &modules[i]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(modules[0])) {
		if slices.Contains(but, name) {
			continue
		}
		was, is := modules[0][name], modules[1][name]
		if at := difference(was, is); at >= 0 {
			return fmt.Errorf("an export and an import changed the state of %s: %s became %s", name, around(was, at), around(is, at))
		}
	}
	return nil
}

// difference returns the first byte in which two texts differ, or −1.
func difference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// around returns what stands about a place in a text.
func around(text []byte, at int) string {
	return fmt.Sprintf("…%s…", text[max(0, at-200):min(len(text), at+120)])
}
