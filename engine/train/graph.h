// A graph of one training step of a small llama model: logits, loss gradient,
// and the gradient of every parameter, for a fixed number of rows and tokens.

#ifndef PLEXUS_TRAIN_GRAPH_H
#define PLEXUS_TRAIN_GRAPH_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int vocab, width, layers, heads, hidden;
    float base, epsilon;
} graph_shape;

typedef struct graph graph;

// graph_floats returns aligned, zeroed memory for n floats, or NULL.
float *graph_floats(size_t n);

// graph_new builds the step for rows sequences of length tokens. params and
// grads are flat vectors in the order of Shape.Tensors that the graph reads
// and writes in place; grads NULL builds the forward pass alone. It returns
// NULL when memory is short.
graph *graph_new(graph_shape s, int rows, int length, int threads, float *params, float *grads);

// graph_run computes one step. tokens has rows*length entries, mask has
// rows*length*length (0 or -INFINITY, a row per query), target is
// vocab*rows*length one-hot rows and weight has rows*length entries; the last
// two are unused without grads. out receives vocab*rows*length probabilities
// with grads, logits without. It returns 0 on success.
int graph_run(graph *g, const int32_t *tokens, const float *mask, const float *target, const float *weight, float *out);

void graph_free(graph *g);

#endif
