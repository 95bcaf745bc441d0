/* decoder: a language model that reads its tokens in pieces and keeps the keys and values of all
 * before: prefill and decode.
 *
 * The one idea: a pass has a fixed number of rows, which the sequences of the batch divide as they
 * please. Passes of several sizes are recorded; all share weights, cache and memory, so a piece of
 * a prompt and one token a sequence are runs of the same model. In fp32 with a cache of fp32, the
 * logits of a position do not depend on the pieces, the batch or the threads, bit for bit.
 *
 * It chooses no token but the likeliest, and reads no files. */
#pragma once

#include "model/families/family.h"
#include "model/precision.h"

enum { DECODER_MAX_PASSES = 4 };

/* What a cache can be stored in, as lists of choices want them; and the format of one of these
 * names. */
#define KV_TYPES "f32|bf16|f16|q8_0"
DType kv_type(const char *name);

typedef struct DecoderOptions {
    size_t batch, capacity; /* sequences, and positions of each */
    /* Rows of the passes, of at least `batch` one; in any order, 0 and repetitions ignored. */
    size_t rows[DECODER_MAX_PASSES];
    Precision precision;
    DType cache_type; /* of KV_TYPES; decoder_cache_takes has accepted it */
    bool blas;        /* fp32 is multiplied by a BLAS, which reads plain weights */
    int threads;
} DecoderOptions;

/* One recording: its whole run, and one that ends once the cache is filled. */
typedef struct DecoderPass {
    size_t rows;
    Graph graph;
    Recording record;
    Schedule whole_steps, fill_steps;
    Plan whole, fill;
} DecoderPass;

typedef struct Decoder {
    ModelConfig config;
    DecoderOptions options;
    Params params;
    Exec exec;
    DecoderPass passes[DECODER_MAX_PASSES]; /* by ascending rows */
    size_t num_passes;
    int32_t *past;   /* [batch]: positions that the cache holds */
    int32_t *next;   /* [batch]: the likeliest token after the last row; -1 where a logit is NaN */
    int32_t *tokens; /* [rows of the largest pass] */
    int32_t *starts; /* [batch + 1] */
    size_t *counts;  /* [batch] */
    Tensor *logits;  /* [batch, V] of the last whole pass, or NULL */
} Decoder;

/* -1, with a sentence, for a model that generates nothing: an encoder, or one without a head. */
int decoder_check(const ModelConfig *c, Err *err);

/* -1, with a sentence, for a cache in groups of channels that a head does not have whole. */
int decoder_cache_takes(const ModelConfig *c, DType cache_type, Err *err);

/* Records and plans; allocates nothing large. The configuration has been checked, and capacity is
 * at most its max_positions. */
void decoder_plan(Decoder *d, const ModelConfig *c, const DecoderOptions *o);

/* Peak resident bytes of a process that runs it; and of these the cache, for one position of one
 * sequence. */
size_t decoder_predicted_bytes(const Decoder *d);
size_t decoder_cache_bytes_per_position(const ModelConfig *c, DType cache_type);

/* Of a model that decoder_check accepts: weights of the matrices that a token is multiplied by; and
 * model FLOPs, counted as by model_flops, of a prompt with the logits of its last row alone, and of
 * `count` tokens one by one behind `past` positions. */
double decoder_matrix_weights(const ModelConfig *c);
double decoder_weight_bytes(const ModelConfig *c, Precision p); /* of those, as multiplied */
double decoder_prefill_flops(const ModelConfig *c, double prompt);
double decoder_step_flops(const ModelConfig *c, double past, double count);

/* Maps weights, cache and arena; nothing is read into the weights. -1 where the system refuses. */
int decoder_alloc(Decoder *d, Err *err);
void decoder_release(Decoder *d);

/* Reads counts[b] more tokens of each sequence, which follow each other in `tokens`; one pass holds
 * them all. `whole`: also finds `logits` and `next` of each sequence that has tokens; otherwise
 * only fills the cache. */
void decoder_read(Decoder *d, const int32_t *tokens, const size_t *counts, bool whole);

/* Prompts, sequence b being tokens[starts[b]] to before starts[b + 1], and how many are read. */
typedef struct Prompts {
    const int32_t *tokens;
    const size_t *starts; /* [batch + 1] */
    size_t read;
} Prompts;

/* Reads the next at most `rows` tokens of the prompts, one sequence after the other. Sets `next` of
 * each sequence that ends with them and, unless NULL, its row of logits [batch, V]. False once
 * nothing was left. */
bool decoder_prefill(Decoder *d, Prompts *p, size_t rows, float *logits);

/* Reads the token next[b] of every sequence. */
void decoder_step(Decoder *d);

/* Reads the matrices that multiply and the cache once, on the model's threads; returns the bytes.
 * What it takes is the read bandwidth over the memory that a step reads. */
size_t decoder_read_memory(const Decoder *d);

/* Forgets all but the first `length` positions of every sequence. */
void decoder_cut(Decoder *d, size_t length);
