/* embedding: y[i, :] = word[tokens[i], :] + position[t, :] + type[types[i], :], row i being the
 * t-th of its sequence.
 *
 * Backward adds each row of dy to the rows of the tables. A thread owns channels, not rows, so that
 * gradients of a token seen twice are added in one fixed order. */
#include <string.h>

#include "autograd/ops/rows.h"
#include "autograd/ops/sequences.h"
#include "autograd/ops/weights.h"

enum { TOKENS, WORD, POSITION, TYPE, STARTS, TYPES };

typedef struct Attr {
    int32_t untrained;
} Attr;

Tensor *op_embedding(Graph *g, Tensor *tokens, Sequences s, Tensor *word, Tensor *position,
                     Tensor *type, Tensor *types, int32_t untrained)
{
    size_t C = tensor_channels(word), longest = s.starts ? s.longest : tokens->shape[1];
    sequences_check(s, tensor_count(tokens));
    CHECK(tokens->dtype == DT_I32 && tokens->ndim == 2, "tokens are i32 [B,T]");
    CHECK((!position || (tensor_channels(position) == C && tensor_rows(position) >= longest)) &&
              (!type || tensor_channels(type) == C),
          "the tables do not fit each other");
    CHECK(!types || (type && types->dtype == DT_I32 && tensor_count(types) == tensor_count(tokens)),
          "types are i32 like tokens, beside a table");
    Tensor *t =
        graph_node(g, &op_embedding_def, 2, (size_t[]){tensor_count(tokens), C}, 6,
                   (Tensor *[]){tokens, word, position, type, s.starts, types}, sizeof(Attr));
    *(Attr *)t->attr = (Attr){untrained};
    return t;
}

enum { SCRATCH_ROWS = 3 }; /* of fp32: one of the result and one of each of two tables */

static void forward(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], C = t->shape[1], T = t->in[TOKENS]->shape[1] * c->parts;
    const int32_t *token = t->in[TOKENS]->data;
    const Tensor *word = t->in[WORD], *position = t->in[POSITION], *type = t->in[TYPE];
    const Tensor *starts = t->in[STARTS];
    const int32_t *types = t->in[TYPES] ? t->in[TYPES]->data : NULL;
    const Kernels *k = kernels();
    int threads = exec_threads(c, (double)rows * (double)C);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < rows; i++) {
        float *scratch = thread_scratch(c, SCRATCH_ROWS * C), *y = row_begin(t, i, scratch);
        const float *of_word = weight_row(word, (size_t)token[i], scratch + C);
        if (position)
            k->add(of_word,
                   weight_row(position, position_of(starts, T, c->past, c->part * rows + i),
                              scratch + 2 * C),
                   y, C);
        else
            memcpy(y, of_word, C * sizeof *y);
        if (type)
            k->add(y, weight_row(type, types ? (size_t)types[i] : 0, scratch + C), y, C);
        row_done(t, i, y);
    }
}

typedef struct Slice {
    size_t C, from, to; /* [from, to) of C channels */
} Slice;

/* row[from..to) += dy[from..to) */
static void add_slice(const Kernels *k, float *row, const float *dy, Slice s)
{
    k->add(row + s.from, dy + s.from, row + s.from, s.to - s.from);
}

static void backward_slice(const Tensor *t, const Kernels *k, Slice s)
{
    size_t rows = t->shape[0], T = t->in[TOKENS]->shape[1];
    const int32_t *token = t->in[TOKENS]->data, untrained = ((const Attr *)t->attr)->untrained;
    float *word = t->in[WORD]->grad, *position = t->in[POSITION] ? t->in[POSITION]->grad : NULL;
    float *type = t->in[TYPE] ? t->in[TYPE]->grad : NULL;
    const Tensor *starts = t->in[STARTS];
    const int32_t *types = t->in[TYPES] ? t->in[TYPES]->data : NULL;
    for (size_t i = 0; i < rows; i++) {
        const float *dy = t->grad + i * s.C;
        if (word && token[i] != untrained)
            add_slice(k, word + (size_t)token[i] * s.C, dy, s);
        if (position)
            add_slice(k, position + position_of(starts, T, NULL, i) * s.C, dy, s);
        if (type && types)
            add_slice(k, type + (size_t)types[i] * s.C, dy, s);
    }
    if (type && !types)
        k->sum_rows(t->grad + s.from, s.C, rows, s.to - s.from, true, type + s.from);
}

/* The first contribution overwrites: rows that no token reads get zeros. */
static void clear_unless_added(const Tensor *t, ExecCtx *c, int i)
{
    if (t->in[i] && t->in[i]->grad && !exec_adds(c, i))
        memset(t->in[i]->grad, 0, tensor_count(t->in[i]) * sizeof(float));
}

static void backward(const Tensor *t, ExecCtx *c)
{
    size_t rows = t->shape[0], C = t->shape[1];
    const Kernels *k = kernels();
    for (int i = WORD; i <= TYPE; i++)
        clear_unless_added(t, c, i);
    int threads = exec_threads(c, (double)rows * (double)C);
    const size_t width = 64; /* channels: whole cache lines, so that threads share none */
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t from = 0; from < C; from += width)
        backward_slice(t, k, (Slice){C, from, from + width < C ? from + width : C});
}

static size_t scratch_bytes(const Tensor *t, int threads, bool is_backward)
{
    return is_backward ? 0 : thread_scratch_bytes(threads, SCRATCH_ROWS * t->shape[1]);
}

const OpDef op_embedding_def = {.name = "embedding",
                                .forward = forward,
                                .by_sequence = true,
                                .by_row = true,
                                .backward = backward,
                                .saved = SAVE_IN(TOKENS) | SAVE_IN(STARTS) | SAVE_IN(TYPES),
                                .scratch_bytes = scratch_bytes};
