/* cell: see cell.h. */
#include "bench/compare/cell.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/decoder.h"
#include "model/families/family.h"
#include "bench/row/counters.h"
#include "bench/util/interrupt.h"

#define EXACT "exact" /* a file's name, and no implementation's */

/* A cell being measured. */
typedef struct CellRun {
    Comparison *c;
    const CompareCell *cell;
    json_t *load;                        /* request */
    CellEntry *records;                  /* of the implementations that take part, ours first */
    Entry *entries[NUM_IMPLEMENTATIONS]; /* theirs */
    size_t count;
} CellRun;

/* ---- a comparison ---- */

double cell_flops(const CompareCell *cell, const ModelConfig *config)
{
    const Component *what = cell->component;
    ModelConfig c = *config;
    if (what->kind == COMPONENT_TOKENIZER || what->only_embeddings)
        return NAN;
    if (what->kind == COMPONENT_DECODER) {
        double prompt = (double)cell->seq_len;
        return (double)cell->batch_size * (what->generates
                                               ? decoder_step_flops(&c, prompt, (double)cell->n_gen)
                                               : decoder_prefill_flops(&c, prompt));
    }
    if (what->kind == COMPONENT_ENCODER)
        c.head = HEAD_NONE; /* it stops at the last hidden state */
    return model_flops(&c, cell->batch_size, cell->seq_len, what->backward);
}

static double flops_of(const Comparison *c, const CompareCell *cell)
{
    if (cell->component->kind == COMPONENT_ATTENTION) {
        const Attention a = compare_attention(cell, &c->config->models[cell->model]);
        return attention_layer_flops(&a, cell->component->backward);
    }
    return cell_flops(cell, &c->models[cell->model].config);
}

int comparison_start(Comparison *c, Err *err)
{
    const ImplementationOptions options = {.wanted = c->config->wanted,
                                           .threads = c->config->threads,
                                           .max_wait = c->config->max_wait};
    if (session_start(&c->session, &options, err) != 0)
        return -1;
    bool matrix_work = false;
    for (size_t i = 0; i < c->config->num_cells; i++)
        matrix_work |= !isnan(flops_of(c, &c->config->cells[i]));
    if (matrix_work)
        session_measure_peaks(&c->session);
    return 0;
}

static void cell_entry_release(CellEntry *r)
{
    entry_release(&r->entry);
    profile_release(&r->profile);
}

void comparison_release(Comparison *c)
{
    for (size_t i = 0; i < c->num_records; i++)
        cell_entry_release(&c->records[i]);
    free(c->records);
    c->records = NULL;
    c->num_records = 0;
    session_release(&c->session);
}

/* Records of a cell stand together, ours first. */
const CellEntry *cell_entry_ours(const Comparison *c, const CellEntry *r)
{
    while (r->entry.implementation != &c->session.implementations[0])
        r--;
    return r;
}

bool cell_entry_shows_ratio(const Comparison *c, const CellEntry *r)
{
    return !isnan(r->entry.ratio.ratio) && session_state(&c->session, &r->entry) == ENTRY_OK &&
           session_state(&c->session, &cell_entry_ours(c, r)->entry) == ENTRY_OK;
}

/* ---- loading, and the proof ---- */

/* The reply, for the caller to release; NULL: it failed. `exact`: to compute in fp32. */
static json_t *ask_to_load(const CellRun *r, Implementation *a, bool exact, Err *err)
{
    if (implementation_wake(a, err) != 0)
        return NULL;
    json_t *request = json_copy(r->load);
    json_object_set_new(request, "threads", json_integer(r->c->session.threads));
    if (exact)
        json_object_set_new(request, "exact", json_true());
    return implementation_ask(a, request, err);
}

static int load(const CellRun *r, CellEntry *record, Err *err)
{
    json_auto_t *reply = ask_to_load(r, record->entry.implementation, false, err);
    const json_t *ns = json_object_get(reply, "ns");
    if (json_is_number(ns))
        record->load_ms = json_number_value(ns) / 1e6;
    return reply ? 0 : -1;
}

/* What our worker computes in fp32, into the file EXACT. Two small formats apart by their own
 * rounding each say nothing of either; each is judged by its distance from this. */
static int write_exact(const CellRun *r, Err *err)
{
    Implementation *ours = r->entries[0]->implementation;
    json_auto_t *loaded = ask_to_load(r, ours, true, err);
    return loaded ? session_write_outputs(&r->c->session, ours, EXACT, err) : -1;
}

static void prove(const CellRun *r, size_t i, bool exact)
{
    const Component *what = r->cell->component;
    Session *s = &r->c->session;
    Entry *e = r->entries[i];
    if (exact)
        session_prove_by(
            s, EXACT, e,
            component_tolerance(what, (size_t)(e->implementation - s->implementations)));
    else
        session_prove(s, r->entries[0], e, parity_tolerance);
}

/* The first call after loading. A training step would change what is proven next. */
static int call_first(const CellRun *r, CellEntry *record, Err *err)
{
    if (r->cell->component->update || r->cell->fresh_process)
        return 0;
    double ns = implementation_time(record->entry.implementation, "run", 1, err);
    record->first_call_ms = ns / 1e6;
    return isnan(ns) ? -1 : 0;
}

/* Loads, writes what it computes and times one call, to know how many make a sample. In fresh
 * processes there is one model in memory at a time, and one call a sample. */
static void prepare(const CellRun *r, CellEntry *record)
{
    Implementation *a = record->entry.implementation;
    Err *err = &record->entry.failure;
    record->calls = 1;
    record->warm_call = true;
    if (load(r, record, err) == 0 && call_first(r, record, err) == 0 &&
        session_write_outputs(&r->c->session, a, a->name, err) == 0 && !r->cell->fresh_process) {
        double ns = implementation_time(a, "run", 1, err);
        if (!isnan(ns)) {
            record->calls = turn_calls(ns, TURN_NS);
            record->warm_call = ns < UNTIMED_CALL_NS;
        }
    }
    if (r->cell->fresh_process)
        peer_stop(&a->peer);
}

/* ---- turns ---- */

static void note_memory(CellEntry *record)
{
    int64_t bytes = peak_rss_bytes(record->entry.implementation->peer.pid);
    if (bytes != INT_MISSING && (size_t)bytes > record->peak_rss_bytes)
        record->peak_rss_bytes = (size_t)bytes;
}

static double turn(void *run, size_t i, Err *err)
{
    const CellRun *r = run;
    CellEntry *record = &r->records[i];
    Implementation *a = record->entry.implementation;
    double ns = NAN;
    bool ready = !r->cell->fresh_process || load(r, record, err) == 0;
    if (ready && (!record->warm_call || !isnan(implementation_time(a, "run", 1, err))))
        ns = implementation_time(a, "run", record->calls, err);
    record->timed_ms += ns * (double)record->calls / 1e6;
    record->cpu_ms += a->cpu_ns * (double)record->calls / 1e6;
    if (r->cell->fresh_process) {
        note_memory(record);
        peer_stop(&a->peer);
    }
    return ns / 1e6;
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
static void choose(CellRun *r)
{
    bool tokenizer = r->cell->component->kind == COMPONENT_TOKENIZER;
    size_t bytes = tokenizer ? bytes_of_texts(r->load) : 0;
    r->records = xcalloc(NUM_IMPLEMENTATIONS, sizeof *r->records);
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++) {
        Implementation *a = &r->c->session.implementations[k];
        if (!a->available || (k != IMPL_TARE && !(r->cell->component->peers >> k & 1)))
            continue;
        r->records[r->count] = (CellEntry){.cell = r->cell,
                                           .entry.implementation = a,
                                           .load_ms = NAN,
                                           .first_call_ms = NAN,
                                           .input_bytes = bytes};
        profile_init(&r->records[r->count].profile);
        r->entries[r->count] = &r->records[r->count].entry;
        r->count++;
    }
}

static void take_turns(CellRun *r)
{
    const CompareConfig *config = r->c->config;
    const RoundsPlan plan = {.seed = (uint64_t)config->seed,
                             .stream = (uint64_t)(r->cell - config->cells),
                             .rounds = r->cell->rounds};
    rounds_run(r->entries, r->count, &plan, turn, r);
    double flops = flops_of(r->c, r->cell);
    for (size_t i = 0; i < r->count; i++)
        session_claim(&r->c->session, r->entries[i],
                      (Claim){.product = precision_product(r->cell->component->precision),
                              .gflops = flops / (r->entries[i]->median_ms * 1e6),
                              .cpus_used = r->records[i].cpu_ms / r->records[i].timed_ms,
                              .measured_ms = r->records[i].timed_ms});
}

/* As many calls as were timed, but no more than this. */
enum { MOST_PROFILED = 1000 };

static int ask_for_profile(const CellRun *r, CellEntry *ours, Err *err)
{
    Implementation *a = ours->entry.implementation;
    int64_t calls = ours->calls * (int64_t)ours->entry.rounds;
    if ((r->cell->fresh_process && load(r, ours, err) != 0) ||
        isnan(implementation_time(a, "run", 1, err)))
        return -1;
    json_auto_t *reply =
        implementation_ask(a,
                           json_pack("{s:s, s:I}", "do", "profile", "calls",
                                     (json_int_t)(calls < MOST_PROFILED ? calls : MOST_PROFILED)),
                           err);
    if (r->cell->fresh_process)
        peer_stop(&a->peer);
    return reply ? profile_from_json(json_object_get(reply, "profile"), &ours->profile, err) : -1;
}

/* Where it fails the cell keeps its figures. */
static void profile(const CellRun *r)
{
    CellEntry *ours = &r->records[0];
    Err err;
    if (!r->c->profiled || !component_has_steps(r->cell->component) || interrupted() ||
        entry_failed(&ours->entry) || ask_for_profile(r, ours, &err) == 0 || interrupted())
        return;
    profile_release(&ours->profile);
    r->c->session.misbehaved = true;
    fprintf(stderr, "tare: no profile: %s\n", err.msg);
}

static void keep(CellRun *r)
{
    Comparison *c = r->c;
    c->records = xrealloc(c->records, (c->num_records + r->count) * sizeof *c->records);
    memcpy(c->records + c->num_records, r->records, r->count * sizeof *r->records);
    c->num_records += r->count;
}

static void measure(CellRun *r)
{
    Session *s = &r->c->session;
    bool exact = r->cell->component->tolerance > 0;
    /* idle workers of earlier cells hold memory that fresh processes are short of */
    if (r->cell->fresh_process)
        implementations_stop(s->implementations);
    choose(r);
    if (exact)
        write_exact(r, &r->entries[0]->failure);
    exact &= !entry_failed(r->entries[0]);
    for (size_t i = 0; i < r->count && !interrupted(); i++)
        prepare(r, &r->records[i]);
    for (size_t i = 0; i < r->count; i++)
        prove(r, i, exact);
    for (size_t i = 0; i < r->count; i++)
        session_remove_file(s, r->entries[i]->implementation->name);
    session_remove_file(s, EXACT);
    take_turns(r);
    profile(r);
}

int comparison_measure(Comparison *c, const CompareCell *cell, Err *err)
{
    const ModelFiles *files = &c->models[cell->model];
    const CompareModel *model = &c->config->models[cell->model];
    OWNED char *inputs = session_file(&c->session, "inputs");
    CellRun r = {.c = c, .cell = cell};
    r.load = compare_load_request(cell, model, files, (uint64_t)c->config->seed, inputs, err);
    int status = r.load ? 0 : -1;
    if (status == 0) {
        measure(&r);
        unlink(inputs);
        status = interrupted() ? err_set(err, "interrupted") : 0;
    }
    if (status == 0)
        keep(&r);
    for (size_t i = 0; status != 0 && i < r.count; i++)
        cell_entry_release(&r.records[i]);
    free(r.records);
    json_decref(r.load);
    return status;
}
