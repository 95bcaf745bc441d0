/* ops: the reference card of what a model can be recorded from.
 *
 * An op is one file in ops/ that defines `const OpDef op_NAME_def` (op.h) and its constructor, one
 * line in ops.def, and one prototype here. Letters: B batch, T time, C channels, V vocabulary; n =
 * rows (B*T). */
#pragma once

#include "autograd/exec.h"
#include "autograd/graph.h"
#include "autograd/kernels/kernels.h"

#define OP(name) extern const OpDef op_##name##_def;
#include "autograd/ops.def"
#undef OP

/* Every op of ops.def, for tests and tools. */
extern const OpDef *const all_ops[];
extern const size_t num_ops;

/* ---- constructors ---- */

/* How the n rows of a batch are divided into sequences. Without `starts`: evenly, n = B*T. With it,
 * an input i32 [B+1]: sequence b has the rows from starts[b] to before starts[b+1], between 0 and
 * `longest` of them. Rows from starts[B] on are padding: computed, but read by no sequence. Whoever
 * writes starts checks them. In a graph with states the rows of a sequence are the positions after
 * those that the states hold (Exec.past). */
typedef struct Sequences {
    size_t batch;
    Tensor *starts; /* or NULL */
    size_t longest; /* with starts */
} Sequences;

/* y[i, :] = word[tokens[i], :] + position[t, :] + type[types[i], :] for row i, position t of its
 * sequence; tokens i32 [B,T], or [1,n] with starts; word [V,C], position [P,C] with P >= T (or
 * longest) or NULL, type [S,C] or NULL; types i32 like tokens, or NULL, which is 0 everywhere.
 * Whoever writes tokens and types checks them. The row of the token `untrained` gets no gradient
 * (PyTorch's padding_idx); -1: every row does. */
Tensor *op_embedding(Graph *g, Tensor *tokens, Sequences s, Tensor *word, Tensor *position,
                     Tensor *type, Tensor *types, int32_t untrained);

/* y = (x - mean) / sqrt(var + eps) * w + b over the channels of each row; x [n,C], w [C], b [C]. */
Tensor *op_layernorm(Graph *g, Tensor *x, Tensor *w, Tensor *b, float eps);

/* y[n,o] = act(sum_k x[n,k] w[o,k] + b[o]) + residual[n,o]; w [O,K]; b [O] and residual may be
 * NULL. With an activation there is no residual. */
Tensor *op_linear(Graph *g, Tensor *x, Tensor *w, Tensor *b, Act act, Tensor *residual);

/* The heads of an attention: `count` of q, of `channels` each; `kv` of k and of v, a divisor of
 * count, each shared by count / kv neighbouring heads of q. */
typedef struct Heads {
    size_t count, kv, channels;
} Heads;

/* Channels of q, k and v side by side. */
static inline size_t heads_width(Heads h)
{
    return (h.count + 2 * h.kv) * h.channels;
}

/* Multi-head attention, y [n, count * channels] from qkv [n, heads_width] (q, k, v side by side),
 * scale 1/sqrt(channels); mask i32 [B,T] (0: the key is not seen) or NULL; with starts, NULL. y of
 * padding is 0. All products have the format `product`: f32 or attention_product(), in which
 * qkv may be stored as well (tensor_store), since it is rounded to it anyway. */
Tensor *op_attention(Graph *g, Tensor *qkv, Tensor *mask, Sequences s, Heads heads, bool causal,
                     DType product);

/* A layer's keys and values of every position so far: states [B, heads.kv, capacity, channels]. */
typedef struct KvCache {
    Tensor *keys, *values;
} KvCache;

/* The states of such a cache; `type`: f32, bf16, f16 or, of whole groups of channels, q8_0. */
KvCache kv_cache(Graph *g, size_t batch, Heads heads, size_t capacity, DType type);

/* `product` where a cache of this type is multiplied in it, else f32: bf16 reads a cache of bf16
 * whose rows are whole pairs of channels. */
DType attention_cached_product(DType product, DType cache_type, Heads heads);

/* Causal attention of the rows over a cache, to which it first appends their k and v (rounded to
 * the cache's format); forward only. `product` is one that attention_cached_product gives. A
 * sequence may not outgrow the capacity. Row by row y equals that of op_attention on the whole
 * sequence, bit for bit, where the cache has the format of the product, however the sequence is
 * divided into runs. */
Tensor *op_attention_cached(Graph *g, Tensor *qkv, KvCache cache, Sequences s, Heads heads,
                            DType product);

/* y = x / sqrt(mean(x^2) + eps) * w over the channels of each row (Zhang & Sennrich 2019); x [n,C],
 * w [C]. */
Tensor *op_rmsnorm(Graph *g, Tensor *x, Tensor *w, float eps);

/* y [n, heads_width] from qkv: each head of q and of k becomes its RMS norm with wq [channels], or
 * wk; v is copied. */
Tensor *op_qk_norm(Graph *g, Tensor *qkv, Tensor *wq, Tensor *wk, Heads heads, float eps);

/* y [n, heads_width] from qkv: rotary position embedding (Su et al. 2021). Each head of q and of k
 * is turned, at position t of a sequence, by the angles t * frequency[i] in the planes of channels
 * i and i + channels/2, or, `interleaved`, 2i and 2i+1; v is copied. frequency [channels/2] is
 * copied. */
Tensor *op_rope(Graph *g, Tensor *qkv, Sequences s, Heads heads, const float *frequency,
                bool interleaved);

/* y [n,F] = silu(x[:, :F]) x[:, F:], x [n,2F], silu(z) = z / (1 + exp(-z)): the gate of SwiGLU
 * (Shazeer 2020). */
Tensor *op_silu_gate(Graph *g, Tensor *x);

/* y = dropout(x) + residual in a training run, x + residual otherwise; rate in [0, 1); residual may
 * be NULL. The mask is a pure function of the run's seed and step, the node and the element of the
 * whole batch. by_sequence: rows are sequences (of op_end_token), not their positions. */
Tensor *op_dropout(Graph *g, Tensor *x, float rate, Tensor *residual, bool by_sequence);

/* y [B,C] = the first row of each sequence of x [n,C], which a classifier reads, or the `last`,
 * which decides the next token; 0 where a sequence has none. */
Tensor *op_end_token(Graph *g, Tensor *x, Sequences s, bool last);

/* loss [1] = mean over targets >= 0 of -log softmax(logits)[target]; logits [n,V], targets i32 [n]
 * or [B,T]. Negative targets are ignored; at least one is not negative. */
Tensor *op_cross_entropy(Graph *g, Tensor *logits, Tensor *targets);

/* The same loss of logits = x w^T, x [n,C], w [V,C], worked in chunks of the vocabulary. Keeps the
 * logits for backward, or, when `lean`, computes them again chunk by chunk. */
Tensor *op_linear_cross_entropy(Graph *g, Tensor *x, Tensor *w, Tensor *targets);
