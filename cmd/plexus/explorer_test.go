package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/wallet"
)

// TestExplorerCommand runs the explorer beside a chain, and drops blocks.
func TestExplorerCommand(t *testing.T) {
	home := t.TempDir()
	id, err := chain.LoadIdentity(filepath.Join(home, "node"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := chain.Genesis(chain.GenesisOptions{
		ChainID:    "explorer-command",
		Validators: []chain.GenesisValidator{{Moniker: "v", Operator: wallet.Derive("explorer", "v").Address(), Key: id.Key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	node, err := chain.StartNode(context.WithoutCancel(t.Context()), chain.NodeConfig{
		Home: filepath.Join(home, "node"), Genesis: doc, Local: true, BlockTime: 100 * time.Millisecond, GRPC: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	_, grpc, _ := node.Addrs()

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	cmd := newExplorerCmd()
	cmd.SetContext(ctx)
	cmd.SetOut(in)
	cmd.SetArgs([]string{"--home", home, "--grpc", grpc, "--http", "127.0.0.1:0"})
	ended := make(chan error, 1)
	go func() { ended <- cmd.Execute() }()
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`http://\S+/v1`).FindString(string(line[:n]))
	if url == "" {
		t.Fatalf("the explorer says %q, want its address", line[:n])
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		var s struct {
			Chain  string `json:"chain_id"`
			Height int
		}
		r, err := http.Get(url + "/status")
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(r.Body).Decode(&s)
		r.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if s.Height >= 4 && s.Chain == "explorer-command" {
			break
		}
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("after two minutes the explorer is at %+v", s)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatalf("the explorer ended with %v", err)
	}

	var said strings.Builder
	cmd = newExplorerCmd()
	cmd.SetContext(t.Context())
	cmd.SetOut(&said)
	cmd.SetArgs([]string{"reindex", "--home", home, "--from", "3"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintln("the index ends at block 2"); said.String() != want {
		t.Errorf("reindex says %q, want %q", &said, want)
	}
}
