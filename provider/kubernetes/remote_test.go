package kubernetes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/plexus-network/plexus/provider/kubernetes"
	"github.com/plexus-network/plexus/provider/sandbox"
)

func TestLogsOfAllRuns(t *testing.T) {
	bubble(t, func(t *testing.T, c *fake.Clientset) {
		begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		var asked []string
		e := open(t, c, func(r *http.Request) (int, string) {
			name := strings.Split(r.URL.Path, "/")[6]
			if !slices.Contains(asked, name) {
				asked = append(asked, name)
			}
			run := slices.Index(asked, name)
			var text strings.Builder
			for n := range 3 {
				at := begun.Add(time.Duration(run)*time.Hour + time.Duration(n)*time.Millisecond)
				fmt.Fprintf(&text, "%s run %d line %d\n", at.Format(time.RFC3339Nano), run, n)
			}
			return http.StatusOK, text.String() + begun.Add(time.Duration(run)*time.Hour+time.Second).Format(time.RFC3339Nano) + " " + strings.Repeat("x", 20_000) + "\n"
		})
		w := workload("talker", "exit", "0")
		for range 2 {
			start(t, e, w)
			ended(t, e, w.ID)
			time.Sleep(2 * time.Second)
		}
		read := func(o sandbox.LogOptions) []string {
			var all []string
			for line, err := range e.Logs(t.Context(), w.ID, o) {
				if err != nil {
					t.Fatal(err)
				}
				if len(line.Text) > 16<<10 {
					t.Errorf("a piece of %d bytes", len(line.Text))
				}
				if !strings.HasPrefix(line.Text, "x") {
					all = append(all, line.Text)
				}
			}
			return all
		}
		want := []string{"run 0 line 0", "run 0 line 1", "run 0 line 2", "run 1 line 0", "run 1 line 1", "run 1 line 2"}
		if got := read(sandbox.LogOptions{}); !slices.Equal(got, want) {
			t.Errorf("all: %q, want %q", got, want)
		}
		if got := read(sandbox.LogOptions{Follow: true}); !slices.Equal(got, want) {
			t.Errorf("followed to the end: %q, want each line once: %q", got, want)
		}
		if got := read(sandbox.LogOptions{Since: begun.Add(time.Hour)}); !slices.Equal(got, want[3:]) {
			t.Errorf("since the second run: %q, want %q", got, want[3:])
		}
		if got := read(sandbox.LogOptions{Tail: 4}); !slices.Equal(got, want[4:]) { // and two pieces of a long line
			t.Errorf("the last: %q, want %q", got, want[4:])
		}
		for _, err := range e.Logs(t.Context(), workload("nobody").ID, sandbox.LogOptions{}) {
			if !errors.Is(err, sandbox.ErrUnknown) {
				t.Errorf("log of an unknown replica: %v", err)
			}
		}
	})
}

// The channels of Kubernetes' exec protocol, v5.channel.k8s.io.
const (
	stdin, stdout, stderr, failure, resize = 0, 1, 2, 3, 4
	closing                                = 255
)

// machine serves exec as an API server and a kubelet do: it tells what it was
// asked for and the sizes of its terminal, echoes its input, and ends with 7.
func machine(t *testing.T) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"v5.channel.k8s.io"}})
		if err != nil {
			t.Errorf("no websocket: %v", err)
			return
		}
		say := func(channel byte, text string) {
			if err := c.Write(r.Context(), websocket.MessageBinary, append([]byte{channel}, text...)); err != nil {
				t.Logf("channel %d: %v", channel, err)
			}
		}
		say(stdout, fmt.Sprintf("%s runs %q tty=%s\n", q.Get("container"), q["command"], q.Get("tty")))
		if q.Get("stderr") == "true" {
			say(stderr, "to stderr\n")
		}
		for seen := 0; q.Get("command") != "hang"; {
			_, m, err := c.Read(r.Context())
			if err != nil {
				t.Errorf("read: %v", err)
				return
			}
			switch m[0] {
			case stdin:
				say(stdout, string(m[1:]))
			case resize:
				var size struct{ Width, Height uint16 }
				if err := json.Unmarshal(m[1:], &size); err != nil {
					t.Error(err)
				}
				say(stdout, fmt.Sprintf("size %dx%d\n", size.Height, size.Width))
				seen++
			}
			if m[0] == closing || seen == 2 {
				break
			}
		}
		if q.Get("command") == "hang" {
			<-c.CloseRead(r.Context()).Done()
			return
		}
		say(failure, `{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}`)
		_ = c.Close(websocket.StatusNormalClosure, "")
	}))
}

func TestExec(t *testing.T) {
	c := newCluster(t)
	(&kubelet{client: c, alone: true}).run(t, 10*time.Millisecond)
	server := machine(t)
	defer server.Close()
	e, err := kubernetes.Open(kubernetes.Options{Provider: providerName, Client: c, Config: &rest.Config{Host: server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	w := workload("web", "serve")
	start(t, e, w)
	var out, errs bytes.Buffer
	code, err := e.Exec(t.Context(), w.ID, sandbox.Exec{Args: []string{"cat", "-"}, Stdin: strings.NewReader("piped"), Stdout: &out, Stderr: &errs})
	if want := "main runs [\"cat\" \"-\"] tty=\npiped"; err != nil || code != 7 || out.String() != want || errs.String() != "to stderr\n" {
		t.Errorf("code %d, %v, printed %q and %q, want 7 and %q", code, err, out.String(), errs.String(), want)
	}
	out.Reset()
	sizes := make(chan sandbox.Size, 1)
	sizes <- sandbox.Size{Rows: 44, Columns: 111}
	code, err = e.Exec(t.Context(), w.ID, sandbox.Exec{Args: []string{"sh"}, Stdout: &out, TTY: true, Size: sandbox.Size{Rows: 33, Columns: 99}, Resize: sizes})
	if err != nil || code != 7 || !strings.Contains(out.String(), "tty=true\nsize 33x99\nsize 44x111\n") {
		t.Errorf("on a terminal: code %d, %v, printed %q", code, err, out.String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := e.Exec(ctx, w.ID, sandbox.Exec{Args: []string{"hang"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that is cut off: %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestExecFallsBackToSPDY(t *testing.T) {
	c := newCluster(t)
	(&kubelet{client: c, alone: true}).run(t, 10*time.Millisecond)
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.Header.Get("Upgrade"))
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(metav1.Status{Status: metav1.StatusFailure, Message: "no upgrade here"})
	}))
	defer server.Close()
	e, err := kubernetes.Open(kubernetes.Options{Provider: providerName, Client: c, Config: &rest.Config{Host: server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	w := workload("web", "serve")
	start(t, e, w)
	if _, err := e.Exec(t.Context(), w.ID, sandbox.Exec{Args: []string{"x"}}); err == nil {
		t.Error("no error, though nobody upgrades")
	}
	if want := []string{"GET websocket", "POST SPDY/3.1"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}
