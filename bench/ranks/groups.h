/* groups: the parameters of a model in groups that are communicated together, and the order in
 * which a schedule reads their weights.
 *
 * The one idea: parameters lie one behind the other in flat blocks (model/params.h), so a group is
 * a range of such a block: one parameter, a bucket, a layer, or all. Nothing here communicates. */
#pragma once

#include "autograd/schedule.h"
#include "model/params.h"

typedef struct Group {
    Range range;      /* of the flat block */
    size_t gradients; /* parameters of it that the schedule makes a gradient of */
} Group;

/* A stretch of steps that read weights of one group, or of none behind it. */
typedef struct Visit {
    size_t first, group; /* first: place of a step in the schedule */
} Visit;

typedef struct Groups {
    Group *list;
    size_t count;
    size_t *of_param; /* [params.count] */
    Visit *visits;    /* of groups_by_layer; in the order of steps */
    size_t num_visits;
} Groups;

Groups groups_of_each(const Params *p, const Schedule *s); /* one a parameter */
/* From the last parameter, whose gradient comes first: each as soon as it has `floats`. */
Groups groups_of_buckets(const Params *p, const Schedule *s, size_t floats);
/* What is declared between two changes of the recompute block (autograd/graph.h): the tables, a
 * layer each, the last norm with the head. */
Groups groups_by_layer(const Params *p, const Schedule *s);
void groups_release(Groups *g);
