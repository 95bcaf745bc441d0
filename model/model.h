/* model: a model at one batch size and context: parameters, recording, plan, and the Exec that runs
 * it.
 *
 * The one idea: model_plan does everything that needs no memory, so predicting a run and running it
 * are the same code. model_predicted_bytes is what model_alloc and the first run will touch.
 *
 * It reads no files (files/checkpoint.h) and has one size only (bucketed.h has several). */
#pragma once

#include "autograd/exec.h"
#include "model/families/family.h"
#include "model/precision.h"

/* What the user asks for. Auto recomputes cheap steps; where memory is short whole blocks, and
 * where that does not fit either, the number of blocks at a time that takes least memory. */
typedef enum RecomputeChoice {
    CHOOSE_AUTO,
    CHOOSE_NONE,
    CHOOSE_CHEAP,
    CHOOSE_BLOCK, /* CHOOSE_BLOCK + K - 1: K blocks at a time */
} RecomputeChoice;

/* "auto", "none", "cheap", "block" or "block:K" with K from 1 to 65536. */
int recompute_parse(const char *name, RecomputeChoice *choice, Err *err);

typedef struct ModelOptions {
    RecordWants wants;
    Precision precision;
    bool backward;  /* of a precision that has one */
    bool optimizer; /* AdamW's moments */
    /* Keep packed copies, for repeated forward passes of few rows, where memory_limit allows them.
     * A precision that stores weights small always packs them and keeps no other copy. */
    bool pack_weights;
    /* Compute attention and store logits in fp32 in every precision, as a decoder (decoder.h) with
     * a cache of fp32 does: what `tare generate` would choose from. */
    bool as_decoder;
    RecomputeChoice recompute;
    size_t memory_limit; /* bytes; CHOOSE_AUTO recomputes blocks only above it; 0 = no limit */
    int threads;
} ModelOptions;

typedef struct Model {
    ModelConfig config;
    ModelOptions options;
    Recompute recompute; /* in use */
    Params params;
    Graph graph;
    Recording record;
    Schedule schedule;
    Plan plan;
    Exec exec;
} Model;

/* Records, schedules and plans; allocates nothing large. The configuration has been checked. */
void model_plan(Model *m, const ModelConfig *c, const ModelOptions *o);

/* Between model_plan and model_alloc, forward only: runs end at hidden state `state` (Recording),
 * which exec_read then reads. */
void model_end_at_hidden(Model *m, size_t state);

/* What the plan takes: packed copies count as weights, gradients are those of parameters. */
typedef struct ModelBytes {
    size_t weights, gradients, moments, arena, scratch;
} ModelBytes;

ModelBytes model_bytes(const Model *m);

/* Predicts the peak resident bytes of a process that runs this plan: weights, gradients, moments,
 * packed copies, arena, scratch, and the fixed cost of the process itself. */
size_t model_predicted_bytes(const Model *m);

/* Maps weights and arena, touching neither. -1 when the system refuses, or precision_takes does. */
int model_alloc(Model *m, Err *err);
void model_release(Model *m);

/* Copy an input of the shape that Recording states. Ids out of range are our bug. */
void model_set_tokens(Model *m, const int32_t *tokens);
void model_set_mask(Model *m, const int32_t *mask);
void model_set_starts(Model *m, const int32_t *starts); /* [B+1], of sequences of any lengths */
void model_set_targets(Model *m, const int32_t *targets);

void model_forward(Model *m);
void model_backward(Model *m); /* after model_forward: fills every parameter's gradient */
void model_update(Model *m, const AdamW *o);
float model_loss(const Model *m); /* of the last forward */
