package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/engine/local"
)

// newEngineWorkerCmd is the process that runs a model for a node; engine/local
// starts it. It speaks frames on its standard input and output and ends when
// its input does.
func newEngineWorkerCmd() *cobra.Command {
	return &cobra.Command{
		Use:           local.Command,
		Short:         "Run a model for a node (started by the node itself)",
		Hidden:        true,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return local.ServeStandard(cmd.Context())
		},
	}
}

// workerCommand starts this program again as a worker, by the name it was
// started with.
func workerCommand() ([]string, error) {
	program, err := exec.LookPath(os.Args[0])
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []string{program, local.Command}, nil
}
