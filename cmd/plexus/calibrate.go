package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/local"
	"github.com/plexus-network/plexus/engine/quant"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/subnet/text/calibrate"
)

// calibration is what the flags of command calibrate say.
type calibration struct {
	tokens    int
	against   string
	smaller   string
	out       string
	reference bool
	detect    bool
	asJSON    bool
}

// newCalibrateCmd returns the command that measures what a manifest must know
// of a model.
func newCalibrateCmd() *cobra.Command {
	var c calibration
	cmd := &cobra.Command{
		Use:   "calibrate FILE",
		Short: "Measure how honest miners of a model differ, and how a cheat does",
		Long: `Calibrate measures a model file for a text subnet's manifest. Honest miners run
the same file one answer at a time, several together and, with --reference, in
another engine; the cheat runs it in the next lower
quantisation, which calibrate makes. Validators replay the answers, and the
histograms of their margins are what the sequential test of the manifest needs.

FILE is a GGUF file or the name of a model that ships. The result is printed as a
table and, with --out, written as JSON: its greedy, sampled and probed go into the
manifest as they are. With --detect it also tries cheats of other kinds, and how
often honest miners would be rejected.`,
		Example: `  plexus calibrate plexus-4m --detect --smaller plexus-1m
  plexus calibrate model-q8_0.gguf --out measured.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.run(cmd, args[0]); err != nil {
				return fmt.Errorf("calibrate: %w", err)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.tokens, "tokens", 6000, "tokens to examine of each shape of an engine, at temperature 0 and above, each")
	f.StringVar(&c.against, "against", "", "type of the cheat's numbers: f16, q8_0 or q4_0 (default the next lower than the file's)")
	f.StringVar(&c.smaller, "smaller", "", "a smaller model of the same vocabulary, to try as a cheat with --detect")
	f.StringVar(&c.out, "out", "", "write the measurement as JSON to this file")
	f.BoolVar(&c.reference, "reference", false, "measure the reference engine too: slow, for small models")
	f.BoolVar(&c.detect, "detect", false, "measure how soon cheats are rejected, and how often honest miners are")
	f.BoolVar(&c.asJSON, "json", false, "print JSON: the measurement, the decisions and the rows of --detect")
	return cmd
}

func (c calibration) run(cmd *cobra.Command, name string) error {
	if c.tokens < 100 || c.tokens > 10_000_000 {
		return fmt.Errorf("%d tokens, 100 to 10000000 are allowed", c.tokens)
	}
	dir, err := os.MkdirTemp("", "plexus-calibrate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	command, err := workerCommand()
	if err != nil {
		return err
	}
	o := calibrate.Options{Open: opener(command), Tokens: c.tokens, Reference: c.reference, Progress: progressBar(cmd.ErrOrStderr())}
	if o.Model, err = modelFile(dir, name); err != nil {
		return err
	}
	if o.Cheat, o.CheatName, err = c.cheat(dir, o.Model); err != nil {
		return err
	}
	result, err := calibrate.Run(cmd.Context(), o)
	if err != nil {
		return err
	}
	rows, err := c.rows(cmd.Context(), dir, result, o)
	if err != nil {
		return err
	}
	if c.out != "" {
		b, err := json.MarshalIndent(result.Measured, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.out, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if c.asJSON {
		return printJSON(cmd, map[string]any{"measured": result.Measured, "decisions": result.Decision, "detection": rows})
	}
	if err := result.Print(cmd.OutOrStdout()); err != nil || !c.detect {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout())
	return calibrate.PrintRows(cmd.OutOrStdout(), rows)
}

// rows tries cheats, if asked to.
func (c calibration) rows(ctx context.Context, dir string, r *calibrate.Result, o calibrate.Options) ([]calibrate.Row, error) {
	if !c.detect {
		return nil, nil
	}
	cheats := calibrate.Behaviours()
	if c.smaller != "" {
		path, err := modelFile(dir, c.smaller)
		if err != nil {
			return nil, err
		}
		cheats = append(cheats, calibrate.Cheat{Name: "smaller model: " + c.smaller, Model: path})
	}
	return r.Detect(ctx, o, cheats)
}

// modelFile is a model's path; the name of one that ships puts it in dir.
func modelFile(dir, name string) (string, error) {
	_, err := os.Stat(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return name, err
	}
	known := slices.ContainsFunc(stock.Models(), func(m stock.Model) bool { return m.Name == name })
	if !known {
		return "", fmt.Errorf("no file %s, and no model of that name ships", name)
	}
	return stock.Path(dir, name)
}

// cheat makes the file that the cheat runs.
func (c calibration) cheat(dir, model string) (path, name string, err error) {
	f, err := gguf.Open(model)
	if err != nil {
		return "", "", err
	}
	if err := f.Check(); err != nil {
		return "", "", fmt.Errorf("%s: %w", model, err)
	}
	to, err := c.lower(f)
	if err != nil {
		return "", "", err
	}
	path = filepath.Join(dir, to.String()+".gguf")
	out, err := os.Create(path)
	if err != nil {
		return "", "", err
	}
	return path, to.String(), errors.Join(quant.File(out, model, to, nil), out.Close())
}

func (c calibration) lower(f *gguf.File) (gguf.Type, error) {
	if c.against != "" {
		to, err := quant.Parse(c.against)
		if err == nil && to.String() == f.Precision() {
			err = fmt.Errorf("the file is in %s already: that is no cheat", c.against)
		}
		return to, err
	}
	to, ok := quant.Next(f.Precision())
	if !ok {
		return 0, fmt.Errorf("nothing lower than %s can be made: name a type with --against", f.Precision())
	}
	return to, nil
}

// opener opens models as calibrate wants them, in workers of this program.
func opener(command []string) func(context.Context, string, calibrate.Shape) (engine.Checker, error) {
	return func(ctx context.Context, path string, s calibrate.Shape) (engine.Checker, error) {
		return local.Open(ctx, path, local.Options{
			Threads: 1, Sessions: s.Sessions, Reference: s.Reference, Command: command,
		})
	}
}

// progressBar draws how far a measurement is, on a terminal only.
func progressBar(w io.Writer) func(done, total int, what string) {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	const width = 30
	return func(done, total int, what string) {
		full := min(width*done/max(total, 1), width)
		fmt.Fprintf(f, "\r[%s%s] %3d %%  %-40.40s", strings.Repeat("=", full), strings.Repeat(" ", width-full), 100*done/max(total, 1), what)
		if done >= total {
			fmt.Fprint(f, "\r\x1b[K")
		}
	}
}
