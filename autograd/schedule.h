/* schedule: the flat list of steps that a run executes: every forward, then every backward in
 * reverse, each preceded by the steps that make again what it reads. Activation checkpointing is
 * nothing else: some forward steps appear twice. Allocates lists, no tensor memory. */
#pragma once

#include "autograd/graph.h"

typedef enum StepKind {
    STEP_FORWARD,  /* op->forward(t): t->data and t->aux begin a life */
    STEP_REFRESH,  /* op->refresh(t): t->data begins a second life, aux is still alive */
    STEP_BACKWARD, /* op->backward(t) */
    /* Parameter t's gradient is complete; nothing is computed. */
    STEP_GRAD_READY,
} StepKind;

typedef struct Step {
    StepKind kind;
    Tensor *t;
    unsigned add; /* backward: bit i says that in[i]'s gradient has a value, to which to add */
} Step;

/* What is kept between the passes. Results are the same in all, bit for bit. */
typedef enum Recompute {
    RECOMPUTE_NONE,  /* everything backward reads */
    RECOMPUTE_CHEAP, /* all but what op->refresh makes again (norms, activations) */
    RECOMPUTE_BLOCK, /* the last node of each block, and no logits (Chen et al. 2016) */
    /* RECOMPUTE_BLOCK + K - 1: the last node of every K-th block; recompute_blocks makes it. */
} Recompute;

static inline Recompute recompute_blocks(size_t every)
{
    return (Recompute)(RECOMPUTE_BLOCK + every - 1);
}

/* "none", "cheap", "block", "block:3"; valid until the next call on this thread. */
const char *recompute_name(Recompute rc);

typedef struct Schedule {
    const Graph *graph;
    Tensor *root; /* the scalar whose gradient is 1; NULL for forward only */
    Step *steps;
    size_t count;
    size_t num_forward; /* steps[0..num_forward) are the forward phase; the rest is backward */
} Schedule;

/* Schedules the forward pass of the whole graph and, unless root is NULL, the gradients of the
 * scalar `root` with respect to every parameter. Marks nodes lean where rc keeps no logits. */
void schedule_build(Schedule *s, const Graph *g, Tensor *root, Recompute rc);
void schedule_release(Schedule *s);

/* Drops every step after the forward of t; the schedule is forward only and not planned. */
void schedule_end_at(Schedule *s, const Tensor *t);

/* Drops every step after the last one that takes a state: what remains fills the states. */
void schedule_end_at_states(Schedule *s);

/* FLOPs of the matrix products that this step executes. */
double step_flops(const Step *s);
