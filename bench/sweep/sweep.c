/* sweep: see sweep.h. */
#include "bench/sweep/sweep.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "autograd/kernels/kernels.h"
#include "bench/machine/machine.h"
#include "bench/row/result.h"
#include "bench/row/stamp.h"
#include "bench/result/fingerprint.h"
#include "bench/util/interrupt.h"
#include "bench/util/name_index.h"
#include "bench/sweep/progress.h"
#include "bench/row/warning.h"

int64_t sweep_memory_limit(const Sweep *s)
{
    return s->config.max_memory ? s->config.max_memory : memory_auto_limit();
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
    free(s->items);
    *s = (Sweep){0};
}

void sweep_plan(Sweep *s)
{
    int64_t limit = sweep_memory_limit(s);
    for (size_t i = 0; i < s->count; i++) {
        RowResult *r = &s->items[i].result;
        if (!s->items[i].selected)
            continue;
        row_estimate(r, limit, &s->time);
        row_admit(r, limit, s->config.max_row_time);
        text_set(r->status, STATUS_PLANNED);
    }
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

/* A sweep under way. */
typedef struct Runner {
    Sweep *s;
    const SweepRun *run;
    ResultFile file;
    Progress progress;
    int64_t last_order; /* the highest run_order of the file that is continued */
    size_t *order;      /* indices of the items to run, in the order of execution */
    size_t count;
    bool rest_due; /* a row has run */
} Runner;

static void choose_order(Runner *r)
{
    r->order = xcalloc(r->s->count, sizeof *r->order);
    for (size_t i = 0; i < r->s->count; i++)
        if (r->s->items[i].selected && !r->s->items[i].in_file)
            r->order[r->count++] = i;
    if (!r->run->shuffle)
        return;
    for (size_t i = r->count; i > 1; i--) { /* Fisher & Yates */
        size_t k = (size_t)(rng_uniform((uint64_t)r->run->order_seed, 0, i) * (double)i);
        size_t swapped = r->order[k];
        r->order[k] = r->order[i - 1];
        r->order[i - 1] = swapped;
    }
}

/* Seconds of a row that an earlier sweep ran: its runs, and the assumed time of starting it, which
 * the file does not have. NaN if the file says too little. */
static double seconds_taken(const TimeModel *unlearned, const RowResult *r)
{
    RowResult idle = *r;
    double warmups = (double)r->config.num_warmups, trials = (double)r->config.num_trials;
    double warm_ms = warmups > 0 ? r->first_trial_ms + (warmups - 1) * r->mean_time_ms : 0;
    idle.model_flops = 0;
    return time_model_predict(unlearned, &idle) + (warm_ms + trials * r->mean_time_ms) / 1e3;
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
    int64_t threads = r->count ? r->s->items[r->order[0]].result.config.threads : 1;
    Err err;
    const Peaks *peaks = NULL;
    if (r->run->guard && r->count) {
        if (guard_measure(r->run->guard, threads, &err) != 0 && !interrupted())
            progress_note(&r->progress, "the machine's peaks are not known: %s", err.msg);
        peaks = guard_peaks(r->run->guard, threads);
    }
    time_model_init(&r->s->time, peaks ? peaks->gemm : NAN, threads);
    learn_from_file(r->s);
    for (size_t i = 0; i < r->count; i++)
        row_estimate(&r->s->items[r->order[i]].result, limit, &r->s->time);
}

/* The range is one standard deviation: of the learned correction, which all rows share, and of each
 * row by itself. */
static TimeLeft time_left(const Runner *r, size_t next)
{
    const TimeModel *t = &r->s->time;
    double sum = 0, squares = 0, spread = time_model_spread(t);
    for (size_t i = next; i < r->count; i++) {
        double seconds = time_model_predict(t, &r->s->items[r->order[i]].result);
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

/* Runs an admitted row and judges it. */
static int execute(Runner *r, RowResult *result, Samples *samples, int64_t limit, Err *err)
{
    RowLimits limits = {.memory_limit = limit == INT_MISSING ? 0 : (size_t)limit,
                        .max_seconds = r->s->config.max_row_time};
    if (r->rest_due)
        rest(r->run->delay);
    r->rest_due = true;
    int64_t start = clock_ns();
    if (r->run->execute(result, samples, &limits, err) != 0)
        return -1;
    if (strcmp(result->status, STATUS_OK) != 0)
        return 0;
    time_model_learn(&r->s->time, result, (double)(clock_ns() - start) / 1e9);
    Err unknown;
    if (!r->run->guard || result_judge(result, r->run->guard, &unknown) == 0)
        return 0;
    if (interrupted())
        text_set(result->status, ""); /* not judged, so not finished: --resume runs it again */
    else
        progress_note(&r->progress, "the machine's peaks are not known: %s", unknown.msg);
    return 0;
}

/* Takes one row from its estimate to its line in the file; `place`: in the order of execution. */
static int run_item(Runner *r, size_t place, Err *err)
{
    SweepItem *item = &r->s->items[r->order[place]];
    RowResult *result = &item->result;
    int64_t limit = sweep_memory_limit(r->s);
    Samples samples;
    samples_init(&samples);
    progress_row_begins(&r->progress, item->name, time_left(r, place));
    row_estimate(result, limit, &r->s->time);
    int status = 0;
    if (row_admit(result, limit, r->s->config.max_row_time))
        status = execute(r, result, &samples, limit, err);
    bool finished = status == 0 && *result->status;
    if (finished) {
        result->run_order = r->last_order + (int64_t)place + 1;
        result->order_seed = r->run->shuffle ? r->run->order_seed : INT_MISSING;
        if (!*result->timestamp_utc)
            row_stamp(result);
        status = result_file_append(&r->file, result, &samples, err);
        item->in_file = status == 0;
    }
    if (item->in_file) {
        FieldTEXT warning;
        progress_row_ended(&r->progress, item->name, result, time_left(r, place + 1));
        if (row_warning(result, warning))
            progress_note(&r->progress, "    warning: %s", warning);
    }
    samples_release(&samples);
    return status;
}

static bool ascending(const size_t *order, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (order[i] < order[i - 1])
            return false;
    return true;
}

/* Everything that is in the file, in the order of the config. */
static int rewrite_in_order(Runner *r, Err *err)
{
    const RowResult **rows = xcalloc(r->s->count, sizeof *rows);
    size_t count = 0;
    for (size_t i = 0; i < r->s->count; i++)
        if (r->s->items[i].in_file)
            rows[count++] = &r->s->items[i].result;
    int status = result_file_rewrite(&r->file, rows, count, err);
    free(rows);
    return status;
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
    for (size_t i = 0; i < r->count && status == 0 && !interrupted(); i++)
        status = run_item(r, i, err);
    progress_end(&r->progress);
    if (status == 0 && (resumed || !ascending(r->order, r->count)))
        status = rewrite_in_order(r, err);
    free(r->order);
    return status;
}

/* ---- resuming ---- */

/* Says why the config lacks a row of the file: a setting of the row of that name has changed, or
 * the row is gone. A row of the config that is in the file itself is no candidate. */
static int refuse_unknown_row(const Runner *r, const NameIndex *stored, const RowConfig *c,
                              Err *err)
{
    const Sweep *s = r->s;
    const char *path = r->file.path;
    FieldTEXT name, here;
    row_name(c, name);
    for (size_t i = 0; i < s->count; i++) {
        const RowResult *now = &s->items[i].result;
        FieldTEXT before, after;
        row_name(&now->config, here);
        if (strcmp(here, name) != 0 || name_index_find(stored, now->row_id) != SIZE_MAX)
            continue;
        const Field *f = row_config_difference(c, &now->config);
        CHECK(f, "two rows of one config with two ids");
        field_cell(f, c, before);
        field_cell(f, now, after);
        return err_set(err,
                       "%s: row %.60s was run with %s %.60s, the config now has %.60s; "
                       "use --overwrite or another --out",
                       path, name, f->name, before, after);
    }
    return err_set(err,
                   "%s: row %.60s is not in the config any more; use --overwrite or another --out",
                   path, name);
}

/* Warns if rows of the file come from another machine or build than this process. */
static void note_other_machine(const Runner *r)
{
    RowResult here;
    FieldTEXT differences = "";
    row_result_init(&here);
    row_stamp(&here);
    text_set(here.isa, kernels()->isa);
    text_set(here.blas, gemm_blas_description());
    for (size_t i = 0; i < r->s->count; i++)
        if (r->s->items[i].in_file)
            fingerprint_add(differences, FINGERPRINT_COLUMNS, &r->s->items[i].result, &here);
    if (*differences)
        print_clean(r->run->log, "warning: rows in %s are of another machine or build (%s)",
                    r->file.path, differences);
}

/* Takes over the rows of the file, except failed rows that are selected: they run again. */
static int take_over_rows(Runner *r, const RowResult *rows, size_t count, const NameIndex *stored,
                          const NameIndex *items, Err *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t place = name_index_find(items, rows[i].row_id);
        if (rows[i].run_order > r->last_order) /* INT_MISSING is not */
            r->last_order = rows[i].run_order;
        if (place == SIZE_MAX)
            return refuse_unknown_row(r, stored, &rows[i].config, err);
        SweepItem *item = &r->s->items[place];
        if (item->selected && strcmp(rows[i].status, STATUS_FAILED) == 0)
            continue;
        item->result = rows[i];
        item->result.row_number = (int64_t)place + 1;
        item->in_file = true;
    }
    return 0;
}

static int take_over(Runner *r, const RowResult *rows, size_t count, Err *err)
{
    NameIndex stored = {0}, items = {0};
    for (size_t i = 0; i < count; i++)
        name_index_add(&stored, rows[i].row_id);
    for (size_t i = 0; i < r->s->count; i++)
        name_index_add(&items, r->s->items[i].result.row_id);
    name_index_sort(&stored);
    name_index_sort(&items);
    int status = take_over_rows(r, rows, count, &stored, &items, err);
    name_index_release(&stored);
    name_index_release(&items);
    if (status != 0)
        return -1;
    note_other_machine(r);
    return rewrite_in_order(r, err);
}

int sweep_run(Sweep *s, const SweepRun *run, Err *err)
{
    Runner r = {.s = s, .run = run};
    RowResult *rows;
    size_t count;
    if (result_file_open(&r.file, run->path, run->how, &rows, &count, err) != 0)
        return -1;
    int status = rows ? take_over(&r, rows, count, err) : 0;
    free(rows);
    if (status == 0)
        status = run_rows(&r, err);
    result_file_close(&r.file);
    return status;
}
