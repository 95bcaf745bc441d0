/* graph: the record. Model code calls op constructors, which append nodes; nothing is computed and
 * nothing large is allocated. The order of recording is the order of the forward pass. */
#ifndef TARE_AUTOGRAD_GRAPH_H
#define TARE_AUTOGRAD_GRAPH_H

#include <stdio.h>

#include "autograd/tensor.h"

typedef struct Graph {
    Tensor **nodes; /* inputs and op results, in recording order; parameters are not among them */
    size_t count, capacity;
    int block; /* the recompute block being recorded, or -1 */
    int num_blocks;
} Graph;

void graph_init(Graph *g);
void graph_release(Graph *g); /* frees the nodes, not the parameters they read */

/* A tensor that the caller fills before each run. `name` is borrowed. */
Tensor *graph_input(Graph *g, const char *name, DType dtype, int ndim, const size_t *shape);

/* For op constructors: a node of this shape (fp32) made by `op` from `inputs` (NULL = absent), with
 * attr_bytes of zeroed settings at t->attr. */
Tensor *graph_node(Graph *g, const OpDef *op, int ndim, const size_t *shape, int num_inputs,
                   Tensor *const *inputs, size_t attr_bytes);

/* Nodes recorded between these two form one block: what Recompute "block" makes again as a whole,
 * keeping only its last node. */
void graph_block_begin(Graph *g);
void graph_block_end(Graph *g);

/* Stores every fp32 activation but the losses in this format: once, after recording and before planning.
 * Ops compute in fp32 all the same. For forward passes only. */
void graph_store_activations(Graph *g, DType type);

/* Keeps t's value readable after a run. */
void tensor_keep(Tensor *t);

#endif
