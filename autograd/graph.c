/* graph: see graph.h. */
#include "autograd/graph.h"

#include <stdlib.h>

#include "autograd/op.h"

void graph_init(Graph *g)
{
    *g = (Graph){.block = -1};
}

void graph_release(Graph *g)
{
    for (size_t i = 0; i < g->count; i++) {
        free(g->nodes[i]->attr);
        free(g->nodes[i]);
    }
    free(g->nodes);
    *g = (Graph){.block = -1};
}

static Tensor *append(Graph *g, int ndim, const size_t *shape)
{
    CHECK(ndim >= 1 && ndim <= MAX_DIMS, "%d dimensions", ndim);
    g->nodes = xgrow(g->nodes, g->count, sizeof *g->nodes);
    Tensor *t = xcalloc(1, sizeof *t);
    t->index = (int)g->count;
    t->block = g->block;
    t->ndim = ndim;
    for (int i = 0; i < ndim; i++)
        t->shape[i] = shape[i];
    g->nodes[g->count++] = t;
    return t;
}

Tensor *graph_input(Graph *g, const char *name, DType dtype, int ndim, const size_t *shape)
{
    Tensor *t = append(g, ndim, shape);
    t->name = name;
    t->life = LIFE_INPUT;
    t->dtype = dtype;
    return t;
}

Tensor *graph_state(Graph *g, DType dtype, int ndim, const size_t *shape)
{
    Tensor *t = append(g, ndim, shape);
    t->life = LIFE_STATE;
    t->dtype = dtype;
    return t;
}

Tensor *graph_node(Graph *g, const OpDef *op, int ndim, const size_t *shape, int num_inputs,
                   Tensor *const *inputs, size_t attr_bytes)
{
    CHECK(num_inputs <= MAX_INPUTS, "%d inputs", num_inputs);
    Tensor *t = append(g, ndim, shape);
    t->op = op;
    t->life = LIFE_ACTIVATION;
    t->dtype = DT_F32;
    t->num_inputs = num_inputs;
    for (int i = 0; i < num_inputs; i++) {
        t->in[i] = inputs[i];
        t->needs_grad |= inputs[i] && inputs[i]->needs_grad;
    }
    t->attr = attr_bytes ? xcalloc(1, attr_bytes) : NULL;
    return t;
}

void graph_block_begin(Graph *g)
{
    CHECK(g->block < 0, "blocks do not nest");
    g->block = g->num_blocks++;
}

void graph_block_end(Graph *g)
{
    CHECK(g->block >= 0, "no block was begun");
    g->block = -1;
}

void graph_store_activations(Graph *g, DType type)
{
    for (size_t i = 0; i < g->count; i++) {
        Tensor *t = g->nodes[i];
        if (t->life == LIFE_ACTIVATION && t->dtype == DT_F32 && !t->op->stays_f32)
            t->dtype = type;
    }
}

typedef struct Readers {
    bool products, others;
} Readers;

/* Of each node's value. A result of the same format as an input counts as read by others. */
static Readers *find_readers(const Graph *g)
{
    Readers *readers = xcalloc(g->count, sizeof *readers);
    for (size_t i = 0; i < g->count; i++) {
        const Tensor *t = g->nodes[i];
        for (int j = 0; j < t->num_inputs; j++) {
            if (!t->in[j] || t->in[j]->life == LIFE_PARAM)
                continue;
            bool operand = t->op->operands & SAVE_IN(j);
            readers[t->in[j]->index].products |= operand;
            readers[t->in[j]->index].others |= !operand;
            readers[i].others |= (t->op->same_format & SAVE_IN(j)) != 0;
        }
        readers[i].others |= t->keep || (t->op && t->op->saved & SAVE_OUT);
    }
    return readers;
}

void graph_store_operands(Graph *g)
{
    Readers *readers = find_readers(g);
    for (size_t i = 0; i < g->count; i++) {
        Tensor *t = g->nodes[i];
        bool stays = t->life != LIFE_ACTIVATION || t->dtype != DT_F32 || t->op->stays_f32;
        if (!stays && readers[i].products && !readers[i].others)
            t->dtype = DT_BF16;
    }
    free(readers);
}

void tensor_store(Tensor *t, DType type)
{
    CHECK(t->life == LIFE_ACTIVATION && !t->op->stays_f32, "only activations are stored so");
    t->dtype = type;
}

void tensor_keep(Tensor *t)
{
    t->keep = true;
}
