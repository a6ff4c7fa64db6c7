package main

import (
	"embed"
	"encoding/json"
	_ "unsafe" // for the name of gVisor's own list

	"gvisor.dev/gvisor/pkg/seccomp/precompiledseccomp"
	"gvisor.dev/gvisor/runsc/boot/filter"
)

// compiled holds filter.json when `make warden` has put it there: see command
// filter.
//
//go:embed all:program
var compiled embed.FS

// programs is gVisor's list of compiled filters, which the build of its Go
// module leaves empty and has no other way to fill.
//
//go:linkname programs gvisor.dev/gvisor/runsc/boot/filter.precompiledPrograms
var programs map[string]precompiledseccomp.Program

// prefilter gives gVisor the filter of system calls that was compiled with
// this program. A sandbox for whose options none was, or that was built
// without one, compiles its own.
func prefilter() {
	text, err := compiled.ReadFile("program/filter.json")
	if err != nil {
		return
	}
	var p precompiledseccomp.Program
	if json.Unmarshal(text, &p) != nil {
		return
	}
	filter.ListPrecompiled() // makes the list, once
	programs[p.Name] = p
}
