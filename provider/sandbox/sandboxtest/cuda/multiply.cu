// multiply multiplies two matrices of ones by CUDA's runtime and checks the
// product: for machines with a CUDA development kit.
#include <cstdio>
#include <vector>

__global__ void multiply(const float *a, const float *b, float *c, int n) {
	int row = blockIdx.y * blockDim.y + threadIdx.y, column = blockIdx.x * blockDim.x + threadIdx.x;
	float sum = 0;
	for (int i = 0; i < n; i++)
		sum += a[row * n + i] * b[i * n + column];
	c[row * n + column] = sum;
}

#define CALL(x)                                                                \
	do {                                                                       \
		cudaError_t e = (x);                                                   \
		if (e != cudaSuccess) {                                                \
			printf("%s: %s\n", #x, cudaGetErrorString(e));                     \
			return 1;                                                          \
		}                                                                      \
	} while (0)

int main() {
	const int n = 2048;
	const size_t bytes = sizeof(float) * n * n;
	std::vector<float> ones(n * n, 1), product(n * n);
	float *a, *b, *c;
	CALL(cudaMalloc(&a, bytes));
	CALL(cudaMalloc(&b, bytes));
	CALL(cudaMallocManaged(&c, bytes)); // by /dev/nvidia-uvm
	CALL(cudaMemcpy(a, ones.data(), bytes, cudaMemcpyHostToDevice));
	CALL(cudaMemcpy(b, ones.data(), bytes, cudaMemcpyHostToDevice));
	multiply<<<dim3(n / 16, n / 16), dim3(16, 16)>>>(a, b, c, n);
	CALL(cudaGetLastError());
	CALL(cudaDeviceSynchronize());
	for (int i = 0; i < n * n; i++)
		if (c[i] != n) {
			printf("element %d is %g, not %d\n", i, c[i], n);
			return 1;
		}
	printf("multiplied %d x %d\n", n, n);
	return 0;
}
