/* sweep: see sweep.h. */
#include "bench/sweep/sweep.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/machine/machine.h"
#include "bench/machine/threads.h"
#include "bench/row/counters.h"
#include "bench/row/probe.h"
#include "bench/row/ranked.h"
#include "bench/row/result.h"
#include "bench/row/stamp.h"
#include "bench/row/support.h"
#include "bench/result/diff.h"
#include "bench/util/units.h"
#include "bench/util/interrupt.h"
#include "bench/sweep/runner.h"
#include "bench/row/warning.h"

int64_t sweep_memory_limit(const Sweep *s)
{
    return s->config.grid.max_memory ? s->config.grid.max_memory : memory_auto_limit();
}

/* ---- before anything runs ---- */

static void item_init(SweepItem *item, const SweepRow *row, size_t index)
{
    text_set(item->name, row->name);
    item->selected = true;
    row_result_init(&item->result);
    item->result.config = row->config;
    item->result.row_number = (int64_t)index + 1;
    row_id(&row->config, item->result.row_id);
}

int sweep_init(Sweep *s, const char *config_path, const TextList *settings, Err *err)
{
    SweepRow *rows;
    *s = (Sweep){0};
    if (config_load(sweep_config_file(), &s->config, config_path, settings, err) != 0)
        return -1;
    if (sweep_expand(&s->config, &rows, &s->count, err) != 0) {
        config_release(sweep_config_file(), &s->config);
        return -1;
    }
    s->items = xcalloc(s->count, sizeof *s->items);
    for (size_t i = 0; i < s->count; i++)
        item_init(&s->items[i], &rows[i], i);
    free(rows);
    time_model_init(&s->time, NAN, s->items[0].result.config.threads);
    return 0;
}

void sweep_release(Sweep *s)
{
    config_release(sweep_config_file(), &s->config);
    for (size_t i = 0; i < s->count; i++)
        samples_release(&s->items[i].samples);
    free(s->items);
    *s = (Sweep){0};
}

/* Of a row that is planned only: what other programs take now, it may have then. */
static void predict_tokens(RowResult *r, Guard *g)
{
    ReadBandwidth b;
    Err err;
    const int64_t threads = r->config.threads;
    const DType product = row_product(&r->config);
    if (row_task(&r->config) == TASK_LOSS || interrupted() ||
        (!guard_peaks(g, threads) && guard_measure(g, threads, &err) != 0) ||
        read_bandwidth_spawn(threads, &b, &err) != 0)
        return;
    double bytes = (double)r->weight_bytes + (double)r->kv_cache_bytes;
    result_predict(r, read_bandwidth_over(&b, bytes),
                   peaks_of_product(guard_peaks(g, threads), product));
}

void sweep_plan(Sweep *s)
{
    Guard guard;
    guard_init(&guard);
    int64_t limit = sweep_memory_limit(s);
    for (size_t i = 0; i < s->count; i++) {
        RowResult *r = &s->items[i].result;
        if (!s->items[i].selected)
            continue;
        row_estimate(r, limit, &s->time);
        row_admit(r, limit, s->config.grid.max_row_time);
        text_set(r->status, STATUS_PLANNED);
        predict_tokens(r, &guard);
    }
    guard_release(&guard);
}

/* What says how a row's ranks communicate, and how they share its work. */
static const char *const of_ranks[] = {"ranks",           "parallel", "bucket_mb",
                                       "prefetch_layers", "reduce",   "launcher"};

/* The small rows whose ranks measured their link, each once. */
typedef struct Links {
    RowResult *rows;
    size_t count;
} Links;

/* The row that measures the link of c's ranks. */
static void link_row(RowResult *r, const RowConfig *c)
{
    row_result_init(r);
    noise_row(&r->config, c->threads);
    for (size_t i = 0; i < COUNT_OF(of_ranks); i++)
        field_copy(row_field(of_ranks[i]), c, &r->config);
    int64_t cpus = threads_default();
    if (!*c->launcher && c->ranks > cpus)
        r->config.ranks = cpus > 2 ? cpus : 2;
    r->config.batch_size = r->config.ranks;
    r->config.num_warmups = 0;
    r->config.num_trials = 1;
}

/* Whether both measure the same, in the same way. */
static bool same_link(const RowConfig *a, const RowConfig *b)
{
    return a->ranks == b->ranks && a->threads == b->threads &&
           ranked_link_kind(a) == ranked_link_kind(b) && strcmp(a->reduce, b->reduce) == 0 &&
           strcmp(a->launcher, b->launcher) == 0;
}

/* -1: no row could be run. */
static int measure_link(Links *l, const RowConfig *c, const RowResult **measured, Err *err)
{
    const RowLimits limits = {.max_seconds = 60, .no_probe = true};
    RowResult r;
    Samples samples;
    link_row(&r, c);
    for (size_t i = 0; i < l->count; i++)
        if (same_link(&l->rows[i].config, &r.config)) {
            *measured = &l->rows[i];
            return 0;
        }
    samples_init(&samples);
    int status = row_spawn(&r, &samples, &limits, err);
    samples_release(&samples);
    if (status != 0)
        return -1;
    l->rows = xgrow(l->rows, l->count, sizeof *l->rows);
    l->rows[l->count] = r;
    *measured = &l->rows[l->count++];
    return 0;
}

/* Ours takes a step for each of the other ranks. */
static int find_link(Links *l, const RowConfig *c, CommRate *rate, Err *err)
{
    const RowResult *r;
    if (measure_link(l, c, &r, err) != 0)
        return -1;
    if (!(r->link_gb_per_s > 0))
        return err_set(err, "the link of %d ranks is not known: %.300s", (int)r->config.ranks,
                       r->status_reason);
    double steps = (double)(c->ranks - 1) / (double)(r->config.ranks - 1);
    *rate = (CommRate){r->link_latency_us * 1e3 * steps, 1 / r->link_gb_per_s,
                       r->link_gb_per_s / r->link_idle_gb_per_s};
    return 0;
}

void sweep_forecast(Sweep *s, const CommRate *link, FILE *log)
{
    Guard guard;
    Links links = {0};
    guard_init(&guard);
    for (size_t i = 0; i < s->count && !interrupted(); i++) {
        RowResult *r = &s->items[i].result;
        const int64_t threads = r->config.threads;
        CommRate rate = link ? *link : (CommRate){0};
        Err err;
        if (!s->items[i].selected || row_ranks(&r->config) < 2 ||
            r->predicted_peak_bytes == INT_MISSING)
            continue;
        if ((link || find_link(&links, &r->config, &rate, &err) == 0) &&
            (guard_peaks(&guard, threads) || guard_measure(&guard, threads, &err) == 0))
            row_estimate_ranks(
                r, sweep_memory_limit(s), rate,
                peaks_of_product(guard_peaks(&guard, threads), row_product(&r->config)));
        else
            fprintf(log, "%s: %s\n", s->items[i].name, err.msg);
    }
    free(links.rows);
    guard_release(&guard);
}

size_t sweep_results(const Sweep *s, const RowResult **rows)
{
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++) {
        const SweepItem *item = &s->items[i];
        bool planned = strcmp(item->result.status, STATUS_PLANNED) == 0;
        if (item->selected && (item->in_file || planned))
            rows[count++] = &item->result;
    }
    return count;
}

/* ---- running ---- */

/* What is left of the selected rows. Several processes are worth nothing in a fixed order: what is
 * periodic on the host would meet the same row each time. */
static void choose_order(Runner *r)
{
    size_t rows = r->s->count;
    int64_t *room = xcalloc(2 * rows, sizeof *room), *processes = room, *done = room + rows;
    bool several = false;
    for (size_t i = 0; i < rows; i++) {
        const SweepItem *item = &r->s->items[i];
        if (!item->selected || item->in_file)
            continue;
        processes[i] = row_processes(&item->result.config);
        done[i] = item->processes;
        several |= processes[i] > 1;
    }
    r->order_seed = r->run->shuffle ? r->run->order_seed : several ? 1 : INT_MISSING;
    r->turns = turns_of(processes, done, rows, r->order_seed, &r->count);
    free(room);
}

/* Seconds of a row that an earlier sweep ran: its runs, and the assumed time of starting it, which
 * the file does not have. NaN if the file says too little. */
static double seconds_taken(const TimeModel *unlearned, const RowResult *r)
{
    RowResult idle = *r;
    double warmups = (double)r->config.num_warmups, trials = (double)r->config.num_trials;
    double warm_ms = warmups > 0 ? r->first_trial_ms + (warmups - 1) * r->mean_time_ms : 0;
    idle.model_flops = 0;
    return time_model_predict(unlearned, &idle) +
           (double)row_processes(&r->config) * (warm_ms + trials * r->mean_time_ms) / 1e3;
}

static void learn_from_file(Sweep *s)
{
    TimeModel unlearned = s->time;
    for (size_t i = 0; i < s->count; i++) {
        const RowResult *r = &s->items[i].result;
        double seconds = seconds_taken(&unlearned, r);
        bool ran = s->items[i].in_file && strcmp(r->status, STATUS_OK) == 0;
        if (ran && seconds > 0 && r->model_flops > 0)
            time_model_learn(&s->time, r, seconds);
    }
}

/* Makes the first predictions by the measured peak; without one they use an assumed rate. */
static void estimate_all(Runner *r)
{
    int64_t limit = sweep_memory_limit(r->s);
    int64_t threads = r->count ? r->s->items[r->turns[0].row].result.config.threads : 1;
    Err err;
    const Peaks *peaks = NULL;
    if (r->run->guard && r->count) {
        if (guard_measure(r->run->guard, threads, &err) != 0 && !interrupted())
            progress_note(&r->progress, "the machine's peaks are not known: %s", err.msg);
        peaks = guard_peaks(r->run->guard, threads);
    }
    time_model_init(&r->s->time, peaks ? peaks->gemm : NAN, threads);
    learn_from_file(r->s);
    for (size_t i = 0; i < r->count; i++) {
        SweepItem *item = &r->s->items[r->turns[i].row];
        if (r->turns[i].process == item->processes + 1) /* once a row */
            row_estimate(&item->result, limit, &r->s->time);
    }
}

/* The range is one standard deviation: of the learned correction, which all rows share, and of each
 * row by itself. */
static TimeLeft time_left(const Runner *r, size_t next)
{
    const TimeModel *t = &r->s->time;
    double sum = 0, squares = 0, spread = time_model_spread(t);
    for (size_t i = next; i < r->count; i++) {
        const RowResult *row = &r->s->items[r->turns[i].row].result;
        double seconds = time_model_predict(t, row) / (double)row_processes(&row->config);
        sum += seconds;
        squares += seconds * seconds;
    }
    double shared = sum * sum / fmax(time_model_count(t), 1);
    double error = spread * sqrt(shared + squares);
    return (TimeLeft){sum, fmax(sum - error, 0), sum + error};
}

static void rest(double seconds)
{
    const int64_t end = clock_ns() + (int64_t)(seconds * 1e9), tick_ns = 100000000;
    for (int64_t left; !interrupted() && (left = end - clock_ns()) > 0;)
        nanosleep(&(struct timespec){.tv_nsec = left < tick_ns ? left : tick_ns}, NULL);
}

/* The row of a process before it has run. */
static void plan_process(const Runner *r, const SweepItem *item, int64_t memory, RowResult *one)
{
    row_result_init(one);
    one->config = item->result.config;
    text_set(one->row_id, item->result.row_id);
    one->row_number = item->result.row_number;
    row_estimate(one, memory, &r->s->time);
}

/* Runs one process. Nothing is added to the item if it was interrupted. */
static int run_process(Runner *r, SweepItem *item, int64_t memory, RowResult *one, Err *err)
{
    int64_t processes = row_processes(&one->config);
    RowLimits limits = {.memory_limit = memory == INT_MISSING ? 0 : (size_t)memory,
                        .max_seconds = r->s->config.grid.max_row_time - item->seconds,
                        .no_probe = r->run->no_probe};
    Samples samples;
    samples_init(&samples);
    if (r->rest_due)
        rest(r->run->delay);
    r->rest_due = true;
    int64_t start = clock_ns();
    int status = r->run->execute(one, &samples, &limits, err);
    double seconds = (double)(clock_ns() - start) / 1e9;
    bool ok = status == 0 && strcmp(one->status, STATUS_OK) == 0;
    if (ok)
        time_model_learn(&r->s->time, one, seconds * (double)processes);
    if (ok && item->processes + 1 < processes)
        status = journal_add(&r->journal, one, &samples, seconds, err);
    if (status == 0 && *one->status) {
        result_add_process(&item->result, &item->samples, one, &samples, ++item->processes);
        item->seconds += seconds;
    }
    samples_release(&samples);
    return status;
}

/* Fills and judges a row whose processes have all run. */
static void judge(Runner *r, RowResult *result, const Samples *samples)
{
    Err unknown;
    if (strcmp(result->status, STATUS_OK) != 0)
        return;
    if (row_processes(&result->config) > 1)
        result_fill(result, samples, clock_cost().resolution_ns);
    if (!r->run->guard || result_judge(result, r->run->guard, &unknown) == 0)
        return;
    if (interrupted())
        text_set(result->status, ""); /* not judged, so not finished: --resume runs it again */
    else
        progress_note(&r->progress, "the machine's peaks are not known: %s", unknown.msg);
}

/* ---- the noise floor ---- */

static bool wants_noise(const Runner *r)
{
    const double worth = 20 * NOISE_SECONDS;
    bool needed = false;
    for (size_t i = 0; i < r->count; i++)
        needed |= row_processes(&r->s->items[r->turns[i].row].result.config) < FEWEST_PROCESSES;
    if (r->run->noise == SWEEP_NOISE_AUTO)
        return needed && time_left(r, 0).seconds > worth;
    return r->run->noise == SWEEP_NOISE_ON && r->count > 0;
}

/* Also at the peaks, which are the best of all looks. */
static int look_at_noise(Runner *r, Err *err)
{
    int64_t threads = r->s->items[r->turns[0].row].result.config.threads;
    Err unknown;
    if (r->run->guard && r->noise.count > 0)
        guard_measure(r->run->guard, threads, &unknown);
    return noise_look(&r->noise, threads, r->run->no_probe, r->run->execute, err);
}

static void stamp_noise(const Runner *r, RowResult *result)
{
    result->noise_cv = noise_cv(&r->noise);
    result->noise_processes = int_unless_zero(r->noise.count);
}

/* Gives every row that ran what all looks together say. */
static void tell_noise(Runner *r)
{
    for (size_t i = 0; i < r->s->count; i++) {
        SweepItem *item = &r->s->items[i];
        if (item->in_file && item->result.run_order > r->first_order)
            stamp_noise(r, &item->result);
    }
    if (r->noise.count < 2)
        return;
    char spread[UNIT_TEXT_SIZE];
    format_percent(spread, noise_cv(&r->noise));
    progress_note(&r->progress,
                  "noise floor: %zu processes of a small row differ by %s (standard deviation)",
                  r->noise.count, spread);
}

/* The fastest median product of the rows so far that the probe made in the same way. */
static double best_product_us(const Runner *r, const RowConfig *c)
{
    double best = INFINITY;
    for (size_t i = 0; i < r->s->count; i++) {
        const RowResult *row = &r->s->items[i].result;
        bool alike = row->config.threads == c->threads && strcmp(row->config.gemm, c->gemm) == 0;
        if (r->s->items[i].in_file && alike)
            best = fmin(best, row->probe_product_us);
    }
    return best;
}

/* A row that met the machine at its worst says so: its times are held against peaks that are the
 * best of the sweep. */
static void compare_probe(const Runner *r, RowResult *row)
{
    double share = best_product_us(r, &row->config) / row->probe_product_us;
    if (share < PROBE_LOW)
        text_add(row->noise, "its products ran at %.0f %% of the sweep's best", 100 * share);
}

/* Whether b is a in one process, apart from batch_size. */
static bool is_alone(const RowConfig *b, const RowConfig *a)
{
    RowConfig alike = *a;
    for (size_t i = 0; i < COUNT_OF(of_ranks); i++)
        field_copy(row_field(of_ranks[i]), b, &alike);
    alike.batch_size = b->batch_size;
    return row_ranks(b) == 1 && !row_config_difference(b, &alike);
}

/* Against the one-rank row that has run: of the same batch, else of a rank's. */
static void fill_scaling(const Runner *r, RowResult *row)
{
    const int ranks = row_ranks(&row->config);
    double strong = NAN, weak = NAN;
    for (size_t i = 0; i < r->s->count && ranks > 1; i++) {
        const RowResult *one = &r->s->items[i].result;
        if (!r->s->items[i].in_file || !is_alone(&one->config, &row->config))
            continue;
        if (one->config.batch_size == row->config.batch_size)
            strong = one->median_ms / (ranks * row->median_ms);
        else if (one->config.batch_size * ranks == row->config.batch_size)
            weak = one->median_ms / row->median_ms;
    }
    row->scaling_efficiency = isnan(strong) ? weak : strong;
}

/* Of rows that ran before their one-rank row. Whether there was one. */
static bool fill_scaling_late(Runner *r)
{
    bool any = false;
    for (size_t i = 0; i < r->s->count; i++) {
        RowResult *row = &r->s->items[i].result;
        double before = row->scaling_efficiency;
        if (r->s->items[i].in_file && isnan(before) && strcmp(row->status, STATUS_OK) == 0)
            fill_scaling(r, row);
        any |= isnan(before) && !isnan(row->scaling_efficiency);
    }
    return any;
}

/* Puts a row that has ended into the file. */
static int store(Runner *r, SweepItem *item, Err *err)
{
    RowResult *result = &item->result;
    result->run_order = ++r->last_order;
    result->order_seed = r->order_seed;
    stamp_noise(r, result);
    compare_probe(r, result);
    fill_scaling(r, result);
    if (!*result->timestamp_utc)
        row_stamp(result);
    int status = result_file_add(&r->file, result, result->row_id, &item->samples, err);
    item->in_file = status == 0;
    samples_release(&item->samples);
    return status;
}

/* Says what came out of a turn; `name` is that of its row or process. */
static void show_turn(Runner *r, const SweepItem *item, const char *name, const RowResult *one,
                      size_t place)
{
    FieldTEXT warning;
    const RowResult *row = &item->result;
    progress_row_ended(&r->progress, name, one, time_left(r, place + 1));
    if (!item->in_file)
        return;
    if (!isnan(row->between_cv)) {
        char between[UNIT_TEXT_SIZE], within[UNIT_TEXT_SIZE];
        format_percent(between, row->between_cv);
        format_percent(within, row->within_cv);
        progress_note(&r->progress,
                      "    %s: median %.4g ms of %" PRId64
                      " processes, which differ by %s, their trials by %s",
                      item->name, row->median_ms, row->config.num_processes, between, within);
    }
    if (row_warning(row, warning))
        progress_note(&r->progress, "    warning: %s", warning);
}

/* Takes one process from its estimate to the journal or, with the last one, its row to its line in
 * the file; `place`: in the order of execution. */
static int run_turn(Runner *r, size_t place, Err *err)
{
    SweepItem *item = &r->s->items[r->turns[place].row];
    int64_t processes = row_processes(&item->result.config), memory;
    RowResult one;
    FieldTEXT name;
    if (item->in_file) { /* by an earlier process, which failed, or was not admitted */
        r->progress.total--;
        return 0;
    }
    text_set(name, item->name);
    if (processes > 1)
        snprintf(name, sizeof name, "%.440s, process %" PRId64 " of %" PRId64, item->name,
                 r->turns[place].process, processes);
    progress_row_begins(&r->progress, name, time_left(r, place));
    memory = sweep_memory_limit(r->s);
    plan_process(r, item, memory, &one);
    if (item->processes > 0 || row_admit(&one, memory, r->s->config.grid.max_row_time)) {
        if (run_process(r, item, memory, &one, err) != 0)
            return -1;
    } else {
        item->result = one;
    }
    if (!*one.status)
        return 0;
    bool ended = item->processes == processes || strcmp(item->result.status, STATUS_OK) != 0;
    if (ended) {
        judge(r, &item->result, &item->samples);
        if (*item->result.status && store(r, item, err) != 0)
            return -1;
    }
    if (item->in_file || !ended)
        show_turn(r, item, name, processes > 1 ? &one : &item->result, place);
    return 0;
}

static bool ascending(const Turn *turns, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (turns[i].row < turns[i - 1].row)
            return false;
    return true;
}

static int run_rows(Runner *r, Err *err)
{
    int status = 0;
    bool resumed = false;
    for (size_t i = 0; i < r->s->count; i++)
        resumed |= r->s->items[i].in_file;
    choose_order(r);
    progress_start(&r->progress, r->run->log, r->count);
    if (sweep_memory_limit(r->s) == INT_MISSING)
        progress_note(&r->progress,
                      "how much memory there is is not known, so no row is skipped for "
                      "it; max_memory sets a limit");
    estimate_all(r);
    bool noise = wants_noise(r);
    r->first_order = r->last_order;
    for (size_t i = 0; i < r->count && status == 0 && !interrupted(); i++) {
        if (noise && (i == 0 || i == r->count / 2))
            status = look_at_noise(r, err);
        if (status == 0 && !interrupted())
            status = run_turn(r, i, err);
    }
    if (noise && status == 0 && !interrupted())
        status = look_at_noise(r, err);
    if (noise)
        tell_noise(r);
    progress_end(&r->progress);
    bool late = fill_scaling_late(r);
    if (status == 0 && (resumed || noise || late || !ascending(r->turns, r->count)))
        status = runner_rewrite_file(r, err);
    free(r->turns);
    return status;
}

/* ---- the files ---- */

/* What another sweep left is in the way like its samples (result/file.h). */
static int check_journal(const Journal *j, const SweepRun *run, Err *err)
{
    bool stray = run->how != RESULT_OVERWRITE && access(run->path, F_OK) != 0;
    if (stray && journal_exists(j))
        return result_stray(j->path, "processes", err);
    return 0;
}

/* The journal of a sweep is no longer needed once no row of it waits for more processes. */
static void close_journal(Runner *r)
{
    Err kept; /* one that stays is refused, or taken over whole, by the next sweep */
    bool waiting = false;
    for (size_t i = 0; i < r->s->count; i++)
        waiting |= r->s->items[i].processes > 0 && !r->s->items[i].in_file;
    if (!waiting)
        journal_remove(&r->journal, &kept);
    journal_close(&r->journal);
}

static int resume_and_run(Runner *r, const RowResult *rows, size_t count, Err *err)
{
    bool resumes = r->run->how == RESULT_RESUME;
    int status = resumes ? runner_take_over(r, rows, count, err) : journal_remove(&r->journal, err);
    if (status != 0)
        return -1;
    status = run_rows(r, err);
    close_journal(r);
    return status;
}

int sweep_run(Sweep *s, const SweepRun *run, Err *err)
{
    Runner r = {.s = s, .run = run};
    RowResult *rows = NULL;
    size_t count;
    journal_init(&r.journal, run->path);
    int status = check_journal(&r.journal, run, err);
    if (status == 0)
        status = result_file_open(&r.file, run->path, run->how, &rows, &count, err);
    if (status == 0) {
        status = resume_and_run(&r, rows, count, err);
        free(rows);
        result_file_close(&r.file);
    }
    journal_close(&r.journal);
    return status;
}
