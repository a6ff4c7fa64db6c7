// Package local opens model files with the best engine that this program has.
//
// That is libllama in a worker process, so that a crash in native code costs a
// pause and not the node; without cgo it is the reference engine in this
// process. Start at [Open]. A program that opens models must have a command
// that calls [Serve]: "engine-worker", unless Options.Command says otherwise.
package local

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/llama"
	"github.com/plexus-network/plexus/engine/ref"
	"github.com/plexus-network/plexus/engine/worker"
)

// Command is the argument that makes a program a worker.
const Command = "engine-worker"

// Options tunes an engine. The zero value works.
type Options struct {
	Threads  int // 0 means one less than there are processors, at least 1
	Context  int // tokens per session; 0 means what the model was made for, within the engine's limit
	Sessions int // computed at the same time; 0 means as many as 512 MiB of keys and values hold, 1 to 16
	Queue    int // waiting for a session before ErrBusy; 0 means four per session

	Accelerators []string // ggml's back ends for graphics processors; see Accelerators

	Reference bool         // use the reference engine, in this process: slow, and equal on every machine
	Command   []string     // program and arguments that call Serve; nil means this program with Command
	Log       *slog.Logger // nil means no log
}

// Open opens the GGUF file at path. Its error wraps engine.ErrBadModel where
// the file is no good. ctx bounds the opening only; the caller closes the engine.
func Open(ctx context.Context, path string, o Options) (engine.Checker, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Reference || !llama.Available {
		if !o.Reference {
			o.Log.Warn("built without cgo: the reference engine answers, slowly", "model", path)
		}
		return ref.Open(path, ref.Options{Threads: o.Threads, Context: o.Context, Batch: batch.Options{Slots: o.Sessions, Queue: o.Queue}})
	}
	return openWorker(ctx, path, o)
}

// openWorker opens the file in a worker process.
func openWorker(ctx context.Context, path string, o Options) (engine.Checker, error) {
	command := o.Command
	if command == nil {
		var err error
		if command, err = ownCommand(); err != nil {
			return nil, err
		}
	}
	hash, err := gguf.Hash(path)
	if err != nil {
		return nil, err
	}
	spawn := func() (io.ReadWriteCloser, error) { return start(command, o.Log) }
	load := worker.Load{
		Path: path, Threads: o.Threads, Context: o.Context, Sessions: o.Sessions, Queue: o.Queue, Accelerators: o.Accelerators,
	}
	w, err := worker.Start(ctx, spawn, load, worker.Options{Log: o.Log})
	if err != nil {
		return nil, err
	}
	e := &hashed{w, hash}
	tell(o.Log, e.Model(), w.Opened())
	return e, nil
}

// ownCommand is this program as a worker.
func ownCommand() ([]string, error) {
	if os.Getenv(asked) != "" {
		return nil, errors.New("local: a worker cannot start workers")
	}
	if flag.Lookup("test.v") != nil {
		return nil, errors.New("local: this is a test program, not a worker: set Options.Reference, or call ServeIfAsked in TestMain and set Options.Command to os.Args[:1]")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []string{self, Command}, nil
}

// hashed is an engine that knows its file's hash.
type hashed struct {
	*worker.Engine
	hash string
}

// Model describes the model.
func (h *hashed) Model() engine.Model {
	m := h.Engine.Model()
	m.FileHash = h.hash
	return m
}

// Device names what computes an engine's model in the processor's place, as
// "CUDA0: NVIDIA H100", or is empty.
func Device(e engine.Checker) string {
	if h, ok := e.(*hashed); ok {
		return h.Opened().Device
	}
	return ""
}

// tell logs what was opened, and whether it could be faster.
func tell(log *slog.Logger, m engine.Model, o worker.Opened) {
	log.Info("model opened", "name", m.Name, "architecture", m.Architecture, "precision", m.Precision,
		"parameters", m.Parameters, "context", m.Context, "build", o.Build, "device", o.Device)
	if o.Device == "" && o.Faster != "" {
		log.Warn("the engine was built for an older processor: make builds one for this machine, several times faster",
			"build", o.Build, "machine", o.Faster)
	}
}

// Serve is the worker's life: it opens the model that the first request on r
// names and answers until r ends.
func Serve(ctx context.Context, r io.Reader, w io.Writer) error {
	return worker.Serve(ctx, r, w, func(l worker.Load) (worker.Served, worker.Opened, error) {
		e, err := llama.Open(l.Path, llama.Options{
			Threads: l.Threads, Context: l.Context, Accelerators: l.Accelerators, Batch: batch.Options{Slots: l.Sessions, Queue: l.Queue},
		})
		if err != nil {
			return nil, worker.Opened{}, err
		}
		b := llama.Compiled()
		var devices []string
		for _, d := range llama.Devices() {
			devices = append(devices, d.Name+": "+d.Model)
		}
		return e, worker.Opened{Model: e.Model(), Build: b.Has, Faster: b.Slower, Device: strings.Join(devices, ", ")}, nil
	})
}

// ServeStandard is Serve on the standard input and output, which nothing else
// in the process can reach while it runs: what native code prints goes to the
// standard error.
func ServeStandard(ctx context.Context) error {
	out, err := takeOutput()
	if err != nil {
		return fmt.Errorf("take standard output: %w", err)
	}
	return Serve(ctx, os.Stdin, out)
}

// ServeIfAsked makes a test program a worker where it was started as one. Call
// it first in TestMain; it does not return in a worker.
func ServeIfAsked() {
	if os.Getenv(asked) == "" {
		return
	}
	if err := ServeStandard(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
