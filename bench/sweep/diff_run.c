/* diff_run: see diff_run.h. */
#include "bench/sweep/diff_run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/row/warning.h"
#include "bench/stats/moments.h"
#include "bench/sweep/progress.h"
#include "bench/util/interrupt.h"

static const char *const side_names[] = {"old", "new"};

/* A row under way. */
typedef struct Pair {
    const SweepItem *item;
    double *ms[2]; /* medians of the old and new processes, one a round */
    size_t count[2];
    double waited;     /* cpu_wait x threads, summed over the processes that tell it */
    FieldTEXT failure; /* "" = none; it runs no more then */
} Pair;

typedef struct Turns {
    const Sweep *s;
    const DiffRun *run;
    Pair *pairs;
    size_t count;
    int64_t start_ns;
    Progress progress;
} Turns;

static int check_program(const char *path, Err *err)
{
    struct stat s;
    if (stat(path, &s) == 0 && S_ISDIR(s.st_mode))
        return err_set(err, "cannot execute '%s': it is a folder", path);
    if (access(path, X_OK) != 0)
        return err_set(err, "cannot execute '%s': %s", path, strerror(errno));
    return 0;
}

static double seconds_since_start(const Turns *t)
{
    return (double)(clock_ns() - t->start_ns) * 1e-9;
}

static TimeLeft time_left(const Turns *t)
{
    const Progress *p = &t->progress;
    double seconds =
        p->done ? seconds_since_start(t) * (double)(p->total - p->done) / (double)p->done : NAN;
    return (TimeLeft){seconds, seconds, seconds};
}

static void keep(Pair *p, int side, const RowResult *r, const Samples *samples)
{
    size_t count;
    OWNED double *ms = samples_timed_ms(samples, &count);
    double median = count ? median_of(ms, count) : NAN;
    if (strcmp(r->status, STATUS_OK) != 0)
        snprintf(p->failure, sizeof p->failure, "the %s program failed: %.400s", side_names[side],
                 r->status_reason);
    else if (!row_all_threads_ran(r))
        snprintf(p->failure, sizeof p->failure, "the %s program ran on fewer CPUs than threads",
                 side_names[side]);
    else if (!(median > 0))
        snprintf(p->failure, sizeof p->failure, "the %s program measured no time",
                 side_names[side]);
    else {
        p->ms[side][p->count[side]++] = median;
        p->waited += isnan(r->cpu_wait) ? 0 : r->cpu_wait * (double)r->config.threads;
    }
}

/* One process. -1: none could be made. */
static int take_turn(Turns *t, Pair *p, int side, Err *err)
{
    int64_t memory = sweep_memory_limit(t->s);
    RowLimits limits = {.memory_limit = memory == INT_MISSING ? 0 : (size_t)memory,
                        .max_seconds = t->s->config.grid.max_row_time,
                        .program = t->run->programs[side]};
    RowResult r = p->item->result;
    FieldTEXT name;
    Samples samples;
    samples_init(&samples);
    snprintf(name, sizeof name, "%.500s %s", p->item->name, side_names[side]);
    progress_row_begins(&t->progress, name, time_left(t));
    int status = row_spawn(&r, &samples, &limits, err);
    if (status == 0 && r.status[0]) {
        keep(p, side, &r, &samples);
        progress_row_ended(&t->progress, name, &r, time_left(t));
    }
    samples_release(&samples);
    return status;
}

static bool ends_early(const Turns *t)
{
    return interrupted() || seconds_since_start(t) >= t->run->max_seconds;
}

static int run_rounds(Turns *t, Err *err)
{
    for (size_t round = 0; round < t->run->processes; round++)
        for (size_t i = 0; i < t->count && !ends_early(t); i++) {
            int first = rng_uniform(t->run->order_seed, i, round) < 0.5;
            for (int turn = 0; turn < 2; turn++) {
                Pair *p = &t->pairs[i];
                if (p->failure[0] || interrupted())
                    t->progress.total--;
                else if (take_turn(t, p, first ^ turn, err) != 0)
                    return -1;
            }
        }
    return 0;
}

/* The rows that may run here; the others are skipped. */
static void make_pairs(Turns *t, Diff *d, Sweep *s)
{
    sweep_plan(s);
    t->pairs = xcalloc(s->count, sizeof *t->pairs);
    for (size_t i = 0; i < s->count; i++) {
        const SweepItem *item = &s->items[i];
        if (!item->selected)
            continue;
        if (item->result.status_reason[0]) {
            diff_skip(d, item->name, item->result.status_reason);
            continue;
        }
        Pair *p = &t->pairs[t->count++];
        p->item = item;
        for (int side = 0; side < 2; side++)
            p->ms[side] = xcalloc(t->run->processes, sizeof *p->ms[side]);
    }
}

/* Hands a row's medians over to d, or says why there are none. */
static void take_over(Diff *d, Pair *p)
{
    size_t complete = p->count[0] < p->count[1] ? p->count[0] : p->count[1];
    if (p->failure[0] || complete == 0) {
        diff_skip(d, p->item->name, p->failure[0] ? p->failure : "no round was finished");
        d->failed += p->failure[0] != '\0';
        free(p->ms[0]);
        free(p->ms[1]);
        return;
    }
    DiffRow *row = &d->rows[d->count++];
    *row = (DiffRow){.old_ms = p->ms[0],
                     .new_ms = p->ms[1],
                     .old_count = complete,
                     .new_count = complete,
                     .wait = p->waited / (double)(p->count[0] + p->count[1])};
    text_set(row->name, p->item->name);
    text_set(row->row_id, p->item->result.row_id);
}

int diff_run(Diff *d, Sweep *s, const DiffRun *run, Err *err)
{
    Turns t = {.s = s, .run = run};
    *d = (Diff){.rows = xcalloc(s->count, sizeof *d->rows),
                .skipped = xcalloc(s->count, sizeof *d->skipped)};
    for (int side = 0; side < 2; side++)
        if (check_program(run->programs[side], err) != 0)
            return -1;
    make_pairs(&t, d, s);
    progress_start(&t.progress, run->log, 2 * t.count * run->processes);
    t.start_ns = clock_ns();
    int status = run_rounds(&t, err);
    progress_end(&t.progress);
    d->process_seconds = seconds_since_start(&t) / (double)t.progress.done;
    for (size_t i = 0; i < t.count; i++)
        take_over(d, &t.pairs[i]);
    free(t.pairs);
    return status;
}
