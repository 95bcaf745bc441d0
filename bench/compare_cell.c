/* compare_cell: see compare_cell.h. */
#include "compare_cell.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare_inputs.h"
#include "context.h"
#include "interrupt.h"
#include "measure.h"
#include "moments.h"

enum { EMPTY_CALLS = 20, EMPTY_RUN_CALLS = 1000, SETTLE_SECONDS = 5 };

/* A cell being measured. */
typedef struct Round {
    Comparison *c;
    const CompareCell *cell;
    json_t *load;    /* request */
    Record *records; /* of the alternatives that take part */
    size_t count;
} Round;

/* ---- requests ---- */

static json_t *ask(const Comparison *c, Alternative *a, json_t *request, Err *err)
{
    json_t *reply = peer_ask(&a->peer, request, c->config->max_wait, err);
    if (peer_running(&a->peer))
        peer_settle(&a->peer, SETTLE_SECONDS);
    return reply;
}

/* Time of one call; NaN when it failed. */
static double ask_time(const Comparison *c, Alternative *a, const char *what, int64_t calls,
                       Err *err)
{
    json_t *reply = ask(c, a, json_pack("{s:s, s:I}", "do", what, "calls", (json_int_t)calls), err);
    if (!reply)
        return NAN;
    const json_t *ns = json_object_get(reply, "ns");
    double value = json_is_number(ns) ? json_number_value(ns) : NAN;
    json_decref(reply);
    if (!(value >= 0)) {
        err_set(err, "%s answered '%s' without a time", a->name, what);
        return NAN;
    }
    return value;
}

static int ask_to(const Comparison *c, Alternative *a, json_t *request, Err *err)
{
    json_t *reply = ask(c, a, request, err);
    json_decref(reply);
    return reply ? 0 : -1;
}

/* ---- starting ---- */

/* Our own worker is this program; the others are one Python file. All of them get the same threads. */
static void describe(Alternative *a, size_t index, const Project *p, int64_t threads)
{
    static const char *const variables[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                            "MKL_NUM_THREADS", "RAYON_NUM_THREADS"};
    *a = (Alternative){.name = alternative_names[index]};
    bool ours = index == 0;
    a->argv[0] = xstrdup(ours ? p->program : p->python);
    a->argv[1] = ours ? xstrdup("worker") : xasprintf("%s/bench/peers/worker.py", p->root);
    a->argv[2] = ours ? NULL : xstrdup(a->name);
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        a->settings[i] = xasprintf("%s=%lld", variables[i], (long long)threads);
}

/* Starts the process and says hello. Returns its versions, or NULL. */
static json_t *wake(const Comparison *c, Alternative *a, Err *err)
{
    if (peer_start(&a->peer, a->name, a->argv, a->settings, err) != 0)
        return NULL;
    json_t *reply = ask(c, a, json_pack("{s:s}", "do", "hello"), err);
    if (!reply)
        return NULL;
    json_t *versions = json_incref(json_object_get(reply, "versions"));
    json_decref(reply);
    if (json_is_object(versions))
        return versions;
    json_decref(versions);
    peer_stop(&a->peer);
    err_set(err, "%s answered 'hello' without its versions", a->name);
    return NULL;
}

static int measure_empty_calls(const Comparison *c, Alternative *a, Err *err)
{
    double ms[EMPTY_CALLS];
    for (size_t i = 0; i < EMPTY_CALLS; i++) {
        int64_t start = clock_ns();
        json_t *reply = peer_ask(&a->peer, json_pack("{s:s, s:i}", "do", "nothing", "calls", 1),
                                 c->config->max_wait, err);
        ms[i] = (double)(clock_ns() - start) / 1e6;
        json_decref(reply);
        if (!reply)
            return -1;
    }
    a->empty_call_ms = median_of(ms, EMPTY_CALLS);
    a->empty_run_ns = ask_time(c, a, "nothing", EMPTY_RUN_CALLS, err);
    return isnan(a->empty_run_ns) ? -1 : 0;
}

/* A worker that answers with a sentence lacks something; any other end is a fault of it. */
static void leave_out(Alternative *a, const Err *why, bool *misbehaved)
{
    bool lacking = peer_running(&a->peer);
    peer_stop(&a->peer);
    if (lacking)
        fprintf(stderr, "tare: %s is left out (%s); to install it: %s\n", a->name, why->msg,
                PEERS_INSTALL);
    else
        fprintf(stderr, "tare: %s is left out: %s\n", a->name, why->msg);
    *misbehaved |= !lacking;
}

/* Threads that wait for each other suffer out of all proportion from other programs. */
static void look_at_load(Comparison *c)
{
    Context machine;
    context_read(&machine, "");
    c->load = machine.load;
    if (machine.load > 0.25 * (double)machine.cpus_allowed)
        fprintf(stderr,
                "tare: the load average is %.1f before anything was started: other programs share "
                "the processors, and times will be wrong\n",
                machine.load);
}

int comparison_start(Comparison *c, bool *misbehaved, Err *err)
{
    const Project *p = &c->project;
    look_at_load(c);
    if (!p->root || !p->python)
        fprintf(stderr, "tare: no %s, so tare is measured alone; to install the peers: %s\n",
                p->root ? "Python" : "bench/peers/worker.py", PEERS_INSTALL);
    for (size_t k = 0; k < NUM_ALTERNATIVES; k++) {
        Alternative *a = &c->alternatives[k];
        if (!c->config->wanted[k] || (k > 0 && (!p->root || !p->python)))
            continue;
        describe(a, k, p, c->config->threads);
        a->versions = wake(c, a, err);
        a->available = a->versions && measure_empty_calls(c, a, err) == 0;
        if (!a->available && (k == 0 || interrupted()))
            return -1;
        if (!a->available)
            leave_out(a, err, misbehaved);
    }
    return 0;
}

void comparison_release(Comparison *c)
{
    for (size_t k = 0; k < NUM_ALTERNATIVES; k++) {
        Alternative *a = &c->alternatives[k];
        peer_stop(&a->peer);
        for (size_t i = 0; i < COUNT_OF(a->argv); i++)
            free(a->argv[i]);
        for (size_t i = 0; i < COUNT_OF(a->settings); i++)
            free(a->settings[i]);
        json_decref(a->versions);
    }
    for (size_t i = 0; i < c->num_records; i++)
        free(c->records[i].ms);
    free(c->records);
    c->records = NULL;
    c->num_records = 0;
}

/* ---- loading, and the proof ---- */

static char *file_of(const Comparison *c, const char *name)
{
    return xasprintf("%s/%s.safetensors", c->folder, name);
}

static int load(const Round *r, Alternative *a, Err *err)
{
    if (!peer_running(&a->peer)) {
        json_t *versions = wake(r->c, a, err);
        json_decref(versions);
        if (!versions)
            return -1;
    }
    json_t *request = json_copy(r->load);
    json_object_set_new(request, "threads", json_integer(r->c->config->threads));
    return ask_to(r->c, a, request, err);
}

/* The first call of a loaded worker, untimed; its results go to a file. */
static int write_outputs(const Round *r, Alternative *a, Err *err)
{
    char *path = file_of(r->c, a->name);
    int status = ask_to(r->c, a, json_pack("{s:s, s:s}", "do", "outputs", "path", path), err);
    free(path);
    return status;
}

/* A record's worker; the record itself only reads it. */
static Alternative *worker_of(const Round *r, const Record *record)
{
    return &r->c->alternatives[record->alternative - r->c->alternatives];
}

static bool failed(const Record *record)
{
    return record->failure.msg[0] != '\0';
}

static int64_t calls_for(double call_ns)
{
    double calls = ceil(SAMPLE_NS / (call_ns > 1 ? call_ns : 1));
    return calls < 1 ? 1 : (int64_t)calls;
}

/* Loads, proves and times one call, to know how many make a sample. In fresh processes there is one
 * model in memory at a time, and one call a sample. */
static void prepare(const Round *r, Record *record)
{
    Alternative *a = worker_of(r, record);
    Err *err = &record->failure;
    record->calls = 1;
    record->warm_call = true;
    if (load(r, a, err) == 0 && write_outputs(r, a, err) == 0 && !r->cell->fresh_process) {
        double ns = ask_time(r->c, a, "run", 1, err);
        if (!isnan(ns)) {
            record->calls = calls_for(ns);
            record->warm_call = ns < WARM_CALL_NS;
        }
    }
    if (r->cell->fresh_process)
        peer_stop(&a->peer);
}

/* Compares everybody's outputs with ours. */
static void prove(const Round *r)
{
    char *ours = file_of(r->c, r->records[0].alternative->name);
    for (size_t i = 1; i < r->count && !failed(&r->records[0]); i++) {
        Record *record = &r->records[i];
        char *theirs = file_of(r->c, record->alternative->name);
        if (!failed(record))
            record->has_parity =
                parity_compare(ours, theirs, &record->parity, &record->failure) == 0;
        free(theirs);
    }
    free(ours);
}

/* ---- taking turns ---- */

/* A sample in ms; NaN when it failed. */
static double turn(const Round *r, const Record *record, Err *err)
{
    Alternative *a = worker_of(r, record);
    double ns = NAN;
    bool ready = !r->cell->fresh_process || load(r, a, err) == 0;
    if (ready && (!record->warm_call || !isnan(ask_time(r->c, a, "run", 1, err))))
        ns = ask_time(r->c, a, "run", record->calls, err);
    if (r->cell->fresh_process)
        peer_stop(&a->peer);
    return ns / 1e6;
}

static void one_round(const Round *r, size_t round)
{
    uint64_t seed = (uint64_t)r->c->config->seed,
             stream = (uint64_t)(r->cell - r->c->config->cells);
    size_t n = r->count;
    size_t first = (size_t)(rng_uniform(seed, stream, 2 * round) * (double)n);
    bool backwards = rng_uniform(seed, stream, 2 * round + 1) < 0.5;
    for (size_t i = 0; i < n && !interrupted(); i++) {
        Record *record = &r->records[(backwards ? first + n - i : first + i) % n];
        if (failed(record))
            continue;
        double ms = turn(r, record, &record->failure);
        if (!failed(record))
            record->ms[record->rounds++] = ms;
    }
}

static void summarise(const Round *r)
{
    const Record *ours = &r->records[0];
    double level = 1 - 0.05 / (r->count > 2 ? (double)(r->count - 1) : 1);
    for (size_t i = 0; i < r->count; i++) {
        Record *record = &r->records[i];
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

/* Those that are there and can do it. */
static void choose(Round *r)
{
    r->records = xcalloc(NUM_ALTERNATIVES, sizeof *r->records);
    for (size_t k = 0; k < NUM_ALTERNATIVES; k++) {
        Alternative *a = &r->c->alternatives[k];
        if (!a->available || (k > 0 && !component_has_peer(r->cell->component, a->name)))
            continue;
        r->records[r->count++] = (Record){.cell = r->cell,
                                          .alternative = a,
                                          .ms = xcalloc(r->cell->rounds, sizeof *r->records->ms)};
    }
}

static void keep(Round *r)
{
    Comparison *c = r->c;
    c->records = xrealloc(c->records, (c->num_records + r->count) * sizeof *c->records);
    memcpy(c->records + c->num_records, r->records, r->count * sizeof *r->records);
    c->num_records += r->count;
}

static void remove_files(const Round *r, const char *inputs)
{
    for (size_t i = 0; i < r->count; i++) {
        char *path = file_of(r->c, r->records[i].alternative->name);
        unlink(path);
        free(path);
    }
    unlink(inputs);
}

/* Idle workers of earlier cells hold memory that these cells are short of. */
static void stop_all(Comparison *c)
{
    for (size_t k = 0; k < NUM_ALTERNATIVES; k++)
        peer_stop(&c->alternatives[k].peer);
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
        if (cell->fresh_process)
            stop_all(c);
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
