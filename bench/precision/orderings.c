/* orderings: the expectations, where in the records the figures are that each is held against, and
 * how; see orderings.h.
 *
 * They are those of the GPU study's "expected results": latency, speed-up, energy, throughput,
 * accuracy, model size, and that BF16 is left out where it is emulated. */
#include "bench/precision/orderings.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats/rank_tests.h"
#include "bench/stats/stats.h"

const char *agreement_name(Agreement a)
{
    static const char *const names[] = {"not judged", "agrees", "contradicts", "within noise"};
    return names[a];
}

Agreement agreement_of(Interval seen, Region expected)
{
    if (isnan(seen.lo) || isnan(seen.hi))
        return NOT_JUDGED;
    if (seen.lo > expected.lo && seen.hi < expected.hi)
        return AGREES;
    return seen.hi <= expected.lo || seen.lo >= expected.hi ? CONTRADICTS : WITHIN_NOISE;
}

Agreement agreement_of_all(const Agreement *each, size_t count)
{
    size_t seen[WITHIN_NOISE + 1] = {0};
    for (size_t i = 0; i < count; i++)
        seen[each[i]]++;
    if (seen[CONTRADICTS])
        return CONTRADICTS;
    if (seen[WITHIN_NOISE])
        return WITHIN_NOISE;
    return seen[NOT_JUDGED] || count == 0 ? NOT_JUDGED : AGREES;
}

/* ---- text ---- */

/* Appends to text[size], behind `between` where it is not empty. */
__attribute__((format(printf, 4, 5))) static void append(char *text, size_t size,
                                                         const char *between, const char *fmt, ...)
{
    size_t n = strlen(text);
    n += (size_t)snprintf(text + n, size - n, "%s", n ? between : "");
    va_list ap;
    va_start(ap, fmt);
    if (n < size)
        vsnprintf(text + n, size - n, fmt, ap);
    va_end(ap);
}

#define NOTE(o, ...)    append((o)->note, sizeof(o)->note, ", ", __VA_ARGS__)
#define OBSERVE(o, ...) append((o)->observed, sizeof(o)->observed, "", __VA_ARGS__)
#define EXPECT(o, ...)  append((o)->expected, sizeof(o)->expected, "", __VA_ARGS__)

/* ---- an order of formats ---- */

static const Series *series_of(Precision p, const Series *series, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (series[i].format == p)
            return &series[i];
    return NULL;
}

/* Of a / b. */
static Interval ratio_interval(const Series *a, const Series *b, double level)
{
    size_t rounds = a->count < b->count ? a->count : b->count;
    double ratio = a->center / b->center;
    if (a->exact && b->exact)
        return (Interval){ratio, ratio, 1};
    return paired_ratio(b->at, a->at, rounds, level).interval;
}

static Region region_of(char relation)
{
    const double equal = 1e-3;
    return relation == '>'   ? (Region){1, INFINITY}
           : relation == '<' ? (Region){0, 1}
                             : (Region){1 - equal, 1 + equal};
}

/* The formats that have a series, in the expected order; notes the others. A relation belongs to
 * the format before it; where that or the next is missing, the neighbours that remain keep the
 * stricter one. */
static size_t choose(Ordering *o, const Precision *formats, const char *relations, size_t count,
                     const Series *series, size_t num_series, const Series **chosen, char *links)
{
    size_t n = 0;
    char link = '=';
    for (size_t i = 0; i < count; i++) {
        const Series *s = series_of(formats[i], series, num_series);
        if (i > 0)
            EXPECT(o, " %c ", relations[i - 1]);
        if (i > 0 && relations[i - 1] != '=')
            link = relations[i - 1];
        EXPECT(o, "%s", study_format_title(formats[i]));
        if (!s) {
            NOTE(o, "%s has no figure to rank", study_format_title(formats[i]));
            continue;
        }
        if (n > 0)
            links[n - 1] = link;
        link = '=';
        chosen[n++] = s;
    }
    return n;
}

/* Largest first, or smallest first where the expectation is written so; ~ where the data cannot
 * tell. */
static void show_observed(Ordering *o, const Series *const *chosen, size_t n, bool ascending,
                          double level, const char *unit)
{
    const Series *order[NUM_PRECISIONS];
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        double center = chosen[i]->center;
        for (; at > 0 &&
               (ascending ? center < order[at - 1]->center : center > order[at - 1]->center);
             at--)
            order[at] = order[at - 1];
        order[at] = chosen[i];
    }
    for (size_t i = 0; i < n; i++) {
        Interval r = i > 0 ? ratio_interval(order[i - 1], order[i], level) : (Interval){0};
        bool equal = r.lo == 1 && r.hi == 1, apart = r.lo > 1 || r.hi < 1;
        if (i > 0)
            OBSERVE(o, " %c ", equal ? '=' : !apart ? '~' : ascending ? '<' : '>');
        OBSERVE(o, "%s %.4g%s", study_format_title(order[i]->format), order[i]->center, unit);
    }
}

void ordering_of_series(Ordering *o, const Precision *formats, const char *relations, size_t count,
                        const Series *series, size_t num_series, const char *unit)
{
    const Series *chosen[NUM_PRECISIONS];
    char links[NUM_PRECISIONS];
    Agreement each[NUM_PRECISIONS] = {NOT_JUDGED};
    CHECK(count >= 2 && count <= NUM_PRECISIONS, "an order of %zu formats", count);
    o->expected[0] = o->observed[0] = o->note[0] = '\0';
    size_t n = choose(o, formats, relations, count, series, num_series, chosen, links);
    size_t pairs = n > 0 ? n - 1 : 0;
    double level = bonferroni_level(CONFIDENCE_LEVEL, pairs);
    for (size_t i = 0; i < pairs; i++)
        each[i] =
            agreement_of(ratio_interval(chosen[i], chosen[i + 1], level), region_of(links[i]));
    o->verdict = agreement_of_all(each, pairs);
    if (o->verdict == NOT_JUDGED && pairs > 0)
        NOTE(o, "too few rounds for an interval");
    show_observed(o, chosen, n, strchr(relations, '<') != NULL, level, unit);
}

/* ---- samples ---- */

/* What a group of records (one model and piece of work, one record a format, fp32 first) is seen
 * through. */
typedef struct View {
    const StudyRecord *records;
    size_t count;
    double idle_watts;
} View;

typedef enum Measure { LATENCY, SPEEDUP, ENERGY, RANKED_ENERGY, THROUGHPUT, SIZE } Measure;

/* One sample of a record; NaN where there is nothing to rank. */
static double sample(Measure what, const View *v, const StudyRecord *r, size_t round)
{
    const StudyRecord *fp32 = v->records;
    double ms = r->ms ? r->ms[round] : NAN, batch = (double)r->batch_size;
    double joules = r->joules ? r->joules[round] - v->idle_watts * r->seconds[round] : NAN;
    switch (what) {
    case LATENCY:
        return ms;
    case SPEEDUP:
        return fp32->ranked && fp32->ms ? fp32->ms[round] / ms : NAN;
    case ENERGY:
        return joules / ((double)r->calls * batch);
    case RANKED_ENERGY: /* ratios need positive figures: below idle power it is not known */
        return joules > 0 ? joules / ((double)r->calls * batch) : NAN;
    case THROUGHPUT:
        return batch * 1e3 / ms;
    case SIZE:
        return r->disk_bytes == INT_MISSING ? NAN : (double)r->disk_bytes / (1 << 20);
    }
    return NAN;
}

/* All samples of one record, allocated [*count]; NULL where one is NaN or there is none. */
static double *samples_of(Measure what, const View *v, const StudyRecord *r, size_t *count)
{
    *count = what == SIZE ? 1 : r->rounds > 0 ? (size_t)r->rounds : 0;
    double *x = *count ? xcalloc(*count, sizeof *x) : NULL;
    for (size_t i = 0; i < *count; i++) {
        x[i] = sample(what, v, r, i);
        if (isnan(x[i])) {
            free(x);
            return NULL;
        }
    }
    return x;
}

double *energy_per_sample(const StudyRecord *r, double idle)
{
    size_t count;
    return samples_of(ENERGY, &(View){.idle_watts = idle}, r, &count);
}

/* ---- orders ---- */

static const Precision slow_to_fast[] = {PRECISION_FP32, PRECISION_MIXED, PRECISION_FP16};

static const struct {
    const char *measure, *relations, *unit;
    Measure what;
} orders[] = {
    {"latency", ">>", " ms", LATENCY},
    {"speed-up over FP32", "<<", "x", SPEEDUP},
    {"energy per sample", ">>", " J", RANKED_ENERGY},
    {"throughput", "<<", "/s", THROUGHPUT},
    {"model size", "=>", " MiB", SIZE},
};

static Ordering *add(Orderings *o, const char *measure, const char *where)
{
    o->at = xrealloc(o->at, (o->count + 1) * sizeof *o->at);
    Ordering *new = &o->at[o->count++];
    *new = (Ordering){.verdict = NOT_JUDGED};
    snprintf(new->measure, sizeof new->measure, "%s", measure);
    snprintf(new->where, sizeof new->where, "%.100s", where);
    return new;
}

/* A format that is only converted is the likely reason for what it does not reach. */
static void note_converted(Ordering *o, const View *v)
{
    for (size_t i = 0; i < v->count; i++) {
        const StudyRecord *r = &v->records[i];
        if (r->ranked && strcmp(r->support, support_name(SUPPORT_CONVERT)) == 0 &&
            strstr(o->expected, study_format_title(r->precision)))
            NOTE(o, "%s is converted, not native", study_format_title(r->precision));
    }
}

static void add_order(Orderings *o, const View *v, size_t which, const char *where)
{
    Series series[NUM_PRECISIONS];
    size_t n = 0;
    Measure what = orders[which].what;
    for (size_t i = 0; i < v->count; i++) {
        Series *s = &series[n];
        if (!v->records[i].ranked)
            continue;
        s->format = v->records[i].precision;
        s->at = samples_of(what, v, &v->records[i], &s->count);
        s->exact = what == SIZE;
        s->center = median_of(s->at, s->at ? s->count : 0);
        n += s->at != NULL;
    }
    Ordering *new = add(o, orders[which].measure, where);
    ordering_of_series(new, slow_to_fast, orders[which].relations, COUNT_OF(slow_to_fast), series,
                       n, orders[which].unit);
    if (what != SIZE)
        note_converted(new, v);
    while (n > 0)
        free(series[--n].at);
}

/* ---- accuracy ---- */

static const struct {
    Precision format;
    const char *expected;
    Region change;
} accuracies[] = {
    {PRECISION_FP16, "FP16 at most 1 point below FP32", {-0.01, INFINITY}},
    {PRECISION_MIXED, "MIXED = FP32 (within half a point)", {-0.005, 0.005}},
};

static void add_accuracy(Orderings *o, const View *v, size_t which)
{
    Ordering *new = add(o, "accuracy", v->records->model);
    EXPECT(new, "%s", accuracies[which].expected);
    for (const StudyRecord *r = v->records; r < v->records + v->count; r++) {
        if (!r->ranked || r->precision != accuracies[which].format)
            continue;
        Interval change = {r->accuracy_change_lo, r->accuracy_change_hi, CONFIDENCE_LEVEL};
        new->verdict = agreement_of(change, accuracies[which].change);
        if (!isnan(r->accuracy_change))
            OBSERVE(new, "%+.2f points [%+.2f, %+.2f]", 100 * r->accuracy_change, 100 * change.lo,
                    100 * change.hi);
        return;
    }
    NOTE(new, "not measured");
}

/* ---- emulation ---- */

/* Once for the whole study: BF16 may be ranked only where this CPU has it. */
static void add_bf16(Orderings *o, const StudyRecord *records, size_t count)
{
    size_t seen = 0, ranked = 0, emulated = 0;
    const StudyRecord *first = NULL;
    for (size_t i = 0; i < count; i++) {
        const StudyRecord *r = &records[i];
        if (r->precision != PRECISION_BF16)
            continue;
        first = first ? first : r;
        seen++;
        ranked += r->ranked;
        emulated += strcmp(r->support, support_name(SUPPORT_EMULATED)) == 0;
    }
    if (!first)
        return;
    Ordering *new = add(o, "emulation", "this CPU");
    EXPECT(new, "BF16 left out where it is emulated");
    OBSERVE(new, "%.20s (%.100s), ranked in %zu of %zu", first->support, first->instruction, ranked,
            seen);
    new->verdict = emulated > 0 && ranked > 0 ? CONTRADICTS : AGREES;
}

/* ---- the whole ---- */

static bool same_group(const StudyRecord *a, const StudyRecord *b)
{
    return strcmp(a->model, b->model) == 0 && strcmp(a->work, b->work) == 0 &&
           a->batch_size == b->batch_size && a->seq_len == b->seq_len;
}

static bool counts_energy(const View *v)
{
    for (size_t i = 0; i < v->count; i++)
        if (v->records[i].joules)
            return true;
    return false;
}

static void judge_group(Orderings *o, const View *v, bool first_of_model)
{
    const StudyRecord *r = v->records;
    char cell[128];
    snprintf(cell, sizeof cell, "%.60s b%lld s%lld", r->model, (long long)r->batch_size,
             (long long)r->seq_len);
    for (size_t k = 0; k < COUNT_OF(orders); k++) {
        bool needs_counter = orders[k].what == RANKED_ENERGY, is_size = orders[k].what == SIZE;
        if (is_size && first_of_model)
            add_order(o, v, k, r->model);
        if (!is_size && strcmp(r->work, "time") == 0 && (!needs_counter || counts_energy(v)))
            add_order(o, v, k, cell);
    }
    if (strcmp(r->work, "accuracy") == 0)
        for (size_t k = 0; k < COUNT_OF(accuracies); k++)
            add_accuracy(o, v, k);
}

static bool has_times(const StudyRecord *records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(records[i].work, "time") == 0)
            return true;
    return false;
}

/* Said once where nothing counts the energy of what was timed. */
static void note_missing_energy(Orderings *o, const StudyRecord *records, size_t count)
{
    if (!has_times(records, count) || counts_energy(&(View){records, count, 0}))
        return;
    for (size_t k = 0; k < COUNT_OF(orders); k++)
        if (orders[k].what == RANKED_ENERGY)
            add_order(o, &(View){records, 0, 0}, k, "everywhere");
}

void orderings_build(Orderings *o, const StudyRecord *records, size_t count, double idle)
{
    *o = (Orderings){0};
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && same_group(&records[from], &records[to]);)
            to++;
        View v = {&records[from], to - from, idle};
        judge_group(o, &v, from == 0 || strcmp(records[from - 1].model, records[from].model) != 0);
    }
    note_missing_energy(o, records, count);
    add_bf16(o, records, count);
}

void orderings_release(Orderings *o)
{
    free(o->at);
    *o = (Orderings){0};
}
