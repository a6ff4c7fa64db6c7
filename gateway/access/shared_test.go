package access_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/gateway"
	"github.com/plexus-network/plexus/gateway/access"
	"github.com/plexus-network/plexus/gateway/store"
	"github.com/plexus-network/plexus/gateway/store/storetest"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// childEnv makes this test's program a gateway on the database that it names.
const childEnv = "PLEXUS_TEST_GATEWAY"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childEnv); dsn != "" {
		if err := child(dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(storetest.Main(m))
}

var alice = wallet.Derive("access", "alice").Address()

const (
	says    = 40             // tokens of every answer
	allowed = 50_000 * 4 / 5 // tokens of the epoch
)

// still is a chain whose epoch never ends and on which alice has all stake.
type still struct{}

func (still) Epoch(context.Context) (access.Epoch, error) {
	return access.Epoch{Number: 3, Next: 80, Left: time.Hour, Length: 10 * time.Second}, nil
}

func (still) Stake(_ context.Context, account string) (own, all coin.Amount, err error) {
	if account == alice {
		own = coin.PLX
	}
	return own, coin.PLX, nil
}

func options() access.Options {
	return access.Options{Chain: still{}, Floor: 5000, Beat: time.Second}
}

// child is a gateway in a process of its own, which says where it listens.
func child(dsn string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, dsn)
	if err != nil {
		return err
	}
	o := options()
	o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	a, err := access.New(ctx, db, o)
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Config{
		Models: []gateway.Model{{Name: "toy", Backend: choir{}, Tokenizer: bytewise{}, Context: 4096, Netuid: 1}},
		Limits: gateway.Limits{Running: 32, Miners: 1, Explore: -1},
		Access: a,
	})
	if err != nil {
		return err
	}
	l, err := gateway.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() { _ = a.Run(ctx) }()
	return g.Run(ctx, l)
}

// choir is miners that all say says tokens, a millisecond each.
type choir struct{}

func (choir) Miners() []gateway.Miner {
	all := make([]gateway.Miner, 3)
	for i := range all {
		all[i] = gateway.Miner{Peer: subnet.Peer{UID: yuma.UID(i)}, Alive: true, Score: 0.9}
	}
	return all
}

func (choir) Ask(ctx context.Context, uid yuma.UID, body []byte, _ time.Duration, onChunk func([]byte) error) (subnet.Trial, error) {
	trial := subnet.Trial{Task: subnet.Task{Miner: subnet.Peer{UID: uid}, Body: body}}
	for i := range says + 1 {
		c := text.Chunk{Text: "x", Tokens: []engine.TokenScore{{Token: 'x', LogProb: -1}}}
		if i == says {
			c = text.Chunk{Finish: engine.FinishStop}
		}
		b, err := c.Encode()
		if err == nil {
			err = onChunk(b)
		}
		if err == nil {
			time.Sleep(time.Millisecond)
			err = ctx.Err()
		}
		if err != nil {
			trial.Answer.Err = err
			return trial, err
		}
	}
	return trial, nil
}

func (choir) Judge(_ context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	out := make([]subnet.Score, len(trials))
	for i := range out {
		out[i].Value = 0.9
	}
	return out, nil
}

// bytewise is a tokenizer whose tokens are bytes.
type bytewise struct{}

func (bytewise) Render(m []engine.Message) ([]engine.Token, error) {
	return bytewise{}.Encode(m[0].Content)
}

func (bytewise) Encode(s string) ([]engine.Token, error) {
	out := make([]engine.Token, len(s))
	for i := range len(s) {
		out[i] = engine.Token(s[i])
	}
	return out, nil
}

func (bytewise) Decode(tokens []engine.Token) string { return strings.Repeat("x", len(tokens)) }
func (bytewise) Ends(engine.Token) bool              { return false }

// start runs a gateway on a database and returns its address.
func start(t *testing.T, dsn string) (*exec.Cmd, string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), childEnv+"="+dsn)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the gateway says nothing: %v", err)
	}
	return cmd, "http://" + strings.TrimSpace(line)
}

// tally is what clients saw.
type tally struct {
	prompt, completion atomic.Int64 // tokens of answers that began to come, and that came
	refused            atomic.Int64
	broken             atomic.Int64
}

// ask streams one answer and counts its tokens as they come. It tells whether
// the quota is at its end.
func (n *tally) ask(ctx context.Context, url, key string) (exhausted bool) {
	const prompt = "twenty-byte question"
	body := fmt.Sprintf(`{"model":"toy","stream":true,"return_token_ids":true,"max_tokens":60,"messages":[{"role":"user","content":%q}]}`, prompt)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return true
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		n.broken.Add(1)
		return false
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusTooManyRequests {
		told, _ := io.ReadAll(resp.Body)
		n.refused.Add(1)
		return strings.Contains(string(told), "your stake") && resp.Header.Get("Retry-After") != "" && resp.Header.Get("X-Ratelimit-Remaining-Tokens") != ""
	}
	began := false
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		var chunk struct {
			Choices []struct {
				TokenIDs []int `json:"token_ids"`
			}
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || json.Unmarshal([]byte(data), &chunk) != nil || len(chunk.Choices) == 0 {
			continue
		}
		if !began {
			began = true
			n.prompt.Add(int64(len(prompt)))
		}
		n.completion.Add(int64(len(chunk.Choices[0].TokenIDs)))
	}
	if lines.Err() != nil {
		n.broken.Add(1)
	}
	return false
}

// TestTwoGatewaysShareOneQuota puts 64 concurrent clients of one account on two
// gateways with one PostgreSQL, and kills one of them with SIGKILL under load.
// No token is given beyond the quota, and none that was given goes uncounted.
func TestTwoGatewaysShareOneQuota(t *testing.T) {
	dsn := storetest.Postgres(t)
	db := storetest.Open(t, dsn)
	a, err := access.New(t.Context(), db, options())
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := a.CreateKey(t.Context(), alice, "shared", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	victim, first := start(t, dsn)
	_, second := start(t, dsn)
	var seen tally
	var dead atomic.Bool
	var clients sync.WaitGroup
	for i := range 64 {
		clients.Go(func() {
			for n := 0; t.Context().Err() == nil; n++ {
				url := second
				if (i+n)%2 == 0 && !dead.Load() {
					url = first
				}
				if seen.ask(t.Context(), url, key) {
					return
				}
			}
		})
	}
	for seen.completion.Load() < allowed/4 {
		time.Sleep(time.Millisecond)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	dead.Store(true)
	clients.Wait() // until all are told that the quota is at its end

	count := func(query string) (n int64) {
		if err := db.Row(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 2400 { // until the survivor has settled what the dead one left
		if count(`SELECT COUNT(*) FROM holds`) == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	used, held := count(`SELECT used FROM quotas`), count(`SELECT held FROM quotas`)
	prompt, completion := count(`SELECT prompt FROM usage`), count(`SELECT completion FROM usage`)
	gotPrompt, gotCompletion := seen.prompt.Load(), seen.completion.Load()
	t.Logf("quota %d: used %d, held %d; usage %d + %d tokens; clients got %d + %d, %d streams broke, %d requests were refused",
		allowed, used, held, prompt, completion, gotPrompt, gotCompletion, seen.broken.Load(), seen.refused.Load())
	if used > allowed || held != 0 {
		t.Errorf("used %d of %d, and %d are still held", used, allowed, held)
	}
	if used != prompt+completion {
		t.Errorf("the quota says %d were used, the usage %d", used, prompt+completion)
	}
	if prompt < gotPrompt || completion < gotCompletion {
		t.Errorf("clients got %d + %d tokens, only %d + %d are counted", gotPrompt, gotCompletion, prompt, completion)
	}
	if most := 64 * int64(says+20); prompt+completion > gotPrompt+gotCompletion+most {
		t.Errorf("%d tokens are counted, clients got %d: more than the 64 requests that the dead gateway had can explain",
			prompt+completion, gotPrompt+gotCompletion)
	}
	if seen.broken.Load() == 0 {
		t.Error("no stream broke: the gateway was not killed under load")
	}
}
