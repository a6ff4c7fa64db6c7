package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/node"
)

// newMinerDoctorCmd returns the command that tells whether a miner would pass
// and what it would earn.
func newMinerDoctorCmd(c *roleCmd) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Would this machine pass verification, and what would it earn?",
		Long: `Answer challenges as validators make them with the model and backend that the
flags name, judge the answers as validators do, and tell what the subnet pays.
Nothing is registered or served.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var x node.Examination
			err := c.run(cmd, func() (err error) {
				c.o.Say = nil
				x, err = node.Examine(cmd.Context(), c.o, func(done, of int) {
					if !isTerminal(cmd.ErrOrStderr()) {
						return
					}
					fmt.Fprintf(cmd.ErrOrStderr(), "\rchallenge %d of %d", done, of)
					if done == of {
						fmt.Fprint(cmd.ErrOrStderr(), "\r\033[K")
					}
				})
				return err
			})
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return printJSON(cmd, x)
			}
			printExamination(cmd.OutOrStdout(), x)
			return nil
		},
	}
}

func printExamination(w io.Writer, x node.Examination) {
	fmt.Fprintf(w, "Account   %s\n", x.Account)
	if x.Registered {
		fmt.Fprintf(w, "Slot      uid %d of subnet %d\n", x.UID, x.Netuid)
	} else {
		fmt.Fprintf(w, "Slot      none on subnet %d yet: plexus tx subnet register-neuron %d costs %v now\n", x.Netuid, x.Netuid, x.Price)
	}
	fmt.Fprintf(w, "Model     %s\n", x.Model)
	fmt.Fprintf(w, "Speed     %.1f tokens a second, first chunk after %d ms\n", x.Rate, x.First)
	for i, a := range x.Answers {
		if a.Reason != "" {
			fmt.Fprintf(w, "Answer %d  %s\n", i+1, a.Reason)
		}
	}
	if x.Passes {
		fmt.Fprintf(w, "Verdict   passes: none of %d answers is held against it\n", len(x.Answers))
	} else {
		fmt.Fprintf(w, "Verdict   would be rejected: the reasons stand above\n")
	}
	if x.Miners == 0 {
		fmt.Fprintln(w, "Earnings  unknown: no miner has earned at the latest epoch")
		return
	}
	fmt.Fprintf(w, "Earnings  %d miners earn, the median %v a day; one more like it would get %v a day\n", x.Miners, x.Typical, x.Share)
}
