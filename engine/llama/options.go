package llama

import "github.com/plexus-network/plexus/engine/batch"

// Options tunes an engine. The zero value works.
type Options struct {
	Threads int // 0 means one less than there are processors, at least 1
	Context int // tokens per session; 0 means what the model was made for, at most 4096

	// Accelerators are the paths of ggml's back ends for graphics processors.
	// They are loaded once in a process, and serve every model after that.
	Accelerators []string

	Batch batch.Options
}

// A Device computes models, beside the processor.
type Device struct {
	Name         string // in ggml, as "CUDA0"
	Model        string // as its driver names it
	Free, Memory uint64 // bytes, now and in all
}

// A Build tells for which processor the native code was compiled.
type Build struct {
	Has    string // the widest instruction set that it uses: "avx512", "avx2", "avx", "dotprod", "neon", or "plain"
	Slower string // a wider one that this machine has and the build does not use, or ""
}
