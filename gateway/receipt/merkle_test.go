package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// leaves of the test tree of certificate-transparency-go and of RFC 6962's
// reference implementation.
var known = []string{
	"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
}

func knownLeaves(t testing.TB) []Hash {
	t.Helper()
	all := make([]Hash, len(known))
	for i, s := range known {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = leaf(b)
	}
	return all
}

func TestRootsOfRFC6962(t *testing.T) {
	all := knownLeaves(t)
	for n, want := range map[int]string{
		0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	} {
		if got := root(all[:n]).String(); got != want {
			t.Errorf("root of %d leaves %s, want %s", n, got, want)
		}
	}
}

func TestPathsLeadToTheRoot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 70).Draw(t, "leaves")
		leaves := make([]Hash, n)
		for i := range leaves {
			leaves[i] = leaf(fmt.Append(nil, i))
		}
		i := rapid.IntRange(0, n-1).Draw(t, "leaf")
		p := Proof{Root: root(leaves), Index: uint64(i), Size: uint64(n), Path: path(leaves, i)}
		if err := p.Verify(leaves[i]); err != nil {
			t.Fatalf("leaf %d of %d: %v", i, n, err)
		}
		if p.Verify(leaf([]byte("another"))) == nil {
			t.Fatal("another leaf is proved")
		}
		for name, bad := range map[string]Proof{
			"another place": {Root: p.Root, Index: (p.Index + 1) % p.Size, Size: p.Size, Path: p.Path},
			"another root":  {Root: leaf(nil), Index: p.Index, Size: p.Size, Path: p.Path},
			"a longer path": {Root: p.Root, Index: p.Index, Size: p.Size, Path: append(slices.Clone(p.Path), leaf(nil))},
			"no such leaf":  {Root: p.Root, Index: p.Size, Size: p.Size, Path: p.Path},
		} {
			if (n > 1 || name != "another place") && bad.Verify(leaves[i]) == nil {
				t.Fatalf("leaf %d of %d: %s is taken", i, n, name)
			}
		}
		if n > 1 {
			cut := p
			cut.Path = p.Path[:len(p.Path)-1]
			if cut.Verify(leaves[i]) == nil {
				t.Fatal("a shorter path is taken")
			}
			inner := sha256.Sum256(append([]byte{1}, append(leaves[0][:], leaves[1][:]...)...))
			if (Proof{Root: root(leaves[:2]), Index: 0, Size: 1}).Verify(leaf(inner[:])) == nil {
				t.Fatal("a node passes for a leaf")
			}
		}
	})
}
