package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/tenant"
)

// newSDLCmd returns the command that works on SDL files without a network.
func newSDLCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sdl",
		Short: "Look at SDL files, in which deployments are described",
	}
	cmd.AddCommand(newSDLCheckCmd())
	return cmd
}

func newSDLCheckCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Tell what files ask for, or what is wrong with them",
		Long: `Check reads SDL files of version 2.0 and 2.1 as the market does and tells what
each asks for: services, resources, the highest price, and the hash of the
manifest. Faults come with line and column, and what to write instead.

- reads from standard input. It exits with 1 if any file is refused.`,
		Example: `  plexus sdl check deploy.yaml
  plexus sdl check --json *.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			checked := make([]sdl.Summary, len(files))
			refused := 0
			for i, file := range files {
				checked[i] = checkSDL(cmd.InOrStdin(), file)
				if !checked[i].Valid {
					refused++
				}
			}
			print := printSDL
			if asJSON {
				print = printSDLJSON
			}
			if err := print(cmd.OutOrStdout(), checked); err != nil {
				return err
			}
			if refused > 0 {
				return fmt.Errorf("sdl check: %d of %d files refused", refused, len(files))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: a list with one object per file")
	return cmd
}

// checkSDL reads one file, or stdin for "-", no further than a valid one goes.
func checkSDL(stdin io.Reader, name string) sdl.Summary {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return sdl.Summary{File: name, Error: err.Error()}
		}
		defer f.Close()
		in = f
	}
	src, err := io.ReadAll(io.LimitReader(in, sdl.MaxSize+1))
	if err != nil {
		return sdl.Summary{File: name, Error: err.Error()}
	}
	return sdl.Summarize(name, src)
}

func printSDLJSON(w io.Writer, checked []sdl.Summary) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	return encoder.Encode(checked)
}

// printSDL writes a paragraph per file, and a line file:line:column per fault
// or warning, as compilers do.
func printSDL(w io.Writer, checked []sdl.Summary) error {
	for _, s := range checked {
		for _, text := range s.Warnings {
			fmt.Fprintf(w, "%s:%s (warning)\n", s.File, text)
		}
		if !s.Valid {
			for line := range strings.SplitSeq(s.Error, "\n") {
				if line == "" || line[0] < '0' || line[0] > '9' { // no position: the file was not read
					line = " " + line
				}
				fmt.Fprintf(w, "%s:%s\n", s.File, line)
			}
			continue
		}
		fmt.Fprintf(w, "%s: valid, manifest %s\n", s.File, s.Manifest)
		for _, g := range s.GroupList {
			gpus := ""
			if g.GPU > 0 {
				gpus = tenant.Count(g.GPU, "GPU") + ", "
			}
			fmt.Fprintf(w, "  %s: %s, %s memory, %s storage, %sat most %s per block\n",
				g.Name, coreCount(g.CPU), bytesize(g.Memory), bytesize(g.Storage), gpus, tenant.Shorten(g.Price))
			for _, svc := range s.ServiceList {
				if svc.Group == g.Name {
					fmt.Fprintf(w, "    %d × %s (%s)%s\n", svc.Count, svc.Name, svc.Image, ports(svc.Expose))
				}
			}
		}
	}
	return nil
}

// cores formats thousandths of a core.
func cores(milli uint64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%03d", milli/1000, milli%1000), "0"), ".")
}

// coreCount is cores with their word: "1 core", "0.5 cores".
func coreCount(milli uint64) string {
	if milli == 1000 {
		return "1 core"
	}
	return cores(milli) + " cores"
}

// bytesize formats bytes in the greatest unit that keeps two decimals at most.
func bytesize(n uint64) string {
	units := []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
	i, unit := 0, uint64(1)
	for i+1 < len(units) && n >= unit<<10 {
		unit <<= 10
		i++
	}
	hundredths := n/unit*100 + n%unit*100/unit
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100), "0"), ".") + units[i]
}

// ports lists what a service opens to the world.
func ports(exposes []sdl.ExposeSummary) string {
	open := ""
	for _, e := range exposes {
		switch {
		case e.Ingress:
			open += fmt.Sprintf(", http on %d", e.Port)
		case e.Global:
			open += fmt.Sprintf(", port %d/%s", e.External, strings.ToLower(e.Proto))
		}
		if e.IP != "" {
			open += " at leased address " + e.IP
		}
	}
	return open
}
