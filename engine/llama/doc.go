// Package llama runs GGUF models by libllama and ggml, which are compiled into
// the program out of the Go module github.com/ollama/ollama.
//
// Graphics processors compute where Options.Accelerators names ggml's back end
// for them, a library that "make accelerator" builds out of the same module
// with the machine's own CUDA or Vulkan.
//
// An assertion in native code ends the process, and files are parsed by it: so
// a node does not call [Open] itself but has a worker do it (engine/worker,
// engine/local). Without cgo the package is there and [Open] says why it
// cannot. Start at [Open].
package llama
