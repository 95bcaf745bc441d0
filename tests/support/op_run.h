/* op_run: one op through the engine: recorded on leaves of the test's own, with sum(r y) as the
 * root that is differentiated; dead buffers are full of NaN. It checks nothing. */
#pragma once

#include "tests/support/op_cases.h"

typedef struct RunOptions {
    Recompute recompute;
    int threads;
    int copies; /* how often the op is recorded on the same leaves; 2: every gradient is added to */
    int frozen; /* the leaf that wants no gradient, or -1 */
} RunOptions;

typedef struct Outcome {
    size_t count;            /* of y */
    float *y, *y_again;      /* as forward left it, and as backward found it */
    float *grad[MAX_INPUTS]; /* NULL where there is no float leaf or it was frozen */
} Outcome;

Outcome op_run(const OpSetup *s, const RunOptions *o);
void outcome_release(Outcome *o);

/* r[n], whole numbers in an exact case. Caller frees. */
float *op_weights(const OpSetup *s, size_t n);
