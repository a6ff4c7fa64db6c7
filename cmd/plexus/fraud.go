package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/engine/local"
	"github.com/plexus-network/plexus/subnet/text"
)

// newFraudCmd returns the command that works on fraud bundles.
func newFraudCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fraud",
		Short: "Look at the evidence by which validators reject miners",
	}
	cmd.AddCommand(newFraudCheckCmd())
	return cmd
}

// judgement is what fraud check prints.
type judgement struct {
	Hash     string `json:"hash"`     // of the bundle
	Manifest string `json:"manifest"` // sha256 of its model's file
	text.Finding
}

func newFraudCheckCmd() *cobra.Command {
	var model string
	var reference, asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Replay a fraud bundle on the declared model",
		Long: `Check verifies the signatures in a bundle, replays each exchange on the model
that the bundle's manifest declares, and tells whether the evidence convicts the
miner. Compare the manifest with the subnet's before you vote: a bundle can name
any. The bundle shows what its maker chose to show.

It exits with 1 if the bundle proves nothing or its evidence does not suffice.
Validators write bundles to the folder evidence of their state, report them and
vote on them by themselves: docs/duty.md.`,
		Example: "  plexus fraud check 5c0e….fraud --gguf plexus-4m",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			j, err := checkFraud(cmd, args[0], model, reference)
			if err != nil {
				return fmt.Errorf("fraud check: %w", err)
			}
			if asJSON {
				err = printJSON(cmd, j)
			} else {
				err = j.print(cmd.OutOrStdout())
			}
			if err == nil && !j.Guilty {
				err = fmt.Errorf("fraud check: %.1f nats of evidence, %.1f convict", j.Evidence, text.RejectAt)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&model, "gguf", "", "the declared model's file, or the name of one that ships (needed)")
	cmd.Flags().BoolVar(&reference, "reference", false, "replay in the reference engine, for manifests of precision f32-ref")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cobra.CheckErr(cmd.MarkFlagRequired("gguf"))
	return cmd
}

func checkFraud(cmd *cobra.Command, file, model string, reference bool) (judgement, error) {
	encoded, err := os.ReadFile(file)
	if err != nil {
		return judgement{}, err
	}
	b, err := text.DecodeBundle(encoded)
	if err != nil {
		return judgement{}, fmt.Errorf("%s: %w", file, err)
	}
	dir, err := os.MkdirTemp("", "plexus-fraud-")
	if err != nil {
		return judgement{}, err
	}
	defer os.RemoveAll(dir)
	path, err := modelFile(dir, model)
	if err != nil {
		return judgement{}, err
	}
	command, err := workerCommand()
	if err != nil {
		return judgement{}, err
	}
	e, err := local.Open(cmd.Context(), path, local.Options{Command: command, Reference: reference})
	if err != nil {
		return judgement{}, err
	}
	defer shut(e)
	found, err := b.Check(cmd.Context(), e)
	if err != nil {
		return judgement{}, fmt.Errorf("%s: %w", file, err)
	}
	hash := text.BundleHash(encoded)
	return judgement{Hash: hex.EncodeToString(hash[:]), Manifest: b.Manifest.FileHash, Finding: found}, nil
}

func (j judgement) print(w io.Writer) error {
	verdict := "not convicted"
	if j.Guilty {
		verdict = "convicted"
	}
	_, err := fmt.Fprintf(w, "bundle   %s\nmodel    %s\naccused  %s, uid %d of subnet %d\naccuser  %s\nblocks   %d to %d\n",
		j.Hash, j.Manifest, j.Accused, j.UID, j.Netuid, j.Accuser, j.From, j.To)
	for i, reason := range j.Reasons {
		if err == nil {
			_, err = fmt.Fprintf(w, "%7d  %s\n", i+1, reason)
		}
	}
	if err == nil {
		_, err = fmt.Fprintf(w, "%s: %.1f nats of evidence in %d tokens of %d answers, %.1f convict\n",
			verdict, j.Evidence, j.Tokens, j.Exhibits, text.RejectAt)
	}
	return err
}
