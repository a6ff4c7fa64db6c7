// The part of ggml's C interface that the trainer uses, declared for the
// version that go.mod pins. Only opaque pointers and scalars cross it, except
// for struct ggml_init_params, which ggml_init takes by value.

#ifndef PLEXUS_TRAIN_GGML_H
#define PLEXUS_TRAIN_GGML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GGML_TYPE_F32 = 0, GGML_TYPE_I32 = 26 };

struct ggml_context;
struct ggml_tensor;
struct ggml_cgraph;
typedef struct ggml_backend *ggml_backend_t;
typedef struct ggml_backend_buffer *ggml_backend_buffer_t;
typedef struct ggml_backend_buffer_type *ggml_backend_buffer_type_t;
typedef struct ggml_gallocr *ggml_gallocr_t;
typedef struct ggml_tensor *tensor;

struct ggml_init_params {
    size_t mem_size;
    void *mem_buffer;
    bool no_alloc;
};

struct ggml_context *ggml_init(struct ggml_init_params);
void ggml_free(struct ggml_context *);
size_t ggml_tensor_overhead(void);
size_t ggml_graph_overhead_custom(size_t size, bool grads);
struct ggml_cgraph *ggml_new_graph_custom(struct ggml_context *, size_t size, bool grads);
void ggml_build_forward_expand(struct ggml_cgraph *, tensor);

tensor ggml_new_tensor_1d(struct ggml_context *, int type, int64_t);
tensor ggml_new_tensor_2d(struct ggml_context *, int type, int64_t, int64_t);
tensor ggml_new_tensor_4d(struct ggml_context *, int type, int64_t, int64_t, int64_t, int64_t);
void ggml_set_input(tensor);
void ggml_set_output(tensor);

tensor ggml_add(struct ggml_context *, tensor, tensor);
tensor ggml_sub(struct ggml_context *, tensor, tensor);
tensor ggml_mul(struct ggml_context *, tensor, tensor);
tensor ggml_silu(struct ggml_context *, tensor);
tensor ggml_silu_back(struct ggml_context *, tensor dy, tensor x);
tensor ggml_repeat_back(struct ggml_context *, tensor, tensor like);
tensor ggml_rms_norm(struct ggml_context *, tensor, float eps);
tensor ggml_rms_norm_back(struct ggml_context *, tensor dy, tensor x, float eps);
tensor ggml_mul_mat(struct ggml_context *, tensor, tensor);
tensor ggml_cont(struct ggml_context *, tensor);
tensor ggml_reshape_2d(struct ggml_context *, tensor, int64_t, int64_t);
tensor ggml_reshape_4d(struct ggml_context *, tensor, int64_t, int64_t, int64_t, int64_t);
tensor ggml_permute(struct ggml_context *, tensor, int, int, int, int);
tensor ggml_get_rows(struct ggml_context *, tensor, tensor rows);
tensor ggml_get_rows_back(struct ggml_context *, tensor dy, tensor rows, tensor like);
tensor ggml_soft_max(struct ggml_context *, tensor);
tensor ggml_soft_max_ext(struct ggml_context *, tensor, tensor mask, float scale, float max_bias);
tensor ggml_soft_max_ext_back(struct ggml_context *, tensor dy, tensor y, float scale, float max_bias);
tensor ggml_rope_ext(struct ggml_context *, tensor, tensor pos, tensor factors, int dims, int mode, int ctx_orig,
                     float base, float scale, float ext, float attn, float beta_fast, float beta_slow);
tensor ggml_rope_ext_back(struct ggml_context *, tensor, tensor pos, tensor factors, int dims, int mode, int ctx_orig,
                          float base, float scale, float ext, float attn, float beta_fast, float beta_slow);

typedef void (*ggml_custom_op_t)(tensor dst, int part, int parts, void *userdata);
tensor ggml_custom_4d(struct ggml_context *, int type, int64_t, int64_t, int64_t, int64_t, tensor *args, int n_args,
                      ggml_custom_op_t, int n_tasks, void *userdata);
void *ggml_get_data(const struct ggml_tensor *);

ggml_backend_t ggml_backend_cpu_init(void);
void ggml_backend_cpu_set_n_threads(ggml_backend_t, int);
void ggml_backend_free(ggml_backend_t);
int ggml_backend_graph_compute(ggml_backend_t, struct ggml_cgraph *);
ggml_backend_buffer_t ggml_backend_cpu_buffer_from_ptr(void *, size_t);
ggml_backend_buffer_type_t ggml_backend_cpu_buffer_type(void);
void ggml_backend_buffer_free(ggml_backend_buffer_t);
int ggml_backend_tensor_alloc(ggml_backend_buffer_t, tensor, void *);
void ggml_backend_tensor_set(tensor, const void *, size_t offset, size_t size);
void ggml_backend_tensor_get(const struct ggml_tensor *, void *, size_t offset, size_t size);

ggml_gallocr_t ggml_gallocr_new(ggml_backend_buffer_type_t);
void ggml_gallocr_free(ggml_gallocr_t);
bool ggml_gallocr_alloc_graph(ggml_gallocr_t, struct ggml_cgraph *);

#endif
