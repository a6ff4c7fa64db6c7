package scenario

import (
	"errors"
	"strings"
	"testing"
)

func TestParseTakesThreeForms(t *testing.T) {
	const one = `{"id": "a", "n": 1, "steps": [{"block": 1, "emission": 2}]}`
	for _, file := range []string{one, "[" + one + "]", ` {"source": "x", "scenarios": [` + one + `]}`} {
		s, err := Parse([]byte(file))
		if err != nil || len(s) != 1 || s[0].ID != "a" {
			t.Errorf("%s: got %v, %v", file, s, err)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"nothing", ``, "end of JSON"},
		{"half a file", "{\n\"scenarios\": [\n{\"id\": \"a\"", "line 3"},
		{"no scenarios", `{}`, "scenarios"},
		{"no neurons", `[{"id": "a", "steps": []}]`, "n is 0"},
		{"too many neurons", `[{"id": "a", "n": 4097}]`, "4096"},
		{"without an id", `[{"n": 1}, {"n": 0}]`, "scenario number 2"},
		{"unknown hyperparameter", `[{"id": "a", "n": 1, "params": {"kapa": 1}}]`, `"kapa"`},
		{"kappa too great", `[{"id": "a", "n": 1, "params": {"kappa": 65536}}]`, `"kappa" is a number 65536, but must be a whole number from 0 to 65535`},
		{"negative stake", `[{"id": "a", "n": 1, "initial": {"stake": [-1]}}]`, "-1"},
		{"too much stake", `[{"id": "a", "n": 1, "initial": {"stake": [18446744073709551616]}}]`, "18446744073709551616"},
		{"stake with a point", `[{"id": "a", "n": 1, "initial": {"stake": [1.5]}}]`, "1.5"},
		{"a value short", `[{"id": "a", "n": 2, "initial": {"last_update": [1]}}]`, "last_update: 1 values for 2 neurons"},
		{"unknown uid", `[{"id": "a", "n": 2, "initial": {"stake": {"2": 1}}}]`, "stake: uid 2"},
		{"unknown state", `[{"id": "a", "n": 2, "initial": {"steak": [1, 2]}}]`, "steak"},
		{"no block", `[{"id": "a", "n": 1, "steps": [{"emission": 1}]}]`, "step 1 needs a block"},
		{"unknown mode", `[{"id": "a", "n": 1, "modes": ["dens"]}]`, "dens"},
		{"unknown field of an op", `[{"id": "a", "n": 1, "steps": [{"block": 1, "emission": 1, "ops": [{"op": "set", "feild": "x"}]}]}]`, "feild"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.file))
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want ErrFormat with %q", err, c.want)
			}
		})
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, step, want string }{
		{"unknown op", `"ops": [{"op": "dance", "uid": 0}]`, "op 1 (dance): unknown"},
		{"no uid", `"ops": [{"op": "add_stake", "amount": 1}]`, "uid is missing"},
		{"unknown uid", `"ops": [{"op": "add_stake", "uid": 2}]`, "uid 2 in a subnet of 2 neurons"},
		{"no block", `"ops": [{"op": "set_weights", "uids": [0]}]`, "block is missing"},
		{"a value short", `"ops": [{"op": "set_weights", "uids": [0], "dests": [1], "values": [], "block": 1}]`, "1 uids but 0 values"},
		{"too much stake", `"ops": [{"op": "add_stake", "uid": 0, "amount": 18446744073709551615}]`, "out of range"},
		{"unknown field", `"ops": [{"op": "set", "field": "mood", "value": [1, 2]}]`, "mood"},
		{"bad value", `"ops": [{"op": "set", "field": "stake", "value": "much"}]`, `"stake" is a string, but must be a list`},
		{"commitment at block 0", `"ops": [{"op": "set", "field": "commit_block", "value": {"1": 0}}]`, "uid 1 has block 0"},
		{"unknown owner", `"params": {"owner_uid": 7}`, "owner_uid 7"},
		{"crossed alphas", `"params": {"alpha_low": 2, "alpha_high": 1}`, "lowest alpha 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Parse([]byte(`[{"id": "x", "n": 2, "initial": {"stake": [1, 2]}, "steps": [{"block": 1, "emission": 1, ` + c.step + `}]}]`))
			if err != nil {
				t.Fatal(err)
			}
			_, err = s[0].Run(false)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `scenario "x": step 1`) {
				t.Errorf("error %v, want %q in step 1 of scenario x", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`[{"id": "a", "n": 2, "steps": [{"block": 1, "emission": 2, "ops": [{"op": "add_stake", "uid": 1, "amount": 3}]}]}]`))
	f.Add([]byte(`{"scenarios": [{"n": 1, "params": {"yuma3": true, "owner_uid": 0}, "steps": [{"block": 0, "emission": 0}]}]}`))
	f.Add([]byte(`[{"n": 2, "steps": [{"block": 1, "emission": 9, "ops": [{"op": "set_weights", "uids": [0], "dests": [1], "values": [7], "block": 1}]}]}]`))
	f.Fuzz(func(t *testing.T, file []byte) {
		scenarios, err := Parse(file)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("error %v, want ErrFormat", err)
			}
			return
		}
		for _, s := range scenarios {
			epochs, err := s.Run(s.Dense())
			if err == nil && len(epochs) != len(s.Steps) {
				t.Errorf("%d epochs of %d steps", len(epochs), len(s.Steps))
			}
		}
	})
}
