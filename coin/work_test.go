package coin

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"
)

func TestSeal(t *testing.T) {
	seal := Seal([]byte("account"), 7, make([]byte, 32), 42)
	for name, other := range map[string][32]byte{
		"another account": Seal([]byte("accounu"), 7, make([]byte, 32), 42),
		"another subnet":  Seal([]byte("account"), 8, make([]byte, 32), 42),
		"another block":   Seal([]byte("account"), 7, append(make([]byte, 31), 1), 42),
		"another nonce":   Seal([]byte("account"), 7, make([]byte, 32), 43),
	} {
		if other == seal {
			t.Errorf("%s has the same seal %x", name, seal)
		}
	}
	const want = "b66efe64f63155fc6b154365fd2841d20b428d2663e92d4bee7ab54806ca5eda"
	if got := hex.EncodeToString(seal[:]); got != want {
		t.Errorf("seal is %s, want %s: a change of it forks the chain", got, want)
	}
}

func TestMeets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, d := rapid.Uint64().Draw(t, "seal"), Hashes(rapid.Uint64Range(1, uint64(MaxHashes)).Draw(t, "difficulty"))
		var seal [32]byte
		binary.BigEndian.PutUint64(seal[:], v)
		// v < 2⁶⁴/d, in whole numbers
		want := d == 1 || v <= (1<<64-1)/uint64(d)
		if got := d.Meets(seal); got != want {
			t.Fatalf("%#x meets %d: %v, want %v", v, d, got, want)
		}
	})
}

// TestWorkFollowsPower lets workers of any power register as fast as they can:
// their difficulty settles where they do so log(2)/log(Growth) times per
// half-life.
func TestWorkFollowsPower(t *testing.T) {
	for _, power := range []Hashes{1 << 10, 1 << 20, 1 << 30} { // per block
		law := Work{Min: 1 << 10, HalfLife: 100, Growth: 200}
		d, done, budget := law.Min, 0, Hashes(0)
		for block := range 10_000 {
			d = law.Decay(d, 1)
			if budget += power; budget >= d {
				budget, d = 0, law.Bump(d)
				if block >= 5_000 {
					done++
				}
			}
		}
		if done < 40 || done > 60 {
			t.Errorf("power %d registers %d in 50 half-lives, want about 50", power, done)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	for i := range b.N {
		Seal([]byte("account"), 1, make([]byte, 32), uint64(i))
	}
}
