#include "product.h"

#include <string.h>

// A tile of C is kept in registers: vectors·lanes rows by columns.
#ifdef __AVX512F__
enum { lanes = 16, vectors = 4 };
#else
enum { lanes = 8, vectors = 2 };
#endif
enum { rows = lanes * vectors, columns = 6, depth = 256 };

typedef float vec __attribute__((vector_size(lanes * sizeof(float)), aligned(4)));

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

size_t product_scratch(int64_t most) { return (size_t)depth * (rows + (most + columns) / columns * columns + columns); }

// pack_a copies rows of A from i on, k from k0 on, padded with zeros.
static void pack_a(float *restrict to, const product_of *p, int64_t i, int64_t k0, int64_t k) {
    int64_t have = least(rows, p->m - i);
    const float *restrict from = p->a + k0 * p->ak + i * p->am;
    for (int64_t x = 0; x < k; x++, to += rows) {
        if (p->am == 1) {
            memcpy(to, from + x * p->ak, have * sizeof(float));
        } else {
            for (int64_t y = 0; y < have; y++) to[y] = from[x + y * p->am];
        }
        if (have < rows) memset(to + have, 0, (rows - have) * sizeof(float));
    }
}

// pack_b copies columns j0 to j1 of B, a tile's columns side by side.
static void pack_b(float *to, const product_of *p, int64_t j0, int64_t j1, int64_t k0, int64_t k) {
    for (int64_t j = j0; j < j1; j += columns, to += k * columns) {
        int64_t have = least(columns, j1 - j);
        for (int64_t c = 0; c < columns; c++)
            for (int64_t x = 0; x < k; x++) to[x * columns + c] = c < have ? p->b[(k0 + x) * p->bk + (j + c) * p->bn] : 0;
    }
}

// tile adds a packed panel of A times a packed tile of B to C.
static void tile(const float *a, const float *b, int64_t k, float *c, int64_t stride, int64_t height, int64_t width, int first) {
    vec sum[columns][vectors];
    memset(sum, 0, sizeof sum);
    for (int64_t x = 0; x < k; x++, a += rows, b += columns) {
        vec at[vectors];
        for (int v = 0; v < vectors; v++) at[v] = *(const vec *)(a + v * lanes);
        for (int j = 0; j < columns; j++)
            for (int v = 0; v < vectors; v++) sum[j][v] += at[v] * b[j];
    }
    for (int j = 0; j < width; j++) {
        float line[rows];
        memcpy(line, sum[j], sizeof line);
        float *to = c + j * stride;
        for (int64_t i = 0; i < height; i++) to[i] = first ? line[i] : to[i] + line[i];
    }
}

void product(const product_of *p, int part, int parts, float *scratch) {
    int64_t tiles = (p->n + columns - 1) / columns;
    int64_t j0 = tiles * part / parts * columns, j1 = least(tiles * (part + 1) / parts * columns, p->n);
    float *a = scratch, *b = scratch + depth * rows;
    for (int64_t k0 = 0; k0 < p->k && j0 < j1; k0 += depth) {
        int64_t k = least(depth, p->k - k0);
        pack_b(b, p, j0, j1, k0, k);
        for (int64_t i = 0; i < p->m; i += rows) {
            pack_a(a, p, i, k0, k);
            for (int64_t j = j0; j < j1; j += columns)
                tile(a, b + (j - j0) * k, k, p->c + j * p->m + i, p->m, least(rows, p->m - i), least(columns, j1 - j), k0 == 0);
        }
    }
}
