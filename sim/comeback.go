package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	abci "github.com/cometbft/cometbft/abci/types"
)

// comesBack exports the state, starts another chain from it and compares both
// after one and the same block: every module must say the same. To the new
// chain it is the first block, which has no votes; so it has none here either,
// as after a halt.
func (s *Storm) comesBack() error {
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
	return same(s.Chain, other)
}

// same returns an error that says where the states of two chains differ.
func same(a, b *Chain) error {
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
