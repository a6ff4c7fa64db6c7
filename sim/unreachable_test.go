package sim

import "testing"

// faded runs five equal validators of which the last goes silent on the subnet
// after a while, and signs no blocks either if off. It returns what it earned
// in each epoch, for one that the others did, and the part of its stake that
// was slashed. Slashing looks at 20 blocks here, by default at 10,000.
func faded(t *testing.T, off bool, silent, epochs int) (share []float64, slashed float64) {
	a := editedArena(t, 5, 3, nil, quickJail)
	last := len(a.validators) - 1
	had := a.staked(last)
	for epoch := range epochs {
		opinions := map[int][]float64{}
		for i := range a.validators {
			if i < last || epoch < silent {
				opinions[i] = []float64{3, 2, 1}
			}
		}
		if off && epoch >= silent {
			a.Absent[a.validators[last].Address()] = true
		}
		a.speak(opinions)
		a.forget()
		a.settle()
		share = append(share, float64(a.validated[last])*float64(last)/max(1, sum(a.validated, 0, last)))
	}
	return share, 1 - float64(a.staked(last))/float64(had)
}

// staked returns the stake of a validator in nplx, jailed or not.
func (a *arena) staked(validator int) uint64 {
	a.t.Helper()
	ctx, err := a.State()
	if err != nil {
		a.t.Fatal(err)
	}
	v, err := a.App.Staking.GetValidator(ctx, a.validators[validator].Operator())
	if err != nil {
		a.t.Fatal(err)
	}
	return v.Tokens.Uint64()
}

// A validator that cannot be reached loses its dividends: at the activity
// cutoff if it only sets no weights, and when it is jailed if it is off.
func TestAttackUnreachableValidator(t *testing.T) {
	const silent, epochs = 3, 20
	mute, none := faded(t, false, silent, epochs)
	off, slashed := faded(t, true, silent, epochs)
	t.Log("epochs of silence | sets no weights | is off: is jailed after 10 of 20 blocks")
	for i := silent - 1; i < epochs; i++ {
		t.Logf("%2d | %.2f | %.2f", i-silent+1, mute[i], off[i])
	}
	t.Logf("slashed: %.4f %% and %.4f %% of its stake", 100*none, 100*slashed)
	if mute[epochs-1] > 0.01 || mute[silent+5] < 0.9 {
		t.Errorf("silent for 5 epochs it earned %.2f, for %d %.2f; want as before until the cutoff of 13.9 epochs, then nothing", mute[silent+5], epochs-silent, mute[epochs-1])
	}
	if off[silent+3] > 0.01 || slashed == 0 || none != 0 {
		t.Errorf("off for 3 epochs it earned %.2f and was slashed %v; want nothing, and a little", off[silent+3], slashed)
	}
}
