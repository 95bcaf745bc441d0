/* gguf_model: config and tensors; see gguf_model.h. The tokenizer is in gguf_tokenizer.c. */
#include "model/files/gguf_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/config.h"
#include "model/files/gguf.h"
#include "model/tokenizer/token_table.h"

typedef struct Renamed {
    const char *ours, *theirs; /* ours: in GGUF */
} Renamed;

typedef struct Arch {
    const char *name, *class;
    bool rotary, permuted; /* permuted: the rows of q and k */
    const char *layer;     /* what stands before a layer's number */
    const Renamed *whole, *in_layer;
    const Renamed *keys; /* whole numbers of config.json */
    const char *eps[2];
} Arch;

static const Renamed llama_whole[] = {{"token_embd", "model.embed_tokens"},
                                      {"output_norm", "model.norm"},
                                      {"output", "lm_head"},
                                      {NULL, NULL}};
static const Renamed llama_layer[] = {
    {"attn_norm", "input_layernorm"},    {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},      {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},      {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},       {NULL, NULL}};
static const Renamed llama_keys[] = {{"embedding_length", "hidden_size"},
                                     {"block_count", "num_hidden_layers"},
                                     {"attention.head_count", "num_attention_heads"},
                                     {"feed_forward_length", "intermediate_size"},
                                     {"context_length", "max_position_embeddings"},
                                     {NULL, NULL}};
static const Renamed gpt2_whole[] = {{"token_embd", "transformer.wte"},
                                     {"position_embd", "transformer.wpe"},
                                     {"output_norm", "transformer.ln_f"},
                                     {"output", "lm_head"},
                                     {NULL, NULL}};
static const Renamed gpt2_layer[] = {
    {"attn_norm", "ln_1"}, {"attn_qkv", "attn.c_attn"}, {"attn_output", "attn.c_proj"},
    {"ffn_norm", "ln_2"},  {"ffn_up", "mlp.c_fc"},      {"ffn_down", "mlp.c_proj"},
    {NULL, NULL}};
static const Renamed gpt2_keys[] = {
    {"embedding_length", "n_embd"},     {"block_count", "n_layer"},
    {"attention.head_count", "n_head"}, {"feed_forward_length", "n_inner"},
    {"context_length", "n_positions"},  {NULL, NULL}};

#define ROTARY(name, class, permuted)                                                              \
    {                                                                                              \
        name, class, true, permuted, "model.layers", llama_whole, llama_layer, llama_keys,         \
        {                                                                                          \
            "attention.layer_norm_rms_epsilon", "rms_norm_eps"                                     \
        }                                                                                          \
    }
static const Arch archs[] = {
    ROTARY("llama", "LlamaForCausalLM", true),
    ROTARY("qwen2", "Qwen2ForCausalLM", false),
    ROTARY("qwen3", "Qwen3ForCausalLM", false),
    {"gpt2",
     "GPT2LMHeadModel",
     false,
     false,
     "transformer.h",
     gpt2_whole,
     gpt2_layer,
     gpt2_keys,
     {"attention.layer_norm_epsilon", "layer_norm_epsilon"}},
};

static const Arch *find_arch(const Gguf *g, Err *err)
{
    const char *name = gguf_text(g, "general.architecture");
    for (size_t i = 0; name && i < COUNT_OF(archs); i++)
        if (strcmp(name, archs[i].name) == 0)
            return &archs[i];
    err_set(err, "general.architecture '%.60s' is not built; llama, qwen2, qwen3 and gpt2 are",
            name ? name : "");
    return NULL;
}

/* ---- config.json ---- */

/* ARCH.key; false where there is none. */
static bool arch_number(const Gguf *g, const Arch *arch, const char *key, double *value)
{
    char *whole = xasprintf("%s.%s", arch->name, key);
    bool there = gguf_number(g, whole, value);
    free(whole);
    return there;
}

static int read_whole(const Gguf *g, const Arch *arch, const char *key, double *value, Err *err)
{
    if (!arch_number(g, arch, key, value))
        return err_set(err, "%s.%s is missing, or no number", arch->name, key);
    return *value >= 0 && *value <= MAX_DIMENSION && *value == floor(*value)
               ? 0
               : err_set(err, "%s.%s is %g", arch->name, key, *value);
}

/* The number as a person wrote it: the shortest that is the same in fp32. */
static double short_number(double value)
{
    char text[32];
    for (int digits = 1; digits < 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if ((float)strtod(text, NULL) == (float)value)
            return strtod(text, NULL);
    }
    return value;
}

static const STensor *find_tensor(const Gguf *g, const char *name)
{
    for (size_t i = 0; i < gguf_num_tensors(g); i++)
        if (strcmp(gguf_tensor(g, i)->name, name) == 0)
            return gguf_tensor(g, i);
    return NULL;
}

/* What has a default is not to have it because the file says something else. */
static int check_optional(const Gguf *g, const Arch *arch, Err *err)
{
    static const struct {
        const char *key;
        GgufKind kind;
    } optional[] = {
        {"expert_count", GGUF_NUMBER},         {"attention.sliding_window", GGUF_NUMBER},
        {"rope.scale_linear", GGUF_NUMBER},    {"rope.scaling.factor", GGUF_NUMBER},
        {"rope.scaling.type", GGUF_TEXT},      {"attention.head_count_kv", GGUF_NUMBER},
        {"attention.key_length", GGUF_NUMBER}, {"attention.value_length", GGUF_NUMBER},
        {"rope.dimension_count", GGUF_NUMBER}, {"rope.freq_base", GGUF_NUMBER},
    };
    int rc = 0;
    for (size_t i = 0; i < COUNT_OF(optional) && rc == 0; i++) {
        char *key = xasprintf("%s.%s", arch->name, optional[i].key);
        rc = gguf_check_kind(g, key, optional[i].kind, err);
        free(key);
    }
    return rc;
}

/* Without a type of scaling, a factor is a linear one. */
static int refuse_settings(const Gguf *g, const Arch *arch, Err *err)
{
    static const struct {
        const char *key;
        double plain; /* beside 0 */
    } numbers[] = {{"expert_count", 0},
                   {"attention.sliding_window", 0},
                   {"rope.scale_linear", 1},
                   {"rope.scaling.factor", 1}};
    double value;
    if (check_optional(g, arch, err) != 0)
        return -1;
    if (gguf_number(g, "split.count", &value) && value > 1)
        return err_set(err, "it is one of %g files; join them with llama-gguf-split --merge",
                       value);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        if (arch_number(g, arch, numbers[i].key, &value) && value != 0 && value != numbers[i].plain)
            return err_set(err, "%s.%s %g is not built", arch->name, numbers[i].key, value);
    char *key = xasprintf("%s.rope.scaling.type", arch->name);
    const char *scaling = gguf_text(g, key);
    int rc = !scaling || strcmp(scaling, "none") == 0
                 ? 0
                 : err_set(err, "%s '%.60s' is not built", key, scaling);
    free(key);
    return rc;
}

/* By how much Llama 3 slows the plane i of a head of so many channels (config.h). */
static double slowed(const Rope *r, size_t i, size_t head_dim)
{
    double length = 2 * M_PI * pow(r->theta, 2 * (double)i / (double)head_dim);
    double low = r->original / r->low, high = r->original / r->high;
    if (length > low)
        return r->factor;
    if (length < high)
        return 1;
    double smooth = (r->original / length - r->low) / (r->high - r->low);
    return 1 / ((1 - smooth) / r->factor + smooth);
}

/* llama.cpp keeps the factors themselves, in rope_freqs.weight. */
static int add_scaling(const Gguf *g, json_t *config, double theta, size_t head_dim, Err *err)
{
    static const double known[] = {8, 32};
    const STensor *t = find_tensor(g, "rope_freqs.weight");
    if (!t)
        return 0;
    if (t->dtype != ST_F32 || t->ndim != 1 || 2 * t->shape[0] != head_dim)
        return err_set(err, "rope_freqs.weight has another type or shape than F32 [%zu]",
                       head_dim / 2);
    for (size_t k = 0; k < COUNT_OF(known); k++) {
        Rope r = {.theta = theta, .factor = known[k], .low = 1, .high = 4, .original = 8192};
        bool same = true;
        for (size_t i = 0; i < t->shape[0]; i++) {
            float value;
            memcpy(&value, (const char *)t->data + i * sizeof value, sizeof value);
            same &= fabs((double)value / slowed(&r, i, head_dim) - 1) < 1e-5;
        }
        if (same)
            return json_object_set_new(
                config, "rope_scaling",
                json_pack("{s:s, s:f, s:f, s:f, s:i}", "rope_type", "llama3", "factor", r.factor,
                          "low_freq_factor", r.low, "high_freq_factor", r.high,
                          "original_max_position_embeddings", (int)r.original));
    }
    return err_set(err, "rope_freqs.weight is not Llama 3's scaling by 8 or 32");
}

static int add_rotary(const Gguf *g, const Arch *arch, json_t *config, Err *err)
{
    double heads = 0, width = 0, kv_heads, head_dim, theta = 10000, other;
    if (read_whole(g, arch, "attention.head_count", &heads, err) != 0 ||
        read_whole(g, arch, "embedding_length", &width, err) != 0)
        return -1;
    kv_heads = heads;
    head_dim = heads > 0 ? floor(width / heads) : 0;
    if (arch_number(g, arch, "attention.head_count_kv", &kv_heads) &&
        read_whole(g, arch, "attention.head_count_kv", &kv_heads, err) != 0)
        return -1;
    if (arch_number(g, arch, "attention.key_length", &head_dim) &&
        read_whole(g, arch, "attention.key_length", &head_dim, err) != 0)
        return -1;
    if ((arch_number(g, arch, "attention.value_length", &other) && other != head_dim) ||
        (arch_number(g, arch, "rope.dimension_count", &other) && other != head_dim))
        return err_set(
            err, "%s: heads of %g channels for q and k, %g for v or the rotation, are not built",
            arch->name, head_dim, other);
    arch_number(g, arch, "rope.freq_base", &theta);
    if (!isfinite(theta))
        return err_set(err, "%s.rope.freq_base is %g", arch->name, theta);
    json_object_set_new(config, "num_key_value_heads", json_integer((json_int_t)kv_heads));
    json_object_set_new(config, "head_dim", json_integer((json_int_t)head_dim));
    json_object_set_new(config, "rope_theta", json_real(short_number(theta)));
    json_object_set_new(config, "hidden_act", json_string("silu"));
    json_object_set_new(config, "attention_bias", json_false());
    json_object_set_new(config, "use_sliding_window", json_false());
    return add_scaling(g, config, theta, (size_t)head_dim, err);
}

static int add_token(const Gguf *g, json_t *config, const char *from, const char *to, Err *err)
{
    double id;
    char *key = xasprintf("tokenizer.ggml.%s", from);
    int rc = gguf_check_kind(g, key, GGUF_NUMBER, err);
    bool there = gguf_number(g, key, &id) && id >= 0 && id < TOKEN_MAX_IDS;
    free(key);
    json_t *old = json_object_get(config, to);
    if (json_is_null(old))
        old = NULL;
    if (there && !old)
        json_object_set_new(config, to, json_integer((json_int_t)id));
    else if (there && json_integer_value(old) != (json_int_t)id)
        json_object_set_new(config, to, json_pack("[O, I]", old, (json_int_t)id));
    else if (!there && !old)
        json_object_set_new(config, to, json_null());
    return rc;
}

static int fill_config(const Gguf *g, const Arch *arch, json_t *config, Err *err)
{
    double value;
    if (refuse_settings(g, arch, err) != 0)
        return -1;
    for (const Renamed *key = arch->keys; key->ours; key++) {
        if (read_whole(g, arch, key->ours, &value, err) != 0)
            return -1;
        json_object_set_new(config, key->theirs, json_integer((json_int_t)value));
    }
    if (!arch_number(g, arch, arch->eps[0], &value))
        return err_set(err, "%s.%s is missing", arch->name, arch->eps[0]);
    if (!isfinite(value))
        return err_set(err, "%s.%s is %g", arch->name, arch->eps[0], value);
    json_object_set_new(config, arch->eps[1], json_real(short_number(value)));
    const STensor *table = find_tensor(g, "token_embd.weight");
    if (!table || table->ndim != 2)
        return err_set(err, "tensor 'token_embd.weight' is missing, or no table");
    json_object_set_new(config, "vocab_size", json_integer((json_int_t)table->shape[0]));
    json_object_set_new(config, "tie_word_embeddings",
                        json_boolean(!find_tensor(g, "output.weight")));
    json_object_set_new(config, "dtype", json_string("float32"));
    if (add_token(g, config, "bos_token_id", "bos_token_id", err) != 0 ||
        add_token(g, config, "eos_token_id", "eos_token_id", err) != 0 ||
        add_token(g, config, "eot_token_id", "eos_token_id", err) != 0)
        return -1;
    return arch->rotary ? add_rotary(g, arch, config, err) : 0;
}

json_t *gguf_config(const char *path, Err *err)
{
    Gguf *g = gguf_open(path, err);
    if (!g)
        return NULL;
    const Arch *arch = find_arch(g, err);
    json_t *config =
        arch ? json_pack("{s:[s], s:s}", "architectures", arch->class, "model_type", arch->name)
             : NULL;
    if (arch && fill_config(g, arch, config, err) != 0) {
        json_decref(config);
        config = NULL;
    }
    if (!config)
        err_prefix(err, "'%s'", path);
    gguf_free(g);
    return config;
}

/* ---- tensors ---- */

typedef struct Owned {
    Gguf *file;
    TokenTable seen; /* the new names */
    char **names;
    void **copies;
    size_t count;
} Owned;

static void owned_free(void *owner)
{
    Owned *o = owner;
    for (size_t i = 0; i < o->count; i++) {
        free(o->names[i]);
        free(o->copies[i]);
    }
    free(o->names);
    free(o->copies);
    token_table_release(&o->seen);
    gguf_free(o->file);
    free(o);
}

static const char *renamed(const Renamed *list, const char *stem, size_t len)
{
    for (; list->ours; list++)
        if (strlen(list->ours) == len && memcmp(list->ours, stem, len) == 0)
            return list->theirs;
    return NULL;
}

/* The name in a checkpoint. Caller frees. */
static char *checkpoint_name(const Arch *arch, const char *name)
{
    const char *dot = strrchr(name, '.');
    unsigned layer;
    int begin = 0;
    if (dot && sscanf(name, "blk.%5u.%n", &layer, &begin) == 1 && begin > 0 && name + begin < dot) {
        const char *to = renamed(arch->in_layer, name + begin, (size_t)(dot - name - begin));
        if (to)
            return xasprintf("%s.%u.%s%s", arch->layer, layer, to, dot);
    }
    const char *to = dot ? renamed(arch->whole, name, (size_t)(dot - name)) : NULL;
    return to ? xasprintf("%s%s", to, dot) : xstrdup(name);
}

/* Row 2i + s of a head in the file is row s half + i of the checkpoint. */
static int unpermute(const Gguf *g, const Arch *arch, STensor *t, void **copy, Err *err)
{
    double heads = 0;
    bool of_k = text_ends_with(t->name, "attn_k.weight");
    if (!(of_k && arch_number(g, arch, "attention.head_count_kv", &heads)))
        arch_number(g, arch, "attention.head_count", &heads);
    size_t n = heads >= 1 && heads <= MAX_DIMENSION ? (size_t)heads : 0;
    if (t->ndim != 2 || n == 0 || t->shape[0] % (2 * n) != 0)
        return err_set(err, "tensor '%.200s' has no rows for %g heads", t->name, heads);
    size_t half = t->shape[0] / n / 2, row = st_bytes(t->dtype, t->shape[1]);
    char *to = *copy = xmalloc(t->bytes + 1);
    const char *from = t->data;
    for (size_t h = 0; h < n; h++)
        for (size_t i = 0; i < half; i++)
            for (size_t s = 0; s < 2; s++)
                memcpy(to + ((2 * h + s) * half + i) * row, from + (2 * (h * half + i) + s) * row,
                       row);
    t->data = *copy;
    return 0;
}

static int transpose(STensor *t, void **copy, Err *err)
{
    size_t rows = t->shape[0], cols = t->shape[1];
    float *x = xmalloc(stensor_count(t) * sizeof *x + 1),
          *y = xmalloc(stensor_count(t) * sizeof *y + 1);
    int rc = safetensors_to_f32(t, x, err);
    for (size_t i = 0; i < rows && rc == 0; i++)
        for (size_t j = 0; j < cols; j++)
            y[j * rows + i] = x[i * cols + j];
    free(x);
    *copy = y;
    *t = stensor_make(t->name, ST_F32, 2, (size_t[]){cols, rows}, y);
    return rc;
}

static int rearrange(const Gguf *g, const Arch *arch, STensor *t, void **copy, Err *err)
{
    static const char *const conv1d[] = {"attn_qkv.weight", "attn_output.weight", "ffn_up.weight",
                                         "ffn_down.weight"};
    if (arch->permuted &&
        (text_ends_with(t->name, ".attn_q.weight") || text_ends_with(t->name, ".attn_k.weight")))
        return unpermute(g, arch, t, copy, err);
    for (size_t i = 0; i < COUNT_OF(conv1d) && !arch->rotary; i++)
        if (text_ends_with(t->name, conv1d[i]) && t->ndim == 2 && !st_is_blocks(t->dtype))
            return transpose(t, copy, err);
    return 0;
}

static int add_tensor(Owned *o, const Arch *arch, STensor *t, Err *err)
{
    size_t i = o->count++;
    o->names[i] = checkpoint_name(arch, t->name);
    if (rearrange(o->file, arch, t, &o->copies[i], err) != 0)
        return -1;
    if (!token_table_add(&o->seen, o->names[i], strlen(o->names[i]), (int32_t)i))
        return err_set(err, "tensor '%.200s' is there twice", o->names[i]);
    t->name = o->names[i];
    return 0;
}

SafeTensors *gguf_weights(const char *path, Err *err)
{
    Gguf *g = gguf_open(path, err);
    if (!g)
        return NULL;
    size_t n = gguf_num_tensors(g), count = 0;
    Owned *o = xcalloc(1, sizeof *o);
    STensor *tensors = xcalloc(n + 1, sizeof *tensors);
    *o = (Owned){.file = g,
                 .names = xcalloc(n + 1, sizeof *o->names),
                 .copies = xcalloc(n + 1, sizeof *o->copies)};
    token_table_init(&o->seen);
    const Arch *arch = find_arch(g, err);
    int rc = arch ? 0 : -1;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (strcmp(gguf_tensor(g, i)->name, "rope_freqs.weight") == 0)
            continue; /* gguf_config has it */
        tensors[count] = *gguf_tensor(g, i);
        rc = add_tensor(o, arch, &tensors[count++], err);
    }
    SafeTensors *all = NULL;
    if (rc == 0)
        all = safetensors_over(tensors, count, o, owned_free);
    else
        owned_free(o);
    free(tensors);
    if (!all)
        err_prefix(err, "'%s'", path);
    return all;
}
