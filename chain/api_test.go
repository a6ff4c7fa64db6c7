package chain

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	cmttypes "github.com/cometbft/cometbft/types"
)

// Clients of the ecosystem talk REST, and follow the chain by CometBFT's
// websocket.
func TestServesRESTAndWebsocket(t *testing.T) {
	c := newCluster(t, 1, 100*time.Millisecond)
	c.await(1)
	c.stop(0)
	c.cfgs[0].RPC, c.cfgs[0].GRPC, c.cfgs[0].REST = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	n := c.start(0)
	c.await(2)
	rpc, _, rest := n.Addrs()
	for _, path := range []string{
		"/plexus/emission/v1/schedule",
		"/plexus/subnet/v1/params",
		"/plexus/subnet/v1/subnets",
		"/plexus/subnet/v1/subnets/0",
		"/plexus/subnet/v1/subnets/0/price",
		"/plexus/subnet/v1/subnets/0/weights",
		"/plexus/subnet/v1/subnets/0/bonds",
		"/plexus/subnet/v1/subnets/0/metagraph?mechanism=0&fields=stake&fields=permit",
		"/cosmos/bank/v1beta1/supply",
		"/cosmos/staking/v1beta1/validators",
		"/cosmos/base/tendermint/v1beta1/blocks/latest",
	} {
		r, err := http.Get("http://" + rest + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != http.StatusOK || !json.Valid(body) {
			t.Errorf("%s: %s, %v, %.200s; want JSON", path, r.Status, err, body)
		}
	}
	r, err := http.Get("http://" + rest + "/plexus/subnet/v1/subnets/0/metagraph?fields=stakes")
	if err != nil {
		t.Fatal(err)
	}
	if r.Body.Close(); r.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown field: %s, want a bad request", r.Status)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ws, err := rpchttp.New("http://"+rpc, "/websocket")
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.Start(); err != nil {
		t.Fatal(err)
	}
	defer ws.Stop()
	blocks, err := ws.Subscribe(ctx, "test", cmttypes.EventQueryNewBlock.String())
	if err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-blocks:
		if b, ok := e.Data.(cmttypes.EventDataNewBlock); !ok || b.Block.Height < 2 {
			t.Errorf("the websocket told of %T, want a new block", e.Data)
		}
	case <-ctx.Done():
		t.Error("the websocket told of no block")
	}
}
