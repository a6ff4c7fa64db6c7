package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets this test binary be the command: tests and their scripts run
// it as plexus, each in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"plexus": main})
}

// TestScripts runs every script of testdata.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}
