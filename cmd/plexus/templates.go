package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/templates"
)

// newTemplatesCmd returns the command that shows SDL files to begin with.
func newTemplatesCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "templates",
		Short: "SDL files to begin with: models, a notebook, a database, a miner",
		Long: `Show SDL files to begin with. Each tells what to change and what it costs; what
only you know is filled in with --set, or by hand.

  plexus templates list
  plexus templates show ollama >my.yaml
  plexus templates show vllm --set API_KEY=secret >my.yaml
  plexus deploy my.yaml`,
	}
	cmd.PersistentFlags().Bool("json", false, "print JSON")
	cmd.AddCommand(templatesListCmd(), templatesShowCmd())
	return cmd
}

func templatesListCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the templates, with what they ask for",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := templates.All()
			if asJSON(cmd) {
				return printJSON(cmd, all)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tWHAT IT IS\tASKS FOR")
			for _, t := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\n", t.Name, t.Title, t.Asks)
			}
			return w.Flush()
		},
	}
}

func templatesShowCmd() *cobra.Command {
	var set []string
	cmd := &cobra.Command{
		Use:               "show NAME",
		ValidArgsFunction: templateNames,
		Short:             "Print a template",
		Args:              cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := templates.Find(args[0])
			if err != nil {
				return err
			}
			values := map[string]string{}
			for _, s := range set {
				name, value, ok := strings.Cut(s, "=")
				if !ok {
					return fmt.Errorf("--set %q: write NAME=VALUE", s)
				}
				values[name] = value
			}
			if t.SDL, err = templates.Fill(t.SDL, values); err != nil {
				return fmt.Errorf("--set: %w", err)
			}
			if asJSON(cmd) {
				return printJSON(cmd, struct {
					templates.Template
					Blanks []templates.Blank `json:"blanks"`
				}{t, templates.Blanks(t.SDL)})
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), t.SDL)
			return err
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "fill in a blank, as NAME=VALUE; again for each")
	return cmd
}

// filledIn tells what is left to fill in of a file that came from a template.
func filledIn(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	blanks := templates.Blanks(string(text))
	var lines []string
	for _, b := range blanks {
		lines = append(lines, fmt.Sprintf("%s:%d: %s is not filled in: %s", file, b.Line, b.Name, b.About))
	}
	if len(blanks) == 0 {
		return nil
	}
	return fmt.Errorf("%s\nwrite it where <<…>> stands, or make the file again with plexus templates show NAME --set %s=…",
		strings.Join(lines, "\n"), blanks[0].Name)
}
