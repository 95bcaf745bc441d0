/* timeline: the memory of a planned run, step by step, and the tensors behind it.
 *
 * The one idea: everything follows from the plan, so the timeline is exact and nothing has to run.
 * Weights, gradients of parameters, moments and scratch are reserved for the whole run. The
 * activations of a step, with the gradients of activations, are the buffers alive at that step, and
 * at every step what the placement of all buffers wastes: the arena less the most that is ever
 * alive, 0 in most plans. So the largest total is what the process is predicted to need beside its
 * own fixed cost. */
#pragma once

#include <stdio.h>

#include "model/model.h"

/* CSV, a line a step: step (from 1), phase (forward, recompute, backward, update), op, layer (empty
 * outside of all), then bytes: weights, gradients, moments, activations, scratch, total. The op of
 * a step that only completes a parameter's gradient is grad_ready. */
void timeline_write(const Model *m, FILE *out);

/* CSV, a line a buffer of the arena: op (input: whoever calls fills it), layer, kind (data, aux,
 * grad), weight (the parameter that the op reads), shape, bytes, first and last step of its life,
 * saved (True: forward keeps it for backward). */
void timeline_write_tensors(const Model *m, FILE *out);
