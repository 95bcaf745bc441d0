/* expectations: the expectations themselves, and where in the records the figures are that each
 * is held against; see orderings.h.
 *
 * They are those of the GPU study's "expected results": latency, speed-up, energy, throughput,
 * accuracy, model size, and that BF16 is left out where it is emulated. */
#include "bench/precision/orderings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats/stats.h"

/* ---- orders ---- */

/* What a group of records (one model and piece of work, one record a format, fp32 first) is seen
 * through. */
typedef struct View {
    const StudyRecord *records;
    size_t count;
    double idle_watts;
} View;

static bool is_work(const View *v, const char *work)
{
    return strcmp(v->records->work, work) == 0;
}

/* One sample of a record; NaN where there is nothing to rank. */
typedef double SampleOf(const View *v, const StudyRecord *r, size_t round);

static double latency(const View *v, const StudyRecord *r, size_t round)
{
    (void)v;
    return r->ms ? r->ms[round] : NAN;
}

static double speedup(const View *v, const StudyRecord *r, size_t round)
{
    const StudyRecord *fp32 = v->records;
    return fp32->ranked ? latency(v, fp32, round) / latency(v, r, round) : NAN;
}

static double throughput(const View *v, const StudyRecord *r, size_t round)
{
    return (double)r->batch_size * 1e3 / latency(v, r, round);
}

static double energy(const View *v, const StudyRecord *r, size_t round)
{
    double joules = r->joules ? r->joules[round] - v->idle_watts * r->seconds[round] : NAN;
    return joules / ((double)r->calls * (double)r->batch_size);
}

/* Ratios need positive figures: what is not above idle power is not known well enough. */
static double ranked_energy(const View *v, const StudyRecord *r, size_t round)
{
    double joules = energy(v, r, round);
    return joules > 0 ? joules : NAN;
}

static double size(const View *v, const StudyRecord *r, size_t round)
{
    (void)v;
    (void)round;
    return r->disk_bytes == INT_MISSING ? NAN : (double)r->disk_bytes / (1 << 20);
}

/* All samples of one record, allocated [*count]; NULL where one is NaN or there is none. */
static double *samples_of(SampleOf *sample, const View *v, const StudyRecord *r, size_t *count)
{
    *count = sample == size ? 1 : r->rounds > 0 ? (size_t)r->rounds : 0;
    double *x = *count ? xcalloc(*count, sizeof *x) : NULL;
    for (size_t i = 0; i < *count; i++) {
        x[i] = sample(v, r, i);
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
    return samples_of(energy, &(View){.idle_watts = idle}, r, &count);
}

static const Precision slow_to_fast[] = {PRECISION_FP32, PRECISION_MIXED, PRECISION_FP16};

static const struct {
    const char *measure, *relations, *unit;
    SampleOf *sample;
} orders[] = {
    {"latency", ">>", " ms", latency},
    {"speed-up over FP32", "<<", "x", speedup},
    {"energy per sample", ">>", " J", ranked_energy},
    {"throughput", "<<", "/s", throughput},
    {"model size", "=>", " MiB", size},
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
        bool converted = r->ranked && strcmp(r->support, support_name(SUPPORT_CONVERT)) == 0;
        size_t n = strlen(o->note);
        if (converted && strstr(o->expected, study_format_title(r->precision)))
            snprintf(o->note + n, sizeof o->note - n, "%s%s is converted, not native",
                     n ? ", " : "", study_format_title(r->precision));
    }
}

static void add_order(Orderings *o, const View *v, size_t which, const char *where)
{
    Series series[NUM_PRECISIONS];
    size_t n = 0;
    for (size_t i = 0; i < v->count; i++) {
        Series *s = &series[n];
        if (!v->records[i].ranked)
            continue;
        s->format = v->records[i].precision;
        s->at = samples_of(orders[which].sample, v, &v->records[i], &s->count);
        s->exact = orders[which].sample == size;
        s->center = median_of(s->at, s->at ? s->count : 0);
        n += s->at != NULL;
    }
    Ordering *new = add(o, orders[which].measure, where);
    ordering_of_series(new, slow_to_fast, orders[which].relations, COUNT_OF(slow_to_fast), series,
                       n, orders[which].unit);
    if (orders[which].sample != size)
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
    snprintf(new->expected, sizeof new->expected, "%s", accuracies[which].expected);
    for (size_t i = 0; i < v->count; i++) {
        const StudyRecord *r = &v->records[i];
        if (!r->ranked || r->precision != accuracies[which].format)
            continue;
        Interval change = {r->accuracy_change_lo, r->accuracy_change_hi, CONFIDENCE_LEVEL};
        new->verdict = agreement_of(change, accuracies[which].change);
        if (!isnan(r->accuracy_change))
            snprintf(new->observed, sizeof new->observed, "%+.2f points [%+.2f, %+.2f]",
                     100 * r->accuracy_change, 100 * change.lo, 100 * change.hi);
        return;
    }
    snprintf(new->note, sizeof new->note, "not measured");
}

/* ---- emulation ---- */

/* Once for the whole study: BF16 may be ranked only where this CPU has it. */
static void add_bf16(Orderings *o, const StudyRecord *records, size_t count)
{
    size_t seen = 0, ranked = 0, emulated = 0;
    const StudyRecord *first = NULL;
    for (size_t i = 0; i < count; i++) {
        if (records[i].precision != PRECISION_BF16)
            continue;
        first = first ? first : &records[i];
        bool is_emulated = strcmp(records[i].support, support_name(SUPPORT_EMULATED)) == 0;
        seen++;
        ranked += records[i].ranked;
        emulated += is_emulated;
    }
    if (!first)
        return;
    Ordering *new = add(o, "emulation", "this CPU");
    snprintf(new->expected, sizeof new->expected, "BF16 left out where it is emulated");
    snprintf(new->observed, sizeof new->observed, "%.20s (%.100s), ranked in %zu of %zu",
             first->support, first->instruction, ranked, seen);
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
        bool needs_counter = orders[k].sample == ranked_energy, is_size = orders[k].sample == size;
        if (is_size && first_of_model)
            add_order(o, v, k, r->model);
        if (!is_size && is_work(v, "time") && (!needs_counter || counts_energy(v)))
            add_order(o, v, k, cell);
    }
    if (is_work(v, "accuracy"))
        for (size_t k = 0; k < COUNT_OF(accuracies); k++)
            add_accuracy(o, v, k);
}

/* Said once where nothing counts energy. */
static void note_missing_energy(Orderings *o, const StudyRecord *records, size_t count)
{
    if (counts_energy(&(View){records, count, 0}))
        return;
    for (size_t k = 0; k < COUNT_OF(orders); k++)
        if (orders[k].sample == ranked_energy)
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
