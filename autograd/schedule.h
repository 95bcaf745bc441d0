/* schedule: the flat list of steps that a run executes: every forward, then what backward needs
 * again, then every backward in reverse. Activation checkpointing is only this: some forward steps
 * appear twice. Allocates lists, no tensor memory. */
#ifndef TARE_AUTOGRAD_SCHEDULE_H
#define TARE_AUTOGRAD_SCHEDULE_H

#include "autograd/graph.h"

typedef enum StepKind {
    STEP_FORWARD,    /* op->forward(t): t->data and t->aux begin a life */
    STEP_REFRESH,    /* op->refresh(t): t->data begins a second life, aux is still there */
    STEP_BACKWARD,   /* op->backward(t) */
    STEP_GRAD_READY, /* no more contributions to parameter t's gradient; nothing happens here today */
} StepKind;

typedef struct Step {
    StepKind kind;
    Tensor *t;
    unsigned add; /* backward: bit i = in[i]'s gradient has a value already, add to it */
} Step;

/* What is kept between the passes. Results are bit-identical in all three. */
typedef enum Recompute {
    RECOMPUTE_NONE,  /* everything backward reads */
    RECOMPUTE_CHEAP, /* not what op->refresh makes again at hardly any cost (norms, activations) */
    RECOMPUTE_BLOCK, /* of each block only its last node; logits are not kept (Chen et al. 2016) */
} Recompute;

const char *recompute_name(Recompute rc); /* "none", "cheap", "block" */

typedef struct Schedule {
    const Graph *graph;
    Tensor *root; /* the scalar whose gradient is 1; NULL for forward only */
    Step *steps;
    size_t count, capacity;
    size_t
        num_forward; /* steps[0..num_forward) are the forward phase, the rest the backward phase */
} Schedule;

/* root == NULL: forward of the whole graph and nothing else. Otherwise the scalar `root` is
 * differentiated into every parameter. Marks nodes lean where rc says so. */
void schedule_build(Schedule *s, const Graph *g, Tensor *root, Recompute rc);
void schedule_release(Schedule *s);

/* Drops every step after the forward of t; the schedule is forward only and not planned. */
void schedule_end_at(Schedule *s, const Tensor *t);

/* FLOPs of the matrix products in the schedule: all executed ones, or only those of the model, which
 * leave out what is done a second time. */
double schedule_flops(const Schedule *s, bool executed);

#endif
