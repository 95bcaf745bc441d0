/* slices: a forward pass divided among threads as a whole instead of step by step.
 *
 * One idea: where no step mixes sequences, each thread can run all the steps on its own share of the
 * batch. Nobody waits between two steps, and the activations of a share stay in one processor's cache. The
 * rows of one short sequence are divided the same way where only attention mixes them: then the slices
 * wait for each other before each attention, and nowhere else. A slice sees tensors of its own, which are
 * those of the graph with fewer rows. Rows are worked one by one everywhere, so results are the same bit
 * for bit. */
#ifndef TARE_AUTOGRAD_SLICES_H
#define TARE_AUTOGRAD_SLICES_H

#include "autograd/schedule.h"

typedef struct Slices {
    size_t count;       /* 1: undivided, and the slice's tensors are the graph's */
    bool by_row;        /* a slice has some rows of the one sequence, instead of some sequences */
    size_t num_tensors; /* of the graph */
    Tensor *tensors;    /* [count][num_tensors] */
    bool *shared;       /* [num_tensors]: data that lie in one piece, with a part for each slice */
} Slices;

/* For a forward-only schedule: one slice a thread where the threads divide its batch evenly; parts of one
 * sequence where no step is worth threads of its own; else one. */
void slices_build(Slices *s, const Schedule *schedule, int threads);
void slices_release(Slices *s);

/* What slice i has for the graph's node t. */
Tensor *slices_tensor(const Slices *s, size_t i, Tensor *t);

/* Whether all slices have parts of one buffer for the node's data, instead of a buffer each: what is read
 * or written from outside, and what an attention reads of all rows. Such data last until the end. */
bool slices_share(const Slices *s, const Tensor *t);

/* The end of the steps that begin at `from` and can be run without waiting for other slices; at most `to`. */
size_t slices_run_end(const Slices *s, const Schedule *schedule, size_t from, size_t to);

#endif
