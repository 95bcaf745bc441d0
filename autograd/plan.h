/* plan: every buffer of a schedule gets an offset in one arena, before anything is allocated.
 *
 * A buffer lives from the step that writes it to the last step that reads it; two buffers share
 * memory only when their lives do not meet. Placement is greedy by size (Pisarchyk & Lee 2020). */
#pragma once

#include "autograd/schedule.h"
#include "autograd/slices.h"

typedef enum BufferKind { BUFFER_DATA, BUFFER_AUX, BUFFER_GRAD } BufferKind;

typedef struct Buffer {
    Tensor *t;
    BufferKind kind;
    size_t first, last;   /* steps of its life, both inclusive */
    size_t bytes, offset; /* of one slice, in its part of the arena (plan_place) */
} Buffer;

typedef struct Plan {
    const Schedule *schedule;
    Buffer *buffers; /* sorted by `first` */
    size_t count;
    Slices slices;
    /* The arena: the states, at the same place in every plan that has the same ones; what slices
     * share; then one part for each slice with all other buffers. */
    size_t state_bytes, shared_bytes, slice_bytes, arena_bytes;
    size_t live_bytes;    /* alive at one step at most: the lower bound of every placement */
    size_t scratch_bytes; /* of one step at most */
    int threads;          /* for which scratch was sized */
} Plan;

/* The schedule is borrowed and must outlive the plan. */
void plan_build(Plan *p, const Schedule *s, int threads);
void plan_release(Plan *p);

/* Where in the arena the buffer of a slice begins; of a shared buffer, where the slice's part
 * begins. */
size_t plan_place(const Plan *p, const Buffer *b, size_t slice);

/* Bytes of a buffer, of all slices together. */
size_t plan_bytes(const Plan *p, const Buffer *b);
/* Bytes of all buffers alive at each step of the schedule. Caller frees. */
size_t *plan_alive(const Plan *p);
/* The most of them alive at one step that began in the backward pass: gradients, and what is made
 * again. */
size_t plan_backward_bytes(const Plan *p);
