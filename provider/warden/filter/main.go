// Command filter prints, as JSON, the program by which gVisor's kernel gives
// up the system calls that it does not need, for the options with which
// package gvisor starts a sandbox without graphics processors.
//
// gVisor compiles it anew at each start of a sandbox, which is a fifth of that
// start, unless its own build has compiled it beforehand; the build of its Go
// module has not. `make warden` runs this command, and provider/warden embeds
// what it prints. The rules are gVisor's own, and so is the compiler.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"gvisor.dev/gvisor/pkg/seccomp"
	"gvisor.dev/gvisor/pkg/seccomp/precompiledseccomp"
	"gvisor.dev/gvisor/pkg/sentry/platform"
	_ "gvisor.dev/gvisor/pkg/sentry/platform/systrap" // registers itself
	"gvisor.dev/gvisor/runsc/boot/filter/config"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "filter:", err)
		os.Exit(1)
	}
}

func run() error {
	maker, err := platform.Lookup("systrap")
	if err != nil {
		return err
	}
	for _, info := range maker.PrecompiledSeccompInfo() {
		p, err := compile(config.Options{Platform: info, HostFilesystem: true})
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(p); err != nil {
			return err
		}
	}
	return nil
}

// compile compiles the rules for o with gaps for what is known only when a
// sandbox runs.
func compile(o config.Options) (precompiledseccomp.Program, error) {
	names := slices.Collect(maps.Keys(o.Vars()))
	return precompiledseccomp.Precompile(o.ConfigKey(), names, func(v precompiledseccomp.Values) *seccomp.Program {
		o := o
		o.Platform = gaps{o.Platform, v}
		rules, denied := config.Rules(o)
		return &seccomp.Program{
			RuleSets: []seccomp.RuleSet{{Rules: denied.Copy()}, {Rules: rules.Copy(), Action: seccomp.Allow}},
			Options:  config.SeccompOptions(o),
		}
	})
}

// gaps is a platform that says what to compile in place of all that is known
// only later, the process's number and its controller's file included: what a
// platform says comes last.
type gaps struct {
	platform.SeccompInfo
	values precompiledseccomp.Values
}

// Variables implements [platform.SeccompInfo].
func (g gaps) Variables() precompiledseccomp.Values { return g.values.Copy() }
