package external

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/subnettest"
)

const examples = "../../docs/examples/mechanism/"

// buildGo builds the example in Go once.
var buildGo = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mechanism")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "stamp")
	out, err := exec.Command("go", "build", "-o", file, examples+"go").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return file, nil
})

func goExample(t *testing.T) []string {
	t.Helper()
	file, err := buildGo()
	if err != nil {
		t.Fatal(err)
	}
	return []string{file}
}

func pythonExample(t *testing.T) []string {
	t.Helper()
	python, err := findPython()
	if err != nil {
		t.Skip("there is no python3 here: ", err)
	}
	return []string{python, examples + "python/stamp.py"}
}

// findPython asks python3 where it is, once: the name may stand for a script
// that takes seconds to find it.
var findPython = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	return strings.TrimSpace(string(out)), err
})

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "hostile" {
		hostile(os.Args[2])
		os.Exit(0)
	}
	code := m.Run()
	if file, err := buildGo(); err == nil {
		os.RemoveAll(filepath.Dir(file))
	}
	os.Exit(code)
}

func open(t *testing.T, o Options) *Mechanism {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute // a slow machine takes its time to start a program
	}
	m, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestPythonExampleConforms(t *testing.T) {
	command := pythonExample(t)
	subnettest.Run(t, func(t *testing.T) subnet.Mechanism { return open(t, Options{Command: command, Kind: "stamp"}) })
}

func TestGoExampleConforms(t *testing.T) {
	command := goExample(t)
	subnettest.Run(t, func(t *testing.T) subnet.Mechanism { return open(t, Options{Command: command, Kind: "stamp"}) })
}

func TestGoExampleConformsOverHTTP(t *testing.T) {
	command := goExample(t)
	subnettest.Run(t, func(t *testing.T) subnet.Mechanism { return open(t, Options{URL: serveHTTP(t, command)}) })
}

// serveHTTP runs the example as a service and returns its address.
func serveHTTP(t *testing.T, command []string) string {
	t.Helper()
	cmd := exec.Command(command[0], "-http", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
}

func TestExamplesUnderstandEachOther(t *testing.T) {
	python, goes := open(t, Options{Command: pythonExample(t)}), open(t, Options{Command: goExample(t)})
	for _, c := range []struct{ validator, miner *Mechanism }{{python, goes}, {goes, python}} {
		if s := judge(t, c.validator, answered(t, c.validator, c.miner)); s.Value != 1 || s.Units != 1024 {
			t.Errorf("score = %+v, want 1 and 1024 units", s)
		}
	}
}

func TestKindParametersReachTheProgram(t *testing.T) {
	m := open(t, Options{Command: goExample(t), Params: []byte(`{"bits": 4}`)})
	if s := judge(t, m, answered(t, m, m)); s.Units != 16 {
		t.Errorf("score = %+v, want 16 units", s)
	}
}

func answered(t *testing.T, validator, miner *Mechanism) subnet.Trial {
	t.Helper()
	body, err := validator.Challenge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trial := subnet.Trial{Task: subnet.Task{Body: body, Miner: subnet.Peer{UID: 3, PeerID: "m"}, Timeout: time.Minute}}
	trial.Answer.Err = miner.Work(t.Context(), trial.Task, func(b []byte) error {
		trial.Answer.Body = append(trial.Answer.Body, b...)
		return nil
	})
	return trial
}

func judge(t *testing.T, m *Mechanism, trial subnet.Trial) subnet.Score {
	t.Helper()
	s, err := m.Score(t.Context(), []subnet.Trial{trial})
	if err != nil {
		t.Fatal(err)
	}
	return s[0]
}

func TestProgramIsStartedAgainWithWhatItKnew(t *testing.T) {
	m := open(t, Options{Command: goExample(t)})
	judge(t, m, answered(t, m, m))
	before, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	p := m.peer.(*program)
	for range 2 {
		p.run.kill(errors.New("test"))
		<-p.run.done
		if after, err := m.Snapshot(); err != nil || string(after) != string(before) {
			t.Errorf("snapshot after a crash = %s, %v; want %s", after, err, before)
		}
	}
	if p.failures != 2 {
		t.Errorf("%d failures counted, want 2", p.failures)
	}
	p.run.kill(errors.New("test"))
	<-p.run.done
	m.Forget(3)
	if after, err := m.Snapshot(); err != nil || string(after) != "{}" {
		t.Errorf("snapshot after Forget = %s, %v", after, err)
	}
}

func TestBackOffGrowsAndIsTold(t *testing.T) {
	_, err := Open(t.Context(), Options{Command: []string{os.Args[0], "hostile", "exit"}})
	if !errors.Is(err, ErrProgram) {
		t.Fatalf("error = %v", err)
	}
	p := &program{options: Options{Log: slog.New(slog.DiscardHandler)}, failures: 20, started: time.Now()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.wait(ctx); !errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), "30s") {
		t.Errorf("a program that ended 20 times: %v", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"nothing":     {Options{}, "a command or a URL"},
		"both":        {Options{Command: []string{"x"}, URL: "http://x"}, "one of them"},
		"no program":  {Options{Command: []string{"/no/such/program"}}, "/no/such/program"},
		"bad URL":     {Options{URL: "ftp://x"}, "no address like"},
		"no service":  {Options{URL: "http://127.0.0.1:1"}, "127.0.0.1:1"},
		"other kind":  {Options{Command: goExample(t), Kind: "text"}, `"stamp", "text" is wanted`},
		"bad params":  {Options{Command: goExample(t), Params: []byte("{")}, "not JSON"},
		"bad version": {Options{Command: hostileCommand("version")}, "version 7"},
		"bad kind":    {Options{Command: hostileCommand("kind")}, "names its kind"},
		"mute":        {Options{Command: hostileCommand("mute"), Timeout: 100 * time.Millisecond}, "deadline"},
	} {
		if _, err := Open(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error = %v, want one with %q", name, err, c.want)
		}
	}
}

func hostileCommand(how string) []string { return []string{os.Args[0], "hostile", how} }

// hostile is a program that says hello, or does not, and then answers the
// next call in a way that breaks the contract.
func hostile(how string) {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, maxLine)
	hello := `{"id":1,"result":{"version":1,"kind":"hostile"}}`
	switch how {
	case "exit":
		return
	case "version":
		hello = `{"id":1,"result":{"version":7,"kind":"hostile"}}`
	case "kind":
		hello = `{"id":1,"result":{"version":1,"kind":"BAD KIND"}}`
	}
	for n := 1; in.Scan(); n++ {
		switch {
		case how == "mute":
		case n == 1:
			fmt.Println(hello)
		default:
			misbehave(how)
		}
	}
}

func misbehave(how string) {
	say := func(text string) { fmt.Printf("{\"id\":2,%s}\n", text) }
	switch how {
	case "crash":
		os.Exit(3)
	case "garbage":
		fmt.Println("\x00\xff not JSON")
	case "endless line":
		for {
			fmt.Print(strings.Repeat("a", 1<<20))
		}
	case "endless chunks":
		for {
			say(`"chunk":"` + strings.Repeat("AAAA", 1<<16) + `"`)
		}
	case "empty chunks":
		for {
			say(`"chunk":""`)
		}
	case "foreign call":
		fmt.Println(`{"id":99,"result":{}}`)
	case "two things":
		say(`"chunk":"","result":{}`)
	case "value":
		say(`"result":{"scores":[{"value":7}]}`)
	case "paid reject":
		say(`"result":{"scores":[{"value":1,"reject":true}]}`)
	case "too many scores":
		say(`"result":{"scores":[{"value":1},{"value":1}]}`)
	case "no scores":
		say(`"result":[]`)
	case "long reason":
		say(`"result":{"scores":[{"value":0,"reason":"` + strings.Repeat("x", 1<<20) + `"}]}`)
	}
}

func TestHostileProgramsAreBounded(t *testing.T) {
	work := func(m *Mechanism) error {
		return m.Work(t.Context(), subnet.Task{Timeout: 20 * time.Second}, func([]byte) error { return nil })
	}
	scores := func(m *Mechanism) error {
		_, err := m.Score(t.Context(), []subnet.Trial{{}})
		return err
	}
	for how, do := range map[string]func(*Mechanism) error{
		"crash": work, "garbage": work, "endless line": work, "endless chunks": work, "empty chunks": work,
		"foreign call": work, "two things": work,
		"value": scores, "paid reject": scores, "too many scores": scores, "no scores": scores,
	} {
		t.Run(how, func(t *testing.T) {
			m := open(t, Options{Command: hostileCommand(how)})
			if err := do(m); !errors.Is(err, ErrProgram) {
				t.Errorf("error = %v, want ErrProgram", err)
			}
		})
	}
	t.Run("long reason", func(t *testing.T) {
		m := open(t, Options{Command: hostileCommand("long reason")})
		if s := judge(t, m, subnet.Trial{}); len(s.Reason) > maxReason {
			t.Errorf("a reason of %d bytes is kept", len(s.Reason))
		}
	})
	t.Run("silence", func(t *testing.T) {
		m := open(t, Options{Command: hostileCommand("silence")})
		m.timeout = 200 * time.Millisecond // once it has said hello
		if _, err := m.Challenge(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v", err)
		}
		<-m.peer.(*program).run.done // ended for it
	})
}

func TestProgramSeesNoSecrets(t *testing.T) {
	t.Setenv("PLEXUS_SECRET", "x")
	for _, v := range environment([]string{"EXTRA=1"}) {
		if strings.Contains(v, "SECRET") {
			t.Errorf("the program sees %s", v)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add([]byte(`{"id":1,"chunk":"AAAA"}`))
	f.Add([]byte(`{"id":1,"error":{"code":"busy","message":"later"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parseReply(line)
		if err != nil && !errors.Is(err, ErrProgram) {
			t.Fatalf("error = %v", err)
		}
		if err == nil && r.Error != nil {
			_ = r.Error.err("work")
		}
	})
}
