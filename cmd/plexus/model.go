package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/engine/hub"
	"github.com/plexus-network/plexus/engine/shelf"
	"github.com/plexus-network/plexus/engine/stock"
)

// A modelCmd is what the commands about model files share.
type modelCmd struct{ home string }

// folder is where models are.
func (c *modelCmd) folder() string { return filepath.Join(c.home, "models") }

// newModelCmd returns the commands that get model files and look at them.
func newModelCmd() *cobra.Command {
	c := &modelCmd{}
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Get model files, and look at them",
		Long: `Get model files from a hub, and look at those that are here. They lie in the
folder models of the home folder, where plexus miner finds the one that its
subnet declares by its hash.`,
	}
	cmd.PersistentFlags().StringVar(&c.home, "home", defaultHome(), "folder of keys, settings and models, also $PLEXUS_HOME")
	cmd.PersistentFlags().Bool("json", false, "print JSON")
	cmd.AddCommand(newModelFetchCmd(c), newModelListCmd(c), newModelShowCmd(c))
	return cmd
}

func newModelFetchCmd(c *modelCmd) *cobra.Command {
	o := hub.Options{}
	cmd := &cobra.Command{
		Use:   "fetch NAME",
		Short: "Get a model file from a hub",
		Long: `Get a model file from a hub, by default Hugging Face. NAME is one of

  org/repo/file.gguf     a file of a repository
  org/repo:Q8_0          the one of its files with that quantisation
  org/repo               its only file; of several, all are told
  https://host/m.gguf    a file anywhere
  plexus-4m              a model that ships with Plexus

The first three take @revision at their end: a branch, a tag or a commit. What
broke off goes on where it was when the same command is given again. The file
is checked against the hub's own hash, or the one that --sha256 tells.

Repositories that are not open to all need a token in the variable HF_TOKEN.`,
		Example: `  plexus model fetch Qwen/Qwen2.5-0.5B-Instruct-GGUF:q8_0
  plexus model fetch https://example.com/model.gguf --sha256 c2cce210…`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Dir = cmp.Or(o.Dir, c.folder())
			path, err := fetchModel(cmd, o, args[0])
			if err != nil {
				return err
			}
			m, err := shelf.Read(cmd.Context(), path)
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return printJSON(cmd, m)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\nsha256 %s\n", m.Path, m.FileHash)
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dir", "", "folder to put it into (default models in the home folder)")
	cmd.Flags().StringVar(&o.SHA256, "sha256", "", "hash that the file must have (default what the hub tells)")
	cmd.Flags().StringVar(&o.Base, "hub", cmp.Or(os.Getenv("HF_ENDPOINT"), hub.Base), "URL of the hub, also $HF_ENDPOINT")
	return cmd
}

// fetchModel brings the model of that name, and draws how far it is.
func fetchModel(cmd *cobra.Command, o hub.Options, name string) (string, error) {
	if ships(name) {
		return stock.Path(o.Dir, name)
	}
	var err error
	if o.Name, err = hub.Parse(name); err != nil {
		return "", err
	}
	o.Token = os.Getenv("HF_TOKEN")
	bar := newTransferBar(cmd.ErrOrStderr())
	defer bar.close()
	o.Progress, o.Retry = bar.moved, bar.retry
	return hub.Fetch(cmd.Context(), o)
}

func newModelListCmd(c *modelCmd) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the model files that are here, and those that ship",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			models, err := c.list(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return printJSON(cmd, models)
			}
			return printModels(cmd.OutOrStdout(), models)
		},
	}
}

// listedModel is a model file, or one that ships and is not in the folder yet.
type listedModel struct {
	shelf.Model
	Ships bool `json:"ships"`
}

func (c *modelCmd) list(ctx context.Context) ([]listedModel, error) {
	here, err := shelf.List(ctx, c.folder())
	if err != nil {
		return nil, err
	}
	all := []listedModel{}
	missing := stock.Models()
	for _, m := range here {
		same := func(s stock.Model) bool { return s.SHA256 == m.FileHash }
		all = append(all, listedModel{m, slices.ContainsFunc(stock.Models(), same)})
		missing = slices.DeleteFunc(missing, same)
	}
	for _, s := range missing {
		m, err := c.shipped(ctx, s)
		if err != nil {
			return nil, err
		}
		all = append(all, listedModel{m, true})
	}
	return all, nil
}

// shipped describes a model that ships and is not in the folder.
func (c *modelCmd) shipped(ctx context.Context, s stock.Model) (shelf.Model, error) {
	dir, err := os.MkdirTemp("", "plexus-model-")
	if err != nil {
		return shelf.Model{}, err
	}
	defer os.RemoveAll(dir)
	path, err := stock.Path(dir, s.Name)
	if err != nil {
		return shelf.Model{}, err
	}
	m, err := shelf.Read(ctx, path)
	m.Path = "" // it is in the program
	return m, err
}

func printModels(w io.Writer, models []listedModel) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tARCHITECTURE\tPRECISION\tPARAMETERS\tCONTEXT\tSIZE\tSHA256\tFILE")
	for _, m := range models {
		file := filepath.Base(m.Path)
		switch {
		case m.Path == "":
			file = "(ships)"
		case m.Ships:
			file += " (ships)"
		}
		if m.Fault != "" {
			fmt.Fprintf(t, "%s\t-\t-\t-\t-\t%s\t-\t%s: no model, plexus model show tells why\n", m.Name, hub.Bytes(m.Size), file)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%.12s…\t%s\n", m.Name, m.Architecture, m.Precision, parameters(m.Parameters), m.Context, hub.Bytes(m.Size), m.FileHash, file)
	}
	return t.Flush()
}

// parameters writes how many a model has: "3.7 M".
func parameters(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.1f B", float64(n)/1e9)
	}
	return fmt.Sprintf("%.1f M", float64(n)/1e6)
}

func newModelShowCmd(c *modelCmd) *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Tell what a model file is, and what a manifest says of it",
		Long: `Read the header of a model file and tell its architecture, tokenizer, context,
precision and hashes: what a subnet's manifest must say of it. FILE is a path,
the name of a file in the folder models, or that of a model that ships.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := c.find(args[0])
			if err != nil {
				return err
			}
			m, err := shelf.Read(cmd.Context(), path)
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return printJSON(cmd, m)
			}
			return printModel(cmd.OutOrStdout(), m)
		},
	}
}

// find returns the path of the file that an argument names.
func (c *modelCmd) find(name string) (string, error) {
	if ships(name) {
		return stock.Path(c.folder(), name)
	}
	tried := []string{name}
	if filepath.Base(name) == name {
		tried = append(tried, filepath.Join(c.folder(), name), filepath.Join(c.folder(), name+shelf.Suffix))
	}
	for _, path := range tried {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("there is no file %s: plexus model list tells which models are here", strings.Join(tried, ", nor "))
}

// ships tells whether a model of that name is in the program.
func ships(name string) bool {
	return slices.ContainsFunc(stock.Models(), func(m stock.Model) bool { return m.Name == name })
}

func printModel(w io.Writer, m shelf.Model) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"File", m.Path},
		{"Size", hub.Bytes(m.Size)},
		{"Name", m.Name},
		{"Architecture", m.Architecture},
		{"Parameters", parameters(m.Parameters)},
		{"Precision", m.Precision},
		{"Context", fmt.Sprintf("%d tokens", m.Context)},
		{"Tokenizer", fmt.Sprintf("%s, %d tokens", m.Tokenizer, m.Vocabulary)},
		{"Template hash", cmp.Or(m.TemplateHash, "none: the file has no chat template")},
		{"File hash", m.FileHash},
		{"Source", cmp.Or(m.Source, "unknown")},
	} {
		fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
	}
	return t.Flush()
}
