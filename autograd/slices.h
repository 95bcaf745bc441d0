/* slices: a forward pass divided by sequences instead of by steps.
 *
 * One idea: where no step mixes sequences, each thread can run all the steps on its own share of the
 * batch. Nobody waits between two steps, and the activations of a share stay in one processor's cache. A
 * slice sees tensors of its own, which are those of the graph with fewer sequences. Rows are worked one by
 * one everywhere, so results are the same bit for bit. */
#ifndef TARE_SLICES_H
#define TARE_SLICES_H

#include "schedule.h"

typedef struct Slices {
    size_t count;       /* 1: undivided, and the slice's tensors are the graph's */
    size_t num_tensors; /* of the graph */
    Tensor *tensors;    /* [count][num_tensors] */
} Slices;

/* One slice a thread for a forward-only schedule whose batch the threads divide evenly, else one. */
void slices_build(Slices *s, const Schedule *schedule, int threads);
void slices_release(Slices *s);

/* What slice i has for the graph's node t. */
Tensor *slices_tensor(const Slices *s, size_t i, Tensor *t);

#endif
