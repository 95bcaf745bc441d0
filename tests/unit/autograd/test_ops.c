/* test_ops: every op of ops.def over the cases of tests/unit/autograd/ops, on every
 * instruction set of this machine:
 *
 *   near   values and directional derivatives against doubles;
 *   exact  values and whole gradients of whole numbers, bit for bit;
 *   same   bit-identical with two threads, every recomputation, dead buffers full of NaN, and
 *          inputs without a gradient. */
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const isas[] = {"generic", "avx2", "avx512"};

static const RunOptions plain = {.threads = 1, .copies = 1, .frozen = -1};

/* ---- the same in double ---- */

/* sum(r y) of the given leaf values; y is scratch for them. */
static double weighted_sum(const OpSetup *s, double *const *x, const float *r, double *y, size_t n)
{
    double sum = 0;
    s->spec->forward(s, x, y);
    for (size_t i = 0; i < n; i++)
        sum += (double)r[i] * y[i];
    return sum;
}

/* Central difference along `direction` of leaf i; NULL: along its element k alone. */
static double slope(const OpSetup *s, int i, const double *direction, size_t k, const float *r,
                    double *y, size_t n)
{
    const double h = s->exact ? 0x1p-13 : 1e-5;
    double *x[MAX_INPUTS], f[2];
    for (int j = 0; j < MAX_INPUTS; j++)
        x[j] = s->leaf[j].x;
    double *moved = xmalloc(s->leaf[i].count * sizeof *moved);
    x[i] = moved;
    for (int side = 0; side < 2; side++) {
        double step = side ? h : -h;
        memcpy(moved, s->leaf[i].x, s->leaf[i].count * sizeof *moved);
        for (size_t e = 0; direction && e < s->leaf[i].count; e++)
            moved[e] += step * direction[e];
        if (!direction)
            moved[k] += step;
        f[side] = weighted_sum(s, x, r, y, n);
    }
    free(moved);
    return (f[1] - f[0]) / (2 * h);
}

static bool has_gradient(const OpSetup *s, int i)
{
    return s->leaf[i].present && !s->leaf[i].integer;
}

/* ---- which case a failure is about ---- */

static const char *describe(const OpSetup *s)
{
    static char text[160];
    int at = snprintf(text, sizeof text, "%s %s =", s->spec->def->name, s->spec->letters);
    for (size_t d = 0; d < MAX_LETTERS && s->at->dim[d]; d++)
        at += snprintf(text + at, sizeof text - (size_t)at, " %zu", s->at->dim[d]);
    snprintf(text + at, sizeof text - (size_t)at, ", flags %u, %s", s->at->flags, kernels()->isa);
    return text;
}

/* Largest errors of this run, printed where OP_ERRORS is set: what the table's figures come
 * from. */
static void note_error(const OpSetup *s, const char *what, double error)
{
    if (getenv("OP_ERRORS"))
        fprintf(stderr, "%s\t%s\t%.2e\t%s\n", s->spec->def->name, what, error, describe(s));
}

/* ---- near ---- */

enum { DIRECTIONS = 20, MARGIN = 4 /* times the largest error ever seen */ };

/* Directional derivatives of every leaf, [leaf][DIRECTIONS], along +1 and -1. */
typedef struct Slopes {
    double at[MAX_INPUTS][DIRECTIONS];
} Slopes;

static double sign_at(int leaf, int direction, size_t i)
{
    return rng_u64(9, (uint64_t)(leaf * DIRECTIONS + direction), i) & 1 ? 1 : -1;
}

static void find_slopes(const OpSetup *s, const float *r, double *y, size_t n, Slopes *out)
{
    for (int i = 0; i < MAX_INPUTS; i++) {
        if (!has_gradient(s, i))
            continue;
        double *direction = xmalloc(s->leaf[i].count * sizeof *direction);
        for (int d = 0; d < DIRECTIONS; d++) {
            for (size_t k = 0; k < s->leaf[i].count; k++)
                direction[k] = sign_at(i, d, k);
            out->at[i][d] = slope(s, i, direction, 0, r, y, n);
        }
        free(direction);
    }
}

static void expect_value(const OpSetup *s, const Outcome *got, const double *y)
{
    double error = 0, largest = 0;
    for (size_t i = 0; i < got->count; i++) {
        double e = fabs((double)got->y[i] - y[i]);
        error = e > error || e != e ? e : error;
        largest = fmax(largest, fabs(y[i]));
    }
    error = largest > 0 ? error / largest : error;
    note_error(s, "value", error);
    cr_expect(error <= MARGIN * s->spec->value_error, "%s: value off by %.2e", describe(s), error);
}

static void expect_gradient(const OpSetup *s, const Outcome *got, const Slopes *slopes, int copies)
{
    for (int i = 0; i < MAX_INPUTS; i++) {
        if (!has_gradient(s, i))
            continue;
        double norm = 0, worst = 0;
        for (size_t k = 0; k < s->leaf[i].count; k++)
            norm += (double)got->grad[i][k] * (double)got->grad[i][k];
        for (int d = 0; d < DIRECTIONS; d++) {
            double dot = 0;
            for (size_t k = 0; k < s->leaf[i].count; k++)
                dot += (double)got->grad[i][k] * sign_at(i, d, k);
            double e = fabs(dot - copies * slopes->at[i][d]);
            worst = e > worst || e != e ? e : worst;
        }
        double error = norm > 0 ? worst / sqrt(norm) : worst;
        note_error(s, "gradient", error);
        cr_expect(error <= MARGIN * s->spec->gradient_error,
                  "%s: gradient of input %d off by %.2e, %d contributions", describe(s), i, error,
                  copies);
    }
}

static bool select_isa(const char *isa)
{
    Err err;
    return kernels_for(isa) && kernels_select(isa, &err) == 0;
}

/* ---- same ---- */

static void expect_same(const OpSetup *s, const Outcome *a, const Outcome *b, const char *what)
{
    bool same = memcmp(a->y, b->y, a->count * sizeof *a->y) == 0;
    cr_expect(same, "%s: another value with %s", describe(s), what);
    same = memcmp(b->y, b->y_again, a->count * sizeof *a->y) == 0;
    cr_expect(same, "%s: backward finds another value with %s", describe(s), what);
    for (int i = 0; i < MAX_INPUTS; i++)
        if (a->grad[i] && b->grad[i]) {
            same = memcmp(a->grad[i], b->grad[i], s->leaf[i].count * sizeof(float)) == 0;
            cr_expect(same, "%s: another gradient of input %d with %s", describe(s), i, what);
        }
}

static void expect_same_run(const OpSetup *s, const Outcome *first, RunOptions o, const char *what)
{
    Outcome again = op_run(s, &o);
    expect_same(s, first, &again, what);
    outcome_release(&again);
}

static void expect_variants_same(const OpSetup *s, const Outcome *first)
{
    for (int threads = 1; threads <= 2; threads++)
        for (Recompute rc = RECOMPUTE_NONE; rc <= RECOMPUTE_BLOCK; rc++) {
            char what[64];
            snprintf(what, sizeof what, "recompute %s and %d threads", recompute_name(rc), threads);
            expect_same_run(
                s, first,
                (RunOptions){.recompute = rc, .threads = threads, .copies = 1, .frozen = -1}, what);
        }
    int gradients = 0;
    for (int i = 0; i < MAX_INPUTS; i++)
        gradients += has_gradient(s, i);
    for (int i = 0; i < MAX_INPUTS; i++)
        if (has_gradient(s, i) && gradients > 1)
            expect_same_run(s, first, (RunOptions){.threads = 1, .copies = 1, .frozen = i},
                            "a frozen input");
}

/* ---- one case ---- */

static void check_near(const OpSpec *spec, const OpCase *at)
{
    OpSetup s;
    op_setup_init(&s, spec, at, false);
    double *x[MAX_INPUTS], *y = NULL;
    Slopes slopes;
    for (int i = 0; i < MAX_INPUTS; i++)
        x[i] = s.leaf[i].x;
    for (size_t k = 0; k < COUNT_OF(isas); k++) {
        if (!select_isa(isas[k]))
            continue;
        Outcome once = op_run(&s, &plain);
        if (!y) {
            float *r = op_weights(&s, once.count);
            y = xmalloc(once.count * sizeof *y);
            find_slopes(&s, r, y, once.count, &slopes);
            spec->forward(&s, x, y);
            free(r);
        }
        expect_value(&s, &once, y);
        expect_gradient(&s, &once, &slopes, 1);
        expect_variants_same(&s, &once);
        outcome_release(&once);
        if (spec->single_reader)
            continue;
        Outcome twice = op_run(&s, &(RunOptions){.threads = 1, .copies = 2, .frozen = -1});
        expect_gradient(&s, &twice, &slopes, 2);
        outcome_release(&twice);
    }
    free(y);
    op_setup_release(&s);
}

/* Whole numbers make every derivative a multiple of this; a central difference is exact to far
 * less. */
static const double quantum = 0x1p-10;

static double exact_slope(const OpSetup *s, int i, size_t k, const float *r, double *y, size_t n)
{
    double d = slope(s, i, NULL, k, r, y, n), rounded = round(d / quantum) * quantum;
    cr_assert(fabs(d - rounded) < quantum / 64, "%s: %.9g is no exact derivative", describe(s), d);
    return rounded;
}

static void expect_exact(const OpSetup *s, const Outcome *got, const double *y,
                         double *const *gradient, int copies)
{
    for (size_t i = 0; i < got->count; i++)
        if (got->y[i] != (float)y[i]) {
            cr_expect(false, "%s: y[%zu] is %.9g, not %.9g", describe(s), i, (double)got->y[i],
                      y[i]);
            break;
        }
    for (int i = 0; i < MAX_INPUTS; i++)
        for (size_t k = 0; gradient[i] && k < s->leaf[i].count; k++)
            if ((double)got->grad[i][k] != copies * gradient[i][k]) {
                cr_expect(false, "%s: gradient of input %d at %zu is %.9g, not %.9g", describe(s),
                          i, k, (double)got->grad[i][k], copies * gradient[i][k]);
                break;
            }
}

static void check_exact(const OpSpec *spec, const OpCase *at)
{
    OpSetup s;
    op_setup_init(&s, spec, at, true);
    Outcome probe = op_run(&s, &plain);
    size_t n = probe.count;
    outcome_release(&probe);
    float *r = op_weights(&s, n);
    double *y = xmalloc(n * sizeof *y), *gradient[MAX_INPUTS] = {NULL}, *x[MAX_INPUTS];
    for (int i = 0; i < MAX_INPUTS; i++) {
        x[i] = s.leaf[i].x;
        if (!has_gradient(&s, i) || at->flags & CASE_EXACT_VALUE)
            continue;
        gradient[i] = xmalloc(s.leaf[i].count * sizeof(double));
        for (size_t k = 0; k < s.leaf[i].count; k++)
            gradient[i][k] = exact_slope(&s, i, k, r, y, n);
    }
    spec->forward(&s, x, y);
    for (size_t k = 0; k < COUNT_OF(isas); k++)
        for (int copies = 1; select_isa(isas[k]) && copies <= (spec->single_reader ? 1 : 2);
             copies++) {
            Outcome got = op_run(&s, &(RunOptions){.threads = 2, .copies = copies, .frozen = -1});
            expect_exact(&s, &got, y, gradient, copies);
            outcome_release(&got);
        }
    for (int i = 0; i < MAX_INPUTS; i++)
        free(gradient[i]);
    free(r);
    free(y);
    op_setup_release(&s);
}

/* ---- tests ---- */

static bool is_exact(const OpCase *at)
{
    return at->flags & (CASE_EXACT | CASE_EXACT_VALUE);
}

Test(ops, every_op_has_cases)
{
    for (size_t i = 0; i < num_op_specs; i++) {
        const OpSpec *spec = op_specs[i];
        cr_expect(spec->def == all_ops[i], "%s has the cases of %s", all_ops[i]->name,
                  spec->def->name);
        size_t exact = 0;
        for (size_t k = 0; k < spec->num_cases; k++)
            exact += is_exact(&spec->cases[k]);
        cr_expect(spec->num_cases >= 3 && exact >= 1, "op %s has %zu cases, %zu exact ones",
                  all_ops[i]->name, spec->num_cases, exact);
    }
}

/* A parameter of the tests below: one case, small enough to be copied. */
typedef struct CaseIndex {
    size_t spec, at;
} CaseIndex;

enum { MAX_CASES = 256 };

static bool is_near(const OpCase *at)
{
    return !(at->flags & CASE_WHOLE_ONLY);
}

static struct criterion_test_params list_cases(bool (*is_wanted)(const OpCase *))
{
    static CaseIndex list[MAX_CASES];
    size_t count = 0;
    for (size_t i = 0; i < num_op_specs; i++)
        for (size_t k = 0; k < op_specs[i]->num_cases; k++)
            if (is_wanted(&op_specs[i]->cases[k])) {
                CHECK(count < MAX_CASES, "more than %d cases", MAX_CASES);
                list[count++] = (CaseIndex){i, k};
            }
    return cr_make_param_array(CaseIndex, list, count);
}

ParameterizedTestParameters(ops, near_doubles)
{
    return list_cases(is_near);
}

ParameterizedTest(CaseIndex *c, ops, near_doubles)
{
    check_near(op_specs[c->spec], &op_specs[c->spec]->cases[c->at]);
}

ParameterizedTestParameters(ops, exact_on_whole_numbers)
{
    return list_cases(is_exact);
}

ParameterizedTest(CaseIndex *c, ops, exact_on_whole_numbers)
{
    check_exact(op_specs[c->spec], &op_specs[c->spec]->cases[c->at]);
}
