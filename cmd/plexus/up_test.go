package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
)

// endToEnd turns on the tests that take minutes; `make e2e` does.
var endToEnd = flag.Bool("e2e", false, "also run the tests that start whole networks and take minutes")

// aNetwork is `plexus up` in a process of its own.
type aNetwork struct {
	home string
	url  string
	cmd  *exec.Cmd
	done chan error
}

// startUp runs `plexus up` on a home folder and waits for its gateway.
func startUp(t *testing.T, home string, args ...string) *aNetwork {
	t.Helper()
	const free = "127.0.0.1:0"
	args = append([]string{"up", "--home", home, "--http", free, "--grpc", free, "--rpc", free, "--rest", free, "--block-time", "500ms"}, args...)
	n := &aNetwork{home: home, cmd: exec.Command("plexus", args...), done: make(chan error, 1)}
	var said bytes.Buffer
	n.cmd.Stderr = &said
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.kill)
	url := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if i := strings.Index(lines.Text(), "http://"); i >= 0 && strings.Contains(lines.Text(), "gateway") {
				url <- lines.Text()[i:]
			}
		}
		n.done <- n.cmd.Wait()
	}()
	select {
	case n.url = <-url:
	case err := <-n.done:
		t.Fatalf("plexus up ended: %v\n%s", err, said.String())
	case <-time.After(5 * time.Minute):
		t.Fatalf("plexus up has no gateway after five minutes\n%s", said.String())
	}
	return n
}

func (n *aNetwork) kill() {
	if n.cmd.ProcessState == nil {
		n.cmd.Process.Signal(syscall.SIGKILL)
		<-n.done
	}
}

// stop ends the network as Ctrl-C does.
func (n *aNetwork) stop(t *testing.T) {
	t.Helper()
	n.cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-n.done:
		if err != nil {
			t.Fatalf("plexus up after an interrupt: %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("plexus up still runs two minutes after an interrupt")
	}
}

func (n *aNetwork) ledger(t *testing.T) *ledger.Client {
	t.Helper()
	config, err := ledger.ReadConfig(n.home)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ledger.Dial(config.GRPC, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// answer is what the test reads of a chat completion.
type answer struct {
	Choices []struct {
		Message struct{ Content string }
		Delta   struct{ Content string }
	}
	Plexus struct {
		Miners []struct {
			UID     int
			Chosen  bool
			Verdict string
		}
	}
}

func (n *aNetwork) chat(t *testing.T, stream bool) (text string, last answer) {
	t.Helper()
	return n.ask(t, "", stream)
}

// ask chats with further fields in the request.
func (n *aNetwork) ask(t *testing.T, fields string, stream bool) (text string, last answer) {
	t.Helper()
	body := fmt.Sprintf(`{"model":"plexus-4m",`+fields+`"stream":%v,"temperature":0,"messages":[{"role":"user","content":"What is the capital of France?"}]}`, stream)
	resp := n.post(t, body)
	defer resp.Body.Close()
	if !stream {
		if err := json.NewDecoder(resp.Body).Decode(&last); err != nil {
			t.Fatal(err)
		}
		return last.Choices[0].Message.Content, last
	}
	ended := false
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		piece, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if ended = piece == "[DONE]"; ended {
			break
		}
		var a answer
		if err := json.Unmarshal([]byte(piece), &a); err != nil {
			t.Fatalf("chunk %q: %v", piece, err)
		}
		for _, c := range a.Choices {
			text += c.Delta.Content
		}
		if len(a.Plexus.Miners) > 0 {
			last = a
		}
	}
	if !ended {
		t.Fatalf("the stream did not end with [DONE]; text so far %q", text)
	}
	return text, last
}

// post asks the gateway, and asks again where it says that it can answer in a
// while: a busy machine may not hear of its miners for a moment.
func (n *aNetwork) post(t *testing.T, body string) *http.Response {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Second) {
		resp, err := http.Post(n.url+"/v1/chat/completions", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			return resp
		}
		all, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || time.Now().After(end) {
			t.Fatalf("chat: status %d: %s", resp.StatusCode, all)
		}
	}
}

// TestEndToEndUp is the main job: one command starts a network that answers,
// pays the honest, and survives being killed.
func TestEndToEndUp(t *testing.T) {
	if !*endToEnd {
		t.Skip("takes minutes: run it with -e2e")
	}
	home := t.TempDir()
	n := startUp(t, home)

	for _, stream := range []bool{false, true} {
		text, a := n.chat(t, stream)
		if strings.TrimSpace(text) == "" {
			t.Errorf("stream %v: an empty answer", stream)
		}
		chosen := 0
		for _, m := range a.Plexus.Miners {
			if m.Chosen {
				chosen++
			}
		}
		if chosen != 1 {
			t.Errorf("stream %v: %d miners chosen in %+v, want 1", stream, chosen, a.Plexus)
		}
	}
	checkReadme(t, n)
	checkJoin(t, n)

	honest, cheats := members(t, home)
	c := n.ledger(t)
	ctx := t.Context()
	graph := waitEpochs(t, c, 5)
	var good int
	for _, neuron := range graph.Neurons {
		switch {
		case honest[neuron.Account] != "":
			good += int(neuron.Incentive)
		case cheats[neuron.Account] != "" && neuron.Incentive > 655:
			t.Errorf("%s has %d/65535 of incentive, want at most 1 %%", cheats[neuron.Account], neuron.Incentive)
		}
	}
	if good < 64224 {
		t.Errorf("the honest miners share %d/65535 of incentive, want at least 98 %%", good)
	}
	checkBooks(t, c)

	before, err := c.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	n.kill()
	n = startUp(t, home)
	c = n.ledger(t)
	head, err := c.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if head.Height < before.Height {
		t.Errorf("after kill -9 the chain is at block %d, it was at %d", head.Height, before.Height)
	}
	again, err := c.Metagraph(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, neuron := range again.Neurons {
		if cheats[neuron.Account] != "" {
			continue // it may have been convicted meanwhile, and lost all
		}
		if neuron.Claimable < graph.Neurons[i].Claimable {
			t.Errorf("uid %d may claim %v after kill -9, it could claim %v", i, neuron.Claimable, graph.Neurons[i].Claimable)
		}
	}
	if again.EpochNumber < graph.EpochNumber {
		t.Errorf("after kill -9 %d epochs have run, there were %d", again.EpochNumber, graph.EpochNumber)
	}
	checkBooks(t, c)
	if text, _ := n.chat(t, false); strings.TrimSpace(text) == "" {
		t.Error("an empty answer after kill -9")
	}
	n.stop(t)
}

// checkJoin runs a further miner in a process of its own, with the key that the
// README had made and registered, until users get its answers.
func checkJoin(t *testing.T, n *aNetwork) {
	t.Helper()
	miner := exec.Command("plexus", "miner", "--from", "bob", "--home", n.home)
	miner.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	miner.Stdout, miner.Stderr = &said, &said
	if err := miner.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		miner.Process.Signal(os.Interrupt)
		if err := miner.Wait(); err != nil {
			t.Errorf("the miner after an interrupt: %v\n%s", err, said.String())
		}
	}()
	const uid = 11 // the first after the network's own
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		_, a := n.ask(t, `"plexus":{"miners":8},`, false)
		for _, m := range a.Plexus.Miners {
			if m.UID == uid && m.Verdict == "accepted" {
				return
			}
		}
	}
	t.Errorf("no user got an answer of the miner that joined within five minutes\n%s", said.String())
}

// members returns the accounts of the honest miners and of the cheats, with
// their names.
func members(t *testing.T, home string) (honest, cheats map[string]string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(home, "network.json"))
	if err != nil {
		t.Fatal(err)
	}
	var n struct {
		Members []struct{ Name, Role, Behaviour, Account string }
	}
	if err := json.Unmarshal(data, &n); err != nil {
		t.Fatal(err)
	}
	honest, cheats = map[string]string{}, map[string]string{}
	for _, m := range n.Members {
		switch {
		case m.Role != "miner":
		case m.Behaviour == "":
			honest[m.Account] = m.Name
		default:
			cheats[m.Account] = m.Name
		}
	}
	if len(honest) != 3 || len(cheats) != 4 {
		t.Fatalf("the network has %d honest miners and %d cheats, want 3 and 4", len(honest), len(cheats))
	}
	return honest, cheats
}

// waitEpochs returns the metagraph after the epoch of that number.
func waitEpochs(t *testing.T, c *ledger.Client, epochs uint64) *ledger.Metagraph {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	for head := range c.Heads(ctx) {
		graph, err := c.Metagraph(ctx, 1)
		if err != nil {
			t.Fatalf("at block %d: %v", head.Height, err)
		}
		if graph.EpochNumber >= epochs {
			return graph
		}
	}
	t.Fatalf("%d epochs did not run in 15 minutes", epochs)
	return nil
}

// checkBooks tells whether all that was minted is somewhere, to the unit: with
// miners, in validators' rewards, or waiting for an epoch. Nobody has taken
// anything out yet.
func checkBooks(t *testing.T, c *ledger.Client) {
	t.Helper()
	head, err := c.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx := ledger.At(t.Context(), head.Height)
	must := func(a coin.Amount, err error) coin.Amount {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	schedule, err := c.Schedule(ctx)
	if err != nil {
		t.Fatal(err)
	}
	graph, err := c.Metagraph(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	var claimable, pending coin.Amount
	for _, n := range graph.Neurons {
		claimable += n.Claimable
	}
	subnets, err := c.Subnets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range subnets {
		pending += coin.Amount(s.Pending)
	}
	vault := must(c.Balance(ctx, wallet.FormatAddress(authtypes.NewModuleAddress("emission"))))
	rewards := must(c.Balance(ctx, wallet.FormatAddress(authtypes.NewModuleAddress("distribution"))))
	if schedule.Minted != schedule.Scheduled || schedule.Minted > coin.Cap {
		t.Errorf("block %d: %v minted, the schedule says %v of at most %v", head.Height, schedule.Minted, schedule.Scheduled, coin.Cap)
	}
	if got := schedule.Unallocated + pending + claimable; got != vault {
		t.Errorf("block %d: unallocated %v + pending %v + claimable %v = %v, the module holds %v", head.Height, schedule.Unallocated, pending, claimable, got, vault)
	}
	if got := vault + rewards; got != schedule.Minted {
		t.Errorf("block %d: module %v + validators' rewards %v = %v, minted were %v", head.Height, vault, rewards, got, schedule.Minted)
	}
	if claimable == 0 || rewards == 0 {
		t.Errorf("block %d: miners may claim %v, validators have %v; both should have earned", head.Height, claimable, rewards)
	}
}

// checkReadme runs the commands that the README gives for a network that is
// up, against n.
func checkReadme(t *testing.T, n *aNetwork) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	ran := 0
	for _, b := range blocks {
		script := b[1]
		if strings.Contains(script, "make up") {
			continue // what this test is
		}
		script = strings.ReplaceAll(script, "http://127.0.0.1:8080", n.url)
		script = strings.ReplaceAll(script, "curl ", "curl -sSf --retry 60 --retry-delay 2 ")
		script = strings.ReplaceAll(script, "bin/plexus", "plexus")
		sh := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		sh.Dir = "../.."
		sh.Env = append(os.Environ(), "PLEXUS_HOME="+n.home)
		out, err := sh.CombinedOutput()
		if err != nil {
			t.Errorf("a command of the README fails: %v\n%s\n%s", err, b[1], out)
		}
		ran++
	}
	if ran < 4 {
		t.Errorf("found %d blocks of commands in the README, want at least 4", ran)
	}
}
