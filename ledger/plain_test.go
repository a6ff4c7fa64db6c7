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

func TestTxErrorSpeaksInPLX(t *testing.T) {
	for log, want := range map[string]string{
		"a deposit of 100000000nplx; it must be at least 500000000nplx":             "a deposit of 0.1plx; it must be at least 0.5plx",
		"spendable balance 0nplx is smaller than 500000000nplx: insufficient funds": "the account has 0plx to spend, and this takes 0.5plx: send it coins",
		"12500000.500000000000000000nplx per block, and 5nplx":                      "12500000.500000000000000000nplx per block, and 5nplx",
	} {
		if got := (&TxError{Log: log}).Error(); got != want {
			t.Errorf("%q\nreads  %q,\nwant   %q", log, got, want)
		}
	}
}
