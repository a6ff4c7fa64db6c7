package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/gateway/receipt"
)

// errReceipt means that a receipt does not hold.
var errReceipt = errors.New("the receipt does not hold")

// newReceiptCmd returns the command that checks receipts.
func newReceiptCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "receipt", Short: "Check the receipts of answers"}
	var text, hotkey, root string
	verify := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a receipt offline, and say what that proves",
		Long: `Check a receipt without asking anybody: the validator's signature, each miner's
own signature on the exchange, and the path to the root of the epoch. FILE is
what GET /v1/receipts/{id} answers, or - for the input.

  curl -s http://127.0.0.1:8080/v1/receipts/rcpt_… > receipt.json
  plexus receipt verify receipt.json --text answer.txt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rec, err := readReceipt(cmd, args[0])
			if err != nil {
				return err
			}
			known := receipt.Known{Hotkey: hotkey}
			if text != "" {
				b, err := os.ReadFile(text)
				if err != nil {
					return err
				}
				s := string(b)
				known.Text = &s
			}
			if root != "" {
				known.Root = new(receipt.Hash)
				if err := known.Root.UnmarshalText([]byte(root)); err != nil {
					return fmt.Errorf("--root: %w", err)
				}
			}
			return tellFinding(cmd, receipt.Verify(rec, known))
		},
	}
	f := verify.Flags()
	f.StringVar(&text, "text", "", "file with the answer's text, to check it too")
	f.StringVar(&hotkey, "hotkey", "", "address of the validator's hotkey, if you know it")
	f.StringVar(&root, "root", "", "root of the epoch as you know it, in hex")
	f.Bool("json", false, "tell as JSON")
	cmd.AddCommand(verify)
	return cmd
}

// readReceipt reads a receipt's file, or the input for -.
func readReceipt(cmd *cobra.Command, file string) (receipt.Record, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return receipt.Record{}, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, receipt.MaxFile+1))
	if err != nil {
		return receipt.Record{}, fmt.Errorf("%s: %w", file, err)
	}
	rec, err := receipt.Decode(b)
	if err != nil {
		return rec, fmt.Errorf("%s: %w", file, err)
	}
	return rec, nil
}

// tellFinding prints what was found out, and fails if the receipt does not
// hold.
func tellFinding(cmd *cobra.Command, f receipt.Finding) error {
	if asJSON(cmd) {
		if err := printJSON(cmd, f); err != nil {
			return err
		}
	} else {
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "receipt %s\n", f.ID)
		for _, part := range []struct {
			mark  string
			lines []string
		}{{"FAILED", f.Failed}, {"proved", f.Proved}, {"open  ", f.Open}} {
			for _, line := range part.lines {
				fmt.Fprintf(out, "  %s  %s\n", part.mark, line)
			}
		}
	}
	if !f.Valid {
		return fmt.Errorf("%w: %d of its claims failed", errReceipt, len(f.Failed))
	}
	return nil
}
