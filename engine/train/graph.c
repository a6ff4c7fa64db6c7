#include "graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ggml.h"
#include "product.h"

enum { max_nodes = 8192, all_threads = -1 };

// A layer's parameters.
typedef struct {
    tensor attn_norm, wq, wk, wv, wo, ffn_norm, gate, up, down;
} weights;

// What a layer's forward pass leaves for its backward pass.
typedef struct {
    tensor x, xhat, xn;        // input, normalised, scaled
    tensor q, k, v;            // [head, token, heads, rows], rotated
    tensor p, o;               // attention, its output [width, tokens]
    tensor mid, midhat, midn;  // after attention, normalised, scaled
    tensor g, s, u, a;         // SwiGLU: gate, silu(gate), up, product
} trace;

struct graph {
    graph_shape s;
    int rows, length;
    bool train;
    struct ggml_context *ctx;
    struct ggml_cgraph *cg;
    ggml_backend_t backend;
    ggml_backend_buffer_t params, grads;
    ggml_gallocr_t alloc;
    float *next_param;
    float *scratch; // of products, scratch_size per thread
    size_t scratch_size;
    struct note *notes;
    tensor tokens, positions, mask, target, weight, out;
    tensor embd, norm;
    weights *w;
};

// A note is an argument of a custom operation; the graph frees it.
typedef struct note {
    struct note *next;
    const graph *g;
    tensor a, b;
    int64_t columns, rows, count; // of a transposition
    product_of of;                // of a product, without its pointers
} note;

// must ends the process when memory for a few bytes is short, as ggml does.
static void *must(void *p) {
    if (!p) abort();
    return p;
}

static note *take_note(graph *g, note n) {
    note *kept = must(malloc(sizeof *kept));
    *kept = n;
    kept->g = g;
    kept->next = g->notes;
    return g->notes = kept;
}

float *graph_floats(size_t n) {
    void *p = NULL;
    size_t bytes = (n * sizeof(float) + 63) / 64 * 64;
    if (posix_memalign(&p, 64, bytes) != 0) return NULL;
    memset(p, 0, bytes);
    return p;
}

// param lays a tensor over the next floats of the flat vector.
static tensor param(graph *g, int64_t in, int64_t out) {
    tensor t = out ? ggml_new_tensor_2d(g->ctx, GGML_TYPE_F32, in, out) : ggml_new_tensor_1d(g->ctx, GGML_TYPE_F32, in);
    ggml_backend_tensor_alloc(g->params, t, g->next_param);
    g->next_param += in * (out ? out : 1);
    return t;
}

// emit makes node write the gradient at offset floats of the flat vector.
static void emit(graph *g, tensor node, float *at) {
    ggml_backend_tensor_alloc(g->grads, node, at);
    ggml_build_forward_expand(g->cg, node);
}

// transpose works in bands, so that what it reads stays in the first cache;
// ggml_cont would copy number by number.
static void transpose(tensor dst, int part, int parts, void *data) {
    enum { band = 16 };
    const note *t = data;
    int64_t bands = (t->rows + band - 1) / band;
    for (int64_t i = part; i < bands * t->count; i += parts) {
        size_t at = (size_t)(i / bands) * t->rows * t->columns;
        const float *restrict from = (const float *)ggml_get_data(t->a) + at;
        float *restrict to = (float *)ggml_get_data(dst) + at;
        int64_t r0 = i % bands * band, r1 = r0 + band < t->rows ? r0 + band : t->rows;
        for (int64_t c = 0; c < t->columns; c++)
            for (int64_t r = r0; r < r1; r++) to[c * t->rows + r] = from[r * t->columns + c];
    }
}

// turn transposes each head's matrix of columns by length.
static tensor turn(graph *g, tensor t, int64_t columns) {
    note *n = take_note(g, (note){.a = t, .columns = columns, .rows = g->length, .count = (int64_t)g->s.heads * g->rows});
    return ggml_custom_4d(g->ctx, GGML_TYPE_F32, g->length, columns, g->s.heads, g->rows, &t, 1, transpose, all_threads, n);
}

static void multiply(tensor dst, int part, int parts, void *data) {
    const note *n = data;
    product_of of = n->of;
    of.a = ggml_get_data(n->a);
    of.b = ggml_get_data(n->b);
    of.c = ggml_get_data(dst);
    product(&of, part, parts, n->g->scratch + part * n->g->scratch_size);
}

static tensor multiplied(graph *g, tensor a, tensor b, product_of of) {
    tensor args[] = {a, b};
    note *n = take_note(g, (note){.a = a, .b = b, .of = of});
    return ggml_custom_4d(g->ctx, GGML_TYPE_F32, of.m, of.n, 1, 1, args, 2, multiply, all_threads, n);
}

static int64_t places(const graph *g) { return (int64_t)g->length * g->rows; }

// apply is a matrix [in, out] times x [in, places].
static tensor apply(graph *g, tensor w, int64_t in, tensor x, int64_t out) {
    return multiplied(g, w, x, (product_of){.m = out, .n = places(g), .k = in, .ak = 1, .am = in, .bk = 1, .bn = in});
}

// outer is the gradient of a matrix [in, out] that took x [in, places] and
// whose result has the gradient dy [out, places].
static tensor outer(graph *g, tensor x, int64_t in, tensor dy, int64_t out) {
    return multiplied(g, x, dy, (product_of){.m = in, .n = out, .k = places(g), .ak = in, .am = 1, .bk = out, .bn = 1});
}

// through is the gradient of such a matrix's input.
static tensor through(graph *g, tensor w, int64_t in, tensor dy, int64_t out) {
    return multiplied(g, w, dy, (product_of){.m = in, .n = places(g), .k = out, .ak = in, .am = 1, .bk = 1, .bn = out});
}

static tensor rope(graph *g, tensor t, bool back) {
    int dims = g->s.width / g->s.heads;
    tensor (*f)(struct ggml_context *, tensor, tensor, tensor, int, int, int, float, float, float, float, float, float) =
        back ? ggml_rope_ext_back : ggml_rope_ext;
    return f(g->ctx, t, g->positions, NULL, dims, 0, 0, g->s.base, 1, 0, 1, 32, 1);
}

// split turns [width, tokens] into [head, heads, length, rows].
static tensor split(graph *g, tensor t) {
    return ggml_reshape_4d(g->ctx, t, g->s.width / g->s.heads, g->s.heads, g->length, g->rows);
}

// swap exchanges the heads' axis and the tokens' axis.
static tensor swap(graph *g, tensor t) { return ggml_cont(g->ctx, ggml_permute(g->ctx, t, 0, 2, 1, 3)); }

// join undoes split and swap.
static tensor join(graph *g, tensor t) {
    return ggml_reshape_2d(g->ctx, swap(g, t), g->s.width, (int64_t)g->length * g->rows);
}

static tensor forward(graph *g, weights *w, trace *t, tensor x) {
    struct ggml_context *c = g->ctx;
    float scale = 1 / sqrtf((float)(g->s.width / g->s.heads));
    int64_t d = g->s.width, f = g->s.hidden;

    t->x = x;
    t->xhat = ggml_rms_norm(c, x, g->s.epsilon);
    t->xn = ggml_mul(c, t->xhat, w->attn_norm);
    t->q = swap(g, rope(g, split(g, apply(g, w->wq, d, t->xn, d)), false));
    t->k = swap(g, rope(g, split(g, apply(g, w->wk, d, t->xn, d)), false));
    t->v = swap(g, split(g, apply(g, w->wv, d, t->xn, d)));
    t->p = ggml_soft_max_ext(c, ggml_mul_mat(c, t->k, t->q), g->mask, scale, 0);
    t->o = join(g, ggml_mul_mat(c, turn(g, t->v, d / g->s.heads), t->p));
    t->mid = ggml_add(c, x, apply(g, w->wo, d, t->o, d));

    t->midhat = ggml_rms_norm(c, t->mid, g->s.epsilon);
    t->midn = ggml_mul(c, t->midhat, w->ffn_norm);
    t->g = apply(g, w->gate, d, t->midn, f);
    t->s = ggml_silu(c, t->g);
    t->u = apply(g, w->up, d, t->midn, f);
    t->a = ggml_mul(c, t->s, t->u);
    return ggml_add(c, t->mid, apply(g, w->down, f, t->a, d));
}

// norm_back returns the gradient of a norm's input. ggml's in-place allocation
// of RMS_NORM_BACK over its operands computes wrong numbers, so they are kept.
static tensor norm_back(graph *g, tensor dxhat, tensor x) {
    ggml_set_output(dxhat);
    ggml_set_output(x);
    return ggml_rms_norm_back(g->ctx, dxhat, x, g->s.epsilon);
}

// backward emits the gradients of a layer and returns the one of its input.
// at points to the layer's first gradient.
static tensor backward(graph *g, weights *w, trace *t, tensor dy, float *at) {
    struct ggml_context *c = g->ctx;
    float scale = 1 / sqrtf((float)(g->s.width / g->s.heads));
    int64_t d = g->s.width, f = g->s.hidden, head = d / g->s.heads;
    float *d_attn_norm = at, *d_wq = d_attn_norm + d, *d_wk = d_wq + d * d, *d_wv = d_wk + d * d, *d_wo = d_wv + d * d;
    float *d_ffn_norm = d_wo + d * d, *d_gate = d_ffn_norm + d, *d_up = d_gate + d * f, *d_down = d_up + d * f;

    // y = mid + down·(silu(gate·n) ∘ up·n), n = norm(mid)
    emit(g, outer(g, t->a, f, dy, d), d_down);
    tensor da = through(g, w->down, f, dy, d);
    tensor du = ggml_mul(c, da, t->s);
    tensor dg = ggml_silu_back(c, ggml_mul(c, da, t->u), t->g);
    emit(g, outer(g, t->midn, d, dg, f), d_gate);
    emit(g, outer(g, t->midn, d, du, f), d_up);
    tensor dn = ggml_add(c, through(g, w->gate, d, dg, f), through(g, w->up, d, du, f));
    emit(g, ggml_repeat_back(c, ggml_mul(c, dn, t->midhat), w->ffn_norm), d_ffn_norm);
    tensor dmid = ggml_add(c, norm_back(g, ggml_mul(c, dn, w->ffn_norm), t->mid), dy);

    // mid = x + wo·o
    emit(g, outer(g, t->o, d, dmid, d), d_wo);
    tensor dout = swap(g, split(g, through(g, w->wo, d, dmid, d)));

    // o = Σ p·v, p = softmax(scale·k·q)
    tensor dv = ggml_mul_mat(c, turn(g, dout, head), turn(g, t->p, g->length));
    tensor dp = ggml_mul_mat(c, t->v, dout);
    ggml_set_output(dp);
    ggml_set_output(t->p);
    tensor ds = ggml_soft_max_ext_back(c, dp, t->p, scale, 0);
    tensor dq = ggml_mul_mat(c, turn(g, t->k, head), ds);
    tensor dk = ggml_mul_mat(c, turn(g, t->q, head), turn(g, ds, g->length));

    tensor fq = ggml_reshape_2d(c, rope(g, swap(g, dq), true), d, places(g));
    tensor fk = ggml_reshape_2d(c, rope(g, swap(g, dk), true), d, places(g));
    tensor fv = join(g, dv);
    emit(g, outer(g, t->xn, d, fq, d), d_wq);
    emit(g, outer(g, t->xn, d, fk, d), d_wk);
    emit(g, outer(g, t->xn, d, fv, d), d_wv);
    tensor dxn = ggml_add(c, through(g, w->wq, d, fq, d), through(g, w->wk, d, fk, d));
    dxn = ggml_add(c, dxn, through(g, w->wv, d, fv, d));
    emit(g, ggml_repeat_back(c, ggml_mul(c, dxn, t->xhat), w->attn_norm), d_attn_norm);
    return ggml_add(c, norm_back(g, ggml_mul(c, dxn, w->attn_norm), t->x), dmid);
}

static size_t layer_floats(graph_shape s) {
    size_t d = s.width, f = s.hidden;
    return 2 * d + 4 * d * d + 3 * d * f;
}

static void lay_params(graph *g) {
    int d = g->s.width, f = g->s.hidden;
    g->embd = param(g, d, g->s.vocab);
    for (int i = 0; i < g->s.layers; i++) {
        weights *w = &g->w[i];
        w->attn_norm = param(g, d, 0);
        w->wq = param(g, d, d);
        w->wk = param(g, d, d);
        w->wv = param(g, d, d);
        w->wo = param(g, d, d);
        w->ffn_norm = param(g, d, 0);
        w->gate = param(g, d, f);
        w->up = param(g, d, f);
        w->down = param(g, f, d);
    }
    g->norm = param(g, d, 0);
}

static tensor input(graph *g, tensor t) {
    ggml_set_input(t);
    return t;
}

static void build(graph *g, float *grads) {
    struct ggml_context *c = g->ctx;
    int64_t n = places(g);
    trace *t = must(calloc(g->s.layers, sizeof *t));

    g->tokens = input(g, ggml_new_tensor_1d(c, GGML_TYPE_I32, n));
    g->positions = input(g, ggml_new_tensor_1d(c, GGML_TYPE_I32, g->length));
    g->mask = input(g, ggml_new_tensor_4d(c, GGML_TYPE_F32, g->length, g->length, 1, g->rows));

    tensor x = ggml_get_rows(c, g->embd, g->tokens);
    for (int i = 0; i < g->s.layers; i++) x = forward(g, &g->w[i], &t[i], x);
    tensor hat = ggml_rms_norm(c, x, g->s.epsilon);
    tensor y = ggml_mul(c, hat, g->norm);
    g->out = apply(g, g->embd, g->s.width, y, g->s.vocab);

    if (g->train) {
        g->target = input(g, ggml_new_tensor_2d(c, GGML_TYPE_F32, g->s.vocab, n));
        g->weight = input(g, ggml_new_tensor_2d(c, GGML_TYPE_F32, 1, n));
        g->out = ggml_soft_max(c, g->out);
        ggml_set_output(g->out);
        // Softmax and cross entropy together: d logits = weight·(p − target).
        tensor dl = ggml_mul(c, ggml_sub(c, g->out, g->target), g->weight);
        tensor dy = through(g, g->embd, g->s.width, dl, g->s.vocab);
        tensor head = outer(g, y, g->s.width, dl, g->s.vocab);

        float *at = grads + (size_t)g->s.width * g->s.vocab + g->s.layers * layer_floats(g->s);
        emit(g, ggml_repeat_back(c, ggml_mul(c, dy, hat), g->norm), at);
        tensor dx = norm_back(g, ggml_mul(c, dy, g->norm), x);
        for (int i = g->s.layers - 1; i >= 0; i--) {
            at -= layer_floats(g->s);
            dx = backward(g, &g->w[i], &t[i], dx, at);
        }
        // The embedding is also the head.
        emit(g, ggml_add(c, head, ggml_get_rows_back(c, dx, g->tokens, g->embd)), grads);
    } else {
        ggml_set_output(g->out);
        ggml_build_forward_expand(g->cg, g->out);
    }
    free(t);
}

graph *graph_new(graph_shape s, int rows, int length, int threads, float *params, float *grads) {
    graph *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    g->s = s;
    g->rows = rows;
    g->length = length;
    g->train = grads != NULL;
    g->next_param = params;
    int64_t most = places(g);
    if (most < s.vocab) most = s.vocab;
    if (most < s.hidden) most = s.hidden;
    if (most < s.width) most = s.width;
    g->scratch_size = product_scratch(most);
    g->scratch = graph_floats(g->scratch_size * threads);

    size_t floats = (size_t)s.width * s.vocab + s.layers * layer_floats(s) + s.width;
    struct ggml_init_params p = {
        ggml_tensor_overhead() * max_nodes + ggml_graph_overhead_custom(max_nodes, false), NULL, true};
    g->w = calloc(s.layers, sizeof *g->w);
    g->ctx = ggml_init(p);
    g->backend = ggml_backend_cpu_init();
    g->params = ggml_backend_cpu_buffer_from_ptr(params, floats * sizeof(float));
    if (grads) g->grads = ggml_backend_cpu_buffer_from_ptr(grads, floats * sizeof(float));
    g->alloc = ggml_gallocr_new(ggml_backend_cpu_buffer_type());
    if (!g->w || !g->ctx || !g->backend || !g->params || !g->alloc || !g->scratch || (grads && !g->grads)) {
        graph_free(g);
        return NULL;
    }
    ggml_backend_cpu_set_n_threads(g->backend, threads);
    g->cg = ggml_new_graph_custom(g->ctx, max_nodes, false);
    lay_params(g);
    build(g, grads);
    if (!ggml_gallocr_alloc_graph(g->alloc, g->cg)) {
        graph_free(g);
        return NULL;
    }
    return g;
}

int graph_run(graph *g, const int32_t *tokens, const float *mask, const float *target, const float *weight, float *out) {
    size_t n = (size_t)g->rows * g->length, wide = n * g->s.vocab * sizeof(float);
    // The allocator may reuse an input's memory within a step, so all are set
    // before each.
    int32_t positions[g->length];
    for (int i = 0; i < g->length; i++) positions[i] = i;
    ggml_backend_tensor_set(g->positions, positions, 0, sizeof positions);
    ggml_backend_tensor_set(g->tokens, tokens, 0, n * sizeof(int32_t));
    ggml_backend_tensor_set(g->mask, mask, 0, n * g->length * sizeof(float));
    if (g->train) {
        ggml_backend_tensor_set(g->target, target, 0, wide);
        ggml_backend_tensor_set(g->weight, weight, 0, n * sizeof(float));
    }
    int status = ggml_backend_graph_compute(g->backend, g->cg);
    if (status == 0) ggml_backend_tensor_get(g->out, out, 0, wide);
    return status;
}

void graph_free(graph *g) {
    if (!g) return;
    if (g->alloc) ggml_gallocr_free(g->alloc);
    if (g->params) ggml_backend_buffer_free(g->params);
    if (g->grads) ggml_backend_buffer_free(g->grads);
    if (g->backend) ggml_backend_free(g->backend);
    if (g->ctx) ggml_free(g->ctx);
    while (g->notes) {
        note *next = g->notes->next;
        free(g->notes);
        g->notes = next;
    }
    free(g->scratch);
    free(g->w);
    free(g);
}
