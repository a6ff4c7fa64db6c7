package coin

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"sort"
	"strconv"
	"testing"
	"time"
)

type vector struct {
	ID, Fn    string
	Args      json.RawMessage
	Expect    json.RawMessage
	Tolerance float64
}

// elsewhere are the functions of the vectors that are not this package's law.
var elsewhere = []string{
	"neuron_to_prune", "child_dividends", // package yuma
	"old_adjust", "pow_seal", "meets_difficulty", // proof of work, of which the chain has no lane yet
}

func TestVectors(t *testing.T) {
	file, err := os.ReadFile("testdata/economics.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct{ Vectors []vector }
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, v := range vectors.Vectors {
		run, ok := map[string]func(*testing.T, vector){
			"split_emissions":         splitVector,
			"burn_blocks":             decayVector,
			"burn_after_registration": bumpVector,
			"network_lock_cost":       subnetVector,
			"block_emission":          emissionVector,
		}[v.Fn]
		if !ok {
			if !slices.Contains(elsewhere, v.Fn) {
				t.Errorf("%s: nobody runs %s", v.ID, v.Fn)
			}
			continue
		}
		ran++
		t.Run(v.ID, func(t *testing.T) { run(t, v) })
	}
	if ran != 17 {
		t.Errorf("ran %d vectors, want 17", ran)
	}
}

// decode fills args and want from a vector.
func decode(t *testing.T, v vector, args, want any) {
	t.Helper()
	if err := json.Unmarshal(v.Args, args); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(v.Expect, want); err != nil {
		t.Fatal(err)
	}
}

func splitVector(t *testing.T, v vector) {
	var args struct {
		Total Amount
		Count int
		Split []uint16
	}
	var want []Amount
	decode(t, v, &args, &want)
	got := SplitEvenly(args.Total, args.Count)
	if args.Split != nil {
		got = Split(args.Total, args.Split)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func decayVector(t *testing.T, v vector) {
	var args struct {
		Burn, Min, Max Amount
		HalfLife       uint32 `json:"half_life"`
		Blocks         uint64
	}
	var want Amount
	decode(t, v, &args, &want)
	law := Price{Min: args.Min, Max: args.Max, HalfLife: args.HalfLife, Growth: 100}
	if got := law.Decay(args.Burn, args.Blocks); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func bumpVector(t *testing.T, v vector) {
	var args struct {
		Burn    Amount
		Mult    json.Number
		MinBurn Amount `json:"min_burn"`
		MaxBurn Amount `json:"max_burn"`
	}
	var want Amount
	decode(t, v, &args, &want)
	mult, err := strconv.ParseFloat(args.Mult.String(), 64)
	if err != nil {
		t.Fatal(err)
	}
	law := Price{Min: args.MinBurn, Max: args.MaxBurn, Growth: uint32(math.Round(mult * 100))}
	if got := law.Bump(args.Burn); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func subnetVector(t *testing.T, v vector) {
	var args struct {
		LastLock        Amount `json:"last_lock"`
		MinLock         Amount `json:"min_lock"`
		LastBlock       uint64 `json:"last_block"`
		Block, Interval uint64
	}
	var want Amount
	decode(t, v, &args, &want)
	law := SubnetPrice{Min: args.MinLock, Interval: args.Interval}
	if got, err := law.After(args.LastLock, args.Block-args.LastBlock); err != nil || got != want {
		t.Errorf("got %d, %v; want %d", got, err, want)
	}
}

// emissionVector compares what 12 seconds emit, once the given amount is out,
// with the block reward at that issuance in Bittensor. There the reward is
// 1 per 12 seconds; here an era takes exactly four years, which makes it 0.2 %
// less.
func emissionVector(t *testing.T, v vector) {
	var args struct{ Issuance Amount }
	var want float64
	decode(t, v, &args, &want)
	at := elapsedAt(args.Issuance)
	window := min(time.Second, NextHalving(at))
	if want < 1e6 {
		window = 1e6 * time.Second // so late, a second emits too few units to measure a rate by
	}
	got := float64(Scheduled(at+window)-Scheduled(at)) * 12 / window.Seconds()
	if math.Abs(got-want) > 0.0025*want {
		t.Errorf("12 s emit %.1f at issuance %d, want %.1f less 0.2 %%", got, args.Issuance, want)
	}
}

// elapsedAt returns the first moment at which amount is out.
func elapsedAt(amount Amount) time.Duration {
	return time.Duration(sort.Search(math.MaxInt64, func(d int) bool { return Scheduled(time.Duration(d)) >= amount }))
}
