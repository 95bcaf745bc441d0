/* profile: see profile.h; the table is made in profile_print.c. */
#include "bench/row/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/ops.h"
#include "bench/util/fields.h"

void profile_init(Profile *p)
{
    *p = (Profile){.slices = 1};
    samples_init(&p->runs);
}

void profile_release(Profile *p)
{
    free(p->lines);
    samples_release(&p->runs);
    json_decref(p->trace);
    profile_init(p);
}

static const char *const pass_names[] = {
    [STEP_FORWARD] = "forward", [STEP_REFRESH] = "refresh", [STEP_BACKWARD] = "backward"};

const char *profile_pass(StepKind kind)
{
    return pass_names[kind];
}

static ProfileLine *line_of(Profile *p, const OpDef *op, StepKind kind, int64_t part)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->lines[i].op == op && p->lines[i].kind == kind && p->lines[i].part == part)
            return &p->lines[i];
    p->lines = xrealloc(p->lines, (p->count + 1) * sizeof *p->lines);
    p->lines[p->count] = (ProfileLine){.op = op, .kind = kind, .part = part};
    return &p->lines[p->count++];
}

/* ---- what a step moves and computes ---- */

static double gradient_bytes(const Tensor *t)
{
    return (double)tensor_count(t) * sizeof(float);
}

/* Of what `parts`, a set of SAVE_ bits, names. */
static double bytes_of(const Tensor *t, unsigned parts, bool backward)
{
    double bytes = parts & SAVE_OUT ? (double)tensor_bytes(t) : 0;
    if (parts & SAVE_AUX && t->op->aux_bytes)
        bytes += (double)t->op->aux_bytes(t, backward);
    for (int i = 0; i < t->num_inputs; i++)
        if (t->in[i] && parts & SAVE_IN(i))
            bytes += (double)tensor_bytes(t->in[i]);
    return bytes;
}

/* Counts the output's gradient as read, those of inputs as written, or both where they add up. */
static double moved_gradients(const Step *s)
{
    double bytes = gradient_bytes(s->t);
    for (int i = 0; i < s->t->num_inputs; i++)
        if (s->t->in[i] && s->t->in[i]->needs_grad)
            bytes += gradient_bytes(s->t->in[i]) * (s->add & SAVE_IN(i) ? 2 : 1);
    return bytes;
}

/* Scratch is not counted. Ops that pick rows of an input do not read all of it. */
static double step_bytes(const Step *s, bool backward)
{
    const unsigned everything = SAVE_OUT | SAVE_AUX | (SAVE_OUT - 1);
    const OpDef *op = s->t->op;
    if (op == &op_embedding_def || op == &op_end_token_def)
        return NAN;
    if (s->kind == STEP_FORWARD)
        return bytes_of(s->t, everything, backward);
    if (s->kind == STEP_REFRESH)
        return bytes_of(s->t, op->refreshed_from | SAVE_OUT, backward);
    return bytes_of(s->t, op->saved, backward) + moved_gradients(s);
}

/* Parts share the time of the step, its FLOPs as the op says, and no bytes. */
static void add_parts(Profile *p, const Step *step, const StepTime *time, double inside)
{
    const OpDef *op = step->t->op;
    for (size_t i = 0; i < MAX_STEP_PARTS && op->parts[i]; i++) {
        ProfileLine *l = line_of(p, op, step->kind, (int64_t)i);
        l->steps++;
        l->ns += (double)time->ns * (double)time->part_ns[i] / inside;
        l->flops += step_flops(step) * op->part_flops[i];
        l->bytes = NAN;
        l->products |= op->part_flops[i] > 0 ? time->products : 0;
    }
}

/* A StepHook; ctx is the Profile. */
static void add_step(void *ctx, const Step *step, const StepTime *time)
{
    Profile *p = ctx;
    double inside = 0;
    if (step->kind == STEP_GRAD_READY || time->slice != 0)
        return;
    for (size_t i = 0; i < MAX_STEP_PARTS; i++)
        inside += (double)time->part_ns[i];
    if (inside > 0) {
        add_parts(p, step, time, inside);
        return;
    }
    ProfileLine *l = line_of(p, step->t->op, step->kind, -1);
    l->steps++;
    l->ns += (double)time->ns;
    l->flops += step_flops(step);
    l->bytes += step_bytes(step, p->backward);
    l->products |= time->products;
}

void profile_runs(Profile *p, Exec *e, int64_t count, Sample (*once)(void *what), void *what)
{
    StepHook *hook = e->hook;
    void *hook_ctx = e->hook_ctx;
    samples_reserve(&p->runs, p->runs.count + (size_t)count);
    e->hook = add_step;
    e->hook_ctx = p;
    for (int64_t i = 0; i < count; i++)
        samples_add(&p->runs, once(what));
    e->hook = hook;
    e->hook_ctx = hook_ctx;
}

/* ---- JSON ---- */

json_t *profile_to_json(const Profile *p)
{
    json_t *object = json_object(), *lines = json_array();
    for (size_t i = 0; i < p->count; i++) {
        const ProfileLine *l = &p->lines[i];
        json_t *line =
            json_pack("{s:s, s:s, s:I, s:f, s:f, s:f, s:i}", "op", l->op->name, "pass",
                      profile_pass(l->kind), "part", (json_int_t)l->part, "steps", l->steps, "ns",
                      l->ns, "flops", l->flops, "products", (int)l->products);
        CHECK(line, "a line of the profile is not JSON");
        json_object_set_new(line, "bytes", number_json(l->bytes));
        json_array_append_new(lines, line);
    }
    json_object_set_new(object, "lines", lines);
    json_object_set_new(object, "runs", samples_to_json(&p->runs));
    json_object_set_new(object, "slices", json_integer(p->slices));
    json_object_set_new(object, "backward", json_boolean(p->backward));
    if (p->trace)
        json_object_set(object, "trace", p->trace);
    return object;
}

static const OpDef *find_op(const char *name)
{
    for (size_t i = 0; i < num_ops; i++)
        if (strcmp(all_ops[i]->name, name) == 0)
            return all_ops[i];
    return NULL;
}

static int find_pass(const char *name, StepKind *kind)
{
    for (size_t i = 0; i < COUNT_OF(pass_names); i++)
        if (strcmp(pass_names[i], name) == 0) {
            *kind = (StepKind)i;
            return 0;
        }
    return -1;
}

static int line_from_json(json_t *object, Profile *p, Err *err)
{
    const char *op_name, *pass;
    StepKind kind;
    json_int_t part;
    int products;
    ProfileLine read = {.bytes = NAN};
    if (json_unpack(object, "{s:s, s:s, s:I, s:F, s:F, s:F, s:i}", "op", &op_name, "pass", &pass,
                    "part", &part, "steps", &read.steps, "ns", &read.ns, "flops", &read.flops,
                    "products", &products) != 0)
        return err_set(err, "a line of the profile lacks a key");
    const OpDef *op = find_op(op_name);
    if (!op || find_pass(pass, &kind) != 0 || part < -1 || part >= MAX_STEP_PARTS ||
        (part >= 0 && !op->parts[part]))
        return err_set(err, "the profile has an op '%.40s', pass '%.40s', that do not exist",
                       op_name, pass);
    const json_t *bytes = json_object_get(object, "bytes");
    ProfileLine *l = line_of(p, op, kind, part);
    l->steps = read.steps;
    l->ns = read.ns;
    l->flops = read.flops;
    l->products = (unsigned)products;
    l->bytes = json_is_number(bytes) ? json_number_value(bytes) : NAN;
    return 0;
}

int profile_from_json(const json_t *object, Profile *p, Err *err)
{
    const json_t *lines = json_object_get(object, "lines");
    const json_t *slices = json_object_get(object, "slices");
    if (!json_is_array(lines) || !json_is_integer(slices))
        return err_set(err, "the row's answer has no profile");
    p->slices = json_integer_value(slices);
    p->backward = json_is_true(json_object_get(object, "backward"));
    p->trace = json_incref(json_object_get(object, "trace"));
    for (size_t i = 0; i < json_array_size(lines); i++)
        if (line_from_json(json_array_get(lines, i), p, err) != 0)
            return -1;
    return samples_from_json(json_object_get(object, "runs"), &p->runs, err);
}
