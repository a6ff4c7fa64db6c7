package emission

import (
	"math"
	"strings"
	"testing"
	"time"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	"github.com/plexus-network/plexus/coin"
)

func TestReleased(t *testing.T) {
	for _, c := range []struct {
		organic coin.Amount
		rate    uint32
		whole   coin.Amount
		want    coin.Amount
	}{
		{0, 1000, 100, 0},
		{40, 1000, 100, 40},
		{400, 1000, 100, 100},
		{40, 500, 100, 20},
		{41, 500, 100, 20},
		{40, 0, 100, 0},
		{math.MaxUint64, math.MaxUint32, 100, 100},
		{coin.Cap, 1000, 2 * coin.Cap, coin.Cap},
	} {
		if got := released(c.organic, c.rate, c.whole); got != c.want {
			t.Errorf("released(%d, %d, %d) = %d, want %d", c.organic, c.rate, c.whole, got, c.want)
		}
	}
}

func TestGenesisMustMatchTheSchedule(t *testing.T) {
	at := 100 * time.Second
	good := emissionv1.State{ClockMs: uint64(at.Milliseconds()), Minted: uint64(coin.Scheduled(at))}
	for _, c := range []struct {
		name, want string
		change     func(*emissionv1.GenesisState)
	}{
		{"good", "", func(*emissionv1.GenesisState) {}},
		{"minted too much", "the schedule says", func(g *emissionv1.GenesisState) { g.State.Minted++ }},
		{"clock ahead", "the schedule says", func(g *emissionv1.GenesisState) { g.State.ClockMs += 1000 }},
		{"tempo", "bootstrap_tempo", func(g *emissionv1.GenesisState) { g.Params.BootstrapTempo = 0 }},
		{"unallocated", "more than ever existed", func(g *emissionv1.GenesisState) { g.State.Unallocated = g.State.Minted + 1 }},
	} {
		g := &emissionv1.GenesisState{Params: DefaultParams(), State: good}
		c.change(g)
		err := ValidateGenesis(g)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want it to say %q", c.name, err, c.want)
		}
	}
}

func TestGuardTurnsPanicsIntoErrors(t *testing.T) {
	if err := guard(func() error { panic("boom") }); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("guard returned %v, want the panic", err)
	}
	if err := guard(func() error { return nil }); err != nil {
		t.Error(err)
	}
}
