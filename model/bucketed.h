/* bucketed: one model recorded at several sizes, for texts that differ in length.
 *
 * The one idea: every recording (a bucket) has its own graph and plan, but all share one Params
 * and, running one at a time, one Exec of the largest plan's size. The caller chooses a text's
 * bucket. A single recording of fixed size is model.h. */
#pragma once

#include "autograd/exec.h"
#include "model/families/family.h"

typedef struct Bucket {
    size_t size; /* positions: its `context`, or its `rows` where those are wanted */
    Graph graph;
    Recording record;
    Schedule schedule;
    Plan plan;
} Bucket;

typedef struct Bucketed {
    ModelConfig config;
    RecordWants wants; /* of every bucket, but for its size */
    Params params;
    Exec exec;
    Bucket *list; /* by ascending size */
    size_t count;
    int threads;
} Bucketed;

/* One batch, shaped as in Recording; an input that was not recorded is not read. Ids and starts out
 * of range are our bug. */
typedef struct BucketInput {
    const int32_t *tokens, *mask, *types, *targets, *starts;
} BucketInput;

/* Records, schedules and plans one bucket for each of the ascending `sizes`: contexts of at most
 * c->max_positions or, where wants->rows is not 0, numbers of rows for sequences of at most
 * wants->context. Allocates nothing large. The configuration has been checked. */
void bucketed_plan(Bucketed *m, const ModelConfig *c, const RecordWants *wants, const size_t *sizes,
                   size_t count, bool backward, int threads);

/* Bytes that bucketed_alloc maps: the weights with what `want` asks for, and the largest arena. */
size_t bucketed_bytes(const Bucketed *m, ParamsMemory want);

/* Maps weights (with what `want` asks for) and arena. -1 when the system refuses. */
int bucketed_alloc(Bucketed *m, ParamsMemory want, Err *err);
void bucketed_release(Bucketed *m);

/* The first bucket that holds so many positions; there must be one. */
size_t bucketed_find(const Bucketed *m, size_t positions);

/* Copies the inputs, for a run that somebody else makes of the bucket's plan. */
void bucketed_set(Bucketed *m, size_t bucket, const BucketInput *in);
void bucketed_forward(Bucketed *m, size_t bucket, const BucketInput *in);
void bucketed_backward(Bucketed *m, size_t bucket); /* after its forward */

float bucketed_loss(const Bucketed *m, size_t bucket); /* of its last forward */

/* [batch, labels]; valid until the next run. */
const float *bucketed_logits(const Bucketed *m, size_t bucket);
