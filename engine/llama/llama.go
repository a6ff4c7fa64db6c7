//go:build cgo

package llama

/*
#include <stdlib.h>
#include "abi.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	// The native code: its symbols are found when the program is linked.
	_ "github.com/ollama/ollama/llama/llama.cpp/src"
	_ "github.com/ollama/ollama/ml/backend/ggml/ggml/src"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/chat"
	"github.com/plexus-network/plexus/engine/gguf"
)

// Available tells whether this program was built with the native engine.
const Available = true

// rows is the most rows in one call of the library.
const rows = 512

// start prepares the library, once: it holds state of the whole process.
var start = sync.OnceValue(func() error {
	if m := C.plexus_abi_check(); m != nil {
		return fmt.Errorf("llama: the native library is not of the version that this program was written for (%s does not hold)", C.GoString(m))
	}
	C.plexus_log_capture()
	C.llama_backend_init()
	return nil
})

// Open loads the GGUF file at path and starts an engine on it. Its error wraps
// engine.ErrBadModel where the file is no good or its architecture is unknown.
// The FileHash of the engine's model is left to the caller.
func Open(path string, o Options) (*batch.Engine, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := start(); err != nil {
		return nil, err
	}
	for _, path := range o.Accelerators {
		if err := accelerate(path); err != nil {
			return nil, err
		}
	}
	m, err := load(path)
	if err != nil {
		return nil, err
	}
	v := newVocabulary(m.vocab)
	template, err := chat.New(f.Text("tokenizer.chat_template"), v)
	if err == nil {
		err = m.begin(f, &o)
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return batch.New(engine.Model{
		Name:         f.Text("general.name"),
		Architecture: f.Architecture(),
		Precision:    f.Precision(),
		Parameters:   f.Parameters(),
		Context:      m.context,
		Vocabulary:   v.Size(),
	}, m, v, template, o.Batch), nil
}

// model is a loaded model with its contexts. It is a batch.Model.
type model struct {
	model   *C.struct_llama_model
	vocab   *C.struct_llama_vocab
	ctx     *C.struct_llama_context
	memory  C.llama_memory_t
	batch   C.llama_batch
	embed   *C.struct_llama_context // made when first needed
	context int
	threads int
	size    int // of the vocabulary
}

// load reads a model's file.
func load(path string) (*model, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	C.plexus_log_take()
	params := C.llama_model_default_params()
	m := &model{model: C.llama_model_load_from_file(name, params)}
	if m.model == nil {
		return nil, fmt.Errorf("%s: %w: %s", path, engine.ErrBadModel, said())
	}
	if C.llama_model_has_encoder(m.model) || !C.llama_model_has_decoder(m.model) {
		C.llama_model_free(m.model)
		return nil, fmt.Errorf("%s: %w: it has an encoder; only models that continue text are run", path, engine.ErrBadModel)
	}
	m.vocab = C.llama_model_get_vocab(m.model)
	m.size = int(C.llama_vocab_n_tokens(m.vocab))
	return m, nil
}

// said is why the library refused, in one line.
func said() string {
	lines := strings.Split(strings.TrimSpace(C.GoString(C.plexus_log_take())), "\n")
	// The first line names the cause, those after it repeat that loading failed.
	_, cause, found := strings.Cut(lines[0], ": ")
	if !found {
		cause = lines[0]
	}
	if cause == "" {
		return "the native library refuses it"
	}
	return cause
}

// begin makes the context that sessions run in, and settles the options.
func (m *model) begin(f *gguf.File, o *Options) error {
	m.context = o.Context
	if m.context <= 0 {
		m.context = 4096
	}
	m.context = min(m.context, f.Arch("context_length", 0))
	m.threads = o.Threads
	if m.threads <= 0 {
		m.threads = max(1, runtime.NumCPU()-1)
	}
	if o.Batch.Slots <= 0 {
		o.Batch.Slots = slots(f, m.context)
	}
	o.Batch.Rows = rows
	// Every slot has a stream of its own, so that attention looks at its own
	// rows only; streams are multiples of 256 long. A device has them all in one,
	// since the library computes only neighbouring streams together: a slot that
	// is free in between would cost as much as all others.
	p := m.params(o.Batch.Slots, (m.context+255)/256*256)
	C.plexus_log_take()
	m.ctx = C.llama_init_from_model(m.model, p)
	if m.ctx == nil {
		return fmt.Errorf("%d sessions of %d tokens: %s; ask for fewer or shorter ones", o.Batch.Slots, m.context, said())
	}
	m.memory = C.llama_get_memory(m.ctx)
	m.batch = C.llama_batch_init(rows, 0, 1)
	return nil
}

func (m *model) params(slots, context int) C.struct_llama_context_params {
	p := C.llama_context_default_params()
	p.n_ctx = C.uint32_t(slots * context)
	p.n_batch = rows
	p.n_ubatch = rows
	p.n_seq_max = C.uint32_t(slots)
	p.kv_unified = C.bool(accelerated())
	p.n_threads = C.int32_t(m.threads)
	p.n_threads_batch = C.int32_t(m.threads)
	return p
}

// Memory for keys and values where the options do not say how many sessions.
const (
	cacheBytes = 512 << 20
	mostSlots  = 16
)

// slots is how many sessions fit cacheBytes, at least 1.
func slots(f *gguf.File, context int) int {
	heads := f.Arch("attention.head_count", 1)
	head := f.Arch("embedding_length", 1) / max(1, heads)
	perToken := f.Arch("block_count", 1) * f.Arch("attention.head_count_kv", heads) *
		(f.Arch("attention.key_length", head) + f.Arch("attention.value_length", head)) * 2
	return max(1, min(mostSlots, cacheBytes/max(1, perToken*context)))
}

// Decode computes rows and keeps them in their slots.
func (m *model) Decode(list []batch.Row) error {
	if len(list) > rows {
		return fmt.Errorf("llama: %d rows, the most is %d", len(list), rows)
	}
	token, pos := unsafe.Slice(m.batch.token, rows), unsafe.Slice(m.batch.pos, rows)
	count, seq := unsafe.Slice(m.batch.n_seq_id, rows), unsafe.Slice(m.batch.seq_id, rows)
	logits := unsafe.Slice(m.batch.logits, rows)
	for i, r := range list {
		token[i], pos[i] = C.llama_token(r.Token), C.llama_pos(r.Position)
		count[i], *seq[i] = 1, C.llama_seq_id(r.Slot)
		logits[i] = 0
		if r.Logits {
			logits[i] = 1
		}
	}
	m.batch.n_tokens = C.int32_t(len(list))
	switch code := C.llama_decode(m.ctx, m.batch); {
	case code == 1:
		return fmt.Errorf("%w: no room in the KV cache for %d rows", engine.ErrBusy, len(list))
	case code != 0:
		return fmt.Errorf("llama: decode of %d rows gives %d", len(list), int(code))
	}
	return nil
}

// Logits returns the scores that row i of the last Decode asked for.
func (m *model) Logits(i int) engine.Logits {
	p := C.llama_get_logits_ith(m.ctx, C.int32_t(i))
	if p == nil {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(p)), m.size)
}

// Trim forgets a slot's rows from position n on. Recurrent models cannot
// forget a part and forget all.
func (m *model) Trim(slot, n int) int {
	if n > 0 && bool(C.llama_memory_seq_rm(m.memory, C.llama_seq_id(slot), C.llama_pos(n), -1)) {
		return n
	}
	C.llama_memory_seq_rm(m.memory, C.llama_seq_id(slot), -1, -1)
	return 0
}

// Copy makes the slot to equal to the slot from.
func (m *model) Copy(from, to int) {
	C.llama_memory_seq_cp(m.memory, C.llama_seq_id(from), C.llama_seq_id(to), -1, -1)
}

// Embed returns the mean of the last layer's states over tokens.
func (m *model) Embed(tokens []engine.Token) ([]float32, error) {
	if m.embed == nil {
		p := m.params(1, (m.context+255)/256*256)
		p.embeddings = true
		p.pooling_type = 0 // none: the mean is taken here, over all calls
		if m.embed = C.llama_init_from_model(m.model, p); m.embed == nil {
			return nil, fmt.Errorf("llama: no context for embeddings: %s", said())
		}
	}
	C.llama_memory_clear(C.llama_get_memory(m.embed), false)
	sum := make([]float32, int(C.llama_model_n_embd(m.model)))
	b := C.llama_batch_init(rows, 0, 1)
	defer C.llama_batch_free(b)
	for from := 0; from < len(tokens); from += rows {
		part := tokens[from:min(from+rows, len(tokens))]
		if err := m.embedPart(b, part, from, sum); err != nil {
			return nil, err
		}
	}
	for i := range sum {
		sum[i] /= float32(len(tokens))
	}
	return sum, nil
}

// embedPart adds the states of some tokens, which begin at position from.
func (m *model) embedPart(b C.llama_batch, part []engine.Token, from int, sum []float32) error {
	token, pos := unsafe.Slice(b.token, rows), unsafe.Slice(b.pos, rows)
	count, seq := unsafe.Slice(b.n_seq_id, rows), unsafe.Slice(b.seq_id, rows)
	logits := unsafe.Slice(b.logits, rows)
	for i, t := range part {
		token[i], pos[i], count[i], *seq[i], logits[i] = C.llama_token(t), C.llama_pos(from+i), 1, 0, 1
	}
	b.n_tokens = C.int32_t(len(part))
	if code := C.llama_decode(m.embed, b); code != 0 {
		return fmt.Errorf("llama: embedding of %d rows gives %d", len(part), int(code))
	}
	for i := range part {
		p := C.llama_get_embeddings_ith(m.embed, C.int32_t(i))
		if p == nil {
			return fmt.Errorf("%w: the model gives no states", engine.ErrUnsupported)
		}
		for j, v := range unsafe.Slice((*float32)(unsafe.Pointer(p)), len(sum)) {
			sum[j] += v
		}
	}
	return nil
}

// Close frees the model. Where an accelerator is loaded its contexts are left to
// the end of the process, which for a worker comes at once: at this revision
// ggml frees a scheduler after its back ends, and then resets those.
func (m *model) Close() {
	if accelerated() {
		return
	}
	if m.embed != nil {
		C.llama_free(m.embed)
	}
	if m.ctx != nil {
		C.llama_batch_free(m.batch)
		C.llama_free(m.ctx)
	}
	C.llama_model_free(m.model)
}
