/* op: what every op tells the engine, which knows ops by this table only. ops.h lists the ops. */
#pragma once

#include "autograd/tensor.h"

typedef struct ExecCtx ExecCtx; /* exec.h */

/* Bits for what a backward or a refresh reads, besides the gradient of t itself. */
#define SAVE_IN(i) (1u << (i))
#define SAVE_OUT   (1u << MAX_INPUTS)
#define SAVE_AUX   (2u << MAX_INPUTS)

enum { MAX_STEP_PARTS = 3 };

struct OpDef {
    const char *name;

    /* Optional: what a step consists of, for profiles, and the share of its FLOPs. Where c->part_ns
     * is not NULL, forward and backward add the time of part i to element i. */
    const char *parts[MAX_STEP_PARTS];
    double part_flops[MAX_STEP_PARTS];

    /* Writes t->data, and t->aux where aux_bytes is not 0. */
    void (*forward)(const Tensor *t, ExecCtx *c);

    /* Optional: writes t->data again, bit for bit, from what `refreshed_from` names, at a
     * negligible cost. The plan may then drop the data between the passes. */
    void (*refresh)(const Tensor *t, ExecCtx *c);
    unsigned refreshed_from;

    /* Writes each t->in[i]->grad that is not NULL: += where exec_adds(c, i), = otherwise. May use
     * t->grad as scratch, for nobody reads it afterwards. */
    void (*backward)(const Tensor *t, ExecCtx *c);
    unsigned saved;

    /* Rows of the result depend on rows of the same sequence only: where sequences have one length,
     * forward may run on a part of the batch. */
    bool by_sequence;

    /* Rows of the result depend on the same rows of the inputs only, or, where the op gathers,
     * on all rows of in[0] and in[1]: forward may run on a part of the only sequence
     * (ExecCtx.part). */
    bool by_row, gathers;

    /* Inputs that are read as operands of matrix products and for nothing else: these round them to
     * ExecCtx.product. */
    unsigned operands;

    /* Inputs that have the format of the result. */
    unsigned same_format;

    /* The result is fp32 whatever the format of activations: a loss. */
    bool stays_f32;

    /* Floating-point operations of the matrix products of one pass; NULL: it has none. */
    double (*flops)(const Tensor *t, bool backward);

    /* Optional: of the products that backward repeats because t is lean; they are no model
     * FLOPs. */
    double (*lean_flops)(const Tensor *t);

    /* Bytes of t->aux; NULL: none. `backward`: whether a backward pass will follow. */
    size_t (*aux_bytes)(const Tensor *t, bool backward);
    /* Bytes of c->scratch that forward (or backward) needs; NULL: none. */
    size_t (*scratch_bytes)(const Tensor *t, int threads, bool backward);
};

static inline double op_flops(const Tensor *t, bool backward)
{
    return t->op->flops ? t->op->flops(t, backward) : 0;
}
