package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestDocumentedCommands finds every command and every flag that the pages
// name.
func TestDocumentedCommands(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../../README.md", "../../deploy/README.md")
	root := newRootCmd()
	for name, build := range map[string]func() (*cobra.Command, error){"tx": buildTx, "query": buildQuery} {
		full, err := build()
		if err != nil {
			t.Fatal(err)
		}
		root.RemoveCommand(find(root, name))
		root.AddCommand(full)
	}
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range regexp.MustCompile("(?m)(?:^ *(?:bin/)?|`(?:bin/)?)plexus ([a-z][^`\n|]*)").FindAllStringSubmatch(string(text), -1) {
			words := strings.Fields(strings.Split(line[1], " #")[0])
			cmd, rest, err := root.Find(words)
			if err != nil || cmd == root || !cmd.Runnable() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && rest[0] != "…" && rest[0] != "..." {
				t.Errorf("%s: there is no command %q", page, line[1])
				continue
			}
			for _, flag := range regexp.MustCompile(`(?:^| )--([a-z0-9-]+)`).FindAllStringSubmatch(strings.Join(rest, " "), -1) {
				if name := flag[1]; name != "help" && cmd.Flag(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
					t.Errorf("%s: %q has no flag --%s", page, cmd.CommandPath(), name)
				}
			}
			found++
		}
	}
	if found < 60 {
		t.Errorf("found %d commands, want at least 60", found)
	}
}
