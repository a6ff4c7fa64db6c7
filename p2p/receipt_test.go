package p2p

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestReceipt(t *testing.T) {
	q := testRequest(t, "hello")
	answer := testAnswer(t, q, nil)
	hello, pieces := []byte("hello"), [][]byte{[]byte("one"), []byte("two")}

	whole := newReceipt(q, answer[2])
	if err := whole.VerifyBodies(hello, pieces); err != nil || !whole.Complete() {
		t.Errorf("whole: complete %v, %v", whole.Complete(), err)
	}
	partial := newReceipt(q, answer[0])
	if err := partial.VerifyBodies(hello, pieces[:1]); err != nil || partial.Complete() {
		t.Errorf("partial: complete %v, %v", partial.Complete(), err)
	}
	if q.Body == nil || answer[2].RunningHash == nil {
		t.Error("the receipt took its envelope's bodies away")
	}

	for name, err := range map[string]error{
		"other request body": whole.VerifyBodies([]byte("bye"), pieces),
		"other piece":        whole.VerifyBodies(hello, [][]byte{[]byte("one"), []byte("six")}),
		"pieces cut apart":   whole.VerifyBodies(hello, [][]byte{[]byte("onet"), []byte("wo")}),
		"piece missing":      whole.VerifyBodies(hello, pieces[:1]),
		"piece too many":     partial.VerifyBodies(hello, pieces),
	} {
		if !errors.Is(err, ErrBadSignature) {
			t.Errorf("%s: got %v, want ErrBadSignature", name, err)
		}
	}
	if err := newReceipt(q, nil).Verify(); err == nil {
		t.Error("a receipt without an answer verifies")
	}
	if err := newReceipt(testRequest(t, "hello"), answer[2]).Verify(); !errors.Is(err, ErrBadSignature) {
		t.Errorf("answer to another request: got %v, want ErrBadSignature", err)
	}
}

func TestReceiptSurvivesJSON(t *testing.T) {
	q := testRequest(t, "hello")
	want := newReceipt(q, testAnswer(t, q, nil)[2])
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Receipt
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if err := got.Verify(); err != nil || got.Hash() != want.Hash() {
		t.Errorf("from %s: %v", data, err)
	}
}
