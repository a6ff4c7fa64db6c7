package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/plexus-network/plexus/engine/local"
)

// TestMain lets this test binary be the command: tests and their scripts run
// it as plexus, each in a process of its own.
func TestMain(m *testing.M) {
	local.ServeIfAsked() // a benchmark's engine runs in this program too
	testscript.Main(m, map[string]func(){"plexus": main})
}

// TestScripts runs every script of testdata.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}
