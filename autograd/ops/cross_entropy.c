/* cross_entropy: loss [1], the mean over counted targets of log sum_v exp(logits[n,v]) -
 * logits[n,target].
 *
 * For the few labels of a classifier; a language model's head is linear_cross_entropy.
 *
 * aux keeps the log-sum-exp of each row: [n]. */
#include "autograd/ops/cross_entropy.h"

#include <math.h>
#include <string.h>

#include "autograd/ops.h"
#include "autograd/ops/rows.h"

enum { LOGITS, TARGETS };

size_t targets_counted(const int32_t *target, size_t n)
{
    size_t counted = 0;
    for (size_t i = 0; i < n; i++)
        counted += target[i] >= 0;
    return counted;
}

float mean_loss(const float *lse, const float *picked, const int32_t *target, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        if (target[i] >= 0)
            sum += (double)lse[i] - (double)picked[i];
    return (float)(sum / (double)targets_counted(target, n));
}

void loss_gradient_row(float *logits, size_t w, size_t from, int32_t target, float lse, float scale)
{
    if (target < 0) {
        memset(logits, 0, w * sizeof *logits);
        return;
    }
    kernels()->softmax_from_lse(logits, w, lse, scale);
    size_t at = (size_t)target - from;
    if ((size_t)target >= from && at < w)
        logits[at] -= scale;
}

Tensor *op_cross_entropy(Graph *g, Tensor *logits, Tensor *targets)
{
    CHECK(targets->dtype == DT_I32 && tensor_count(targets) == tensor_rows(logits),
          "one target per row of logits");
    return graph_node(g, &op_cross_entropy_def, 1, (size_t[]){1}, 2, (Tensor *[]){logits, targets},
                      0);
}

static void forward(const Tensor *t, ExecCtx *c)
{
    size_t n = tensor_rows(t->in[LOGITS]), V = tensor_channels(t->in[LOGITS]);
    const int32_t *target = t->in[TARGETS]->data;
    float *lse = t->aux, *picked = c->scratch, *row = picked + n;
    for (size_t i = 0; i < n; i++) {
        const float *logits = row_read(t->in[LOGITS], i, row);
        float max = -INFINITY, sum = 0;
        kernels()->logsumexp_update(logits, V, &max, &sum);
        lse[i] = max + logf(sum);
        picked[i] = target[i] >= 0 ? logits[target[i]] : 0;
    }
    *(float *)t->data = mean_loss(lse, picked, target, n);
}

static void backward(const Tensor *t, ExecCtx *c)
{
    size_t n = tensor_rows(t->in[LOGITS]), V = tensor_channels(t->in[LOGITS]);
    const float *logits = t->in[LOGITS]->data, *lse = t->aux;
    const int32_t *target = t->in[TARGETS]->data;
    float *dlogits = t->in[LOGITS]->grad, *row = c->scratch;
    if (!dlogits)
        return;
    float scale = t->grad[0] / (float)targets_counted(target, n);
    for (size_t i = 0; i < n; i++) {
        memcpy(row, logits + i * V, V * sizeof *row);
        loss_gradient_row(row, V, 0, target[i], lse[i], scale);
        if (exec_adds(c, LOGITS))
            kernels()->add(dlogits + i * V, row, dlogits + i * V, V);
        else
            memcpy(dlogits + i * V, row, V * sizeof *row);
    }
}

static size_t aux_bytes(const Tensor *t, bool is_backward)
{
    (void)is_backward;
    return tensor_rows(t->in[LOGITS]) * sizeof(float);
}

static size_t scratch_bytes(const Tensor *t, int threads, bool is_backward)
{
    (void)threads;
    const Tensor *logits = t->in[LOGITS];
    return (tensor_channels(logits) + (is_backward ? 0 : tensor_rows(logits))) * sizeof(float);
}

const OpDef op_cross_entropy_def = {.name = "cross_entropy",
                                    .forward = forward,
                                    .backward = backward,
                                    .saved = SAVE_IN(LOGITS) | SAVE_IN(TARGETS) | SAVE_AUX,
                                    .stays_f32 = true,
                                    .aux_bytes = aux_bytes,
                                    .scratch_bytes = scratch_bytes};
