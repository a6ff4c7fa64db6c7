package chain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	cosmoslog "cosmossdk.io/log/v2"
	sdkslog "cosmossdk.io/log/v2/slog"
	cmtlog "github.com/cometbft/cometbft/libs/log"

	cmtwrap "github.com/cosmos/cosmos-sdk/server/log"
)

// silent logs nothing.
var silent = slog.New(slog.DiscardHandler)

// cosmosLog returns log as the SDK wants it; nil logs nothing.
func cosmosLog(log *slog.Logger) cosmoslog.Logger {
	if log == nil {
		log = silent
	}
	return sdkslog.NewCustomLogger(log)
}

// warnings passes on warnings and errors only: the SDK and CometBFT tell of
// every step otherwise. It leaves out transactions that ran out of gas, whose
// senders hear of it, and which the SDK logs as panics with their whole stacks.
type warnings struct{ slog.Handler }

// Handle passes a record on.
func (w warnings) Handle(ctx context.Context, r slog.Record) error {
	spent := false
	r.Attrs(func(a slog.Attr) bool {
		spent = a.Key == "err" && strings.HasSuffix(a.Value.String(), ": out of gas")
		return !spent
	})
	if spent && r.Message == "panic recovered in runTx" {
		return nil
	}
	return w.Handler.Handle(ctx, r)
}

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

func (w warnings) WithAttrs(as []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(as)} }

func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }

// quiet returns log without what is below a warning.
func quiet(log *slog.Logger) *slog.Logger {
	if log == nil {
		return silent
	}
	return slog.New(warnings{log.Handler()})
}

// A failure is one that CometBFT only logs: what failed, and why.
type failure struct {
	what  string
	cause error
}

// failures lists what CometBFT logs when its consensus ends by a panic, and
// when it gives up to take over a state. Nothing else tells: the process goes
// on without consensus.
var failures = map[string]string{
	"CONSENSUS FAILURE!!!":                    "consensus",
	"State sync failed":                       "state sync",
	"Failed to bootstrap node with new state": "state sync",
	"Failed to store last seen commit":        "state sync",
	"Failed to switch to block sync":          "state sync",
}

// failureLog is a log of CometBFT that tells what failed.
type failureLog struct {
	cmtlog.Logger
	failed func(failure)
}

// cometLog returns log as CometBFT wants it. failed is told of failures.
func cometLog(log *slog.Logger, failed func(failure)) cmtlog.Logger {
	return failureLog{cmtwrap.CometLoggerWrapper{Logger: cosmosLog(quiet(log))}, failed}
}

// Error logs an error.
func (l failureLog) Error(msg string, keyvals ...any) {
	l.Logger.Error(msg, keyvals...)
	what, ok := failures[msg]
	if !ok {
		return
	}
	cause := errors.New("unknown cause")
	for i := 0; i+1 < len(keyvals); i += 2 {
		if keyvals[i] == "err" {
			cause = fmt.Errorf("%v", keyvals[i+1])
		}
	}
	l.failed(failure{what, cause})
}

// With returns a log with more context.
func (l failureLog) With(keyvals ...any) cmtlog.Logger {
	return failureLog{l.Logger.With(keyvals...), l.failed}
}
