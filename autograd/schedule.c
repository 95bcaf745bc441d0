/* schedule: see schedule.h.
 *
 * Recomputation is driven by demand: before a backward step is emitted, `need` emits the forward or
 * refresh step of each tensor that it reads, and recursively of what those read. */
#include "autograd/schedule.h"

#include <stdio.h>
#include <stdlib.h>

#include "autograd/op.h"

const char *recompute_name(Recompute rc)
{
    static const char *const names[] = {"none", "cheap", "block"};
    static _Thread_local char name[32];
    if (rc <= RECOMPUTE_BLOCK)
        return names[rc];
    snprintf(name, sizeof name, "block:%d", rc - RECOMPUTE_BLOCK + 1);
    return name;
}

/* How a node's data become readable in the backward phase. */
typedef enum Policy { KEEP, REFRESH, RERUN } Policy;

typedef struct Builder {
    Schedule *s;
    const Graph *g;
    Policy *policy;     /* per node */
    bool *made_again;   /* per node: its second life has begun */
    bool *has_grad;     /* per node: a step has contributed to its gradient */
    int *contributions; /* per parameter: backward steps still to come */
    bool *param_has_grad;
} Builder;

static void emit(Schedule *s, StepKind kind, Tensor *t, unsigned add)
{
    s->steps = xgrow(s->steps, s->count, sizeof *s->steps);
    s->steps[s->count++] = (Step){kind, t, add};
}

/* Whether t is the last node of its block and that the last of `every` blocks. */
static bool ends_blocks(const Graph *g, const Tensor *t, int every)
{
    size_t next = (size_t)t->index + 1;
    int block = next < g->count ? g->nodes[next]->block : -1;
    return block < 0 || block / every != t->block / every;
}

/* An op that refreshes from aux can do so only for nodes that have aux. */
static bool can_refresh(const Tensor *t)
{
    bool from_aux = t->op->refreshed_from & SAVE_AUX;
    return t->op->refresh && (!from_aux || t->op->aux_bytes(t, true) > 0);
}

static Policy policy_of(const Graph *g, const Tensor *t, Recompute rc)
{
    if (!t->op || t->keep)
        return KEEP;
    if (rc == RECOMPUTE_CHEAP && can_refresh(t))
        return REFRESH;
    if (rc >= RECOMPUTE_BLOCK && t->block >= 0 && !ends_blocks(g, t, rc - RECOMPUTE_BLOCK + 1))
        return RERUN;
    return KEEP;
}

/* Emits the steps that make t's data (and, after a rerun, its aux) readable in the backward
 * phase. */
static void need(Builder *b, Tensor *t)
{
    if (!t || t->life != LIFE_ACTIVATION || b->policy[t->index] == KEEP || b->made_again[t->index])
        return;
    bool rerun = b->policy[t->index] == RERUN;
    for (int i = 0; i < t->num_inputs; i++)
        if (rerun || t->op->refreshed_from & SAVE_IN(i))
            need(b, t->in[i]);
    emit(b->s, rerun ? STEP_FORWARD : STEP_REFRESH, t, 0);
    b->made_again[t->index] = true;
}

static bool *grad_flag(Builder *b, const Tensor *t)
{
    return t->life == LIFE_PARAM ? &b->param_has_grad[t->index] : &b->has_grad[t->index];
}

static void emit_backward(Builder *b, Tensor *t)
{
    for (int i = 0; i < t->num_inputs; i++)
        if (t->op->saved & SAVE_IN(i))
            need(b, t->in[i]);
    if (t->op->saved & SAVE_OUT || (t->op->saved & SAVE_AUX && b->policy[t->index] == RERUN))
        need(b, t);

    unsigned add = 0;
    for (int i = 0; i < t->num_inputs; i++) {
        if (!t->in[i] || !t->in[i]->needs_grad)
            continue;
        bool *seen = grad_flag(b, t->in[i]);
        add |= *seen ? 1u << i : 0;
        *seen = true;
    }
    emit(b->s, STEP_BACKWARD, t, add);
    for (int i = 0; i < t->num_inputs; i++)
        if (t->in[i] && t->in[i]->life == LIFE_PARAM && t->in[i]->needs_grad &&
            --b->contributions[t->in[i]->index] == 0)
            emit(b->s, STEP_GRAD_READY, t->in[i], 0);
}

static size_t count_params(const Graph *g)
{
    int largest = -1;
    for (size_t n = 0; n < g->count; n++)
        for (int i = 0; i < g->nodes[n]->num_inputs; i++) {
            const Tensor *in = g->nodes[n]->in[i];
            if (in && in->life == LIFE_PARAM && in->index > largest)
                largest = in->index;
        }
    return (size_t)(largest + 1);
}

/* Marks the ancestors of the root (`reached`, per node) and counts the contributions to each
 * parameter's gradient. */
static void count_contributions(const Graph *g, const Tensor *root, bool *reached, int *count)
{
    reached[root->index] = true;
    for (size_t n = (size_t)root->index + 1; n-- > 0;) {
        const Tensor *t = g->nodes[n];
        if (!reached[n] || !t->op || !t->needs_grad)
            continue;
        for (int i = 0; i < t->num_inputs; i++) {
            const Tensor *in = t->in[i];
            if (in && in->life == LIFE_PARAM)
                count[in->index]++;
            else if (in)
                reached[in->index] = true;
        }
    }
}

static void schedule_backward(Schedule *s, const Graph *g, Recompute rc)
{
    size_t n = g->count, params = count_params(g);
    bool *reached = xcalloc(n, sizeof *reached);
    Builder b = {.s = s,
                 .g = g,
                 .policy = xcalloc(n, sizeof *b.policy),
                 .made_again = xcalloc(n, sizeof *b.made_again),
                 .has_grad = xcalloc(n, sizeof *b.has_grad),
                 .contributions = xcalloc(params + 1, sizeof *b.contributions),
                 .param_has_grad = xcalloc(params + 1, sizeof *b.param_has_grad)};
    for (size_t i = 0; i < n; i++)
        b.policy[i] = policy_of(g, g->nodes[i], rc);
    count_contributions(g, s->root, reached, b.contributions);
    for (size_t i = (size_t)s->root->index + 1; i-- > 0;)
        if (reached[i] && g->nodes[i]->op && g->nodes[i]->needs_grad)
            emit_backward(&b, g->nodes[i]);
    free(reached);
    free(b.policy);
    free(b.made_again);
    free(b.has_grad);
    free(b.contributions);
    free(b.param_has_grad);
}

void schedule_build(Schedule *s, const Graph *g, Tensor *root, Recompute rc)
{
    *s = (Schedule){.graph = g, .root = root};
    for (size_t i = 0; i < g->count; i++) {
        g->nodes[i]->lean = rc >= RECOMPUTE_BLOCK;
        if (g->nodes[i]->op)
            emit(s, STEP_FORWARD, g->nodes[i], 0);
    }
    s->num_forward = s->count;
    if (root) {
        CHECK(root->needs_grad && tensor_count(root) == 1, "the root is not a loss");
        schedule_backward(s, g, rc);
    }
}

void schedule_end_at(Schedule *s, const Tensor *t)
{
    CHECK(!s->root, "a schedule with a backward phase cannot end early");
    while (s->count > 0 && s->steps[s->count - 1].t != t)
        s->count--;
    s->num_forward = s->count;
}

static bool takes_state(const Tensor *t)
{
    for (int i = 0; i < t->num_inputs; i++)
        if (t->in[i] && t->in[i]->life == LIFE_STATE)
            return true;
    return false;
}

void schedule_end_at_states(Schedule *s)
{
    size_t last = s->count;
    while (last > 0 && !takes_state(s->steps[last - 1].t))
        last--;
    CHECK(last > 0, "no step takes a state");
    schedule_end_at(s, s->steps[last - 1].t);
}

void schedule_release(Schedule *s)
{
    free(s->steps);
    *s = (Schedule){0};
}

double step_flops(const Step *s)
{
    const OpDef *op = s->t->op;
    bool backward = s->kind == STEP_BACKWARD;
    if (s->kind != STEP_FORWARD && !backward)
        return 0;
    double repeated = backward && s->t->lean && op->lean_flops ? op->lean_flops(s->t) : 0;
    return op_flops(s->t, backward) + repeated;
}
