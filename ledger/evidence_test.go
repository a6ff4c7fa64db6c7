package ledger

import (
	"encoding/binary"
	"fmt"
	"testing"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/cosmos-sdk/x/authz"
	gogoproto "github.com/cosmos/gogoproto/proto"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
)

// TestCasesAfter reads the newest cases of a node that has 120.
func TestCasesAfter(t *testing.T) {
	f := newFake()
	pages := 0
	f.answers["Cases"] = func(in any) (gogoproto.Message, error) {
		pages++
		page, at := in.(*registryv1.QueryCasesRequest).Pagination, uint64(120)
		if !page.Reverse {
			return nil, fmt.Errorf("asked for the oldest first")
		}
		if len(page.Key) > 0 {
			at = binary.BigEndian.Uint64(page.Key)
		}
		resp := &registryv1.QueryCasesResponse{Pagination: &query.PageResponse{}}
		for ; at > 0 && uint64(len(resp.Cases)) < page.Limit; at-- {
			resp.Cases = append(resp.Cases, registryv1.Case{Id: at})
		}
		if at > 0 {
			resp.Pagination.NextKey = binary.BigEndian.AppendUint64(nil, at)
		}
		return resp, nil
	}
	c := New(f, Options{})
	for after, want := range map[uint64]struct{ cases, pages int }{0: {120, 3}, 45: {75, 2}, 119: {1, 1}, 120: {0, 1}} {
		pages = 0
		got, err := c.CasesAfter(t.Context(), after)
		if err != nil || len(got) != want.cases || pages != want.pages {
			t.Errorf("after %d: %d cases in %d pages, %v; want %d in %d", after, len(got), pages, err, want.cases, want.pages)
		}
		if len(got) > 0 && (got[0].Id != 120 || got[len(got)-1].Id != after+1) {
			t.Errorf("after %d: cases %d to %d", after, got[0].Id, got[len(got)-1].Id)
		}
	}
}

// transaction encodes messages as one that is signed by nobody.
func transaction(t testing.TB, messages ...sdk.Msg) []byte {
	t.Helper()
	body := &txtypes.TxBody{Messages: packed(t, messages...)}
	inner, err := body.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := (&txtypes.TxRaw{BodyBytes: inner}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func packed(t testing.TB, messages ...sdk.Msg) (all []*codectypes.Any) {
	t.Helper()
	for _, m := range messages {
		a, err := codectypes.NewAnyWithValue(m)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

func TestReportsAreFoundInTransactions(t *testing.T) {
	report := func(s string) *registryv1.MsgReportFraud { return &registryv1.MsgReportFraud{Bundle: []byte(s)} }
	hotkey := func(m sdk.Msg) *authz.MsgExec { return &authz.MsgExec{Msgs: packed(t, m)} }
	deep := sdk.Msg(report("deep"))
	for range 2 * maxNesting {
		deep = hotkey(deep)
	}
	got := reports(transaction(t, &registryv1.MsgVoteFraud{}, report("one"), hotkey(report("two")), hotkey(hotkey(report("three"))), deep))
	if len(got) != 3 || string(got[0].Bundle)+string(got[1].Bundle)+string(got[2].Bundle) != "onetwothree" {
		t.Errorf("found %+v, want one, two and three", got)
	}
}

func FuzzReports(f *testing.F) {
	f.Add(transaction(f, &registryv1.MsgReportFraud{Bundle: []byte("x")}))
	f.Fuzz(func(_ *testing.T, raw []byte) { reports(raw) })
}
