// Make builds the stock models: it writes dialogues, learns a vocabulary of
// them, trains each model on the CPU, measures it by the corpus's exam and
// writes the quantised files, the hashes and the vocabulary into the folder of
// package stock.
//
// The same recipe on the same machine makes the same files, bit for bit.
// Training that was broken off goes on where its last checkpoint stands.
// With -check it trains nothing and verifies the files that are there.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/engine/stock/corpus"
	"github.com/plexus-network/plexus/engine/train"
)

// recipes are the models that ship.
var recipes = []recipe{
	{
		name: "plexus-4m", seed: 1, rate: 2.5e-3, steps: 2000,
		shape: train.Shape{Vocab: vocabulary, Context: 1024, Width: 256, Layers: 4, Heads: 8, Hidden: 768},
	},
	{
		name: "plexus-1m", seed: 2, rate: 3e-3, steps: 1000,
		shape: train.Shape{Vocab: vocabulary, Context: 1024, Width: 128, Layers: 4, Heads: 4, Hidden: 416},
	},
}

func main() {
	var o options
	flag.StringVar(&o.out, "out", "engine/stock", "folder of package stock")
	flag.StringVar(&o.work, "work", filepath.Join(os.TempDir(), "plexus-stock"), "folder for checkpoints")
	flag.StringVar(&o.only, "model", "", "make this model alone")
	flag.IntVar(&o.steps, "steps", 0, "take this many steps instead of the recipe's")
	flag.BoolVar(&o.fresh, "fresh", false, "start over instead of going on from a checkpoint")
	check := flag.Bool("check", false, "verify the files that are there, train nothing")
	flag.Parse()
	do := o.make
	if *check {
		do = o.check
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "make stock models:", err)
		os.Exit(1)
	}
}

type options struct {
	out, work, only string
	steps           int
	fresh           bool
}

// sampled is how many documents the vocabulary is learned from.
const sampled = 30_000

func (o options) make() error {
	tokens := learnTokens(recipes[0].seed, sampled)
	if tokens.Len() != startToken {
		return fmt.Errorf("the corpus gives %d tokens, want %d", tokens.Len(), startToken)
	}
	known := false
	for _, r := range recipes {
		if o.only != "" && o.only != r.name {
			continue
		}
		known = true
		if o.steps > 0 {
			r.steps = o.steps
		}
		if err := o.one(r, tokens); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	if !known {
		return fmt.Errorf("no recipe for a model %q", o.only)
	}
	return nil
}

// one trains, measures and writes a model.
func (o options) one(r recipe, tokens tokenizer) error {
	n, err := newRun(r, tokens)
	if err != nil {
		return err
	}
	defer n.close()
	if err := o.resume(n); err != nil {
		return err
	}
	if err := o.train(n); err != nil {
		return err
	}
	return o.finish(n)
}

// finish measures and writes a trained model.
func (o options) finish(n *run) error {
	right, asked, err := n.examine()
	if err != nil {
		return err
	}
	var file bytes.Buffer
	if err := train.ExportGGUF(&file, n.recipe.shape, n.crew[0].Params(), gguf.Q8_0, keys(n.recipe, n.tokens)); err != nil {
		return err
	}
	hash := sha256.Sum256(file.Bytes())
	card := stock.Model{
		Name: n.recipe.name, File: n.recipe.name + "-q8_0.gguf", SHA256: hex.EncodeToString(hash[:]), Size: file.Len(),
		Parameters: n.recipe.shape.Parameters(), Steps: n.step, Loss: round(n.loss), Right: right, Asked: asked,
	}
	fmt.Printf("%s: %d parameters, loss %.3f, %d of %d questions right, %d bytes, sha256 %s\n",
		card.Name, card.Parameters, card.Loss, right, asked, card.Size, card.SHA256)
	if err := replace(filepath.Join(o.out, card.File), file.Bytes()); err != nil {
		return err
	}
	return o.record(card)
}

func round(x float64) float64 { return float64(int(x*1000+0.5)) / 1000 }

// train takes the steps that are left, with a line that tells how far it is.
func (o options) train(n *run) error {
	began, last := time.Now(), time.Time{}
	for n.step < n.recipe.steps {
		if err := n.learn(); err != nil {
			return err
		}
		if n.step%saved == 0 {
			if err := o.save(n); err != nil {
				return err
			}
		}
		if time.Since(last) > time.Second/2 || n.step == n.recipe.steps {
			last = time.Now()
			progress(n, time.Since(began))
		}
	}
	fmt.Println()
	return o.save(n)
}

// examine asks the exam's questions and prints the wrong answers.
func (r *run) examine() (right, asked int, err error) {
	for _, q := range corpus.Exam() {
		a, err := r.answer(q)
		if err != nil {
			return 0, 0, err
		}
		asked++
		if q.Right(a) {
			right++
			continue
		}
		fmt.Printf("wrong: %q is answered by %q\n", q.Messages[len(q.Messages)-1].Content, a)
	}
	return right, asked, nil
}

// keys is what the model's file says beside its shape.
func keys(r recipe, t tokenizer) []gguf.Key {
	tokens := append(t.Tokens(), turnStart, turnEnd, textEnd)
	const normal, control = 1, 3 // token types of llama.cpp's vocabularies
	types := make([]int32, len(tokens))
	for i := range types {
		types[i] = normal
		if i >= startToken {
			types[i] = control
		}
	}
	return []gguf.Key{
		{Name: "general.name", Value: r.name},
		{Name: "general.author", Value: "The Plexus authors"},
		{Name: "general.license", Value: "apache-2.0"},
		{Name: "general.description", Value: "Small built-in language model of the Plexus network"},
		{Name: "tokenizer.ggml.model", Value: "gpt2"},
		{Name: "tokenizer.ggml.pre", Value: "gpt-2"},
		{Name: "tokenizer.ggml.tokens", Value: tokens},
		{Name: "tokenizer.ggml.token_type", Value: types},
		{Name: "tokenizer.ggml.merges", Value: t.Merges()},
		{Name: "tokenizer.ggml.bos_token_id", Value: uint32(stopToken)},
		{Name: "tokenizer.ggml.eos_token_id", Value: uint32(endToken)},
		{Name: "tokenizer.ggml.eot_token_id", Value: uint32(endToken)},
		{Name: "tokenizer.ggml.padding_token_id", Value: uint32(stopToken)},
		{Name: "tokenizer.ggml.add_bos_token", Value: false},
		{Name: "tokenizer.chat_template", Value: template},
	}
}

// record writes the model's line of the list that package stock embeds.
func (o options) record(card stock.Model) error {
	path := filepath.Join(o.out, stock.ListFile)
	var cards []stock.Model
	old, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(old, &cards)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list of models: %w", err)
	}
	var kept []stock.Model
	for _, r := range recipes {
		if r.name == card.Name {
			kept = append(kept, card)
			continue
		}
		for _, c := range cards {
			if c.Name == r.name {
				kept = append(kept, c)
			}
		}
	}
	text, err := json.MarshalIndent(kept, "", "\t")
	if err != nil {
		return err
	}
	return replace(path, append(text, '\n'))
}

// replace writes a file so that a crash leaves the old one or the new one.
func replace(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// check verifies the embedded files: their hashes, and that they hold the
// models of the recipes.
func (o options) check() error {
	for _, r := range recipes {
		data, m, err := stock.Open(r.name)
		if err != nil {
			return err
		}
		if want := r.shape.Parameters(); m.Parameters != want {
			return fmt.Errorf("%s has %d parameters, the recipe says %d", r.name, m.Parameters, want)
		}
		disk, err := os.ReadFile(filepath.Join(o.out, m.File))
		if err != nil {
			return err
		}
		if string(disk) != string(data) {
			return fmt.Errorf("%s on disk is not the embedded one: build again", m.File)
		}
		fmt.Printf("%s: %d bytes, sha256 %s, in order\n", m.File, m.Size, m.SHA256)
	}
	return nil
}
