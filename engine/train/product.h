// Matrix products of operands that lie either way, so that none of the
// trainer's three products of a matrix needs a transposition.

#ifndef PLEXUS_TRAIN_PRODUCT_H
#define PLEXUS_TRAIN_PRODUCT_H

#include <stddef.h>
#include <stdint.h>

// C[j*m + i] = Σx A[x*ak + i*am] · B[x*bk + j*bn] for i < m, j < n, x < k.
// One of ak and am is 1.
typedef struct {
    const float *a, *b;
    float *c;
    int64_t m, n, k;
    int64_t ak, am, bk, bn;
} product_of;

// product_scratch is the count of floats that one thread needs for products
// with n up to most.
size_t product_scratch(int64_t most);

// product computes the part-th of parts of the columns of C. The result does
// not depend on parts.
void product(const product_of *p, int part, int parts, float *scratch);

#endif
