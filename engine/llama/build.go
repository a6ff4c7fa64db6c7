//go:build cgo

package llama

// #include "abi.h"
import "C"

import "golang.org/x/sys/cpu"

// sets lists instruction sets from the widest on: whether the build uses one
// and whether this machine has it.
func sets() []struct {
	name           string
	build, machine bool
} {
	return []struct {
		name           string
		build, machine bool
	}{
		{"avx512", C.ggml_cpu_has_avx512() != 0, cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL},
		{"avx2", C.ggml_cpu_has_avx2() != 0, cpu.X86.HasAVX2 && cpu.X86.HasFMA},
		{"avx", C.ggml_cpu_has_avx() != 0, cpu.X86.HasAVX},
		{"dotprod", C.ggml_cpu_has_dotprod() != 0, cpu.ARM64.HasASIMDDP},
		{"neon", C.ggml_cpu_has_neon() != 0, cpu.ARM64.HasASIMD},
	}
}

// Compiled tells for which processor the native code was compiled.
func Compiled() Build {
	b := Build{Has: "plain"}
	for _, s := range sets() {
		if s.build {
			b.Has = s.name
			break
		}
		if s.machine && b.Slower == "" {
			b.Slower = s.name
		}
	}
	return b
}
