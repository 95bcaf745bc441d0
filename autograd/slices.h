/* slices: a forward pass divided among threads as a whole instead of step by step.
 *
 * One idea: where no step mixes sequences, each thread runs all steps on its own slice of the
 * batch. No thread waits between two steps, and the activations of a slice stay in one processor's
 * cache. The rows of one short sequence are divided the same way where only attention mixes them;
 * the slices then wait for each other before each attention and nowhere else. A slice has copies of
 * the graph's nodes with fewer rows. Every op works row by row, so results are the same, bit for
 * bit. */
#pragma once

#include "autograd/schedule.h"

typedef struct Slices {
    size_t count;       /* 1: undivided; the tensors are the graph's */
    bool by_row;        /* a slice is a part of the only sequence, not a part of the batch */
    size_t num_tensors; /* of the graph */
    Tensor *tensors;    /* [count][num_tensors] */
    bool *shared;       /* [num_tensors]: the data are one buffer, of which each slice has a part */
} Slices;

/* Divides a forward-only schedule: into one slice a thread where the threads divide its batch
 * evenly; into parts of the only sequence where no step is large enough for several threads; else,
 * and where there are states, not at all. */
void slices_build(Slices *s, const Schedule *schedule, int threads);
void slices_release(Slices *s);

/* Slice i's copy of the graph's node t. */
Tensor *slices_tensor(const Slices *s, size_t i, Tensor *t);

/* Whether the node's data are one buffer for all slices: what the caller reads or writes, and what
 * an attention gathers. Such data last until the end of the run. */
bool slices_share(const Slices *s, const Tensor *t);

/* The end, at most `to`, of the steps from `from` on that a slice runs without waiting for the
 * others. */
size_t slices_run_end(const Slices *s, const Schedule *schedule, size_t from, size_t to);
