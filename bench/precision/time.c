/* time: times of one batch and length, all formats in turns; see study.h.
 *
 * Every format has its own copy of the model in memory and gets the same token ids; its first run is
 * untimed, packs weights and shows how far its logits are from fp32's. Where energy is counted, a turn
 * lasts long enough for the counter. */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/text/classifier.h"
#include "bench/util/interrupt.h"
#include "bench/precision/study.h"
#include "bench/stats/rank_tests.h"
#include "bench/stats/stats.h"
#include "bench/compare/turns.h"

/* One format in a cell. */
typedef struct FormatEntry {
    StudyRecord *record;
    Model model;
} FormatEntry;

typedef struct TimeCell {
    const Study *study;
    const StudySubject *subject;
    size_t batch, seq_len, rounds;
    uint64_t stream; /* of its random numbers */
    int32_t *tokens, *mask;
    FormatEntry *entries; /* those that loaded; fp32 first if it did */
    size_t count;
    float *logits, *reference; /* of one run, and fp32's; [num_logits] */
    size_t num_logits;
} TimeCell;

/* ---- inputs ---- */

/* Uniform over the vocabulary, nothing is masked. */
static void make_inputs(TimeCell *c)
{
    size_t n = c->batch * c->seq_len;
    double vocab = (double)c->subject->files.config.vocab_size;
    c->tokens = xcalloc(n, sizeof *c->tokens);
    c->mask = xcalloc(n, sizeof *c->mask);
    for (size_t i = 0; i < n; i++) {
        c->tokens[i] =
            (int32_t)(rng_uniform((uint64_t)c->study->config->seed, c->stream, i) * vocab);
        c->mask[i] = 1;
    }
}

/* ---- loading ---- */

/* Memory of this process that is in use; what malloc only keeps is given back first. */
static int64_t resident_bytes(void)
{
    long long pages = 0;
    malloc_trim(0);
    FILE *f = fopen("/proc/self/statm", "r");
    int found = f ? fscanf(f, "%*s %lld", &pages) : 0;
    if (f)
        fclose(f);
    return found == 1 ? pages * sysconf(_SC_PAGESIZE) : INT_MISSING;
}

/* False: what it computes is not finite, so its time is none. */
static bool first_run(TimeCell *c, FormatEntry *k)
{
    model_forward(&k->model);
    if (!c->logits) {
        c->num_logits = tensor_count(k->model.record.logits);
        c->logits = xcalloc(c->num_logits, sizeof *c->logits);
    }
    exec_read(k->model.record.logits, c->logits);
    if (!classifier_finite(c->logits, c->num_logits)) {
        study_fail_not_finite(k->record);
        return false;
    }
    if (k->record->precision == PRECISION_FP32) {
        c->reference = c->logits;
        c->logits = xcalloc(c->num_logits, sizeof *c->logits);
    } else if (c->reference) {
        drift_of(c->reference, c->logits, c->num_logits, &k->record->logit_mean_drift,
                 &k->record->logit_max_drift);
    }
    return true;
}

/* How many calls make a turn is learnt from one timed call. */
static void plan_turn(const TimeCell *c, FormatEntry *k)
{
    EnergySource source = c->study->energy.source;
    bool counted = source == ENERGY_POWERCAP || source == ENERGY_PERF;
    int64_t start = clock_ns();
    model_forward(&k->model);
    double ns = (double)(clock_ns() - start);
    k->record->calls = turn_calls(ns, counted ? 2e9 * ENERGY_MIN_SECONDS : TURN_NS);
    k->record->untimed_call = ns < UNTIMED_CALL_NS;
}

static void load_entry(TimeCell *c, StudyRecord *r)
{
    bool encoder = !c->subject->files.config.family->causal;
    RecordWants wants = {.batch = c->batch, .context = c->seq_len, .mask = encoder, .logits = true};
    FormatEntry *k = &c->entries[c->count];
    k->record = r;
    int64_t before = resident_bytes();
    if (!study_load(c->study, c->subject, &wants, r, &k->model))
        return;
    model_set_tokens(&k->model, c->tokens);
    if (encoder)
        model_set_mask(&k->model, c->mask);
    if (!first_run(c, k)) {
        model_release(&k->model);
        return;
    }
    c->count++;
    int64_t after = resident_bytes();
    if (before != INT_MISSING && after != INT_MISSING)
        r->resident_bytes = after - before;
    plan_turn(c, k);
    r->ms = xcalloc(c->rounds, sizeof *r->ms);
    r->seconds = xcalloc(c->rounds, sizeof *r->seconds);
    if (c->study->energy.source != ENERGY_NONE)
        r->joules = xcalloc(c->rounds, sizeof *r->joules);
    r->rounds = 0;
}

/* ---- turns ---- */

static void take_turn(const TimeCell *c, FormatEntry *k)
{
    StudyRecord *r = k->record;
    EnergyReading from, to;
    const char *flaw = "";
    if (r->untimed_call)
        model_forward(&k->model);
    energy_read(&c->study->energy, &from);
    int64_t start = clock_ns();
    for (int64_t i = 0; i < r->calls; i++)
        model_forward(&k->model);
    int64_t end = clock_ns();
    energy_read(&c->study->energy, &to);
    r->ms[r->rounds] = (double)(end - start) / 1e6 / (double)r->calls;
    r->seconds[r->rounds] = (double)(to.ns - from.ns) / 1e9;
    if (r->joules)
        r->joules[r->rounds] = energy_joules(&c->study->energy, &from, &to, &flaw);
    if (*flaw && !*r->energy_flaw)
        r->energy_flaw = flaw;
    r->rounds++;
}

static void take_turns(const TimeCell *c)
{
    uint64_t seed = (uint64_t)c->study->config->seed;
    for (size_t round = 0; round < c->rounds; round++)
        for (size_t i = 0; i < c->count && !interrupted(); i++)
            take_turn(c, &c->entries[turn_of(seed, c->stream, round, i, c->count)]);
}

/* ---- figures ---- */

static void summarise(const TimeCell *c)
{
    const StudyRecord *fp32 = c->count > 0 && c->reference ? c->entries[0].record : NULL;
    double level = 1 - (1 - CONFIDENCE_LEVEL) / (c->count > 2 ? (double)(c->count - 1) : 1);
    for (size_t i = 0; i < c->count; i++) {
        StudyRecord *r = c->entries[i].record;
        size_t rounds = (size_t)r->rounds;
        Interval median = median_interval(r->ms, rounds, CONFIDENCE_LEVEL);
        r->median_ms = median_of(r->ms, rounds);
        r->median_lo_ms = median.lo;
        r->median_hi_ms = median.hi;
        r->samples_per_s = 1e3 * (double)c->batch / r->median_ms;
        r->tokens_per_s = r->samples_per_s * (double)c->seq_len;
        text_set(r->energy_source, energy_source_name(c->study->energy.source));
        if (!fp32 || r == fp32)
            continue;
        RatioTest test = paired_ratio(r->ms, fp32->ms, rounds, level);
        r->speedup = test.ratio;
        r->speedup_lo = test.interval.lo;
        r->speedup_hi = test.interval.hi;
    }
}

static void cell_release(TimeCell *c)
{
    for (size_t i = 0; i < c->count; i++)
        model_release(&c->entries[i].model);
    free(c->entries);
    free(c->tokens);
    free(c->mask);
    free(c->logits);
    free(c->reference);
}

int study_time(Study *s, const StudySubject *subject, size_t batch, size_t seq_len, Err *err)
{
    size_t n = s->config->num_formats;
    TimeCell c = {.study = s,
                  .subject = subject,
                  .batch = batch,
                  .seq_len = seq_len,
                  .rounds = (size_t)subject->asked->rounds,
                  .stream = s->num_records,
                  .entries = xcalloc(n, sizeof *c.entries)};
    StudyRecord *records = study_new_records(s, subject, "time");
    make_inputs(&c);
    for (size_t i = 0; i < n; i++) {
        records[i].batch_size = (int64_t)batch;
        records[i].seq_len = (int64_t)seq_len;
        if (study_record_ok(&records[i]) && !interrupted())
            load_entry(&c, &records[i]);
    }
    take_turns(&c);
    summarise(&c);
    cell_release(&c);
    if (interrupted()) {
        study_drop(s, records);
        return err_set(err, "interrupted");
    }
    study_keep(s, records);
    return 0;
}
