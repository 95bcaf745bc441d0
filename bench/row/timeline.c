/* timeline: see timeline.h. */
#include "bench/row/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "autograd/op.h"
#include "bench/util/fields.h"

/* ---- what a line holds ---- */

typedef struct MemoryStep {
    FieldINT step;
    FieldTEXT phase, op;
    FieldINT layer, weights, gradients, moments, activations, scratch, total;
} MemoryStep;

#define STEP_FIELD(kind, name) FIELD(MemoryStep, kind, #name, name, .doc = "")
static const Field step_fields[] = {
    STEP_FIELD(INT, step),    STEP_FIELD(TEXT, phase),      STEP_FIELD(TEXT, op),
    STEP_FIELD(INT, layer),   STEP_FIELD(INT, weights),     STEP_FIELD(INT, gradients),
    STEP_FIELD(INT, moments), STEP_FIELD(INT, activations), STEP_FIELD(INT, scratch),
    STEP_FIELD(INT, total),
};
static const Schema step_schema = {"a step", step_fields, COUNT_OF(step_fields),
                                   sizeof(MemoryStep)};

typedef struct TensorLine {
    FieldTEXT op;
    FieldINT layer;
    FieldTEXT kind, weight, shape;
    FieldINT bytes, first, last;
    FieldBOOL saved;
} TensorLine;

#define TENSOR_FIELD(kind_, name) FIELD(TensorLine, kind_, #name, name, .doc = "")
static const Field tensor_fields[] = {
    TENSOR_FIELD(TEXT, op),     TENSOR_FIELD(INT, layer),  TENSOR_FIELD(TEXT, kind),
    TENSOR_FIELD(TEXT, weight), TENSOR_FIELD(TEXT, shape), TENSOR_FIELD(INT, bytes),
    TENSOR_FIELD(INT, first),   TENSOR_FIELD(INT, last),   TENSOR_FIELD(BOOL, saved),
};
static const Schema tensor_schema = {"a tensor", tensor_fields, COUNT_OF(tensor_fields),
                                     sizeof(TensorLine)};

static int64_t layer_of(const Tensor *t)
{
    return t->block < 0 ? INT_MISSING : t->block;
}

/* ---- steps ---- */

static void set_phase(MemoryStep *line, const Step *s, bool backward)
{
    bool computes_forward = s->kind == STEP_FORWARD || s->kind == STEP_REFRESH;
    text_set(line->phase, !backward ? "forward" : computes_forward ? "recompute" : "backward");
    text_set(line->op, s->kind == STEP_GRAD_READY ? "grad_ready" : s->t->op->name);
    line->layer = layer_of(s->t);
}

static void write_step(MemoryStep *line, const ModelBytes *bytes, size_t activations, FILE *out)
{
    line->weights = (int64_t)bytes->weights;
    line->gradients = (int64_t)bytes->gradients;
    line->moments = (int64_t)bytes->moments;
    line->activations = (int64_t)activations;
    line->scratch = (int64_t)bytes->scratch;
    line->total =
        line->weights + line->gradients + line->moments + line->activations + line->scratch;
    schema_write_record(&step_schema, line, out);
}

static void write_update(MemoryStep *line, const ModelBytes *bytes, size_t gaps, FILE *out)
{
    line->step++;
    line->layer = INT_MISSING;
    text_set(line->phase, "update");
    text_set(line->op, "adamw");
    write_step(line, bytes, gaps, out);
}

void timeline_write(const Model *m, FILE *out)
{
    const Schedule *s = &m->schedule;
    const ModelBytes bytes = model_bytes(m);
    /* The arena is larger than all that is ever alive at one step. */
    size_t *alive = plan_alive(&m->plan), gaps = m->plan.arena_bytes - m->plan.live_bytes;
    MemoryStep line;
    schema_init(&step_schema, &line);
    schema_write_header(&step_schema, out);
    for (size_t i = 0; i < s->count; i++) {
        line.step = (int64_t)i + 1;
        set_phase(&line, &s->steps[i], i >= s->num_forward);
        write_step(&line, &bytes, alive[i] + gaps, out);
    }
    if (m->options.optimizer)
        write_update(&line, &bytes, gaps, out);
    free(alive);
}

/* ---- tensors ---- */

static void shape_text(const Tensor *t, FieldTEXT text)
{
    text[0] = '\0';
    for (int i = 0; i < t->ndim; i++)
        text_extend(text, "%s%zu", i ? "x" : "", t->shape[i]);
}

static const char *weight_of(const Tensor *t)
{
    for (int i = 0; i < t->num_inputs; i++)
        if (t->in[i] && t->in[i]->life == LIFE_PARAM)
            return t->in[i]->name;
    return "";
}

static void write_tensor(const Plan *p, const Buffer *b, FILE *out)
{
    static const char *const kinds[] = {
        [BUFFER_DATA] = "data", [BUFFER_AUX] = "aux", [BUFFER_GRAD] = "grad"};
    const size_t forward = p->schedule->num_forward;
    TensorLine line;
    schema_init(&tensor_schema, &line);
    text_set(line.op, b->t->op ? b->t->op->name : "input");
    line.layer = layer_of(b->t);
    text_set(line.kind, kinds[b->kind]);
    text_set(line.weight, weight_of(b->t));
    if (b->kind != BUFFER_AUX)
        shape_text(b->t, line.shape);
    line.bytes = (int64_t)plan_bytes(p, b);
    line.first = (int64_t)b->first + 1;
    line.last = (int64_t)b->last + 1;
    line.saved = b->t->op && b->first < forward && b->last >= forward;
    schema_write_record(&tensor_schema, &line, out);
}

void timeline_write_tensors(const Model *m, FILE *out)
{
    schema_write_header(&tensor_schema, out);
    for (size_t i = 0; i < m->plan.count; i++)
        write_tensor(&m->plan, &m->plan.buffers[i], out);
}
