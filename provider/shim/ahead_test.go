package shim

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestDebtIsPaidBackSlowly(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		owed  time.Duration
		cpu   int64
		after time.Duration
		want  time.Duration
	}{
		"at once":                     {time.Second, 50, 0, time.Second},
		"half a core after 10 s":      {time.Second, 500, 10 * time.Second, 750 * time.Millisecond},
		"a twentieth, after 10 s":     {time.Second, 50, 10 * time.Second, 975 * time.Millisecond},
		"a twentieth, after 400 s":    {time.Second, 50, 400 * time.Second, 0},
		"never less than nothing":     {time.Second, 50, time.Hour, 0},
		"a hundredth after 300 years": {time.Second, 10, 290 * 365 * 24 * time.Hour, 0},
		"a clock that was set back":   {time.Second, 500, -time.Hour, time.Second},
	} {
		if got := (debt{c.owed, start}).left(c.cpu, start.Add(c.after)); got != c.want {
			t.Errorf("%s: %v is left, want %v", name, got, c.want)
		}
	}
}

// burner is a container that has used so much of a core since it began.
func burner(cores float64) func() (time.Duration, error) {
	began := time.Now()
	return func() (time.Duration, error) { return time.Duration(float64(time.Since(began)) * cores), nil }
}

func TestLendEndsWithTheLoan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			before time.Duration
			cpu    int64
			cores  float64
			took   time.Duration // until it has its limit
			owes   time.Duration
		}{
			"a burner":              {0, 50, 1, 1060 * time.Millisecond, loan},
			"half of it lent":       {500 * time.Millisecond, 500, 1, time.Second, loan},
			"one that owes all":     {loan, 50, 1, 0, loan},
			"one that owes more":    {2 * loan, 50, 1, 0, 2 * loan},
			"one that idles":        {0, 50, 0, ahead, 0},
			"one within its limit":  {0, 500, 0.5, ahead, 0},
			"one that pays nothing": {500 * time.Millisecond, 50, 0.05, ahead, 500 * time.Millisecond},
		} {
			began := time.Now()
			owes := lend(c.before, c.cpu, burner(c.cores), nil)
			if took := time.Since(began); took != c.took {
				t.Errorf("%s: ahead for %v, want %v", name, took, c.took)
			}
			if over := owes - c.owes; over < 0 || over > looks {
				t.Errorf("%s: owes %v, want %v and no more than one look", name, owes, c.owes)
			}
		}
	})
}

func TestLendEndsWithTheContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		time.AfterFunc(300*time.Millisecond, func() { close(stop) })
		if got, want := lend(0, 500, burner(1), stop), 150*time.Millisecond; got != want {
			t.Errorf("owes %v, want %v", got, want)
		}
	})
}

func TestWhatCannotBeMeasuredIsOwed(t *testing.T) {
	gone := func() (time.Duration, error) { return 0, errors.New("gone") }
	if got := lend(0, 50, gone, nil); got != loan {
		t.Errorf("owes %v, want %v", got, loan)
	}
}

// TestRestartsAreNoWayToMore starts a burner again as soon as it has had its
// loan, for an hour.
func TestRestartsAreNoWayToMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cpu = 50
		began := time.Now()
		var d debt
		var used time.Duration
		for time.Since(began) < time.Hour {
			run := time.Now()
			owes := lend(d.left(cpu, run), cpu, burner(1), nil)
			used += time.Since(run) // of a core
			d = debt{owes, time.Now()}
			time.Sleep(time.Second) // its pause, in which it uses nothing
		}
		took := time.Since(began)
		if most := share(took, cpu)/payback + share(used, cpu) + loan + looks; used > most {
			t.Errorf("used %v of a core in %v, want at most %v", used, took, most)
		}
	})
}
