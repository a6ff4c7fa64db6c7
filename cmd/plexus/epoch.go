package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/yuma/scenario"
)

// newEpochCmd returns the command that runs scenarios through the epoch law.
func newEpochCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "epoch FILE",
		GroupID: "tool",
		Short:   "Compute what epochs would pay, from scenarios in a file",
		Long: `Epoch plays scenarios of a subnet: neurons, hyperparameters, and steps in which
validators send weights, stake moves, and an epoch runs. It prints what each
epoch pays and to whom, by the law the chain itself uses.

FILE is JSON, many scenarios per file; - reads from standard input. A small one:

  {"scenarios": [{"id": "two validators", "n": 3,
    "params": {"yuma3": true},
    "initial": {"stake": [60, 40, 0], "validator_permit": {"0": true, "1": true}},
    "steps": [{"block": 2, "emission": 1000000000, "ops": [
      {"op": "set_weights", "uids": [0, 1], "dests": [2], "values": [1], "block": 1}]}]}]}

Proportions are of 65535 with --json and of 1 without.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			played, err := playScenarios(cmd.InOrStdin(), args[0])
			if err != nil {
				return fmt.Errorf("epoch: %s: %w", args[0], err)
			}
			if asJSON {
				return printScenariosJSON(cmd.OutOrStdout(), played)
			}
			return printScenarios(cmd.OutOrStdout(), played)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: a list with one object per scenario")
	return cmd
}

// playedScenario is a scenario and what its epochs computed.
type playedScenario struct {
	ID    string           `json:"id"`
	Steps []scenario.Epoch `json:"steps"`
}

// playScenarios reads a file, or stdin for "-", and runs what it holds.
func playScenarios(stdin io.Reader, name string) ([]playedScenario, error) {
	read := func() ([]byte, error) { return os.ReadFile(name) }
	if name == "-" {
		read = func() ([]byte, error) { return io.ReadAll(stdin) }
	}
	file, err := read()
	if err != nil {
		return nil, err
	}
	scenarios, err := scenario.Parse(file)
	if err != nil {
		return nil, err
	}
	played := make([]playedScenario, len(scenarios))
	for k, s := range scenarios {
		epochs, err := s.Run(s.Dense())
		if err != nil {
			return nil, err
		}
		played[k] = playedScenario{s.ID, epochs}
	}
	return played, nil
}

// printScenariosJSON writes a list with one scenario per line.
func printScenariosJSON(w io.Writer, played []playedScenario) error {
	for k, p := range played {
		line, err := json.Marshal(p)
		if err != nil {
			return err
		}
		open := ",\n"
		if k == 0 {
			open = "[\n"
		}
		if _, err := fmt.Fprintf(w, "%s%s", open, line); err != nil {
			return err
		}
	}
	end := "\n]\n"
	if len(played) == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(w, end)
	return err
}

// printScenarios writes a table per epoch.
func printScenarios(w io.Writer, played []playedScenario) error {
	for k, p := range played {
		if k > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s\n", p.ID)
		for step, e := range p.Steps {
			if err := printEpoch(w, step+1, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// printEpoch writes a table of the neurons that have stake, a permit, or earn.
func printEpoch(w io.Writer, step int, e scenario.Epoch) error {
	fmt.Fprintf(w, "\n  step %d, block %d, %d left over\n", step, e.Block, e.Remainder)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "uid\tstake\tconsensus\tincentive\tdividends\tvtrust\ttrust\tpermit\tmined\tvalidated\tbonds\t")
	bonds := make([]int, len(e.Stake))
	for _, b := range e.Bonds {
		bonds[b[0]]++
	}
	idle := 0
	for i := range e.Stake {
		if e.Stake[i] == 0 && e.Emission[i] == 0 && !e.Permit[i] && e.Consensus[i] == 0 {
			idle++
			continue
		}
		permit := ""
		if e.Permit[i] {
			permit = "yes"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t\n", i,
			part(e.Stake[i]), part(e.Consensus[i]), part(e.Incentive[i]), part(e.Dividends[i]),
			part(e.ValidatorTrust[i]), part(e.Trust[i]), permit,
			e.ServerEmission[i], e.ValidatorEmission[i], bonds[i])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if idle > 0 {
		fmt.Fprintf(w, "  and %d more without stake, permit, consensus or earnings\n", idle)
	}
	return nil
}

// part formats a proportion of 65535.
func part(u uint16) string {
	if u == 0 {
		return "-"
	}
	return fmt.Sprintf("%.4f", float64(u)/65535)
}
