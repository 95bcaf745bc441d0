/* cell: see cell.h. */
#include "bench/compare/cell.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/compare/inputs.h"
#include "model/families/family.h"
#include "bench/util/interrupt.h"
#include "bench/row/counters.h"
#include "bench/stats/moments.h"
#include "bench/compare/turns.h"

/* A cell being measured. */
typedef struct Round {
    Comparison *c;
    const CompareCell *cell;
    json_t *load;       /* request */
    CellEntry *records; /* of the implementations that take part */
    size_t count;
} Round;

const Peaks *comparison_peaks(const Comparison *c)
{
    return guard_peaks(&c->guard, c->config->threads);
}

void comparison_measure_peaks(Comparison *c)
{
    Err err;
    if (guard_measure(&c->guard, c->config->threads, &err) != 0)
        fprintf(stderr, "tare: %s, so shares of the peak are missing\n", err.msg);
}

int comparison_start(Comparison *c, bool *misbehaved, Err *err)
{
    const ImplementationOptions options = {.wanted = c->config->wanted,
                                           .threads = c->config->threads,
                                           .max_wait = c->config->max_wait};
    c->other_cpus = other_cpus_before_start();
    guard_init(&c->guard);
    if (implementations_start(c->implementations, &c->project, &options, misbehaved, err) != 0)
        return -1;
    bool matrix_work = false;
    for (size_t i = 0; i < c->config->num_cells; i++) {
        const CompareCell *cell = &c->config->cells[i];
        matrix_work |= !isnan(cell_flops(cell, &c->models[cell->model].config));
    }
    if (matrix_work)
        comparison_measure_peaks(c);
    return 0;
}

void comparison_release(Comparison *c)
{
    implementations_release(c->implementations);
    guard_release(&c->guard);
    for (size_t i = 0; i < c->num_records; i++)
        free(c->records[i].ms);
    free(c->records);
    c->records = NULL;
    c->num_records = 0;
}

/* ---- rates ---- */

double cell_flops(const CompareCell *cell, const ModelConfig *config)
{
    const Component *what = cell->component;
    ModelConfig c = *config;
    if (what->kind == COMPONENT_TOKENIZER || what->only_embeddings)
        return NAN;
    if (what->kind == COMPONENT_ENCODER)
        c.head = HEAD_NONE; /* it stops at the last hidden state */
    return model_flops(&c, cell->batch_size, cell->seq_len, what->backward);
}

double cell_entry_gflops(const Comparison *c, const CellEntry *r)
{
    return cell_flops(r->cell, &c->models[r->cell->model].config) / (r->median_ms * 1e6);
}

static Claim claim_of(const Comparison *c, const CellEntry *r)
{
    return (Claim){.product = precision_product(r->cell->component->precision),
                   .gflops = cell_entry_gflops(c, r),
                   .cpus_used = NAN};
}

double cell_entry_peak_fraction(const Comparison *c, const CellEntry *r)
{
    Claim claim = claim_of(c, r);
    return peaks_fraction(comparison_peaks(c), claim.product, claim.gflops);
}

bool cell_entry_plausible(const Comparison *c, const CellEntry *r, Err *why)
{
    const Peaks *p = comparison_peaks(c);
    Claim claim = claim_of(c, r);
    return !p || plausible(p, &claim, why) == 0;
}

EntryState cell_entry_state(const Comparison *c, const CellEntry *r)
{
    if (r->failure.msg[0])
        return ENTRY_FAILED;
    if (r->has_parity && !r->parity.ok)
        return ENTRY_DIFFERS;
    Err why;
    return cell_entry_plausible(c, r, &why) ? ENTRY_OK : ENTRY_IMPLAUSIBLE;
}

/* CellEntries of a cell stand together, ours first. */
const CellEntry *cell_entry_ours(const Comparison *c, const CellEntry *r)
{
    while (r->implementation != &c->implementations[0])
        r--;
    return r;
}

bool cell_entry_shows_ratio(const Comparison *c, const CellEntry *r)
{
    const CellEntry *ours = cell_entry_ours(c, r);
    return r != ours && !isnan(r->ratio.ratio) && cell_entry_state(c, r) == ENTRY_OK &&
           cell_entry_state(c, ours) == ENTRY_OK;
}

/* ---- loading, and the proof ---- */

static char *file_of(const Comparison *c, const char *name)
{
    return xasprintf("%s/%s.safetensors", c->folder, name);
}

static int load(const Round *r, Implementation *a, Err *err)
{
    if (implementation_wake(a, err) != 0)
        return -1;
    json_t *request = json_copy(r->load);
    json_object_set_new(request, "threads", json_integer(r->c->config->threads));
    return implementation_tell(a, request, err);
}

/* The first call of a loaded worker, untimed; its results go to a file. */
static int write_outputs(const Round *r, Implementation *a, Err *err)
{
    char *path = file_of(r->c, a->name);
    int status =
        implementation_tell(a, json_pack("{s:s, s:s}", "do", "outputs", "path", path), err);
    free(path);
    return status;
}

/* A record's worker; the record itself only reads it. */
static Implementation *worker_of(const Round *r, const CellEntry *record)
{
    return &r->c->implementations[record->implementation - r->c->implementations];
}

static bool failed(const CellEntry *record)
{
    return record->failure.msg[0] != '\0';
}

/* Loads, proves and times one call, to know how many make a sample. In fresh processes there is one
 * model in memory at a time, and one call a sample. */
static void prepare(const Round *r, CellEntry *record)
{
    Implementation *a = worker_of(r, record);
    Err *err = &record->failure;
    record->calls = 1;
    record->warm_call = true;
    if (load(r, a, err) == 0 && write_outputs(r, a, err) == 0 && !r->cell->fresh_process) {
        double ns = implementation_time(a, "run", 1, err);
        if (!isnan(ns)) {
            record->calls = turn_calls(ns, TURN_NS);
            record->warm_call = ns < UNTIMED_CALL_NS;
        }
    }
    if (r->cell->fresh_process)
        peer_stop(&a->peer);
}

/* Compares everybody's outputs with ours. */
static void prove(const Round *r)
{
    char *ours = file_of(r->c, r->records[0].implementation->name);
    double own = r->cell->component->tolerance, tolerance = own > 0 ? own : parity_tolerance;
    for (size_t i = 1; i < r->count && !failed(&r->records[0]); i++) {
        CellEntry *record = &r->records[i];
        char *theirs = file_of(r->c, record->implementation->name);
        if (!failed(record))
            record->has_parity =
                parity_compare(ours, theirs, tolerance, &record->parity, &record->failure) == 0;
        free(theirs);
    }
    free(ours);
}

/* ---- taking turns ---- */

static void note_memory(CellEntry *record)
{
    int64_t bytes = peak_rss_bytes(record->implementation->peer.pid);
    if (bytes != SAMPLE_NONE && (size_t)bytes > record->peak_rss_bytes)
        record->peak_rss_bytes = (size_t)bytes;
}

/* A sample in ms; NaN when it failed. */
static double turn(const Round *r, CellEntry *record)
{
    Implementation *a = worker_of(r, record);
    Err *err = &record->failure;
    double ns = NAN;
    bool ready = !r->cell->fresh_process || load(r, a, err) == 0;
    if (ready && (!record->warm_call || !isnan(implementation_time(a, "run", 1, err))))
        ns = implementation_time(a, "run", record->calls, err);
    if (r->cell->fresh_process) {
        note_memory(record);
        peer_stop(&a->peer);
    }
    return ns / 1e6;
}

static void one_round(const Round *r, size_t round)
{
    uint64_t seed = (uint64_t)r->c->config->seed,
             stream = (uint64_t)(r->cell - r->c->config->cells);
    for (size_t i = 0; i < r->count && !interrupted(); i++) {
        CellEntry *record = &r->records[turn_of(seed, stream, round, i, r->count)];
        if (failed(record))
            continue;
        double ms = turn(r, record);
        if (!failed(record))
            record->ms[record->rounds++] = ms;
    }
}

static void summarise(const Round *r)
{
    const CellEntry *ours = &r->records[0];
    double level = 1 - 0.05 / (r->count > 2 ? (double)(r->count - 1) : 1);
    for (size_t i = 0; i < r->count; i++) {
        CellEntry *record = &r->records[i];
        if (failed(record))
            record->rounds = 0;
        record->median_ms = median_of(record->ms, record->rounds);
        record->interval = median_interval(record->ms, record->rounds, 0.95);
        record->ratio = (RatioTest){NAN, interval_missing(), NAN};
        if (record->has_parity && record->parity.ok && !failed(record) && !failed(ours))
            record->ratio = paired_ratio(record->ms, ours->ms, record->rounds, level);
    }
}

/* ---- a cell ---- */

static size_t bytes_of_texts(const json_t *load)
{
    size_t bytes = 0, i;
    const json_t *text;
    json_array_foreach (json_object_get(load, "texts"), i, text)
        bytes += json_string_length(text);
    return bytes;
}

/* Those that are there and can do it. */
static void choose(Round *r)
{
    bool tokenizer = r->cell->component->kind == COMPONENT_TOKENIZER;
    size_t bytes = tokenizer ? bytes_of_texts(r->load) : 0;
    r->records = xcalloc(NUM_IMPLEMENTATIONS, sizeof *r->records);
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++) {
        Implementation *a = &r->c->implementations[k];
        if (!a->available || (k > 0 && !component_has_peer(r->cell->component, a->name)))
            continue;
        r->records[r->count++] =
            (CellEntry){.cell = r->cell,
                        .implementation = a,
                        .input_bytes = bytes,
                        .ms = xcalloc(r->cell->rounds, sizeof *r->records->ms)};
    }
}

/* A rate above the machine's peak is doubted at once, while the machine is as it was. */
static void keep(Round *r)
{
    Comparison *c = r->c;
    for (size_t i = 0; i < r->count; i++) {
        Err ignored;
        Claim claim = claim_of(c, &r->records[i]);
        if (comparison_peaks(c))
            guard_doubt(&c->guard, c->config->threads, &claim, &ignored);
    }
    c->records = xrealloc(c->records, (c->num_records + r->count) * sizeof *c->records);
    memcpy(c->records + c->num_records, r->records, r->count * sizeof *r->records);
    c->num_records += r->count;
}

static void remove_files(const Round *r, const char *inputs)
{
    for (size_t i = 0; i < r->count; i++) {
        char *path = file_of(r->c, r->records[i].implementation->name);
        unlink(path);
        free(path);
    }
    unlink(inputs);
}

int comparison_measure(Comparison *c, const CompareCell *cell, Err *err)
{
    const ModelFiles *files = &c->models[cell->model];
    char *inputs = file_of(c, "inputs");
    Round r = {.c = c, .cell = cell};
    r.load = compare_load_request(cell, files->dir, files->config.vocab_size,
                                  (uint64_t)c->config->seed, inputs, err);
    int status = r.load ? 0 : -1;
    if (status == 0) {
        if (cell->fresh_process) /* idle workers of earlier cells hold memory that these are short of */
            implementations_stop(c->implementations);
        choose(&r);
        for (size_t i = 0; i < r.count && !interrupted(); i++)
            prepare(&r, &r.records[i]);
        prove(&r);
        for (size_t round = 0; round < cell->rounds && !interrupted(); round++)
            one_round(&r, round);
        summarise(&r);
        remove_files(&r, inputs);
    }
    if (status == 0 && interrupted())
        status = err_set(err, "interrupted");
    if (status == 0)
        keep(&r);
    for (size_t i = 0; status != 0 && i < r.count; i++)
        free(r.records[i].ms);
    free(r.records);
    json_decref(r.load);
    free(inputs);
    return status;
}
