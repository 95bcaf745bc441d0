/* exec: runs the steps of a plan, one after the other. Exec owns the arena; a run allocates
 * nothing.
 *
 * Several plans (one for each batch and length) may run in one Exec, sized for the largest of
 * them. */
#pragma once

#include "autograd/op.h"
#include "autograd/plan.h"

/* What an op sees of the run. */
struct ExecCtx {
    int threads;
    void *scratch;      /* OpDef.scratch_bytes, 64-byte aligned, contents undefined */
    unsigned add;       /* see Step */
    DType product;      /* see Exec */
    bool with_backward; /* the plan has a backward phase */
    size_t part, parts; /* of a sequence whose rows are divided (slices.h), else 0 of 1 */
    bool training;      /* see TrainingRun */
    uint64_t seed, step;
    size_t first_row, first_sequence;
    const int32_t *past; /* see Exec; NULL where the plan has no states */
    uint64_t *part_ns;   /* where the op adds the time of its parts (OpDef.parts); NULL: nowhere */
};

/* Whether the gradient of in[i] has a value already. */
static inline bool exec_adds(const ExecCtx *c, int i)
{
    return c->add >> i & 1;
}

/* How many threads `work` pays for, in floating-point operations or elements, roughly a nanosecond
 * each: one below the cost of a parallel region, c->threads above. */
int exec_threads(const ExecCtx *c, double work);

typedef enum Phase { PHASE_FORWARD, PHASE_BACKWARD } Phase;

/* When a step began (clock_ns), how long it took, and in which slice of a divided run (slices.h).
 * part_ns: time inside it, summed over threads, of what its op names (OpDef.parts). products: what
 * it multiplied (products_taken). */
typedef struct StepTime {
    int64_t start_ns;
    uint64_t ns;
    size_t slice;
    uint64_t part_ns[MAX_STEP_PARTS];
    unsigned products;
} StepTime;

/* Called after every step, by the thread that ran it: by several at once in a divided run. */
typedef void StepHook(void *ctx, const Step *step, const StepTime *time);

/* What only training sets, before a phase. All zero: a plain run. */
typedef struct TrainingRun {
    bool active;         /* dropout drops */
    uint64_t seed, step; /* of dropout's masks; both phases of a run need the same */
    bool accumulate;     /* backward adds to parameter gradients, whatever the schedule says */
    float loss_weight;   /* gradient of the root; 0 stands for 1 */
    /* Of a part of a batch, where it begins in the whole: positions and sequences before it. */
    size_t first_row, first_sequence;
} TrainingRun;

/* Called before every step, a STEP_GRAD_READY too, by the thread that runs it. For what has to be
 * there before the step: weights of other processes. Not in a divided run. */
typedef void BeforeStep(void *ctx, const Step *step);

typedef struct Exec {
    char *arena, *scratch;
    size_t bytes; /* of both */
    int threads;
    DType product; /* what fp32 operands of matrix products are rounded to; DT_F32 = they are not */
    bool poison;   /* fill buffers with NaN when their life ends; on in POISON builds */
    StepHook *hook;
    void *hook_ctx;
    BeforeStep *before;
    void *before_ctx;
    TrainingRun training;
    /* [B], borrowed; of a plan with states: how many positions of each sequence these hold before
     * the run. Its rows are the positions that follow. */
    const int32_t *past;
} Exec;

/* Maps the arena for every plan that needs at most `arena_bytes` and `scratch_bytes`. The first run
 * pays for its pages. -1 where the system refuses. */
int exec_init(Exec *e, size_t arena_bytes, size_t scratch_bytes, int threads, Err *err);
void exec_release(Exec *e);

/* Runs one phase of the plan. PHASE_BACKWARD must follow PHASE_FORWARD of the same plan. */
void exec_run(Exec *e, const Plan *p, Phase phase);

/* Copies into an input, or out of a kept tensor, of the plan that ran last in this Exec. exec_read
 * widens a smaller floating-point format to fp32. */
void exec_write(Exec *e, const Plan *p, const Tensor *t, const void *src);
void exec_read(const Tensor *t, void *dst);
