package calibrate

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print writes what was measured: how far honest miners and the cheat are off,
// and how many tokens the test should take to tell.
func (r *Result) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s in %s against %s\n\n", r.Measured.Model, r.Measured.Precision, r.Measured.Against)
	fmt.Fprintln(t, "class\thonest off\tcheat off\tan honest miner passes after\tthe cheat is rejected after")
	for _, d := range r.Decision {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f tokens\t%.0f tokens\n", d.Class, percent(d.Off), percent(d.Cheat), d.Accept, d.Reject)
	}
	return t.Flush()
}

// PrintRows writes a detection table, as Markdown.
func PrintRows(w io.Writer, rows []Row) error {
	var b strings.Builder
	b.WriteString("| miner | tokens off | decided after: mean | p99 | what came of it |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %.0f | %.0f | %s |\n", r.Name, percent(r.Off), r.Mean, r.P99, r.outcome())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Row) outcome() string {
	switch {
	case r.Honest:
		return fmt.Sprintf("%d of %d tests reject it", r.Rejects, r.Tests)
	case r.Missed > 0:
		return fmt.Sprintf("not rejected in %s of the runs within %d tokens", percent(float64(r.Missed)/cheatRuns), patience)
	case r.Passed > 0:
		return fmt.Sprintf("rejected; passed a test before in %s of the runs", percent(r.Passed))
	default:
		return "rejected"
	}
}

// percent keeps two digits that count.
func percent(share float64) string {
	switch p := 100 * share; {
	case p == 0:
		return "0"
	case p < 1:
		return fmt.Sprintf("%.2f %%", p)
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}
