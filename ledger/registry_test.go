package ledger_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/plexus-network/plexus/ledger"
)

// A hotkey declares a model and publishes a root for its account; what needs a
// permit or a case is refused for what it lacks.
func testRegistry(t *testing.T, c *ledger.Client) {
	ctx := t.Context()
	hot := ledger.Actor{Key: hotkey, For: validator.Address()}
	body := []byte(`{"name":"a model"}`)
	hash, err := c.RegisterManifest(ctx, hot, body)
	if err != nil || hash != sha256.Sum256(body) {
		t.Fatalf("registered as %x, %v", hash, err)
	}
	if got, err := c.Manifest(ctx, hash); err != nil || string(got) != string(body) {
		t.Errorf("manifest %s, %v", got, err)
	}
	if _, err := c.Manifest(ctx, [32]byte{}); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a manifest that nobody declared: %v", err)
	}
	root := sha256.Sum256([]byte("root"))
	if err := c.PublishRoot(ctx, hot, 1, 4, root, 9); err != nil {
		t.Fatal(err)
	}
	wantError(t, c.PublishRoot(ctx, hot, 1, 4, root, 9), "epoch 4", "is published already")
	if r, err := c.Root(ctx, 1, validator.Address(), 4); err != nil || string(r.Root) != string(root[:]) || r.Count != 9 {
		t.Errorf("root %+v, %v", r, err)
	}
	if kept, err := c.Conduct(ctx, 1, validator.Address()); err != nil || kept.Roots != 1 || kept.LatestRoot != 4 {
		t.Errorf("conduct %+v, %v", kept, err)
	}
	_, _, err = c.CommitAudit(ctx, ledger.Actor{Key: alice}, 1, 0, root)
	wantError(t, err, "commit to the audit of epoch 0 on subnet 1")
	wantError(t, c.RevealAudit(ctx, hot, 1, 1<<20, root), "there is no commitment")
	_, _, err = c.ReportFraud(ctx, ledger.Actor{Key: alice}, 1, validator.Address(), hash, []byte("proof"))
	wantError(t, err, "report", "on subnet 1")
	_, err = c.VoteFraud(ctx, hot, 7, true)
	wantError(t, err, "there is no case 7")
	if _, _, err := c.Case(ctx, 7); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a case that never was: %v", err)
	}
	if all, err := c.Cases(ctx); err != nil || len(all) != 0 {
		t.Errorf("cases %v, %v", all, err)
	}
	if all, err := c.Audits(ctx, 1, validator.Address()); err != nil || len(all) != 0 {
		t.Errorf("audits %v, %v", all, err)
	}
}
