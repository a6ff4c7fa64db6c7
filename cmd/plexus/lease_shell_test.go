package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/memory"
	"github.com/plexus-network/plexus/provider/pass"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/wallet"
)

// shellDesk knows one lease, whose keeper runs nothing.
type shellDesk struct {
	api.Desk
	keeper *lease.Keeper
}

func (d shellDesk) Keeper(market.BidID) (*lease.Keeper, error) { return d.keeper, nil }

// shellEngine runs a shell that says how large its terminal is, again each
// time that it changes, and repeats what is typed, until "exit".
type shellEngine struct{ memory.Engine }

func (*shellEngine) Exec(ctx context.Context, _ sandbox.ID, x sandbox.Exec) (int, error) {
	typed := make(chan string)
	go func() {
		defer close(typed)
		for lines := bufio.NewScanner(x.Stdin); lines.Scan(); {
			typed <- lines.Text()
		}
	}()
	for {
		select {
		case size := <-x.Resize:
			fmt.Fprintf(x.Stdout, "size %dx%d tty %v\r\n", size.Columns, size.Rows, x.TTY)
		case text, more := <-typed:
			if !more || text == "exit" {
				return 7, nil
			}
			fmt.Fprintf(x.Stdout, "typed %q\r\n", text)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// TestShellOnATerminal opens a shell on a real terminal, through the API over
// TLS, and makes the terminal larger.
func TestShellOnATerminal(t *testing.T) {
	screen, terminalEnd, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	defer terminalEnd.Close()
	if err := pty.Setsize(screen, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	stdin := os.Stdin
	os.Stdin = terminalEnd
	defer func() { os.Stdin = stdin }()

	tenantKey := wallet.Derive("shell", "tenant")
	id := market.BidID{OrderID: market.OrderID{GroupID: market.GroupID{DeploymentID: market.DeploymentID{Owner: tenantKey.Address(), DSeq: 1}, GSeq: 1}, OSeq: 1}, Provider: "plx1provider"}
	engine := &shellEngine{}
	desk := shellDesk{keeper: lease.NewKeeper(id.String(), nil, lease.Options{Engine: engine})}
	server := httptest.NewUnstartedServer(api.NewServer(id.Provider, desk, engine, slog.New(slog.DiscardHandler)))
	certificate, pin, err := provider.Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	defer server.Close()
	token, err := pass.Sign(tenantKey, id.Provider, time.Now(), time.Hour, pass.Leases{})
	if err != nil {
		t.Fatal(err)
	}

	cmd := &cobra.Command{}
	cmd.SetOut(terminalEnd)
	restore, x, err := terminal(cmd)
	if err != nil {
		t.Fatal(err)
	}
	x.Args = []string{"/bin/sh"}
	ended := make(chan int, 1)
	go func() {
		code, err := api.NewClient(server.URL, pin, token).Exec(t.Context(), id, api.Selection{Service: "web"}, x)
		if err != nil {
			t.Error(err)
		}
		ended <- code
	}()

	seen := make(chan string, 100)
	go func() {
		defer close(seen)
		for lines := bufio.NewScanner(screen); lines.Scan(); {
			seen <- strings.TrimRight(lines.Text(), "\r")
		}
	}()
	wants := func(want string) {
		t.Helper()
		for late := time.After(30 * time.Second); ; {
			select {
			case line := <-seen:
				if line == want {
					return
				}
				t.Errorf("the screen shows %q, want %q", line, want) // also what the terminal itself echoes, if it is not raw
			case <-late:
				t.Fatalf("the screen does not show %q within 30 s", want)
			}
		}
	}
	wants("size 80x24 tty true")
	if err := pty.Setsize(screen, &pty.Winsize{Rows: 50, Cols: 132}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil { // as the kernel does for a controlling terminal
		t.Fatal(err)
	}
	wants("size 132x50 tty true")
	if _, err := screen.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	wants(`typed "hello"`)
	if _, err := screen.WriteString("exit\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-ended:
		if code != 7 {
			t.Errorf("ended with %d", code)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the shell does not end")
	}
	restore()
	if _, err := screen.WriteString("x\n"); err != nil { // a terminal that is raw no more echoes
		t.Fatal(err)
	}
	wants("x")
}
