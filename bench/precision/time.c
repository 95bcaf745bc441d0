/* time: times of one batch and length, all formats in turns; see study.h.
 *
 * Every format has its own copy of the model in memory and gets the same token ids; its first run
 * is untimed, packs weights and shows how far its logits are from fp32's. Where energy is counted,
 * a turn lasts long enough for the counter. */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/text/classifier.h"
#include "bench/util/interrupt.h"
#include "bench/precision/accuracy.h"
#include "bench/precision/study.h"
#include "bench/compare/rounds.h"

/* One format in a cell. */
typedef struct FormatEntry {
    Entry entry;
    StudyRecord *record;
    Model model;
    double cpu_ms, timed_ms; /* of all turns: CPU time of this process, and their time */
} FormatEntry;

typedef struct TimeCell {
    Study *study;
    const StudySubject *subject;
    size_t batch, seq_len;
    RoundsPlan plan; /* its seed and stream are those of the tokens, too */
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
        c->tokens[i] = (int32_t)(rng_uniform(c->plan.seed, c->plan.stream, i) * vocab);
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
    if (!study_load(c->study, c->subject, &(ModelOptions){.wants = wants, .pack_weights = true}, 0,
                    r, &k->model))
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
    r->seconds = xcalloc(c->plan.rounds, sizeof *r->seconds);
    if (c->study->energy.source != ENERGY_NONE)
        r->joules = xcalloc(c->plan.rounds, sizeof *r->joules);
}

/* ---- turns ---- */

static double turn(void *cell, size_t index, Err *err)
{
    (void)err;
    const TimeCell *c = cell;
    FormatEntry *k = &c->entries[index];
    StudyRecord *r = k->record;
    size_t round = k->entry.rounds;
    EnergyReading from, to;
    const char *flaw = "";
    if (r->untimed_call)
        model_forward(&k->model);
    energy_read(&c->study->energy, &from);
    double cpu_ms = process_cpu_ms(getpid());
    int64_t start = clock_ns();
    for (int64_t i = 0; i < r->calls; i++)
        model_forward(&k->model);
    int64_t end = clock_ns();
    k->cpu_ms += process_cpu_ms(getpid()) - cpu_ms;
    k->timed_ms += (double)(end - start) / 1e6;
    energy_read(&c->study->energy, &to);
    r->seconds[round] = (double)(to.ns - from.ns) / 1e9;
    if (r->joules)
        r->joules[round] = energy_joules(&c->study->energy, &from, &to, &flaw);
    if (*flaw && !*r->energy_flaw)
        r->energy_flaw = flaw;
    return (double)(end - start) / 1e6 / (double)r->calls;
}

/* Then only the figures are left. */
static void take_turns(TimeCell *c)
{
    Entry *entries[NUM_PRECISIONS];
    for (size_t i = 0; i < c->count; i++)
        entries[i] = &c->entries[i].entry;
    rounds_run(entries, c->count, &c->plan, turn, c);
    for (size_t i = 0; i < c->count; i++)
        model_release(&c->entries[i].model);
}

/* ---- figures ---- */

/* A rate above the machine's peak is no figure; without peaks nothing is judged. */
static void judge(const TimeCell *c, FormatEntry *k)
{
    Guard *g = &c->study->guard;
    int64_t threads = c->study->config->threads;
    double flops = model_flops(&c->subject->files.config, c->batch, c->seq_len, false);
    Err err;
    if (interrupted())
        return;
    k->entry.claim = (Claim){.product = precision_product(k->record->precision),
                             .gflops = flops / (k->entry.median_ms * 1e6),
                             .cpus_used = k->cpu_ms / k->timed_ms,
                             .measured_ms = k->timed_ms};
    if (guard_doubt(g, threads, &k->entry.claim, &err) != 0)
        fprintf(stderr, "tare: %s\n", err.msg);
    else if (plausible(guard_peaks(g, threads), &k->entry.claim, &err) != 0)
        study_record_fail(k->record, STATUS_IMPLAUSIBLE, err.msg);
}

/* The record takes the samples over. */
static void fill_record(const TimeCell *c, FormatEntry *k)
{
    StudyRecord *r = k->record;
    const Entry *e = &k->entry;
    r->ms = e->ms;
    r->rounds = (int64_t)e->rounds;
    r->median_ms = e->median_ms;
    r->median_lo_ms = e->interval.lo;
    r->median_hi_ms = e->interval.hi;
    r->samples_per_s = 1e3 * (double)c->batch / r->median_ms;
    r->tokens_per_s = r->samples_per_s * (double)c->seq_len;
    text_set(r->energy_source, energy_source_name(c->study->energy.source));
    judge(c, k);
    if (!c->reference || !study_record_ok(r) || !study_record_ok(c->entries[0].record))
        return;
    r->speedup = e->ratio.ratio;
    r->speedup_lo = e->ratio.interval.lo;
    r->speedup_hi = e->ratio.interval.hi;
}

int study_time(Study *s, const StudySubject *subject, size_t batch, size_t seq_len, Err *err)
{
    size_t n = s->config->num_formats;
    TimeCell c = {.study = s,
                  .subject = subject,
                  .batch = batch,
                  .seq_len = seq_len,
                  .plan = {.seed = (uint64_t)s->config->seed,
                           .stream = s->num_records,
                           .rounds = (size_t)subject->asked->rounds},
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
    for (size_t i = 0; i < c.count; i++)
        fill_record(&c, &c.entries[i]);
    free(c.entries);
    free(c.tokens);
    free(c.mask);
    free(c.logits);
    free(c.reference);
    return study_finish(s, records, err);
}
