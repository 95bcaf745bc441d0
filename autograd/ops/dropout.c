/* dropout: y = x * m / (1 - rate) + residual in a training run, x + residual otherwise; m is 1 with
 * probability 1 - rate, else 0 (Srivastava et al. 2014, in the inverted form).
 *
 * The mask m is a pure function of (seed, step, node, element); backward computes it again. An
 * element is counted in the whole batch, of which a run may have a part (TrainingRun). One hash
 * serves four elements with 16 bits each, so the rate is rounded to a multiple of 2^-16. */
#include <math.h>
#include <string.h>

#include "autograd/ops.h"

enum { X, RESIDUAL };

typedef struct Attr {
    uint32_t dropped; /* how many of DROPOUT_LEVELS equally likely values drop an element */
    bool by_sequence; /* a row a sequence, not a position */
} Attr;

Tensor *op_dropout(Graph *g, Tensor *x, float rate, Tensor *residual, bool by_sequence)
{
    CHECK(rate >= 0 && rate < 1, "a dropout rate of %g", (double)rate);
    CHECK(!residual || (residual != x && tensor_count(residual) == tensor_count(x)),
          "the residual is another tensor of the shape of x");
    CHECK(x->dtype == DT_F32, "dropout is for training, and that is fp32");
    Tensor *t = graph_node(g, &op_dropout_def, 2, (size_t[]){tensor_rows(x), tensor_channels(x)}, 2,
                           (Tensor *[]){x, residual}, sizeof(Attr));
    uint32_t dropped = (uint32_t)lrintf(rate * DROPOUT_LEVELS);
    *(Attr *)t->attr = (Attr){dropped < DROPOUT_LEVELS ? dropped : DROPOUT_LEVELS - 1, by_sequence};
    return t;
}

enum { SLICE = 1024 }; /* elements at a time; they stay in the first-level cache */

/* Elements [from, from + n) of t; the key of its mask, and the place in it of the first. */
typedef struct Part {
    uint64_t key;
    size_t from, n, place;
} Part;

/* y = x * m; the kernel's masks begin at multiples of DROPOUT_STEP. */
static void mask(const float *x, float *y, const Tensor *t, Part p)
{
    uint32_t dropped = ((const Attr *)t->attr)->dropped;
    float step[DROPOUT_STEP] = {0};
    size_t skipped = p.place % DROPOUT_STEP, head = skipped ? DROPOUT_STEP - skipped : 0;
    head = head < p.n ? head : p.n;
    if (head) {
        memcpy(step + skipped, x, head * sizeof *step);
        kernels()->dropout(step, step, DROPOUT_STEP, p.key, p.place - skipped, dropped);
        memcpy(y, step + skipped, head * sizeof *step);
    }
    if (p.n > head)
        kernels()->dropout(x + head, y + head, p.n - head, p.key, p.place + head, dropped);
}

static void forward_part(const Tensor *t, const ExecCtx *c, Part p)
{
    const float *x = (const float *)t->in[X]->data + p.from;
    float *y = (float *)t->data + p.from;
    if (c->training)
        mask(x, y, t, p);
    else
        memcpy(y, x, p.n * sizeof *y);
    if (t->in[RESIDUAL])
        kernels()->add(y, (const float *)t->in[RESIDUAL]->data + p.from, y, p.n);
}

/* dst = or += src */
static void contribute(const float *src, float *dst, bool add, size_t n)
{
    if (add)
        kernels()->add(dst, src, dst, n);
    else
        memcpy(dst, src, n * sizeof *dst);
}

static void backward_part(const Tensor *t, const ExecCtx *c, Part p)
{
    float *dy = t->grad + p.from, *dx = t->in[X]->grad;
    float *dr = t->in[RESIDUAL] ? t->in[RESIDUAL]->grad : NULL;
    if (dr)
        contribute(dy, dr + p.from, exec_adds(c, RESIDUAL), p.n);
    if (!dx)
        return;
    if (c->training)
        mask(dy, dy, t, p);
    contribute(dy, dx + p.from, exec_adds(c, X), p.n);
}

static void for_parts(const Tensor *t, ExecCtx *c,
                      void (*work)(const Tensor *t, const ExecCtx *c, Part p))
{
    size_t count = tensor_count(t),
           row = ((const Attr *)t->attr)->by_sequence ? c->first_sequence : c->first_row;
    size_t place = row * tensor_channels(t);
    uint64_t key = rng_key(rng_u64(c->seed, (uint64_t)t->index, c->step), 0);
    int threads = exec_threads(c, 2.0 * (double)count);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t from = 0; from < count; from += SLICE)
        work(t, c, (Part){key, from, count - from < SLICE ? count - from : SLICE, place + from});
}

static void forward(const Tensor *t, ExecCtx *c)
{
    for_parts(t, c, forward_part);
}

static void backward(const Tensor *t, ExecCtx *c)
{
    for_parts(t, c, backward_part);
}

const OpDef op_dropout_def = {.name = "dropout",
                              .same_format = SAVE_IN(X) | SAVE_IN(RESIDUAL),
                              .forward = forward,
                              .backward = backward};
