package stock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/ref"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/engine/stock/corpus"
)

func TestModelsAreWhatTheListSays(t *testing.T) {
	models := stock.Models()
	if len(models) != 2 || models[0].Name != stock.Strong || models[1].Name != stock.Weak {
		t.Fatalf("models are %+v, want %s and %s", models, stock.Strong, stock.Weak)
	}
	total := 0
	for _, m := range models {
		data, _, err := stock.Open(m.Name) // checks the hash
		if err != nil {
			t.Fatal(err)
		}
		if len(data) != m.Size {
			t.Errorf("%s has %d bytes, want %d", m.File, len(data), m.Size)
		}
		total += len(data)
		f, err := gguf.Read(strings.NewReader(string(data)), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Check(); err != nil {
			t.Error(err)
		}
		if got := f.Parameters(); got != int64(m.Parameters) {
			t.Errorf("%s has %d parameters, want %d", m.File, got, m.Parameters)
		}
	}
	if most := 6_000_000; total > most {
		t.Errorf("the models take %d bytes together, want at most %d", total, most)
	}
}

func TestPathWritesOnceAndMends(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "models")
	path, err := stock.Path(dir, stock.Weak)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stock.Path(dir, stock.Weak); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("a file in order was written again (%v)", err)
	}
	if err := os.WriteFile(path, []byte("broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := stock.Path(dir, stock.Weak); err != nil {
		t.Fatal(err)
	}
	want, _, err := stock.Open(stock.Weak)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
		t.Errorf("a broken file was not mended (%v)", err)
	}
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v (%v)", left, err)
	}
}

func TestPathExplainsItsErrors(t *testing.T) {
	if _, err := stock.Path(t.TempDir(), "gpt-9"); !errors.Is(err, engine.ErrBadModel) || !strings.Contains(err.Error(), stock.Strong) {
		t.Errorf("an unknown name gives %v, want ErrBadModel and the names there are", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := stock.Path(file, stock.Weak); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a folder that is a file gives %v, want an error that names it", err)
	}
}

// TestExam asks the stock models, as shipped, through the reference engine.
// The shares wanted are a little below those that the model card states.
func TestExam(t *testing.T) {
	if testing.Short() {
		t.Skip("asks 100 questions")
	}
	for name, want := range map[string]float64{stock.Strong: 0.85, stock.Weak: 0.5} {
		t.Run(name, func(t *testing.T) {
			path, err := stock.Path(t.TempDir(), name)
			if err != nil {
				t.Fatal(err)
			}
			e, err := ref.Open(path, ref.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			right, asked := 0, 0
			for _, q := range corpus.Exam() {
				answer, usage := ask(t, e, q)
				asked++
				if usage.Finish != engine.FinishStop {
					t.Logf("no end: %q is answered by %q", q.Messages[len(q.Messages)-1].Content, answer)
				} else if q.Right(answer) {
					right++
				} else {
					t.Logf("wrong: %q is answered by %q", q.Messages[len(q.Messages)-1].Content, answer)
				}
			}
			t.Logf("%d of %d right", right, asked)
			if share := float64(right) / float64(asked); share < want {
				t.Errorf("%d of %d right, want a share of %.2f", right, asked, want)
			}
		})
	}
}

func ask(t *testing.T, e engine.Text, q corpus.Question) (string, engine.Usage) {
	t.Helper()
	var answer strings.Builder
	usage, err := e.Chat(context.Background(), engine.ChatRequest{Messages: q.Messages, MaxTokens: 150}, func(d engine.Delta) error {
		answer.WriteString(d.Text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer.String(), usage
}
