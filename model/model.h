/* model: parameters, one recording of it, its plan, and the Exec that runs it.
 *
 * model_plan does everything that needs no memory, so the prediction of a run and the run itself are
 * one piece of code: model_predicted_bytes is what model_alloc and the first run will touch. */
#ifndef TARE_MODEL_MODEL_H
#define TARE_MODEL_MODEL_H

#include "autograd/exec.h"
#include "model/precision.h"
#include "model/recording.h"

/* What the user asks for. Auto recomputes what is cheap, and whole blocks only where memory is short. */
typedef enum RecomputeChoice { CHOOSE_AUTO, CHOOSE_NONE, CHOOSE_BLOCK } RecomputeChoice;

/* "auto", "none" or "block"; another word is our bug, options_parse has refused it. */
RecomputeChoice recompute_choice(const char *name);

typedef struct ModelOptions {
    RecordWants wants;
    Precision precision;
    bool backward;  /* of a precision that has one */
    bool optimizer; /* AdamW's moments */
    bool
        pack_weights; /* keep packed copies; for repeated forward passes of few rows. A precision that
                          stores weights small always has them packed, and no other copy */
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

/* Peak resident bytes of a process that runs this plan: weights, gradients, moments, packed copies,
 * arena, scratch, and the fixed cost of the process itself. */
size_t model_predicted_bytes(const Model *m);

/* Maps weights and arena, touching neither. -1 also for what precision_takes refuses. */
int model_alloc(Model *m, Err *err);
void model_release(Model *m);

/* Each takes what Recording says; out-of-range ids are our bug here. */
void model_set_tokens(Model *m, const int32_t *tokens);
void model_set_mask(Model *m, const int32_t *mask);
void model_set_starts(Model *m, const int32_t *starts); /* [B+1], of sequences of any lengths */
void model_set_targets(Model *m, const int32_t *targets);

void model_forward(Model *m);
void model_backward(Model *m); /* after model_forward: fills every parameter's gradient */
void model_update(Model *m, const AdamW *o);
float model_loss(const Model *m); /* of the last forward */

#endif
