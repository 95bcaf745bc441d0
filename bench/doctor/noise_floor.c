/* noise_floor: see noise_floor.h. */
#include "bench/doctor/noise_floor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/interrupt.h"
#include "bench/stats/moments.h"
#include "bench/row/config.h"
#include "bench/sweep/spawn.h"
#include "bench/stats/stats.h"
#include "bench/stats/verdict.h"

/* Standard deviation of ln(b / a): what one round adds. */
static double paired_spread(const double *a, const double *b, size_t rounds)
{
    double *d = xmalloc((rounds + 1) * sizeof *d);
    for (size_t i = 0; i < rounds; i++)
        d[i] = log(b[i] / a[i]);
    double spread = std_of(d, rounds);
    free(d);
    return spread;
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

enum { WARMUPS = 3, TRIALS = 15 };

/* Forward+backward of 1.6 M parameters over 128 tokens: some milliseconds a trial. */
static void small_row(RowConfig *c, int64_t threads)
{
    row_config_init(c);
    text_set(c->model_size, "doctor");
    c->d_model = 128;
    c->num_layers = 4;
    c->num_heads = 4;
    c->vocab_size = 5000;
    c->context_length = 64;
    c->batch_size = 2;
    c->num_warmups = WARMUPS;
    c->num_trials = TRIALS;
    c->threads = threads;
}

/* What the rows tell, 2 a round: their timed trials, and the time they took beside them. */
typedef struct Turns {
    double *median_ms; /* [2 * room]: of A, then of B */
    double *cv;        /* [2 * room]: in the order in which they ran, as the following */
    double *trial_ms;  /* [2 * room * TRIALS] */
    double *extra_ms;  /* [2 * room]: starting, warming up, ending */
    size_t room;
} Turns;

static Turns turns_new(size_t rounds)
{
    size_t rows = 2 * rounds + 1; /* not 0 */
    return (Turns){.median_ms = xmalloc(rows * sizeof(double)),
                   .cv = xmalloc(rows * sizeof(double)),
                   .trial_ms = xmalloc(rows * TRIALS * sizeof(double)),
                   .extra_ms = xmalloc(rows * sizeof(double)),
                   .room = rounds};
}

static void turns_free(Turns *t)
{
    free(t->median_ms);
    free(t->cv);
    free(t->trial_ms);
    free(t->extra_ms);
}

/* Row number `row` of those that ran, 2 * round or the next, as side A or B. */
static int run_row_once(Turns *t, size_t row, bool is_b, int64_t threads, Err *err)
{
    const double max_seconds = 60;
    Samples samples;
    RowResult *r = xmalloc(sizeof *r);
    samples_init(&samples);
    row_result_init(r);
    small_row(&r->config, threads);
    int64_t start = clock_ns();
    int status = row_spawn(r, &samples, &(RowLimits){.max_seconds = max_seconds}, err);
    double whole_ms = (double)(clock_ns() - start) * 1e-6;
    if (status == 0 && !interrupted() && strcmp(r->status, STATUS_OK) != 0)
        status = err_set(err, "the row of the noise test failed: %s", r->status_reason);
    if (status == 0 && !interrupted()) {
        double *trials = t->trial_ms + row * TRIALS;
        CHECK(samples.count == WARMUPS + TRIALS, "%zu runs", samples.count);
        samples_column(&samples, TIMED_TRIALS, "wall_ns", 1e-6, trials);
        t->median_ms[is_b ? t->room + row / 2 : row / 2] = r->median_ms;
        t->cv[row] = r->cv;
        t->extra_ms[row] = whole_ms - mean_of(trials, TRIALS) * TRIALS;
    }
    samples_release(&samples);
    free(r);
    return status;
}

/* From all trials of the rounds done, two or more processes. */
static void plan_trials(NoiseFloor *n, const Turns *t, size_t rounds)
{
    size_t processes = 2 * rounds;
    if (processes < 2)
        return;
    TwoLevel levels = two_level_of(t->trial_ms, processes, TRIALS, CONFIDENCE_LEVEL);
    double process_ms = median_of(t->extra_ms, processes);
    n->plan = two_level_plan(&levels, process_ms, levels.mean, NOISE_THRESHOLD, CONFIDENCE_LEVEL);
    n->process_cv = sqrt(fmax(levels.between_variance, 0)) / levels.mean;
}

int noise_floor_measure(size_t rounds, int64_t threads, uint64_t seed, NoiseFloor *n, Err *err)
{
    Turns t = turns_new(rounds);
    size_t done = 0;
    int status = 0;
    for (; done < rounds; done++) {
        bool b_first = rng_u64(seed, 0, done) & 1;
        for (size_t turn = 0; turn < 2 && status == 0; turn++)
            status = run_row_once(&t, 2 * done + turn, (turn == 0) == b_first, threads, err);
        if (status != 0 || interrupted())
            break;
    }
    *n = noise_floor_of(t.median_ms, t.median_ms + rounds, done, t.cv);
    plan_trials(n, &t, done);
    turns_free(&t);
    return status;
}
