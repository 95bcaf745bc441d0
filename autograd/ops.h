/* ops: the reference card of what a model can be recorded from, and what every op tells the engine.
 *
 * An op is one file in ops/ that defines `const OpDef op_NAME_def`, and one line in ops.def.
 * Letters: B batch, T time, C channels, V vocabulary; n = rows (B*T). */
#ifndef TARE_AUTOGRAD_OPS_H
#define TARE_AUTOGRAD_OPS_H

#include "autograd/exec.h"
#include "autograd/graph.h"
#include "autograd/kernels/kernels.h"

/* What a backward (or a refresh) reads, besides the gradient of t itself. */
#define SAVE_IN(i) (1u << (i))
#define SAVE_OUT   (1u << MAX_INPUTS)
#define SAVE_AUX   (2u << MAX_INPUTS)

struct OpDef {
    const char *name;

    /* Writes t->data, and t->aux where aux_bytes is not 0. */
    void (*forward)(const Tensor *t, ExecCtx *c);

    /* Optional: writes t->data again, bit for bit, from what `refreshed_from` names, at a cost that
     * does not matter beside forward's. It lets the plan drop the data between the passes. */
    void (*refresh)(const Tensor *t, ExecCtx *c);
    unsigned refreshed_from;

    /* Gives each t->in[i]->grad that is not NULL its part: += where exec_adds(c, i), = otherwise.
     * It may use t->grad as scratch: nobody reads it afterwards. */
    void (*backward)(const Tensor *t, ExecCtx *c);
    unsigned saved;

    /* Rows of the result depend on rows of the same sequence only: forward may run on some of the
     * sequences alone, where they are of one length. */
    bool by_sequence;

    /* Rows of the result depend on the same rows only, or, where the op gathers, on all rows of in[0] and in[1]:
     * forward may run on some rows of the only sequence alone, as ExecCtx.part says. */
    bool by_row, gathers;

    /* The result is fp32 in whatever format activations are stored: a loss. */
    bool stays_f32;

    /* Floating-point operations of the matrix products of one pass (0 for everything else). */
    double (*flops)(const Tensor *t, bool backward);

    /* Optional: what backward computes a second time because t is lean; not model FLOPs. */
    double (*lean_flops)(const Tensor *t);

    /* Bytes of t->aux; NULL = none. `backward`: whether a backward pass will follow. */
    size_t (*aux_bytes)(const Tensor *t, bool backward);
    /* Bytes of c->scratch that forward (or backward) needs; NULL = none. */
    size_t (*scratch_bytes)(const Tensor *t, int threads, bool backward);
};

#define OP(name) extern const OpDef op_##name##_def;
#include "autograd/ops.def"
#undef OP

/* Every op of ops.def, for tests and tools. */
extern const OpDef *const all_ops[];
extern const size_t num_ops;

/* ---- constructors ---- */

/* How the n rows of a batch are divided into sequences: evenly, n = B*T, or, where lengths differ, as the
 * input `starts` i32 [B+1] says: sequence b has the rows from starts[b] to before starts[b+1], which is never
 * smaller and at most `longest` more. Rows from starts[B] on are fillers: computed, but seen and read by
 * nobody. Starts are checked by whoever writes them. */
typedef struct Sequences {
    size_t batch;
    Tensor *starts; /* or NULL */
    size_t longest; /* with starts */
} Sequences;

/* y[i, :] = word[tokens[i], :] + position[t, :] + type[0, :] for row i, the t-th of its sequence; tokens
 * i32 [B,T], or [1,n] with starts; word [V,C], position [P,C] with P >= T (or longest), type [S,C] or
 * NULL. Tokens are checked by whoever writes them. The row of the token `untrained` gets no gradient
 * (PyTorch's padding_idx); -1 = every row does. */
Tensor *op_embedding(Graph *g, Tensor *tokens, Sequences s, Tensor *word, Tensor *position,
                     Tensor *type, int32_t untrained);

/* y = (x - mean) / sqrt(var + eps) * w + b over the channels of each row; x [n,C], w [C], b [C]. */
Tensor *op_layernorm(Graph *g, Tensor *x, Tensor *w, Tensor *b, float eps);

/* y[n,o] = act(sum_k x[n,k] w[o,k] + b[o]) + residual[n,o]; w [O,K]; b [O] and residual may be NULL.
 * With an activation there is no residual. */
Tensor *op_linear(Graph *g, Tensor *x, Tensor *w, Tensor *b, Act act, Tensor *residual);

/* Multi-head attention, y [n,C] from qkv [n,3C] (q, k, v side by side), scale 1/sqrt(C/heads);
 * mask i32 [B,T] (0 = key not seen) or NULL, as it is with starts. A filler's y is 0. Both products are of
 * `product`, f32 or, for a forward pass only, attention_product(): the qkv of a linear layer, which nobody
 * else may read, is then stored in it. */
Tensor *op_attention(Graph *g, Tensor *qkv, Tensor *mask, Sequences s, size_t heads, bool causal,
                     DType product);

/* y = dropout(x) + residual while the run is a training one, x + residual otherwise; rate in [0, 1);
 * residual may be NULL. The mask is a pure function of the run's seed and step, the node and the
 * element. */
Tensor *op_dropout(Graph *g, Tensor *x, float rate, Tensor *residual);

/* y [B,C] = the first row of each sequence of x [n,C], 0 where it has none: what a classifier reads. */
Tensor *op_first_token(Graph *g, Tensor *x, Sequences s);

/* loss [1] = mean over targets >= 0 of -log softmax(logits)[target]; logits [n,V], targets i32 [n]
 * or [B,T]; negative targets are ignored, at least one is not. */
Tensor *op_cross_entropy(Graph *g, Tensor *logits, Tensor *targets);

/* The same loss of logits = x w^T, x [n,C], w [V,C], worked in chunks of the vocabulary. Between the
 * passes it keeps the logits for backward, or, when `lean`, makes them again chunk by chunk. */
Tensor *op_linear_cross_entropy(Graph *g, Tensor *x, Tensor *w, Tensor *targets);

#endif
