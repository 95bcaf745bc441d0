/* noise_floor: see noise_floor.h. */
#include "bench/doctor/noise_floor.h"

#include <math.h>
#include <string.h>

#include "bench/compare/rounds.h"
#include "bench/row/config.h"
#include "bench/row/probe.h"
#include "bench/stats/verdict.h"
#include "bench/sweep/noise.h"
#include "bench/util/interrupt.h"
#include "bench/util/owned.h"

/* Standard deviation of ln(b / a): what one round adds. */
static double paired_spread(const double *a, const double *b, size_t rounds)
{
    OWNED double *d = xmalloc((rounds + 1) * sizeof *d);
    for (size_t i = 0; i < rounds; i++)
        d[i] = log(b[i] / a[i]);
    return std_of(d, rounds);
}

NoiseFloor noise_floor_of(const double *a, const double *b, size_t rounds, const double *cv)
{
    NoiseFloor n = {.rounds = rounds,
                    .test = paired_ratio(a, b, rounds, CONFIDENCE_LEVEL),
                    .cv = median_of(cv, 2 * rounds)};
    n.floor = fmax(1 - n.test.interval.lo, n.test.interval.hi - 1);
    /* A paired difference has the variance of both sides in it already. */
    n.detectable = minimum_detectable_effect(paired_spread(a, b, rounds), 2 * rounds, 2 * rounds);
    return n;
}

/* What the rows tell beside their medians, in the order in which they ran. */
typedef struct NoiseRun {
    Entry sides[2]; /* A, B */
    int64_t threads;
    size_t rows;      /* so far, of complete sides */
    double *cv;       /* [rows] */
    double *trial_ms; /* [rows * NOISE_TRIALS], timed */
    size_t looked, wandered;
    double lowest;
    double *extra_ms; /* [rows]: starting, warming up, ending */
} NoiseRun;

static void keep_row(NoiseRun *t, const RowResult *r, const Samples *samples, double whole_ms)
{
    double *trials = t->trial_ms + t->rows * NOISE_TRIALS;
    CHECK(samples->count == NOISE_WARMUPS + NOISE_TRIALS, "%zu runs", samples->count);
    samples_column(samples, TIMED_TRIALS, "wall_ns", 1e-6, trials);
    Wander w = probe_wander(samples, "probe_product_ns");
    if (!isnan(w.low)) {
        t->looked++;
        t->wandered += w.low < PROBE_LOW;
        t->lowest = fmin(t->lowest, w.low);
    }
    t->cv[t->rows] = r->cv;
    t->extra_ms[t->rows++] = whole_ms - mean_of(trials, NOISE_TRIALS) * NOISE_TRIALS;
}

/* The row's median. One side is nothing without the other, whose failure ends this one. */
static double turn(void *run, size_t side, Err *err)
{
    const RowLimits limits = {.max_seconds = 60};
    NoiseRun *t = run;
    if (entry_failed(&t->sides[!side])) {
        *err = t->sides[!side].failure;
        return NAN;
    }
    OWNED_BY(samples_release) Samples samples;
    OWNED RowResult *r = xmalloc(sizeof *r);
    samples_init(&samples);
    row_result_init(r);
    noise_row(&r->config, t->threads);
    int64_t start = clock_ns();
    int status = row_spawn(r, &samples, &limits, err);
    double whole_ms = (double)(clock_ns() - start) * 1e-6;
    if (status == 0 && strcmp(r->status, STATUS_OK) != 0)
        status = err_set(err, "the row of the noise test failed: %s", r->status_reason);
    if (status == 0)
        keep_row(t, r, &samples, whole_ms);
    return r->median_ms;
}

/* From all trials of the rounds done, two or more processes. */
static void plan_trials(NoiseFloor *n, const NoiseRun *t)
{
    size_t processes = 2 * n->rounds;
    if (processes < 2)
        return;
    TwoLevel levels = two_level_of(t->trial_ms, processes, NOISE_TRIALS, CONFIDENCE_LEVEL);
    double process_ms = median_of(t->extra_ms, processes);
    n->plan = two_level_plan(&levels, process_ms, levels.mean, NOISE_THRESHOLD, CONFIDENCE_LEVEL);
    n->process_cv = sqrt(fmax(levels.between_variance, 0)) / levels.mean;
}

int noise_floor_measure(size_t rounds, int64_t threads, uint64_t seed, NoiseFloor *n, Err *err)
{
    OWNED double *room = xmalloc((NOISE_TRIALS + 2) * 2 * rounds * sizeof *room);
    NoiseRun t = {.threads = threads,
                  .lowest = 1,
                  .cv = room,
                  .extra_ms = room + 2 * rounds,
                  .trial_ms = room + 4 * rounds};
    Entry *sides[] = {&t.sides[0], &t.sides[1]};
    rounds_run(sides, 2, &(RoundsPlan){.seed = seed, .rounds = rounds}, turn, &t);
    const Entry *failed = entry_failed(sides[0]) ? sides[0] : sides[1];
    int status = entry_failed(failed) ? err_set(err, "%s", failed->failure.msg) : 0;
    if (status == 0) {
        *n = noise_floor_of(t.sides[0].ms, t.sides[1].ms, t.sides[0].rounds, t.cv);
        plan_trials(n, &t);
        n->looked = t.looked;
        n->wandered = t.wandered;
        n->lowest = t.lowest;
    }
    entry_release(sides[0]);
    entry_release(sides[1]);
    return status;
}
