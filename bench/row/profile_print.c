/* profile_print: the table of a profile and what it cost to make. See profile.h.
 *
 * The one idea: every figure is a mean per profiled run, so that the lines add up to the total.
 * Nothing is measured here. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "autograd/ops.h"
#include "bench/row/profile.h"
#include "bench/stats/stats.h"
#include "bench/util/table.h"

/* Per run. */
typedef struct Line {
    const char *op, *part, *pass;   /* part: of the op, or NULL */
    double steps, ns, flops, bytes; /* NaN or 0 = not known, or none */
    unsigned products;
} Line;

typedef struct Breakdown {
    Line *lines;
    size_t count;
    Line rest, total;
} Breakdown;

/* AdamW reads weight, gradient and both moments and writes all but the gradient, in fp32. */
static Line optimizer_line(double ns, int64_t num_params)
{
    double bytes = 7.0 * sizeof(float) * (double)num_params;
    return (Line){.op = "adamw", .pass = "update", .steps = 1, .ns = ns, .bytes = bytes};
}

static double mean_ns(const Samples *s, const char *column)
{
    size_t n;
    OWNED double *ns = samples_values(s, ALL_RUNS, column, 1, &n);
    return mean_of(ns, n);
}

static int by_time_descending(const void *a, const void *b)
{
    double x = ((const Line *)a)->ns, y = ((const Line *)b)->ns;
    return (x < y) - (x > y);
}

/* The total has what is known of its parts. */
static void add_up(Breakdown *t, double wall_ns)
{
    t->total = (Line){.op = "total", .pass = "", .ns = wall_ns};
    t->rest = (Line){.op = "inputs and stamps", .pass = "", .ns = wall_ns};
    for (size_t i = 0; i < t->count; i++) {
        const Line *l = &t->lines[i];
        t->rest.ns -= l->ns;
        t->total.products |= l->products;
        t->total.steps += l->steps;
        t->total.flops += l->flops;
        t->total.bytes += isnan(l->bytes) ? 0 : l->bytes;
    }
}

static void breakdown_fill(Breakdown *t, const Profile *p, int64_t num_params)
{
    double runs = (double)p->runs.count, update_ns = mean_ns(&p->runs, "optimizer_ns");
    *t = (Breakdown){.lines = xcalloc(p->count + 1, sizeof *t->lines)};
    for (size_t i = 0; i < p->count; i++) {
        const ProfileLine *l = &p->lines[i];
        t->lines[t->count++] = (Line){.op = l->op->name,
                                      .part = l->part < 0 ? NULL : l->op->parts[l->part],
                                      .pass = profile_pass(l->kind),
                                      .steps = l->steps / runs,
                                      .ns = l->ns / runs,
                                      .flops = l->flops / runs,
                                      .bytes = l->bytes / runs,
                                      .products = l->products};
    }
    if (!isnan(update_ns))
        t->lines[t->count++] = optimizer_line(update_ns, num_params);
    qsort(t->lines, t->count, sizeof *t->lines, by_time_descending);
    add_up(t, mean_ns(&p->runs, "wall_ns"));
}

/* Three digits; none where there is nothing. */
static void add_figure(Table *t, double value)
{
    const char *format = value >= 100  ? "%.0f"
                         : value >= 10 ? "%.1f"
                         : value >= 1  ? "%.2f"
                                       : "%.4f";
    table_value(t, format, value > 0 ? value : NAN);
}

static void add_line(Table *t, const Line *l, double whole_ns, double peak)
{
    double rate = l->flops / l->ns;
    char name[64], instructions[160];
    snprintf(name, sizeof name, "%s%s%s", l->op, l->part ? ": " : "", l->part ? l->part : "");
    table_cells(t, "%s|%s|%.0f|%.3f|%.1f", name, l->pass, l->steps > 0 ? l->steps : NAN,
                l->ns * 1e-6, 100 * l->ns / whole_ns);
    add_figure(t, l->flops * 1e-9);
    add_figure(t, rate);
    add_figure(t, 100 * rate / peak);
    add_figure(t, l->bytes * 1e-6);
    add_figure(t, l->bytes / l->ns);
    products_describe(l->products, instructions, sizeof instructions);
    table_text(t, instructions[0] ? instructions : NULL);
    table_row_end(t);
}

static const char *verdict(double overhead, Interval plain, Interval stamped)
{
    if (isnan(plain.lo) || isnan(stamped.lo))
        return "too few runs to tell it from the noise";
    if (plain.lo <= stamped.hi && stamped.lo <= plain.hi)
        return "within the noise";
    return overhead > 0 ? "more than the noise" : "so the machine became faster meanwhile";
}

static void print_overhead(FILE *out, const Profile *p, const ProfileBeside *beside,
                           double total_ns)
{
    size_t n = beside->num_plain, m;
    OWNED double *stamped = samples_values(&p->runs, ALL_RUNS, "wall_ns", 1e-6, &m);
    double without = median_of(beside->plain_ms, n), with = median_of(stamped, m);
    double overhead = with / without - 1;
    fprintf(
        out,
        "median of %zu trials without stamps %.4g ms, of %zu runs with a stamp after every step "
        "%.4g ms: overhead of profiling %.1f %%, %s\n",
        n, without, m, with, 100 * overhead,
        verdict(overhead, median_interval(beside->plain_ms, n, CONFIDENCE_LEVEL),
                median_interval(stamped, m, CONFIDENCE_LEVEL)));
    fprintf(out, "total, the mean of the latter, over the median of the former: %.3f\n",
            total_ns * 1e-6 / without);
}

static void print_legend(FILE *out, const Profile *p, const ProfileBeside *beside)
{
    if (!isnan(beside->peak_gflops_per_s))
        fprintf(out, "%% peak: of %.4g GFLOP/s, measured in %s on as many threads (%" PRId64 ")\n",
                beside->peak_gflops_per_s, beside->precision, beside->threads);
    fputs("GFLOP: of matrix products, repeated ones too; MB: of the tensors that steps must read "
          "and write; instructions: that multiplied; -: none or not known\n",
          out);
    if (beside->head_dim <= 16)
        fputs("attention: of short heads in fp32 forward's softmax is part of \"values\"\n", out);
    if (p->slices > 1)
        fprintf(out,
                "%" PRId64 " parts of the batch ran side by side; times are those of the first\n",
                p->slices);
}

void profile_print(const Profile *p, const ProfileBeside *beside, TableFormat format, FILE *out)
{
    Breakdown b;
    Table t =
        table_new(out, format, "op|pass|steps|ms|%|GFLOP|GFLOP/s|% peak|MB|GB/s|instructions");
    const double peak = beside->peak_gflops_per_s;
    breakdown_fill(&b, p, beside->num_params);
    for (size_t i = 0; i < b.count; i++)
        add_line(&t, &b.lines[i], b.total.ns, peak);
    add_line(&t, &b.rest, b.total.ns, peak);
    add_line(&t, &b.total, b.total.ns, peak);
    table_end(&t);
    if (format == TABLE_MARKDOWN)
        fputc('\n', out);
    print_legend(out, p, beside);
    print_overhead(out, p, beside, b.total.ns);
    free(b.lines);
}

void profile_print_row(const Profile *p, const RowResult *r, const Samples *samples, FILE *out)
{
    const RowConfig *c = &r->config;
    size_t n;
    OWNED double *plain_ms = samples_timed_ms(samples, &n);
    profile_print(p,
                  &(ProfileBeside){.plain_ms = plain_ms,
                                   .num_plain = n,
                                   .peak_gflops_per_s = r->peak_gflops_per_s,
                                   .precision = c->precision,
                                   .threads = c->threads,
                                   .num_params = r->num_params,
                                   .head_dim = c->head_dim == INT_MISSING
                                                   ? c->d_model / c->num_heads
                                                   : c->head_dim},
                  TABLE_TEXT, out);
}
