package node

import (
	"log/slog"
	"path/filepath"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/subnet/text/duty"
	"github.com/plexus-network/plexus/yuma"
)

// evidenceOf is where a validator keeps what it must be able to show later.
func evidenceOf(state string) text.Folder {
	return text.Folder{Path: filepath.Join(state, "evidence")}
}

// judging is how a validator judges answers. What it must be able to show later
// is kept in the folder evidence of its state; from there its duty takes it to
// the chain.
func judging(state string, log *slog.Logger) (text.Options, error) {
	evidence := evidenceOf(state)
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

// owing is what a validator's duty follows from.
type owing struct {
	chain  *ledger.Client
	actor  ledger.Actor
	netuid yuma.Netuid
	params []byte // kind parameters of the subnet
	engine engine.Checker
	judge  *text.Mechanism
	state  string   // folder
	secret [32]byte // of audits
	log    *slog.Logger
}

// duty returns the service that does a validator's duty in the registry.
func (o owing) duty(name string) (service, error) {
	d, err := duty.New(duty.Options{
		Chain: o.chain, Actor: o.actor, Netuid: o.netuid, Params: o.params, Engine: o.engine, Judge: o.judge,
		Folder: evidenceOf(o.state), Secret: o.secret, Log: o.log.With("role", "duty"),
	})
	if err != nil {
		return service{}, err
	}
	return service{name, d.Run}, nil
}
