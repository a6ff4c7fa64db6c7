package ledger

import "testing"

func TestPlain(t *testing.T) {
	const words = "weights: at most once in 1000 blocks: wait 37 blocks"
	for name, log := range map[string]string{
		"message": "failed to execute message; message index: 0: " + words + ": invalid request",
		"for another": "failed to execute message; message index: 0: failed to execute message; " +
			`message account:"plx1v6c" netuid:1 uids:0 weights:1 : ` + words + ": invalid request",
		"trial": "rpc error: code = Unknown desc = failed to execute message; message index: 0: " + words +
			": invalid request [cosmos/cosmos-sdk@v0.55.0/baseapp/baseapp.go:1051] with gas used: '53027'",
		"query": "codespace sdk code 38: not found: " + words,
		"plain": words,
	} {
		if got := plain(log); got != words {
			t.Errorf("%s: %q\nbecomes %q,\nwant    %q", name, log, got, words)
		}
	}
}
