/* data: what `tare train` learns from: examples as token ids, and the batches of an epoch.
 *
 * The one idea: the batches of an epoch are a pure function of examples, seed and epoch, so
 * --resume at any step needs no stored order. Examples of similar length (one bucket) share a
 * batch. Models are not known here. */
#pragma once

#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/wordpiece.h"
#include "bench/text/jsonl.h"

typedef struct Examples {
    size_t count;
    int32_t *ids;   /* of all examples, one after the other */
    size_t *start;  /* [count + 1]; example i is ids[start[i]] to ids[start[i + 1] - 1] */
    int32_t *label; /* [count]; NULL for a language model: the target of an id is the next one */
    size_t bytes;   /* of the text that a language model's targets stand for */
} Examples;

/* Turns texts into ids, at most max_length a text. -1: the file is faulty, or the tokenizer has
 * more ids than the model's vocab_size. */
int examples_load_texts(Examples *e, const char *path, const Labels *labels, const WordPiece *w,
                        size_t max_length, size_t vocab_size, Err *err);

/* Cuts the ids of a file's text, or its bytes where there is no tokenizer, into windows of
 * `context` that do not overlap. The last `held_out` share of them goes to `held`, the rest to
 * `train`. -1: not enough for a window in each; held may stay empty if held_out is 0, train if it
 * is 1. */
int examples_load_windows(Examples *train, Examples *held, const char *path,
                          const Tokenizer *tokenizer, size_t context, double held_out, Err *err);
void examples_release(Examples *e);

size_t example_length(const Examples *e, size_t i);

/* A hash of all ids and labels. */
uint64_t examples_hash(const Examples *e);

/* Returns the lengths of the buckets: 8, 16, 24, 32, 40, 56 and so on, each about a quarter longer,
 * at most `most`; without buckets that no example falls into. Caller frees. */
size_t *bucket_lengths(const Examples *const *sets, size_t num_sets, size_t most, size_t *count);

typedef struct TrainBatch {
    size_t context;          /* of its bucket */
    const uint32_t *example; /* [count] */
    size_t count;            /* batch_size, or fewer in the last batch of a bucket */
} TrainBatch;

typedef struct Batches {
    TrainBatch *at;
    size_t count;
    uint32_t *order;
} Batches;

typedef struct BatchOrder {
    size_t batch_size;
    bool shuffle; /* otherwise in the order of the file */
    uint64_t seed, epoch;
} BatchOrder;

void batches_build(Batches *b, const Examples *e, const size_t *lengths, size_t num_lengths,
                   BatchOrder order);
void batches_release(Batches *b);

/* The positions that a batch fills: the lengths of its examples. */
size_t batch_positions(const Examples *e, const TrainBatch *b);

/* A batch as the model reads it: its examples one after the other without padding, as rows in
 * model/recording.h. */
typedef struct BatchArrays {
    int32_t *tokens;  /* [positions] */
    int32_t *starts;  /* [batch + 1] */
    int32_t *targets; /* [positions], of a classifier [batch] */
} BatchArrays;

BatchArrays batch_arrays_new(size_t batch, size_t positions);
void batch_arrays_free(BatchArrays *a);

/* Fills the arrays of a model recorded for `batch` sequences and `positions` positions, which may
 * be more than the batch has: positions left over have no target, sequences left over are empty. */
void batch_fill(const Examples *e, const TrainBatch *b, size_t batch, size_t positions,
                BatchArrays *out);
