#include "abi.h"

#include <string.h>

// plexus_abi_check compares the library's default parameters with the ones that
// the declarations in abi.h expect. A member that moved shows up as a wrong
// value. It returns the name of the first one that differs, or NULL.
const char * plexus_abi_check(void) {
	struct llama_context_params c = llama_context_default_params();
	struct llama_model_params   m = llama_model_default_params();
#define WANT(condition) if (!(condition)) return #condition
	WANT(c.n_ctx == 512);
	WANT(c.n_batch == 2048);
	WANT(c.n_ubatch == 512);
	WANT(c.n_seq_max == 1);
	WANT(c.n_threads == 4);
	WANT(c.n_threads_batch == 4);
	WANT(c.rope_scaling_type == -1);
	WANT(c.pooling_type == -1);
	WANT(c.attention_type == -1);
	WANT(c.flash_attn_type == -1);
	WANT(c.rope_freq_base == 0 && c.rope_freq_scale == 0);
	WANT(c.yarn_ext_factor == -1 && c.yarn_attn_factor == -1);
	WANT(c.yarn_beta_fast == -1 && c.yarn_beta_slow == -1);
	WANT(c.yarn_orig_ctx == 0);
	WANT(c.defrag_thold == -1);
	WANT(c.cb_eval == NULL && c.cb_eval_user_data == NULL);
	WANT(c.type_k == 1 && c.type_v == 1);
	WANT(c.abort_callback == NULL && c.abort_callback_data == NULL);
	WANT(!c.embeddings && c.offload_kqv && c.no_perf && c.op_offload && c.swa_full && !c.kv_unified);
	WANT(m.devices == NULL && m.tensor_buft_overrides == NULL);
	WANT(m.n_gpu_layers == 999);
	WANT(m.split_mode == 1);
	WANT(m.main_gpu == 0);
	WANT(m.tensor_split == NULL && m.progress_callback == NULL && m.progress_callback_user_data == NULL);
	WANT(m.kv_overrides == NULL);
	WANT(!m.vocab_only && m.use_mmap && !m.use_mlock && !m.check_tensors);
	WANT(m.use_extra_bufts && !m.no_host && !m.no_alloc);
#undef WANT
	return NULL;
}

// The library tells why it refuses a file in its log only. The last errors are
// kept for the error that the caller returns; loading is done by one thread.
static char   said[1024];
static size_t said_length;

static void capture(int level, const char * text, void * user) {
	(void) user;
	enum { ERROR = 4 };
	size_t n = strlen(text);
	if (level != ERROR || n + said_length >= sizeof said) {
		return;
	}
	memcpy(said + said_length, text, n);
	said_length += n;
	said[said_length] = 0;
}

void plexus_log_capture(void) {
	llama_log_set(capture, NULL);
}

const char * plexus_log_take(void) {
	static char copy[sizeof said];
	memcpy(copy, said, sizeof said);
	said_length = 0;
	said[0]     = 0;
	return copy;
}
