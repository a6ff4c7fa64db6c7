// square computes on every graphics processor that it sees, through the
// driver's own library alone: it has the driver compile a kernel, squares some
// millions of numbers, and checks all of them. A C compiler builds it; no CUDA
// development kit is needed.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char kernel[] =
	".version 7.0\n.target sm_75\n.address_size 64\n"
	".visible .entry square(.param .u64 at, .param .u32 count) {\n"
	".reg .pred %p1; .reg .b32 %r<6>; .reg .f32 %f<3>; .reg .b64 %d<5>;\n"
	"ld.param.u64 %d1, [at]; ld.param.u32 %r1, [count];\n"
	"mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x;\n"
	"mad.lo.s32 %r5, %r2, %r3, %r4;\n"
	"setp.ge.u32 %p1, %r5, %r1; @%p1 bra END;\n"
	"cvta.to.global.u64 %d2, %d1; mul.wide.u32 %d3, %r5, 4; add.s64 %d4, %d2, %d3;\n"
	"ld.global.f32 %f1, [%d4]; mul.f32 %f2, %f1, %f1; st.global.f32 [%d4], %f2;\n"
	"END: ret;\n}\n";

typedef unsigned long long address;

static void *library;

#define CALL(name, types, ...)                                                 \
	do {                                                                       \
		int (*f) types = (int(*) types)dlsym(library, #name);                  \
		int code = f ? f(__VA_ARGS__) : -1;                                    \
		if (code != 0) {                                                       \
			printf("%s failed: %d\n", #name, code);                            \
			exit(1);                                                           \
		}                                                                      \
	} while (0)

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(void) {
	const unsigned count = 1u << 26; // 256 MiB
	int devices = 0;
	double began = now();
	library = dlopen("libcuda.so.1", RTLD_NOW);
	if (!library) {
		printf("libcuda: %s\n", dlerror());
		return 1;
	}
	CALL(cuInit, (unsigned), 0);
	CALL(cuDeviceGetCount, (int *), &devices);
	printf("devices %d after %.2f s\n", devices, now() - began);
	for (int d = 0; d < devices; d++) {
		int device;
		void *context, *module, *function;
		address at;
		size_t memory;
		char name[256];
		CALL(cuDeviceGet, (int *, int), &device, d);
		CALL(cuDeviceGetName, (char *, int, int), name, sizeof name, device);
		CALL(cuDeviceTotalMem_v2, (size_t *, int), &memory, device);
		CALL(cuCtxCreate_v2, (void **, unsigned, int), &context, 0, device);
		CALL(cuModuleLoadData, (void **, const void *), &module, kernel);
		CALL(cuModuleGetFunction, (void **, void *, const char *), &function, module, "square");
		CALL(cuMemAlloc_v2, (address *, size_t), &at, count * sizeof(float));
		float *numbers = malloc(count * sizeof(float));
		for (unsigned i = 0; i < count; i++)
			numbers[i] = (float)(i % 4096);
		double copy = now();
		CALL(cuMemcpyHtoD_v2, (address, const void *, size_t), at, numbers, count * sizeof(float));
		double launch = now();
		unsigned n = count;
		void *arguments[] = {&at, &n};
		CALL(cuLaunchKernel, (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **),
			function, count / 256, 1, 1, 256, 1, 1, 0, NULL, arguments, NULL);
		CALL(cuCtxSynchronize, (void), );
		double back = now();
		CALL(cuMemcpyDtoH_v2, (void *, address, size_t), numbers, at, count * sizeof(float));
		double done = now();
		for (unsigned i = 0; i < count; i++) {
			float x = (float)(i % 4096);
			if (numbers[i] != x * x) {
				printf("number %u is %g, not %g\n", i, numbers[i], x * x);
				return 1;
			}
		}
		printf("squared %u numbers on %s with %zu MiB: to it %.0f MiB/s, kernel %.2f ms, back %.0f MiB/s, ready %.2f s\n",
			count, name, memory >> 20, 256 / (launch - copy), (back - launch) * 1e3, 256 / (done - back), copy - began);
		free(numbers);
	}
	return devices == 0;
}
