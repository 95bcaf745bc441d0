/* plan: every buffer of a schedule gets an offset in one arena, before anything is allocated.
 *
 * A buffer lives from the step that writes it to the last step that reads it; two buffers share
 * memory only when their lives do not meet. Placement is greedy by size (Pisarchyk & Lee 2020). */
#ifndef TARE_AUTOGRAD_PLAN_H
#define TARE_AUTOGRAD_PLAN_H

#include "autograd/schedule.h"
#include "autograd/slices.h"

typedef enum BufferKind { BUFFER_DATA, BUFFER_AUX, BUFFER_GRAD } BufferKind;

typedef struct Buffer {
    Tensor *t;
    BufferKind kind;
    size_t first, last;   /* steps of its life, both inclusive */
    size_t bytes, offset; /* of one slice, in its part of the arena; see plan_place */
} Buffer;

typedef struct Plan {
    const Schedule *schedule;
    Buffer *buffers; /* sorted by `first` */
    size_t count, capacity;
    Slices slices;
    size_t shared_bytes;  /* what the slices of a divided plan share, first in the arena ... */
    size_t slice_bytes;   /* ... then one part a slice, which all else lies in */
    size_t arena_bytes;   /* of all buffers as placed */
    size_t live_bytes;    /* the most that is alive at one step: no placement can be below */
    size_t scratch_bytes; /* the most that one step asks for */
    int threads;          /* that scratch was sized for */
} Plan;

/* The schedule is borrowed and must outlive the plan. */
void plan_build(Plan *p, const Schedule *s, int threads);
void plan_release(Plan *p);

/* Where in the arena the buffer of a slice begins. In a divided plan what slices share is whole,
 * and each has its part of it. */
size_t plan_place(const Plan *p, const Buffer *b, size_t slice);

#endif
