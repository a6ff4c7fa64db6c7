package text

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/plexus-network/plexus/yuma"
)

// snapshot is what Snapshot writes, as JSON.
type snapshot struct {
	Version int                  `json:"version"`
	Model   string               `json:"model"` // file hash that the records are about
	Records map[yuma.UID]*record `json:"records"`
}

const snapshotVersion = 1

// Snapshot returns what is remembered of all miners, as JSON.
func (m *Mechanism) Snapshot() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return json.Marshal(snapshot{Version: snapshotVersion, Model: m.manifest.FileHash, Records: m.records})
}

// Restore replaces what is remembered by a snapshot. One that is about another
// model is forgotten, for evidence does not carry over.
func (m *Mechanism) Restore(state []byte) error {
	records := map[yuma.UID]*record{}
	if state != nil {
		var s snapshot
		if err := json.Unmarshal(state, &s); err != nil {
			return fmt.Errorf("text: restore: %w", err)
		}
		if err := s.check(); err != nil {
			return fmt.Errorf("text: restore: %w", err)
		}
		if s.Model == m.manifest.FileHash {
			records = s.Records
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records, m.dossiers = records, map[yuma.UID]*dossier{}
	return nil
}

func (s snapshot) check() error {
	if s.Version != snapshotVersion {
		return fmt.Errorf("a snapshot of version %d, this is version %d", s.Version, snapshotVersion)
	}
	if s.Records == nil || len(s.Records) > math.MaxUint16+1 {
		return fmt.Errorf("a snapshot with %d records", len(s.Records))
	}
	for uid, r := range s.Records {
		if r == nil || !r.valid() {
			return fmt.Errorf("the record of uid %d is damaged: %+v", uid, r)
		}
	}
	return nil
}
