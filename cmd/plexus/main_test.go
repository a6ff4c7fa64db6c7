package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets this test binary be the command: tests and their scripts run
// it as plexus, each in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"plexus": main})
}

// TestScripts runs every script of testdata.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: func(e *testscript.Env) error { return numberPorts(t, e) },
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"quicken": quicken, "until": until},
	})
}

// numberPorts gives a script ports of its own: $PORT and, so many further,
// $PORT1, $PORT2, $PORT11 and $PORT50.
func numberPorts(t *testing.T, e *testscript.Env) error {
	first := freePorts(t, 100)
	e.Setenv("PORT", fmt.Sprint(first))
	for _, n := range []int{1, 2, 11, 50} {
		e.Setenv(fmt.Sprint("PORT", n), fmt.Sprint(first+n))
	}
	return nil
}

// quicken changes the genesis of the homes below a folder, so that a script
// need not wait for days: "quicken FOLDER OWNER PARAMS". OWNER is a file with
// an address, PARAMS one of JSON: what to replace in the parameters of subnet and gov, and in the
// hyperparameters of the root; with these there is a subnet 1 of OWNER too.
func quicken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: quicken FOLDER OWNER PARAMS")
	}
	var p struct{ Subnet, Gov, Hyperparameters map[string]any }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[2])), &p))
	files, err := filepath.Glob(ts.MkAbs(filepath.Join(args[0], "node*", "config", "genesis.json")))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("no genesis below %s", args[0])
	}
	for _, file := range files {
		var g map[string]any
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &g))
		state := g["app_state"].(map[string]any)
		subnet := state["subnet"].(map[string]any)
		maps.Copy(subnet["params"].(map[string]any), p.Subnet)
		maps.Copy(state["gov"].(map[string]any)["params"].(map[string]any), p.Gov)
		root := subnet["subnets"].([]any)[0].(map[string]any)
		demo := maps.Clone(root)
		record := maps.Clone(root["subnet"].(map[string]any))
		maps.Copy(record, map[string]any{"netuid": 1, "owner": strings.TrimSpace(ts.ReadFile(args[1])), "kind": "text", "name": "demo"})
		h := maps.Clone(record["hyperparameters"].(map[string]any))
		maps.Copy(h, p.Hyperparameters)
		record["hyperparameters"], demo["subnet"] = h, record
		subnet["subnets"] = append(subnet["subnets"].([]any), demo)
		b, err := json.MarshalIndent(g, "", "  ")
		ts.Check(err)
		ts.Check(os.WriteFile(file, b, 0o600))
	}
}

// until runs a command again and again until it prints what a regular
// expression matches: "until REGEXP COMMAND...".
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND...")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	var out []byte
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		path, err := exec.LookPath(args[1])
		ts.Check(err)
		cmd := exec.Command(path, args[2:]...)
		cmd.Dir = ts.MkAbs(".")
		cmd.Env = append(os.Environ(), "PLEXUS_HOME="+ts.Getenv("PLEXUS_HOME"))
		if out, _ = cmd.CombinedOutput(); want.Match(out) {
			ts.Logf("%s", out)
			return
		}
	}
	ts.Fatalf("five minutes later %q does not match %q:\n%s", args[1:], args[0], out)
}
