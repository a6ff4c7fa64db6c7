package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/remote"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// The benchmark Compare runs the gateway beside plain proxies, each in a
// process of its own, before one mock back end; bench/gateway.sh prepares what
// it needs and starts it. The test binary plays the mock and the gateway.

const (
	roleVariable = "PLEXUS_COMPARE_ROLE" // mock or gateway: what this process plays
	mockURL      = "http://127.0.0.1:18200"
	pieces       = 32
	firstWait    = 10 * time.Millisecond
	pieceWait    = 5 * time.Millisecond
	mockWidth    = 384 // numbers of a vector
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "mock":
		playMock()
	case "gateway":
		playGateway()
	default:
		os.Exit(m.Run())
	}
}

// playMock serves the OpenAI API: 32 pieces, 5 ms apart, after 10 ms; or a
// vector after 10 ms.
func playMock() {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"data": []map[string]any{{"id": "toy", "max_model_len": 4096}}})
	})
	mux.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		at := time.Now().Add(firstWait)
		for i := range pieces + 1 {
			time.Sleep(time.Until(at))
			at = at.Add(pieceWait)
			delta, finish := `{"content":"word "}`, "null"
			if i == pieces {
				delta, finish = `{}`, `"stop"`
			}
			fmt.Fprintf(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"toy\",\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":%s}]}\n\n", delta, finish)
			if rc.Flush() != nil {
				return
			}
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	})
	mux.HandleFunc("/v1/embeddings", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(firstWait)
		v := make([]float32, mockWidth)
		v[0] = 1
		writeJSON(w, 200, map[string]any{
			"object": "list", "model": "toy", "usage": map[string]int{"prompt_tokens": 4, "total_tokens": 4},
			"data": []embeddingReport{{Object: "embedding", Vector: littleEndian(v)}},
		})
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(strings.TrimPrefix(mockURL, "http://"), mux))
	os.Exit(1)
}

// mockNet is one miner before the mock, as a miner before vLLM is.
type mockNet struct{ engine *remote.Engine }

func (mockNet) Miners() []Miner {
	return []Miner{{Peer: subnet.Peer{UID: 1, PeerID: "12D3"}, Score: 0.9, Alive: true}}
}

func (n mockNet) Ask(ctx context.Context, _ yuma.UID, body []byte, timeout time.Duration, onChunk func([]byte) error) (trial subnet.Trial, err error) {
	q, err := text.DecodeRequest(body)
	if err != nil {
		return trial, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	emit := func(c text.Chunk) error {
		b, err := c.Encode()
		if err != nil {
			return err
		}
		return onChunk(b)
	}
	u, err := n.engine.Chat(ctx, engine.ChatRequest{Messages: q.Messages, MaxTokens: q.MaxTokens}, func(d engine.Delta) error {
		return emit(text.Chunk{Text: d.Text, Tokens: d.Tokens})
	})
	if err == nil {
		err = emit(text.Chunk{Finish: engine.FinishStop, Usage: u})
	}
	trial.Answer.Err = err
	return trial, err
}

func (mockNet) Judge(_ context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	out := make([]subnet.Score, len(trials))
	for i := range out {
		out[i].Value = 0.9
	}
	return out, nil
}

func playGateway() {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}}
	e, err := remote.Open(context.Background(), remote.Options{
		URL: mockURL + "/v1", Model: "toy",
		Client: client,
	})
	if err == nil {
		var g *Gateway
		if g, err = New(Config{Models: []Model{{Name: "toy", Backend: mockNet{e}, Embedder: mockEmbedder{client}}}, Limits: Limits{Running: 1024, Explore: -1}}); err == nil {
			var l net.Listener
			if l, err = Listen("127.0.0.1:18201"); err == nil {
				err = g.Run(context.Background(), l)
			}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A proxied is one way to the mock.
type proxied struct {
	name    string
	url     string
	header  map[string]string
	process int // whose CPU time counts, with its children's
}

// BenchmarkCompare prints a table of what each way adds to the mock's own
// times, and how many requests it relays per second of its CPU time: for
// streamed chats, and for embeddings of one text.
func BenchmarkCompare(b *testing.B) {
	portkey := os.Getenv("PLEXUS_PORTKEY")
	if portkey == "" {
		b.Skip("start it by bench/gateway.sh")
	}
	self := must(os.Executable())
	launch(b, mockURL, []string{roleVariable + "=mock"}, self)
	conf := filepath.Join(b.TempDir(), "nginx.conf")
	text := strings.ReplaceAll(nginxConf, "PIDFILE", filepath.Join(b.TempDir(), "nginx.pid"))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	ways := []proxied{
		{name: "direct", url: mockURL},
		{name: "nginx", url: "http://127.0.0.1:18202", process: launch(b, "http://127.0.0.1:18202", nil, "nginx", "-c", conf, "-e", "/dev/null")},
		{name: "plexus", url: "http://127.0.0.1:18201", process: launch(b, "http://127.0.0.1:18201", []string{roleVariable + "=gateway"}, self)},
		{
			name: "portkey", url: "http://127.0.0.1:18203", process: launch(b, "http://127.0.0.1:18203", nil, "node", portkey, "--port=18203", "--headless"),
			header: map[string]string{"x-portkey-provider": "openai", "x-portkey-custom-host": mockURL + "/v1"},
		},
	}
	for _, kind := range []asking{{"chat", 60, 3, stream}, {"embeddings", 1000, 8, vector}} {
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				for _, streams := range []int{1, 64, 512} {
					measure(b, kind, streams, ways)
				}
			}
		})
	}
}

// launch starts a process and waits until it listens. It ends with the test.
func launch(b *testing.B, url string, env []string, name string, args ...string) int {
	b.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), env...)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait()
	})
	for range 200 {
		if conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
			_ = conn.Close()
			return c.Process.Pid
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Fatalf("%s does not listen", name)
	return 0
}

// nginx removes its pid file when it ends, whatever that is.
const nginxConf = `daemon off; worker_processes 2; pid PIDFILE; error_log /dev/null;
events { worker_connections 4096; }
http {
	access_log off; client_body_temp_path /tmp/plexus-compare-body; proxy_temp_path /tmp/plexus-compare-proxy;
	fastcgi_temp_path /tmp/plexus-compare-f; uwsgi_temp_path /tmp/plexus-compare-u; scgi_temp_path /tmp/plexus-compare-s;
	upstream mock { server 127.0.0.1:18200; keepalive 1024; }
	server {
		listen 127.0.0.1:18202; keepalive_requests 100000;
		location / { proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
	}
}`

// An asking is a kind of request.
type asking struct {
	name  string
	all   int // requests of all streams together, and
	least int // at least of each
	// one sends one and returns the time to its first piece, and the mean time
	// per further piece.
	one func(client *http.Client, w proxied) (first, gap time.Duration, err error)
}

// measure sends as many requests as there are streams at the same time, through
// every way in turn.
func measure(b *testing.B, kind asking, streams int, ways []proxied) {
	var direct []time.Duration
	var directGap []time.Duration
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: streams}}
	rounds := max(kind.least, kind.all/streams)
	for _, w := range ways {
		ask(client, w, kind, streams, 1) // opens connections, warms caches
		before, began := cpu(w.process), time.Now()
		firsts, gaps := ask(client, w, kind, streams, rounds)
		failed := streams*rounds - len(firsts)
		if failed > 0 && w.name == "plexus" {
			b.Errorf("%d of %d requests failed", failed, streams*rounds)
		}
		wall, used := time.Since(began).Seconds(), cpu(w.process)-before
		if w.process == 0 {
			direct, directGap = firsts, gaps
		}
		n := float64(len(firsts))
		line := fmt.Sprintf("%-10s %-8s streams %3d  requests %5.0f failed %4d  first p50 %7.2f p99 %7.2f ms", kind.name, w.name, streams, n, failed, ms(firsts, .5), ms(firsts, .99))
		if w.process != 0 {
			line += fmt.Sprintf("  added first p50 %6.2f p99 %6.2f  per token p50 %6.3f p99 %6.3f ms  %6.0f req/CPU-s  %5.0f req/s",
				ms(firsts, .5)-ms(direct, .5), ms(firsts, .99)-ms(direct, .99), ms(gaps, .5)-ms(directGap, .5), ms(gaps, .99)-ms(directGap, .99), n/max(used, .01), n/wall)
		}
		fmt.Println(line)
	}
}

// ask has every stream ask rounds times, and returns the times to the first
// piece and the mean times per further piece, of the requests that went well.
func ask(client *http.Client, w proxied, kind asking, streams, rounds int) (firsts, gaps []time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range streams {
		wg.Go(func() {
			for range rounds {
				first, gap, err := kind.one(client, w)
				mu.Lock()
				if err == nil {
					firsts, gaps = append(firsts, first), append(gaps, gap)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(firsts)
	slices.Sort(gaps)
	return firsts, gaps
}

func stream(client *http.Client, w proxied) (first, gap time.Duration, err error) {
	began := time.Now()
	req, err := http.NewRequest(http.MethodPost, w.url+"/v1/chat/completions", strings.NewReader(hello+`,"stream":true,"plexus":{"miners":1}}`))
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer none")
	for k, v := range w.header {
		req.Header.Set(k, v)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	words := 0
	var last time.Duration
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), []byte(`"content":"`)) {
			last = time.Since(began)
			if words == 0 {
				first = last
			}
			words += bytes.Count(lines.Bytes(), []byte("word "))
		}
	}
	if words != pieces {
		return 0, 0, fmt.Errorf("status %d, %d of %d pieces, %w", res.StatusCode, words, pieces, lines.Err())
	}
	return first, (last - first) / (pieces - 1), nil
}

func ms(sorted []time.Duration, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(float64(len(sorted))*part), len(sorted)-1)].Seconds() * 1e3
}

// cpu returns the seconds of CPU time that a process and its children used.
func cpu(pid int) float64 {
	if pid == 0 {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	all := (user + system) / 100 // Linux counts in hundredths of a second
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(children)) {
		id, _ := strconv.Atoi(child)
		all += cpu(id)
	}
	return all
}
