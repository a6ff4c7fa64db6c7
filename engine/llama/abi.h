// The declarations of libllama and ggml that this package uses, as they are in
// llama.cpp at the revision that github.com/ollama/ollama v0.17.4 carries
// (include/llama.h, ggml-cpu.h; MIT licence). A header of another module is out
// of reach for cgo, and structs are passed by value: they must match that
// revision to the byte, which abi_check in shim.c tests at load.

#ifndef PLEXUS_LLAMA_ABI_H
#define PLEXUS_LLAMA_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int32_t llama_token;
typedef int32_t llama_pos;
typedef int32_t llama_seq_id;

struct llama_model;
struct llama_context;
struct llama_vocab;
typedef struct llama_memory_i * llama_memory_t;

typedef struct llama_batch {
	int32_t         n_tokens;
	llama_token   * token;
	float         * embd;
	llama_pos     * pos;
	int32_t       * n_seq_id;
	llama_seq_id ** seq_id;
	int8_t        * logits;
} llama_batch;

struct llama_model_params {
	void       * devices;
	const void * tensor_buft_overrides;
	int32_t      n_gpu_layers;
	int32_t      split_mode;
	int32_t      main_gpu;
	const float * tensor_split;
	bool      (* progress_callback)(float, void *);
	void       * progress_callback_user_data;
	const void * kv_overrides;
	bool vocab_only;
	bool use_mmap;
	bool use_mlock;
	bool check_tensors;
	bool use_extra_bufts;
	bool no_host;
	bool no_alloc;
};

struct llama_context_params {
	uint32_t n_ctx;
	uint32_t n_batch;
	uint32_t n_ubatch;
	uint32_t n_seq_max;
	int32_t  n_threads;
	int32_t  n_threads_batch;
	int32_t  rope_scaling_type;
	int32_t  pooling_type;
	int32_t  attention_type;
	int32_t  flash_attn_type;
	float    rope_freq_base;
	float    rope_freq_scale;
	float    yarn_ext_factor;
	float    yarn_attn_factor;
	float    yarn_beta_fast;
	float    yarn_beta_slow;
	uint32_t yarn_orig_ctx;
	float    defrag_thold;
	void   * cb_eval;
	void   * cb_eval_user_data;
	int32_t  type_k;
	int32_t  type_v;
	void   * abort_callback;
	void   * abort_callback_data;
	bool embeddings;
	bool offload_kqv;
	bool no_perf;
	bool op_offload;
	bool swa_full;
	bool kv_unified;
};

void llama_backend_init(void);
void llama_log_set(void (*callback)(int level, const char * text, void * user), void * user);
struct llama_model_params   llama_model_default_params(void);
struct llama_context_params llama_context_default_params(void);

struct llama_model   * llama_model_load_from_file(const char * path, struct llama_model_params params);
void                   llama_model_free(struct llama_model * model);
struct llama_context * llama_init_from_model(struct llama_model * model, struct llama_context_params params);
void                   llama_free(struct llama_context * ctx);

const struct llama_vocab * llama_model_get_vocab(const struct llama_model * model);
int32_t      llama_model_n_embd(const struct llama_model * model);
bool         llama_model_has_encoder(const struct llama_model * model);
bool         llama_model_has_decoder(const struct llama_model * model);
uint32_t     llama_n_ctx_seq(const struct llama_context * ctx);
const char * llama_print_system_info(void);

llama_memory_t llama_get_memory(const struct llama_context * ctx);
void           llama_memory_clear(llama_memory_t mem, bool data);
bool           llama_memory_seq_rm(llama_memory_t mem, llama_seq_id seq, llama_pos from, llama_pos to);
void           llama_memory_seq_cp(llama_memory_t mem, llama_seq_id src, llama_seq_id dst, llama_pos from, llama_pos to);

llama_batch llama_batch_init(int32_t n_tokens, int32_t embd, int32_t n_seq_max);
void        llama_batch_free(llama_batch batch);
int32_t     llama_decode(struct llama_context * ctx, llama_batch batch);
float     * llama_get_logits_ith(struct llama_context * ctx, int32_t i);
float     * llama_get_embeddings_ith(struct llama_context * ctx, int32_t i);

int32_t      llama_vocab_n_tokens(const struct llama_vocab * vocab);
const char * llama_vocab_get_text(const struct llama_vocab * vocab, llama_token token);
int32_t      llama_vocab_get_attr(const struct llama_vocab * vocab, llama_token token);
bool         llama_vocab_is_eog(const struct llama_vocab * vocab, llama_token token);
llama_token  llama_vocab_bos(const struct llama_vocab * vocab);
bool         llama_vocab_get_add_bos(const struct llama_vocab * vocab);
int32_t      llama_tokenize(const struct llama_vocab * vocab, const char * text, int32_t text_len,
                            llama_token * tokens, int32_t n_tokens_max, bool add_special, bool parse_special);
int32_t      llama_token_to_piece(const struct llama_vocab * vocab, llama_token token,
                                  char * buf, int32_t length, int32_t lstrip, bool special);

typedef struct ggml_backend_reg    * ggml_backend_reg_t;
typedef struct ggml_backend_device * ggml_backend_dev_t;

ggml_backend_reg_t ggml_backend_load(const char * path);
size_t             ggml_backend_dev_count(void);
ggml_backend_dev_t ggml_backend_dev_get(size_t index);
int                ggml_backend_dev_type(ggml_backend_dev_t device); // 0 is the processor
const char       * ggml_backend_dev_name(ggml_backend_dev_t device);
const char       * ggml_backend_dev_description(ggml_backend_dev_t device);
void               ggml_backend_dev_memory(ggml_backend_dev_t device, size_t * free, size_t * total);

int ggml_cpu_has_avx(void);
int ggml_cpu_has_avx2(void);
int ggml_cpu_has_avx512(void);
int ggml_cpu_has_neon(void);
int ggml_cpu_has_dotprod(void);

// From shim.c.
const char * plexus_abi_check(void);
void         plexus_log_capture(void);
const char * plexus_log_take(void);

#endif
