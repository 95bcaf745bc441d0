/* The profile of a row: what its lines add up to, its way through the pipe, and the printed
 * table. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/kernels/kernels.h"
#include "autograd/ops.h"
#include "bench/row/config.h"
#include "bench/row/run.h"
#include "bench/sweep/spawn.h"
#include "tests/support/tiny_row.h"

static RowResult run_profiled(const RowConfig *c, Samples *s, Profile *p)
{
    profile_init(p);
    RowResult r = run_row_with(c, &(RowExtras){.profile = p}, s);
    r.peak_gflops_per_s = 100;
    return r;
}

static const ProfileLine *line_named(const Profile *p, const char *op, StepKind kind)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->lines[i].op->name, op) == 0 && p->lines[i].kind == kind)
            return &p->lines[i];
    cr_fatal("no line %s %s", op, profile_pass(kind));
}

static char *printed(const Profile *p, const RowResult *r, const Samples *s)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    profile_print_row(p, r, s, out);
    fclose(out);
    return text;
}

Test(profile, lines_add_up_to_the_runs)
{
    Samples s;
    Profile p;
    RowConfig c = tiny_row();
    RowResult r = run_profiled(&c, &s, &p);
    cr_assert(eq(sz, p.runs.count, 6));
    cr_expect(eq(sz, s.count, 8), "profiled runs are no trials");
    double steps_ns = 0, flops = 0, wall_ns = 0;
    for (size_t i = 0; i < p.count; i++) {
        steps_ns += p.lines[i].ns;
        flops += p.lines[i].flops;
    }
    for (size_t i = 0; i < p.runs.count; i++)
        wall_ns += (double)p.runs.at[i].wall_ns;
    cr_expect(lt(dbl, steps_ns, wall_ns));
    cr_expect(eq(str, r.recompute_used, "cheap"), "so nothing is multiplied twice");
    cr_expect(epsilon_eq(dbl, flops, 6 * r.model_flops, 1));
    samples_release(&s);
    profile_release(&p);
}

/* By hand. A norm also writes mean and rstd of each row, the loss one sum a row. The four linear
 * layers of a block read 1 + 1 + 1 + 4 and write 3 + 1 + 4 + 1 times n C, and two add a
 * residual. */
Test(profile, bytes_are_those_of_the_tensors)
{
    Samples s;
    Profile p;
    RowConfig c = tiny_row();
    c.forward_only = true;
    run_profiled(&c, &s, &p);
    const double n = 32, C = 32, V = 101, layers = 2;
    const double norms = 2 * layers + 1;
    cr_expect(eq(dbl, line_named(&p, "layernorm", STEP_FORWARD)->bytes,
                 6 * 4 * norms * (2 * n * C + 2 * C + 2 * n)));
    const double weights = 12 * C * C + 9 * C, activations = (7 + 9 + 2) * n * C;
    cr_expect(eq(dbl, line_named(&p, "linear", STEP_FORWARD)->bytes,
                 6 * 4 * layers * (weights + activations)));
    cr_expect(eq(dbl, line_named(&p, "linear_cross_entropy", STEP_FORWARD)->bytes,
                 6 * 4 * (n * C + V * C + n + 1 + n)));
    cr_expect(isnan(line_named(&p, "embedding", STEP_FORWARD)->bytes), "it picks rows of a table");
    samples_release(&s);
    profile_release(&p);
}

/* Attention multiplies bf16 where that is native. */
Test(profile, says_what_the_products_multiplied)
{
    static const struct {
        const char *precision;
        DType linear;
        bool backward;
    } cases[] = {{"fp32", DT_F32, true}, {"mixed", DT_BF16, true}, {"bf16", DT_BF16, false},
                 {"int8", DT_I8, false}, {"q8_0", DT_Q8_0, false}, {"q4_0", DT_Q4_0, false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Samples s;
        Profile p;
        RowConfig c = tiny_row();
        c.include_emulated = true;
        text_set(c.precision, cases[i].precision);
        c.forward_only = !cases[i].backward;
        RowResult r = run_profiled(&c, &s, &p);
        unsigned linear = 1u << cases[i].linear, f32 = 1u << DT_F32;
        cr_expect(eq(uint, line_named(&p, "linear", STEP_FORWARD)->products, linear));
        cr_expect(eq(uint, line_named(&p, "layernorm", STEP_FORWARD)->products, 0));
        unsigned attention = line_named(&p, "attention", STEP_FORWARD)->products;
        cr_expect(eq(uint, attention, i == 0 ? f32 : 1u << attention_product()), "%s",
                  cases[i].precision);
        if (cases[i].backward) {
            cr_expect(eq(uint, line_named(&p, "linear", STEP_BACKWARD)->products, linear));
            cr_expect(eq(uint, line_named(&p, "attention", STEP_BACKWARD)->products, attention));
        }
        char *text = printed(&p, &r, &s);
        cr_expect(strstr(text, product_instruction(cases[i].linear)) != NULL, "%s", text);
        free(text);
        samples_release(&s);
        profile_release(&p);
    }
}

Test(profile, comes_through_the_pipe)
{
    Err err;
    Samples s, samples_back;
    Profile p, back;
    RowConfig c = tiny_row();
    text_set(c.optimizer, "adamw");
    RowResult r = run_profiled(&c, &s, &p), parent;
    json_t *document = row_document(&r, &s, &p);
    char *text = json_dumps(document, JSON_REAL_PRECISION(17));
    json_decref(document);
    row_result_init(&parent);
    samples_init(&samples_back);
    profile_init(&back);
    parent.config = c;
    parent.peak_gflops_per_s = r.peak_gflops_per_s;
    cr_assert(row_document_parse(text, strlen(text), &parent, &samples_back, &back, &err) == 0,
              "%s", err.msg);
    char *before = printed(&p, &r, &s), *after = printed(&back, &parent, &samples_back);
    cr_expect(eq(str, before, after));
    cr_expect(back.backward);
    profile_release(&back);
    json_t *wrong = json_pack("{s:[{s:s, s:s, s:i, s:f, s:f, s:f, s:i}], s:i}", "lines", "op",
                              "liner", "pass", "forward", "part", -1, "steps", 1.0, "ns", 1.0,
                              "flops", 1.0, "products", 1, "slices", 1);
    cr_expect(profile_from_json(wrong, &back, &err) == -1);
    cr_expect(strstr(err.msg, "'liner'") != NULL);
    cr_expect(profile_from_json(NULL, &back, &err) == -1);
    json_decref(wrong);
    free(before);
    free(after);
    free(text);
    profile_release(&p);
    profile_release(&back);
    samples_release(&s);
    samples_release(&samples_back);
}

/* ---- the table, of made-up figures ---- */

/* count runs of ms, one in three a little slower. */
static void add_runs(Samples *s, size_t count, double ms)
{
    for (size_t i = 0; i < count; i++) {
        Sample one = sample_empty();
        one.is_warmup = false;
        one.wall_ns = (int64_t)(ms * 1e6) + 1000 * (int64_t)(i % 3);
        samples_add(s, one);
    }
}

/* Prints a profile of `runs` runs of stamped_ms beside trials of 10 ms. */
static char *table_of(size_t runs, double stamped_ms)
{
    RowResult r;
    Samples s;
    Profile p;
    ProfileLine lines[] = {
        {&op_linear_def, STEP_FORWARD, -1, 2, 2e6, 1e8, 4e6, PRODUCT_BLAS},
        {&op_linear_def, STEP_BACKWARD, -1, 2, 6e6, 3e8, 8e6, PRODUCT_BLAS},
        {&op_embedding_def, STEP_FORWARD, -1, 1, 1e6, 0, NAN, 0},
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        lines[i].steps *= (double)runs;
        lines[i].ns *= (double)runs;
        lines[i].flops *= (double)runs;
        lines[i].bytes *= (double)runs;
    }
    row_result_init(&r);
    r.config = tiny_row();
    r.peak_gflops_per_s = 200;
    samples_init(&s);
    add_runs(&s, runs, 10);
    profile_init(&p);
    p.lines = lines;
    p.count = COUNT_OF(lines);
    add_runs(&p.runs, runs, stamped_ms);
    char *text = printed(&p, &r, &s);
    p.lines = NULL;
    profile_release(&p);
    samples_release(&s);
    return text;
}

static void expect_lines(const char *text, const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_expect(strstr(text, lines[i]) != NULL, "no line '%s' in\n%s", lines[i], text);
}

Test(profile, table_has_every_figure_and_a_total)
{
    static const char *const lines[] = {
        "op                 pass      steps      ms      %   GFLOP  GFLOP/s  % peak    MB  GB/s  "
        "instructions\n"
        "linear             backward      2   6.000   58.8  0.3000     50.0    25.0  8.00  1.33  "
        "openblas\n"
        "linear             forward       2   2.000   19.6  0.1000     50.0    25.0  4.00  2.00  "
        "openblas\n"
        "embedding          forward       1   1.000    9.8       -        -       -     -     -  "
        "-\n"
        "inputs and stamps                -   1.201   11.8       -        -       -     -     -  "
        "-\n"
        "total                            5  10.201  100.0  0.4000     39.2    19.6  12.0  1.18  "
        "openblas\n",
        "% peak: of 200 GFLOP/s, measured in fp32 on as many threads (1)\n",
        "median of 12 trials without stamps 10 ms, of 12 runs with a stamp after every step 10.2 "
        "ms: "
        "overhead of profiling 2.0 %, more than the noise\n",
        "total, the mean of the latter, over the median of the former: 1.020\n",
    };
    char *text = table_of(12, 10.2);
    expect_lines(text, lines, COUNT_OF(lines));
    free(text);
}

Test(profile, overhead_is_judged_by_the_noise)
{
    static const struct {
        size_t runs;
        double ms;
        const char *words;
    } cases[] = {
        {12, 10.0005, "overhead of profiling 0.0 %, within the noise\n"},
        {12, 9.5, "overhead of profiling -5.0 %, so the machine became faster meanwhile\n"},
        {5, 10.2, "overhead of profiling 2.0 %, too few runs to tell it from the noise\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *text = table_of(cases[i].runs, cases[i].ms);
        expect_lines(text, &cases[i].words, 1);
        free(text);
    }
}
