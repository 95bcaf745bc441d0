/* rope: rotary position embedding of q and k (Su et al. 2021); v is copied.
 *
 * The angles of a row are computed when it is turned: they cost less than a thousandth of the
 * products around them. Angle and frequency are fp32, as in Hugging Face's library, so that long
 * contexts meet the rounding that checkpoints were trained with. Backward turns back. */
#include <math.h>
#include <string.h>

#include "autograd/ops/rows.h"
#include "autograd/ops/sequences.h"

enum { X, STARTS };

typedef struct Attr {
    size_t T; /* of the longest sequence */
    Heads heads;
    bool interleaved;
    float frequency[]; /* [channels / 2] */
} Attr;

Tensor *op_rope(Graph *g, Tensor *qkv, Sequences s, Heads heads, const float *frequency,
                bool interleaved)
{
    size_t rows = tensor_rows(qkv), width = heads_width(heads);
    size_t bytes = heads.channels / 2 * sizeof *frequency;
    sequences_check(s, rows);
    CHECK(heads.channels % 2 == 0, "%zu channels cannot be turned in planes", heads.channels);
    CHECK(tensor_channels(qkv) == width, "qkv has %zu channels, its heads %zu",
          tensor_channels(qkv), width);
    Tensor *t = graph_node(g, &op_rope_def, 2, (size_t[]){rows, width}, 2,
                           (Tensor *[]){qkv, s.starts}, sizeof(Attr) + bytes);
    Attr *a = t->attr;
    a->T = s.starts ? s.longest : rows / s.batch;
    a->heads = heads;
    a->interleaved = interleaved;
    memcpy(a->frequency, frequency, bytes);
    return t;
}

/* Cosines, then sines of position t, [2][channels / 2]. */
static void angles_of(const Attr *a, size_t t, float *angles)
{
    size_t half = a->heads.channels / 2;
    for (size_t i = 0; i < half; i++)
        sincosf((float)t * a->frequency[i], &angles[half + i], &angles[i]);
}

/* Row i of t, which may be a part of the graph's node. */
static void turn_row(const Tensor *t, const ExecCtx *c, size_t i, const float *x, bool back,
                     float *angles, float *y)
{
    const Attr *a = t->attr;
    size_t D = a->heads.channels, turned = a->heads.count + a->heads.kv;
    angles_of(a, position_of(t->in[STARTS], a->T, c->past, c->part * t->shape[0] + i), angles);
    kernels()->rotate(x, angles, angles + D / 2, a->interleaved, back, y, turned, D);
    memcpy(y + turned * D, x + turned * D, a->heads.kv * D * sizeof *y);
}

static void forward(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], width = t->shape[1];
    int threads = exec_threads(c, (double)rows * (double)width);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++) {
        float *scratch = thread_scratch(c, 3 * width), *y = row_begin(t, i, scratch + width);
        turn_row(t, c, i, row_read(t->in[X], i, scratch), false, scratch + 2 * width, y);
        row_done(t, i, y);
    }
}

static void backward(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], width = t->shape[1];
    float *dx = t->in[X]->grad;
    bool add = exec_adds(c, X);
    const Kernels *k = kernels();
    int threads = exec_threads(c, (double)rows * (double)width);
    if (!dx)
        return;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++) {
        float *scratch = thread_scratch(c, 3 * width), *row = add ? scratch : dx + i * width;
        turn_row(t, c, i, t->grad + i * width, true, scratch + 2 * width, row);
        if (add)
            k->add(dx + i * width, row, dx + i * width, width);
    }
}

static size_t scratch_bytes(const Tensor *t, int threads, bool is_backward)
{
    (void)is_backward;
    return thread_scratch_bytes(threads, 3 * t->shape[1]);
}

const OpDef op_rope_def = {.name = "rope",
                           .forward = forward,
                           .by_sequence = true,
                           .by_row = true,
                           .backward = backward,
                           .saved = SAVE_IN(STARTS),
                           .scratch_bytes = scratch_bytes};
