/* data: what `tare train` learns from: examples as token ids, and the batches of an epoch.
 *
 * The one idea: the batches of an epoch are a pure function of examples, seed and epoch, so a training
 * can be taken up at any step without a stored order. Examples of similar length (of one bucket) share
 * a batch. Models are not known here, files only through text/jsonl.h. */
#ifndef TARE_BENCH_TRAIN_DATA_H
#define TARE_BENCH_TRAIN_DATA_H

#include "model/tokenizer/wordpiece.h"
#include "bench/text/jsonl.h"

typedef struct Examples {
    size_t count;
    int32_t *ids;   /* of all examples, one after the other */
    size_t *start;  /* [count + 1]; example i is ids[start[i]] to ids[start[i + 1] - 1] */
    int32_t *label; /* [count]; NULL for a language model: the target of an id is the next one */
} Examples;

/* Texts become ids, those over max_length cut by the tokenizer. -1: the file is faulty, or the tokenizer
 * has more ids than the model's vocab_size. */
int examples_load_texts(Examples *e, const char *path, const Labels *labels, const WordPiece *w,
                        size_t max_length, size_t vocab_size, Err *err);

/* The bytes of a file in windows of `context`, which do not overlap: the last `held_out` part of the file
 * goes to `held`, the rest to `train`. -1: not enough for one window each (held stays empty where
 * held_out is 0, train where it is 1). */
int examples_load_bytes(Examples *train, Examples *held, const char *path, size_t context,
                        double held_out, Err *err);
void examples_release(Examples *e);

size_t example_length(const Examples *e, size_t i);

/* A hash of all ids and labels. */
uint64_t examples_hash(const Examples *e);

/* Lengths that grow by about a quarter (8, 16, 24, 32, 40, 56, ...), at most `most`, of which each is the
 * bucket of some example. Caller frees. */
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

/* What a model reads of a batch whose examples lie one after the other, as model/recording.h says of rows. */
typedef struct BatchArrays {
    int32_t *tokens;  /* [positions] */
    int32_t *starts;  /* [batch + 1] */
    int32_t *targets; /* [positions], of a classifier [batch] */
} BatchArrays;

BatchArrays batch_arrays_new(size_t batch, size_t positions);
void batch_arrays_free(BatchArrays *a);

/* For a model of so many sequences and positions, no fewer than the batch has: what is over has no target, and
 * sequences that are over are empty. */
void batch_fill(const Examples *e, const TrainBatch *b, size_t batch, size_t positions,
                BatchArrays *out);

#endif
