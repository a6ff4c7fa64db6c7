package node

import (
	"log/slog"
	"path/filepath"

	"github.com/plexus-network/plexus/subnet/text"
)

// judging is how a validator judges answers. What it must be able to show later
// is kept in the folder evidence of its state.
func judging(state string, log *slog.Logger) (text.Options, error) {
	evidence := text.Folder{Path: filepath.Join(state, "evidence")}
	secret, err := evidence.Secret()
	if err != nil {
		return text.Options{}, err
	}
	return text.Options{
		Log: log, Secret: secret,
		Fraud: func(b text.Bundle) {
			path, err := evidence.KeepBundle(b)
			if err != nil {
				log.Error("evidence of a cheat is not kept", "err", err)
				return
			}
			log.Info("evidence of a cheat is kept", "file", path)
		},
		Audited: func(a text.Audit) {
			if err := evidence.KeepAudit(a); err != nil {
				log.Error("an audit is not kept", "epoch", a.Epoch, "err", err)
			}
		},
	}, nil
}
