/* noise_floor: see noise_floor.h. */
#include "noise_floor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"
#include "moments.h"
#include "row_config.h"
#include "spawn.h"
#include "stats.h"
#include "verdict.h"

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
    c->num_warmups = 3;
    c->num_trials = 15;
    c->threads = threads;
}

static int run_row_once(int64_t threads, RowResult *r, Err *err)
{
    const double max_seconds = 60;
    Samples samples;
    samples_init(&samples);
    row_result_init(r);
    small_row(&r->config, threads);
    int status = row_spawn(r, &samples, &(RowLimits){.max_seconds = max_seconds}, err);
    samples_release(&samples);
    if (status == 0 && !interrupted() && strcmp(r->status, STATUS_OK) != 0)
        return err_set(err, "the row of the noise test failed: %s", r->status_reason);
    return status;
}

int noise_floor_measure(size_t rounds, int64_t threads, uint64_t seed, NoiseFloor *n, Err *err)
{
    double *ms = xmalloc((4 * rounds + 1) * sizeof *ms), *cv = ms + 2 * rounds;
    RowResult *r = xmalloc(sizeof *r);
    size_t done = 0;
    int status = 0;
    for (; done < rounds; done++) {
        bool b_first = rng_u64(seed, 0, done) & 1;
        for (int turn = 0; turn < 2 && status == 0; turn++) {
            bool is_b = (turn == 0) == b_first;
            status = run_row_once(threads, r, err);
            ms[is_b ? rounds + done : done] = r->median_ms;
            cv[2 * done + (size_t)turn] = r->cv;
        }
        if (status != 0 || interrupted())
            break;
    }
    *n = noise_floor_of(ms, ms + rounds, done, cv);
    free(r);
    free(ms);
    return status;
}
