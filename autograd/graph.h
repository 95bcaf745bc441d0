/* graph: the recorded model. Op constructors append nodes; nothing is computed and nothing large is
 * allocated. The order of recording is the order of the forward pass. */
#pragma once

#include "autograd/tensor.h"

typedef struct Graph {
    Tensor **nodes; /* inputs and op results, in recording order; parameters are not among them */
    size_t count;
    int block; /* the recompute block being recorded, or -1 */
    int num_blocks;
} Graph;

void graph_init(Graph *g);
/* Frees the nodes, not the parameters they read. */
void graph_release(Graph *g);

/* A tensor that the caller fills before each run. `name` is borrowed. */
Tensor *graph_input(Graph *g, const char *name, DType dtype, int ndim, const size_t *shape);

/* A tensor that lasts from run to run in the arena of an Exec: all zeros at first; ops that take it
 * as an input read it and write into it. Plans that share an Exec and its states record the same
 * states, in shape and order. */
Tensor *graph_state(Graph *g, DType dtype, int ndim, const size_t *shape);

/* For op constructors: an fp32 node of this shape made by `op` from `inputs` (NULL: an absent one),
 * with attr_bytes zeroed bytes for settings at t->attr. */
Tensor *graph_node(Graph *g, const OpDef *op, int ndim, const size_t *shape, int num_inputs,
                   Tensor *const *inputs, size_t attr_bytes);

/* Nodes recorded between these two form one block: Recompute "block" keeps its last node and
 * computes the others again. */
void graph_block_begin(Graph *g);
void graph_block_end(Graph *g);

/* Stores every fp32 activation but the losses in this format. Call it once, after recording and
 * before planning; a small format is for forward passes only. Ops compute in fp32 all the same. */
void graph_store_activations(Graph *g, DType type);

/* For training with products of bf16: stores in bf16 what only products read (OpDef.operands),
 * which round it to that anyway. They multiply the same numbers; sums over many of them may be cut
 * into other blocks. Call it after recording and before planning. */
void graph_store_operands(Graph *g);

/* Stores one activation in this format, which graph_store_activations then leaves alone. The op
 * that makes it and all that read it have to take the format, those of a backward pass too. */
void tensor_store(Tensor *t, DType type);

/* Keeps t's value readable after a run. */
void tensor_keep(Tensor *t);
