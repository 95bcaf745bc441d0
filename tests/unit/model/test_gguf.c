/* test_gguf: the container, byte by byte, and what a model in it becomes: blocks to fp32, rows of q
 * and k in the order of checkpoints, config and names; what a file is refused for. */
#include "model/files/gguf.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/files/checkpoint.h"
#include "model/files/generation.h"
#include "model/files/gguf_model.h"
#include "model/files/model_tokenizer.h"
#include "model/files/quant_blocks.h"

#include "tests/support/temp_dir.h"

TestSuite(gguf, .init = temp_dir_make, .fini = temp_dir_remove);

/* ---- writing one ---- */

static ByteBuffer file;

static void put(const void *bytes, size_t len)
{
    bytes_append(&file, bytes, len);
}

static void put_u32(uint32_t v)
{
    put(&v, sizeof v);
}

static void put_u64(uint64_t v)
{
    put(&v, sizeof v);
}

static void put_text(const char *s)
{
    put_u64(strlen(s));
    put(s, strlen(s));
}

static void begin(uint64_t tensors, uint64_t keys)
{
    file.len = 0;
    put("GGUF", 4);
    put_u32(3);
    put_u64(tensors);
    put_u64(keys);
}

static void key_u32(const char *key, uint32_t value)
{
    put_text(key);
    put_u32(4);
    put_u32(value);
}

static void key_f32(const char *key, float value)
{
    put_text(key);
    put_u32(6);
    put(&value, sizeof value);
}

static void key_text(const char *key, const char *value)
{
    put_text(key);
    put_u32(8);
    put_text(value);
}

static void tensor_info(const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                        uint64_t offset)
{
    put_text(name);
    put_u32(rows ? 2 : 1);
    put_u64(cols);
    if (rows)
        put_u64(rows);
    put_u32(type);
    put_u64(offset);
}

static void pad(void)
{
    while (file.len % 32)
        put("", 1);
}

static const char *write_file(void)
{
    return temp_write_bytes("m.gguf", file.data, file.len);
}

static void expect_refused(const char *why)
{
    Err err = {""};
    const char *path = write_file();
    Gguf *g = gguf_open(path, &err);
    cr_expect(!g && strstr(err.msg, why) && strstr(err.msg, path), "'%s', wanted '%s'", err.msg,
              why);
    gguf_free(g);
}

/* Keys of every kind and two tensors; returns its length without the tensors. */
static size_t write_good(void)
{
    float values[16];
    begin(2, 5);
    key_text("general.name", "a name");
    key_u32("n", 7);
    key_f32("x", 0.5f);
    put_text("list");
    put_u32(9);
    put_u32(8);
    put_u64(2);
    put_text("one");
    put_text("");
    put_text("numbers");
    put_u32(9);
    put_u32(3);
    put_u64(2);
    put("\xff\xff\x02\x00", 4);
    tensor_info("b", 2, 4, 0, 32);
    tensor_info("a", 8, 0, 0, 0);
    pad();
    size_t header = file.len;
    for (int i = 0; i < 16; i++)
        values[i] = (float)i;
    put(values, sizeof values);
    return header;
}

Test(gguf, keys_and_tensors)
{
    Err err;
    double x;
    size_t count;
    write_good();
    const char *path = write_file();
    cr_expect(path_is_gguf(path) && !path_is_gguf(temp_dir) && !path_is_gguf("/dev/null"));
    Gguf *g = gguf_open(path, &err);
    cr_assert(g, "%s", err.msg);
    cr_expect_str_eq(gguf_text(g, "general.name"), "a name");
    cr_expect(!gguf_text(g, "n") && !gguf_text(g, "none"));
    cr_expect(gguf_number(g, "n", &x) && x == 7);
    cr_expect(gguf_number(g, "x", &x) && x == 0.5);
    cr_expect(!gguf_number(g, "general.name", &x) && !gguf_number(g, "list", &x));
    GgufText *texts = gguf_texts(g, "list", &count);
    cr_assert(texts && count == 2 && texts[0].len == 3 && memcmp(texts[0].at, "one", 3) == 0 &&
              texts[1].len == 0);
    double *numbers = gguf_numbers(g, "numbers", &count);
    cr_assert(numbers && count == 2 && numbers[0] == -1 && numbers[1] == 2);
    cr_expect(!gguf_texts(g, "numbers", &count) && !gguf_numbers(g, "list", &count));
    const STensor *b = gguf_tensor(g, 0);
    cr_assert(gguf_num_tensors(g) == 2 && b->ndim == 2 && b->shape[0] == 4 && b->shape[1] == 2 &&
              b->bytes == 32 && strcmp(b->name, "b") == 0);
    float first;
    memcpy(&first, b->data, sizeof first);
    cr_expect_eq(first, 8);
    free(texts);
    free(numbers);
    static const char *const keys[] = {"x", "general.name", "numbers", "list"};
    for (GgufKind kind = GGUF_NUMBER; kind <= GGUF_TEXTS; kind++)
        for (size_t i = 0; i < COUNT_OF(keys); i++)
            cr_expect((gguf_check_kind(g, keys[i], kind, &err) == 0) == (i == (size_t)kind));
    cr_expect(strcmp(err.msg, "numbers is a list of numbers, but must be a list of texts") == 0 &&
              gguf_check_kind(g, "none", GGUF_TEXT, &err) == 0);
    gguf_free(g);
}

/* However it is cut, it is refused and nothing beyond the cut is read. */
Test(gguf, cut_anywhere)
{
    write_good();
    size_t whole = file.len;
    for (file.len = 4; file.len < whole; file.len++) {
        Err err = {""};
        Gguf *g = gguf_open(write_file(), &err);
        cr_assert(!g && *err.msg, "%zu of %zu bytes are accepted", file.len, whole);
    }
}

Test(gguf, what_a_container_is_refused_for)
{
    begin(0, 0);
    file.data[4] = 2;
    expect_refused("its version is 2; 3, little-endian, is built");
    begin(0, 1ull << 60);
    expect_refused("keys, at most");
    begin(1ull << 60, 0);
    expect_refused("tensors, at most");
    begin(0, 2);
    key_u32("k", 1);
    key_u32("k", 2);
    expect_refused("the key 'k' is there twice");
    begin(0, 1);
    put_text("k");
    put_u32(77);
    expect_refused("'k': its type 77 is not known");
    begin(0, 1);
    put_text("k");
    put_u32(9);
    put_u32(9);
    put_u64(1);
    expect_refused("'k': it is a list of type 9");
    begin(0, 1);
    put_text("k");
    put_u32(9);
    put_u32(12);
    put_u64(1ull << 61);
    expect_refused("the file ends before");
    begin(0, 1);
    key_text("k", "\xff");
    expect_refused("'k': it is not UTF-8");
    begin(0, 1);
    put_text("\xff");
    expect_refused("is no text");
    begin(0, 1);
    key_u32("general.alignment", 0);
    expect_refused("general.alignment is 0");
    begin(0, 1);
    key_u32("general.alignment", 24);
    expect_refused("general.alignment is 24, but must be a power of two");
    begin(0, 1);
    key_text("general.alignment", "32");
    expect_refused("general.alignment is a text, but must be a number");
}

static void expect_tensor_refused(uint64_t cols, uint64_t rows, uint32_t type, uint64_t offset,
                                  const char *why)
{
    begin(2, 0);
    tensor_info("a", 8, 0, 0, 0);
    tensor_info("t", cols, rows, type, offset);
    pad();
    for (int i = 0; i < 32; i++)
        put_u64(0);
    expect_refused(why);
}

Test(gguf, what_tensors_are_refused_for)
{
    expect_tensor_refused(32, 1, 12, 32, "tensor 't': its type Q4_K (12) is not built");
    expect_tensor_refused(32, 1, 99, 32, "tensor 't': its type unknown (99) is not built");
    expect_tensor_refused(33, 1, 8, 32, "rows are not of whole blocks");
    expect_tensor_refused(1ull << 40, 1ull << 40, 0, 32, "the product of its shape is too large");
    expect_tensor_refused(9, 1, 0, 224, "tensor 't' ends beyond the file");
    expect_tensor_refused(8, 1, 0, UINT64_MAX - 31, "tensor 't' ends beyond the file");
    expect_tensor_refused(8, 1, 0, 33, "tensor 't' begins at 33, no multiple of 32");
    expect_tensor_refused(8, 1, 0, 0, "overlaps");
    begin(2, 0);
    tensor_info("t", 8, 0, 0, 0);
    tensor_info("t", 8, 0, 0, 32);
    expect_refused("tensor 't' is there twice");
    begin(1, 0);
    put_text("t");
    put_u32(5);
    expect_refused("tensor 't': it has 5 dimensions");
    for (int empty = 0; empty < 2; empty++) { /* 0 bytes, of no whole blocks or endless rows */
        begin(1, 0);
        put_text("t");
        put_u32(2);
        put_u64(empty ? 5 : 0);
        put_u64(empty ? 0 : 1ull << 60);
        put_u32(8);
        put_u64(0);
        expect_refused("tensor 't': it has a dimension of 0");
    }
}

/* ---- blocks ---- */

Test(gguf, blocks_to_fp32)
{
    unsigned seed = 3;
    for (int round = 0; round < 200; round++) {
        unsigned char block[34];
        float got[QUANT_BLOCK];
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = (unsigned char)rand_r(&seed);
        block[1] &= 0x3f; /* finite */
        block[3] &= 0xbf;
        uint16_t half[2];
        memcpy(half, block, sizeof half);
        double d = (double)f32_of_f16(half[0]), m = (double)f32_of_f16(half[1]);
        for (StDtype type = ST_Q8_0; type <= ST_Q4_1; type++) {
            quant_blocks_to_f32(type, block, QUANT_BLOCK, got);
            for (size_t i = 0; i < QUANT_BLOCK; i++) {
                size_t at = (type == ST_Q4_1 ? 4u : 2u) + i % 16;
                int nibble = i < 16 ? block[at] & 15 : block[at] >> 4;
                float want = type == ST_Q8_0   ? (float)(d * (int8_t)block[2 + i])
                             : type == ST_Q4_0 ? (float)(d * (nibble - 8))
                                               : (float)((double)(float)(d * nibble) + m);
                cr_assert(got[i] == want, "type %d, element %zu: %a, wanted %a", type, i,
                          (double)got[i], (double)want);
            }
        }
    }
}

/* ---- a model ---- */

enum { WIDTH = 8, HEADS = 2, KV = 1, ROWS = 8 };

static const char *end_key = "tokenizer.ggml.eos_token_id", *text_key;

/* A value of a key of floats is its bits; text_key is a text. */
static void write_llama(const char *changed, uint32_t value)
{
    const struct {
        const char *name;
        uint32_t value;
    } keys[] = {{"llama.embedding_length", WIDTH},
                {"llama.block_count", 1},
                {"llama.attention.head_count", HEADS},
                {"llama.attention.head_count_kv", KV},
                {"llama.feed_forward_length", 12},
                {"llama.context_length", 16},
                {"llama.rope.dimension_count", WIDTH / HEADS},
                {"llama.expert_count", 0},
                {end_key, 2}};
    static const struct {
        const char *name;
        uint64_t cols, rows;
    } tensors[] = {
        {"token_embd.weight", WIDTH, 5},       {"output_norm.weight", WIDTH, 0},
        {"blk.0.attn_norm.weight", WIDTH, 0},  {"blk.0.ffn_norm.weight", WIDTH, 0},
        {"blk.0.attn_q.weight", WIDTH, WIDTH}, {"blk.0.attn_k.weight", WIDTH, 4},
        {"blk.0.attn_v.weight", WIDTH, 4},     {"blk.0.attn_output.weight", WIDTH, WIDTH},
        {"blk.0.ffn_gate.weight", WIDTH, 12},  {"blk.0.ffn_up.weight", WIDTH, 12},
        {"blk.0.ffn_down.weight", 12, WIDTH}};
    uint64_t offset = 0;
    static const char *const floats[] = {"llama.attention.layer_norm_rms_epsilon",
                                         "llama.rope.freq_base"};
    begin(COUNT_OF(tensors), COUNT_OF(keys) + COUNT_OF(floats) + 1);
    key_text("general.architecture", "llama");
    for (size_t i = 0; i < COUNT_OF(floats); i++) {
        float x = i == 0 ? 1e-5f : 10000;
        if (changed && strcmp(changed, floats[i]) == 0)
            memcpy(&x, &value, sizeof x);
        key_f32(floats[i], x);
    }
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (text_key && strcmp(text_key, keys[i].name) == 0)
            key_text(keys[i].name, "2");
        else
            key_u32(keys[i].name,
                    changed && strcmp(changed, keys[i].name) == 0 ? value : keys[i].value);
    for (size_t i = 0; i < COUNT_OF(tensors); i++) {
        tensor_info(tensors[i].name, tensors[i].cols, tensors[i].rows, 0, offset);
        offset += (tensors[i].cols * (tensors[i].rows ? tensors[i].rows : 1) * 4 + 31) / 32 * 32;
    }
    pad();
    for (size_t i = 0; i < COUNT_OF(tensors); i++) {
        for (uint64_t r = 0; r < (tensors[i].rows ? tensors[i].rows : 1); r++)
            for (uint64_t k = 0; k < tensors[i].cols; k++) {
                float v = (float)(100 * i + r);
                put(&v, sizeof v);
            }
        pad();
    }
}

static void expect_rows(const SafeTensors *all, const char *name, const float *want, size_t n)
{
    const STensor *t = safetensors_find(all, name);
    cr_assert(t, "no '%s'", name);
    for (size_t r = 0; r < n; r++) {
        float v;
        memcpy(&v, (const char *)t->data + r * WIDTH * sizeof v, sizeof v);
        cr_expect_eq(v, want[r], "%s: row %zu is %g, wanted %g", name, r, (double)v,
                     (double)want[r]);
    }
}

Test(gguf, a_llama)
{
    Err err;
    Checkpoint ck;
    write_llama(NULL, 0);
    const char *path = write_file();
    cr_assert(checkpoint_open(&ck, path, &err) == 0, "%s", err.msg);
    cr_expect(checkpoint_check(&ck, &err) == 0 && !ck.unused, "%s", err.msg);
    cr_expect(ck.config.d_model == WIDTH && ck.config.num_kv_heads == KV && ck.config.tied_head &&
              ck.config.vocab_size == 5 && ck.config.norm_eps == 1e-5f && ck.config.d_ff == 12 &&
              ck.config.rope.theta == 10000);
    expect_rows(ck.file, "model.layers.0.self_attn.q_proj.weight",
                (float[]){400, 402, 401, 403, 404, 406, 405, 407}, 8);
    expect_rows(ck.file, "model.layers.0.self_attn.k_proj.weight", (float[]){500, 502, 501, 503},
                4);
    expect_rows(ck.file, "model.layers.0.self_attn.v_proj.weight", (float[]){600, 601, 602, 603},
                4);
    checkpoint_release(&ck);
    json_t *config = gguf_config(path, &err);
    cr_expect(json_integer_value(json_object_get(config, "eos_token_id")) == 2 &&
              json_is_null(json_object_get(config, "bos_token_id")) &&
              json_real_value(json_object_get(config, "rms_norm_eps")) == 1e-5);
    json_decref(config);
}

/* A file that names the end of a turn alone. */
Test(gguf, the_end_of_a_turn_alone_ends_texts)
{
    Err err;
    EndTokens ends;
    end_key = "tokenizer.ggml.eot_token_id";
    write_llama(NULL, 0);
    cr_assert(end_tokens_load(&ends, write_file(), &err) == 0, "%s", err.msg);
    cr_expect(ends.count == 1 && end_tokens_have(&ends, 2));
    end_tokens_release(&ends);
}

Test(gguf, what_a_model_is_refused_for)
{
    static const struct {
        const char *key;
        uint32_t value;
        const char *why;
    } cases[] = {
        {"llama.expert_count", 8, "llama.expert_count 8 is not built"},
        {"llama.rope.dimension_count", 2,
         "heads of 4 channels for q and k, 2 for v or the rotation"},
        {"llama.attention.head_count", 3, "heads of 2 channels"},
        {"llama.attention.head_count_kv", 3, "num_kv_heads 3 does not divide num_heads 2"},
        {"llama.attention.head_count_kv", 0, "head"},
        {"llama.block_count", 1u << 31, "llama.block_count is"},
        {"llama.feed_forward_length", 13, "[12, 8]"},
        {"llama.attention.layer_norm_rms_epsilon", 0x7fc00000,
         "llama.attention.layer_norm_rms_epsilon is nan"},
        {"llama.rope.freq_base", 0x7f800000, "llama.rope.freq_base is inf"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Err err = {""};
        Checkpoint ck;
        write_llama(cases[i].key, cases[i].value);
        const char *path = write_file();
        int status = checkpoint_open(&ck, path, &err);
        if (status == 0) {
            status = checkpoint_check(&ck, &err);
            checkpoint_release(&ck);
        }
        cr_expect(status != 0 && strstr(err.msg, cases[i].why) && strstr(err.msg, path),
                  "'%s', wanted '%s'", err.msg, cases[i].why);
    }
    Err err;
    static const char *const with_default[] = {"llama.attention.head_count_kv",
                                               "llama.rope.dimension_count", "llama.expert_count",
                                               "tokenizer.ggml.eos_token_id"};
    for (size_t i = 0; i < COUNT_OF(with_default); i++) {
        end_key = "tokenizer.ggml.eos_token_id";
        text_key = with_default[i];
        write_llama(NULL, 0);
        cr_expect(!gguf_config(write_file(), &err) && strstr(err.msg, text_key) &&
                      strstr(err.msg, " is a text, but must be a number"),
                  "%s", err.msg);
    }
    end_key = "llama.rope.scaling.factor"; /* and no type */
    text_key = NULL;
    write_llama(NULL, 0);
    cr_expect(!gguf_config(write_file(), &err) &&
                  strstr(err.msg, "llama.rope.scaling.factor 2 is not built"),
              "%s", err.msg);
    begin(0, 1);
    key_text("general.architecture", "mamba");
    cr_expect(!gguf_config(write_file(), &err) &&
                  strstr(err.msg, "general.architecture 'mamba' is not built"),
              "%s", err.msg);
}

/* ---- the tokenizer ---- */

static void write_tokenizer(const char *model, const char *pre)
{
    begin(0, 4);
    key_text("tokenizer.ggml.model", model);
    key_text("tokenizer.ggml.pre", pre);
    put_text("tokenizer.ggml.tokens");
    put_u32(9);
    put_u32(8);
    put_u64(3);
    put_text("a");
    put_text("b");
    put_text("ab");
    put_text("tokenizer.ggml.merges");
    put_u32(9);
    put_u32(8);
    put_u64(1);
    put_text("a b");
}

Test(gguf, tokenizers)
{
    Err err;
    IdBuffer ids = {0};
    write_tokenizer("gpt2", "gpt-2");
    Tokenizer *t = model_tokenizer_load(write_file(), &err);
    cr_assert(t, "%s", err.msg);
    tokenizer_encode(t, "abb", 3, 0, &ids);
    cr_expect(ids.count == 2 && ids.ids[0] == 2 && ids.ids[1] == 1);
    tokenizer_free(t);
    id_buffer_release(&ids);
    write_tokenizer("gpt2", "viking");
    cr_expect(!model_tokenizer_load(write_file(), &err) &&
                  strstr(err.msg, "tokenizer.ggml.pre 'viking' is not built"),
              "%s", err.msg);
    write_tokenizer("llama", "default");
    cr_expect(!model_tokenizer_load(write_file(), &err) &&
                  strstr(err.msg, "tokenizer.ggml.model 'llama' is not built"),
              "%s", err.msg);
    write_tokenizer("gpt2", "gpt-2"); /* and two keys more */
    file.data[16] = 6;
    key_u32("tokenizer.ggml.add_bos_token", 1);
    key_u32("tokenizer.ggml.bos_token_id", 3);
    cr_expect(!model_tokenizer_load(write_file(), &err) &&
                  strstr(err.msg, "add_bos_token is true, but tokenizer.ggml.bos_token_id names"),
              "%s", err.msg);
    begin(0, 2);
    key_text("tokenizer.ggml.model", "gpt2");
    key_text("tokenizer.ggml.pre", "qwen2");
    cr_expect(!model_tokenizer_load(write_file(), &err) &&
                  strstr(err.msg, "tokenizer.ggml.tokens is missing"),
              "%s", err.msg);
}
