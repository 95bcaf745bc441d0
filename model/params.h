/* params: the weights of a model, their gradients and moments, in flat blocks.
 *
 * The one idea: recording a model declares its parameters. The recorder asks for each by name and
 * shape; the first recording declares it, every later one finds it. So names, shapes and initial
 * values stand in one place, the family's file. Memory comes afterwards, in params_alloc.
 *
 * For forward passes only, matrices may be held in a smaller format than fp32, or those that
 * multiply in fp32 as products read it. Matrices that multiply are then packed (kernels.h) and in
 * no other form; tables that are only looked up are held row by row. Vectors are always fp32.
 * params_store is the one way into such a form. It reads no files. */
#pragma once

#include "autograd/optim/adamw.h"
#include "autograd/tensor.h"

/* Program, libraries, thread stacks and the graph itself; measured on a two-layer model. */
enum { MODEL_PROCESS_BYTES = 16 << 20 };

typedef enum Init {
    INIT_NORMAL,
    INIT_TRUNCATED, /* a normal cut at 3 std: what lies beyond is drawn again */
    INIT_ZEROS,
    INIT_ONES
} Init;

enum { MAX_PARTS = 3 }; /* of a joined parameter: query, key, value */

/* How a parameter begins and how checkpoints store it. */
typedef struct ParamSpec {
    size_t rows, cols; /* a matrix [rows, cols]; cols == 0: a vector [rows] */
    Init init;
    float std;               /* of INIT_NORMAL and INIT_TRUNCATED */
    bool transposed;         /* checkpoints hold [cols, rows] (GPT-2's Conv1D) */
    size_t parts[MAX_PARTS]; /* rows of each alternative of the name; all 0: equally many */
} ParamSpec;

/* `name` is the checkpoint's name without the family's prefix. Alternatives in braces, as in
 * "self.{query,key,value}.weight", are tensors that checkpoints keep apart and the model reads as
 * one, stacked by rows. */
typedef struct Param {
    Tensor tensor;
    ParamSpec spec;
    char *name;
    size_t offset; /* in floats, into each flat block of fp32 */
    WeightPack pack;
} Param;

typedef struct Params {
    Param **list;
    size_t count;
    Param **by_name; /* a hash table of 2^bits places, at most half full; NULL: free */
    unsigned bits;
    DType format;        /* of the matrices in memory */
    size_t block_floats; /* of one flat block, each parameter padded to a cache line */
    float *weights, *grads, *moment1, *moment2; /* NULL until allocated, or not wanted */
    char *small; /* the weights where some have no plain fp32 form; then `weights` is NULL */
    size_t small_bytes;
    char *packs;
    size_t pack_bytes; /* of `packs`, or of the packed matrices, which come first, in `small` */
    uint64_t step;     /* updates done */
} Params;

void params_init(Params *p);
void params_release(Params *p);

/* Finds the parameter of this name or declares it. Declaring after params_alloc is our bug, and so
 * is another shape. The tensor belongs to p. */
Tensor *params_get(Params *p, ParamSpec spec, const char *name_format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets the format of every matrix declared so far, which is fp32 otherwise. Call it after
 * recording, before planning and params_alloc. */
void params_set_format(Params *p, DType matrices);

/* What to allocate beside the weights. A small format has neither gradients nor moments, and is
 * packed already. */
typedef struct ParamsMemory {
    bool grads, moments;
    bool packs;      /* a lasting packed copy of every matrix that multiplies, ... */
    DType pack_type; /* ... in this format */
    /* Instead of such a copy: what multiplies in fp32 is packed and in no other form. */
    bool packed_only;
} ParamsMemory;

/* Bytes that params_alloc will take for the parameters declared so far. */
size_t params_bytes(const Params *p, ParamsMemory want);

/* Maps the blocks, untouched, and points every tensor into them. -1 when the system refuses. */
int params_alloc(Params *p, ParamsMemory want, Err *err);

/* Rows of a parameter (of a vector: elements), as fp32; or, for an int8 matrix, as levels and
 * scales; or, for a matrix of q8_0 or q4_0, as its groups. */
typedef struct ParamRows {
    size_t from, to;      /* of a matrix: `from` a multiple of params_slice_rows */
    const float *values;  /* [to - from, cols], or NULL where there is one of these: */
    const int8_t *levels; /* [to - from, cols]; a weight is level x scale */
    const float *scale;   /* [to - from] */
    const void *groups;   /* [to - from, dtype_bytes of cols] */
} ParamRows;

/* Rounds the rows to the parameter's format and stores them in its memory: bf16 and fp16 to nearest
 * even, int8 with one scale a row, the largest weight being level 127, q8_0 and q4_0 as the kernel
 * narrow says. Vectors are rounded to bf16
 * or fp16 but held in fp32. Call params_touched once all rows are stored. */
void params_store(Params *p, size_t k, ParamRows rows, int threads);

/* How many rows of parameter k to store at a time, so that no second copy of it has to exist. */
size_t params_slice_rows(const Params *p, size_t k);

/* Fills the weights as each spec says; element i of parameter k depends on (seed, k, i) alone. */
void params_randomize(Params *p, uint64_t seed, int threads);

/* The same of parameter k of an fp32 model alone; params_touched once all are filled. */
void params_randomize_one(Params *p, size_t k, uint64_t seed, int threads);

/* One AdamW step over all parameters from their gradients; matrices decay, vectors do not. */
void params_update(Params *p, const AdamW *o, float grad_scale, int threads);

/* The same over some ranges of the flat block alone, which begin and end at cache lines: the share
 * of one process of several. Moments elsewhere stay untouched memory. */
void params_update_ranges(Params *p, const AdamW *o, float grad_scale, int threads,
                          const Range *ranges, size_t count);

/* Tells that weights were written by other means: packed copies will be made again. */
void params_touched(Params *p);

/* Number of weights. */
size_t params_total(const Params *p);
