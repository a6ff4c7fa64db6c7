package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/plexus-network/plexus/provider/api"
)

// A share is how much of a resource is sold and used.
type share struct {
	name                       string
	capacity, free, sold, used int64
	measured                   bool // used is
	words                      func(uint64) string
}

// shares are those of all that a provider sells.
func shares(s api.Status) []share {
	all := []share{
		{"cores", s.Capacity.CPU, s.Free.CPU, s.Sold.CPU, s.Used.CPU, true, cores},
		{"memory", s.Capacity.Memory, s.Free.Memory, s.Sold.Memory, s.Used.Memory, true, bytesize},
	}
	for _, k := range slices.Sorted(maps.Keys(s.Capacity.GPUs)) {
		all = append(all, share{gpuName(k), s.Capacity.GPUs[k], s.Free.GPUs[k], s.Sold.GPUs[k], 0, false, func(n uint64) string { return fmt.Sprint(n) }})
	}
	for _, class := range slices.Sorted(maps.Keys(s.Capacity.Storage)) {
		name := "disk"
		if class != "" {
			name += " " + class
		}
		all = append(all, share{name, s.Capacity.Storage[class], s.Free.Storage[class], s.Sold.Storage[class], s.Used.Storage[class], true, bytesize})
	}
	if s.Capacity.IPs > 0 {
		all = append(all, share{"addresses", s.Capacity.IPs, s.Free.IPs, s.Sold.IPs, 0, false, func(n uint64) string { return fmt.Sprint(n) }})
	}
	return all
}

// printUse shows how much is sold and used of what a provider sells.
func printUse(out io.Writer, s api.Status) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  \tfor sale\tfree\tsold\t\tused\t")
	for _, one := range shares(s) {
		used := "\t"
		if one.measured {
			used = fmt.Sprintf("%s\t%s", one.words(uint64(max(one.used, 0))), bar(one.used, one.capacity))
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\n", one.name, one.words(uint64(max(one.capacity, 0))), one.words(uint64(max(one.free, 0))),
			one.words(uint64(max(one.sold, 0))), bar(one.sold, one.capacity), used)
	}
	_ = w.Flush() // to a terminal; there is nobody to tell
}

// bar draws a part of a whole, with its percentage.
func bar(part, whole int64) string {
	const width = 10
	if whole <= 0 {
		return ""
	}
	percent := int(100 * float64(max(part, 0)) / float64(whole))
	full := min((percent*width+50)/100, width)
	return fmt.Sprintf("[%s%s] %d %%", strings.Repeat("#", full), strings.Repeat(".", width-full), percent)
}
