/* random_graph: graphs from a seed, for the tests of schedule, plan and exec: made of three ops
 * that between them use everything an OpDef can ask of the engine. */
#pragma once

#include "autograd/ops.h"

enum { RANDOM_PARAMS = 4 };

typedef struct RandomGraph {
    Graph graph;
    Tensor *input, *root;
    Tensor param[RANDOM_PARAMS]; /* vectors of `width`; data and grad only where asked for */
    size_t width;
} RandomGraph;

/* Up to some 60 nodes, some in blocks, some kept, some not leading to the root. `values`: allocate
 * and fill the parameters, for a graph that will run. */
void random_graph_init(RandomGraph *r, uint64_t seed, bool values);
void random_graph_release(RandomGraph *r);
