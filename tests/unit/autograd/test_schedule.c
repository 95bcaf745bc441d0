/* test_schedule: the order of steps, who writes a gradient first, when a gradient is ready, and
 * that nothing is made again without need. The printed program of a two-layer GPT is kept in
 * golden/; UPDATE_GOLDEN=1 in the environment writes it anew. */
#include "tests/support/plan_print.h"
#include "tests/support/random_graph.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/families/shapes.h"
#include "model/model.h"

/* ---- small graphs by hand ---- */

static Tensor weight(int index, size_t rows, size_t cols)
{
    return (Tensor){.name = "w",
                    .index = index,
                    .block = -1,
                    .life = LIFE_PARAM,
                    .dtype = DT_F32,
                    .ndim = 2,
                    .shape = {rows, cols},
                    .needs_grad = true};
}

static void expect_step(const Schedule *s, size_t i, StepKind kind, const Tensor *t, unsigned add)
{
    cr_assert(i < s->count, "step %zu is missing", i);
    const Step *step = &s->steps[i];
    cr_expect(step->kind == kind && step->t == t && step->add == add,
              "step %zu: kind %d of tensor %d, adds %u", i, step->kind, step->t->index, step->add);
}

/* Norm, GELU and the last product's input have products as their only readers. Others do not: x is
 * normed, sum is a residual, dropped has the format of its input, kept is kept, unread is not
 * read. */
Test(schedule, only_what_products_alone_read_is_stored_in_bf16)
{
    Graph g;
    graph_init(&g);
    Tensor word = weight(0, 11, 4), w = weight(1, 4, 4), scale = weight(2, 1, 4);
    Tensor *tokens = graph_input(&g, "tokens", DT_I32, 2, (size_t[]){1, 3});
    Tensor *x = op_embedding(&g, tokens, (Sequences){.batch = 1}, &word, NULL, NULL, NULL, -1);
    Tensor *norm = op_rmsnorm(&g, x, &scale, 1e-5f);
    Tensor *gelu = op_linear(&g, norm, &w, NULL, ACT_GELU_TANH, NULL);
    Tensor *sum = op_linear(&g, gelu, &w, NULL, ACT_NONE, x);
    Tensor *dropped = op_dropout(&g, sum, 0.5f, NULL, false);
    Tensor *kept = op_linear(&g, dropped, &w, NULL, ACT_NONE, NULL);
    Tensor *last = op_linear(&g, kept, &w, NULL, ACT_NONE, NULL);
    Tensor *unread = op_linear(&g, last, &w, NULL, ACT_NONE, NULL);
    Tensor *loss = op_linear_cross_entropy(&g, last, &word, tokens);
    tensor_keep(kept);
    graph_store_operands(&g);
    const Tensor *small[] = {norm, gelu, last};
    const Tensor *others[] = {x, sum, dropped, kept, unread, loss};
    for (size_t i = 0; i < COUNT_OF(small); i++)
        cr_expect(small[i]->dtype == DT_BF16, "number %zu is in fp32", i);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        cr_expect(others[i]->dtype == DT_F32, "number %zu is in bf16", i);
    cr_expect(tokens->dtype == DT_I32 && w.dtype == DT_F32);
    graph_release(&g);
}

/* A table that is read first and last, as a tied head is, and a value with two readers. */
Test(schedule, order_and_additions)
{
    Graph g;
    graph_init(&g);
    Tensor word = weight(0, 11, 4), position = weight(1, 3, 4), w = weight(2, 4, 4);
    Tensor *tokens = graph_input(&g, "tokens", DT_I32, 2, (size_t[]){1, 3});
    Tensor *x = op_embedding(&g, tokens, (Sequences){.batch = 1}, &word, &position, NULL, NULL, -1);
    Tensor *y = op_linear(&g, x, &w, NULL, ACT_NONE, x); /* x twice: as input and as residual */
    Tensor *loss = op_linear_cross_entropy(&g, y, &word, tokens);
    Schedule s;
    schedule_build(&s, &g, loss, RECOMPUTE_NONE);
    cr_expect(s.num_forward == 3 && s.count == 9);
    expect_step(&s, 0, STEP_FORWARD, x, 0);
    expect_step(&s, 1, STEP_FORWARD, y, 0);
    expect_step(&s, 2, STEP_FORWARD, loss, 0);
    expect_step(&s, 3, STEP_BACKWARD, loss, 0);
    expect_step(&s, 4, STEP_BACKWARD, y, 1u << 3);
    expect_step(&s, 5, STEP_GRAD_READY, &w, 0);
    expect_step(&s, 6, STEP_BACKWARD, x, 1u << 1);
    expect_step(&s, 7, STEP_GRAD_READY, &word, 0);
    expect_step(&s, 8, STEP_GRAD_READY, &position, 0);
    schedule_release(&s);
    graph_release(&g);
}

/* A branch that the loss does not reach runs forward, but has no backward and readies no
 * gradient. */
Test(schedule, what_the_loss_does_not_reach)
{
    Graph g;
    graph_init(&g);
    Tensor w = weight(0, 5, 4), aside = weight(1, 4, 4);
    Tensor *x = graph_input(&g, "x", DT_F32, 2, (size_t[]){3, 4});
    Tensor *targets = graph_input(&g, "targets", DT_I32, 1, (size_t[]){3});
    Tensor *branch = op_linear(&g, x, &aside, NULL, ACT_NONE, NULL);
    Tensor *loss = op_linear_cross_entropy(&g, x, &w, targets);
    Schedule s;
    schedule_build(&s, &g, loss, RECOMPUTE_BLOCK);
    cr_expect(s.count == 4);
    expect_step(&s, 0, STEP_FORWARD, branch, 0);
    expect_step(&s, 1, STEP_FORWARD, loss, 0);
    expect_step(&s, 2, STEP_BACKWARD, loss, 0);
    expect_step(&s, 3, STEP_GRAD_READY, &w, 0);
    schedule_release(&s);
    schedule_build(&s, &g, NULL, RECOMPUTE_NONE);
    cr_expect(s.count == 2 && s.num_forward == 2, "forward only is every forward and no more");
    schedule_release(&s);
    graph_release(&g);
}

Test(schedule, a_root_that_is_no_loss_is_our_bug, .signal = SIGABRT)
{
    Graph g;
    graph_init(&g);
    Tensor w = weight(0, 5, 4);
    Tensor *x = graph_input(&g, "x", DT_F32, 2, (size_t[]){3, 4});
    Schedule s;
    schedule_build(&s, &g, op_linear(&g, x, &w, NULL, ACT_NONE, NULL), RECOMPUTE_NONE);
}

/* ---- what holds of every schedule ---- */

static bool reads_param(const Step *s, const Tensor *param)
{
    for (int i = 0; i < s->t->num_inputs && s->kind == STEP_BACKWARD; i++)
        if (s->t->in[i] == param)
            return true;
    return false;
}

/* Ready exactly once, after its last contribution; the first contribution writes, the others
 * add. */
static void check_param(const Schedule *s, const Tensor *param, size_t ready_at)
{
    bool written = false;
    for (size_t i = s->num_forward; i < s->count; i++) {
        const Step *step = &s->steps[i];
        cr_assert(step->kind != STEP_GRAD_READY || step->t != param || i == ready_at,
                  "a gradient is ready twice");
        if (!reads_param(step, param))
            continue;
        cr_assert(i < ready_at, "step %zu adds to a gradient that was ready", i);
        for (int k = 0; k < step->t->num_inputs; k++) {
            if (step->t->in[k] != param)
                continue;
            cr_assert((step->add >> k & 1) == written, "step %zu, input %d: write or add?", i, k);
            written = true;
        }
    }
    cr_assert(written, "a gradient is ready that nothing contributed to");
}

/* Whether a step after `from` reads the data of t, or its aux. */
static bool is_read_after(const Schedule *s, const Tensor *t, size_t from)
{
    for (size_t i = from + 1; i < s->count; i++) {
        const Step *step = &s->steps[i];
        if (step->kind == STEP_GRAD_READY)
            continue;
        const OpDef *op = step->t->op;
        unsigned reads = step->kind == STEP_BACKWARD  ? op->saved
                         : step->kind == STEP_REFRESH ? op->refreshed_from
                                                      : ~0u;
        if (step->t == t && step->kind == STEP_BACKWARD && reads & (SAVE_OUT | SAVE_AUX))
            return true;
        for (int k = 0; k < step->t->num_inputs; k++)
            if (step->t->in[k] == t && reads & SAVE_IN(k))
                return true;
    }
    return false;
}

/* Nothing is made again twice, nor without a later reader. */
static void check_made_again(const Schedule *s)
{
    for (size_t i = s->num_forward; i < s->count; i++) {
        const Step *step = &s->steps[i];
        if (step->kind != STEP_FORWARD && step->kind != STEP_REFRESH)
            continue;
        cr_assert(!step->t->keep, "node %d is kept, and made again", step->t->index);
        cr_assert(is_read_after(s, step->t, i), "node %d is made again for nobody", step->t->index);
        for (size_t k = s->num_forward; k < i; k++)
            cr_assert(s->steps[k].t != step->t || s->steps[k].kind == STEP_BACKWARD,
                      "node %d is made again twice", step->t->index);
    }
}

/* Backward steps go from the last node to the first, each once. */
static void check_order(const Schedule *s)
{
    int before = s->root->index + 1;
    for (size_t i = s->num_forward; i < s->count; i++) {
        if (s->steps[i].kind != STEP_BACKWARD)
            continue;
        cr_assert(s->steps[i].t->index < before, "step %zu is out of order", i);
        before = s->steps[i].t->index;
    }
}

static void check_all(const Schedule *s)
{
    check_order(s);
    check_made_again(s);
    for (size_t i = s->num_forward; i < s->count; i++)
        if (s->steps[i].kind == STEP_GRAD_READY)
            check_param(s, s->steps[i].t, i);
}

static size_t count_kind(const Schedule *s, StepKind kind)
{
    size_t count = 0;
    for (size_t i = s->num_forward; i < s->count; i++)
        count += s->steps[i].kind == kind;
    return count;
}

Test(schedule, random_graphs)
{
    for (uint64_t seed = 0; seed < 300; seed++)
        for (Recompute rc = RECOMPUTE_NONE; rc <= recompute_blocks(3); rc++) {
            RandomGraph r;
            Schedule s;
            random_graph_init(&r, seed, false);
            schedule_build(&s, &r.graph, r.root, rc);
            check_all(&s);
            if (rc == RECOMPUTE_NONE)
                cr_assert(count_kind(&s, STEP_FORWARD) + count_kind(&s, STEP_REFRESH) == 0);
            schedule_release(&s);
            random_graph_release(&r);
        }
}

static void tiny_gpt_init(Model *m, RecomputeChoice rc)
{
    ModelConfig c = model_config_gpt(36, 2, 3, 101, 17);
    model_plan(m, &c,
               &(ModelOptions){.wants = {.batch = 3, .context = 17, .loss = true},
                               .backward = true,
                               .recompute = rc,
                               .threads = 2});
}

Test(schedule, models_ready_every_parameter)
{
    for (RecomputeChoice rc = CHOOSE_AUTO; rc <= CHOOSE_BLOCK; rc++) {
        Model m;
        tiny_gpt_init(&m, rc);
        check_all(&m.schedule);
        cr_expect(count_kind(&m.schedule, STEP_GRAD_READY) == m.params.count);
        model_release(&m);
    }
}

/* ---- the printed program ---- */

/* What plan_print prints, without the scratch bytes, which depend on the kernels. Caller frees. */
static char *print_program(const Plan *p)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    cr_assert(f);
    plan_print(p, f);
    fclose(f);
    char *scratch = strstr(text, ", scratch ");
    cr_assert(scratch);
    strcpy(scratch, "\n");
    return text;
}

static void expect_golden(const char *path, const char *text)
{
    if (getenv("UPDATE_GOLDEN")) {
        FILE *f = fopen(path, "w");
        cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0, "cannot write %s", path);
        return;
    }
    Err err;
    size_t length;
    char *golden = file_read(path, 1 << 20, &length, &err);
    cr_assert(golden, "%s", err.msg);
    size_t at = 0, line = 1;
    for (; golden[at] && golden[at] == text[at]; at++)
        line += golden[at] == '\n';
    cr_expect(golden[at] == text[at], "%s: the program differs in line %zu", path, line);
    free(golden);
}

Test(schedule, printed_program)
{
    for (RecomputeChoice rc = CHOOSE_AUTO; rc <= CHOOSE_BLOCK; rc++) {
        Model m;
        tiny_gpt_init(&m, rc);
        char path[80], *text = print_program(&m.plan);
        snprintf(path, sizeof path, "tests/golden/program_%s.txt", recompute_name(m.recompute));
        expect_golden(path, text);
        free(text);
        model_release(&m);
    }
}
