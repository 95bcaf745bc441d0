/* noisy_host: see noisy_host.h. */
#include "tests/support/noisy_host.h"

#include <math.h>
#include <stdlib.h>

#include "bench/stats/moments.h"

static double gaussian(Xoshiro *r)
{
    double u = ((double)(xoshiro_next(r) >> 11) + 0.5) * 0x1p-53;
    double v = (double)(xoshiro_next(r) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v); /* Box & Muller 1958 */
}

static bool chance(Xoshiro *r, double of_one)
{
    return (double)(xoshiro_next(r) >> 11) * 0x1p-53 < of_one;
}

/* One process of a row of that time: its trials, or its median. The host goes on. */
static void process(NoisyHost *h, double ms, double *trials, size_t count)
{
    h->level += h->drift * gaussian(&h->random);
    if (h->shift_every > 0 && chance(&h->random, 1 / h->shift_every))
        h->level = h->shift * gaussian(&h->random);
    double own = log(ms) + h->level + h->between * gaussian(&h->random);
    for (size_t i = 0; i < count; i++)
        trials[i] = exp(own + h->within * gaussian(&h->random));
}

/* All processes of one side; returns the mean level that they met. */
static double sweep(NoisyHost *h, Diff *d, const NoisyPairs *p, bool new)
{
    double level = 0;
    for (size_t k = 0; k < p->processes; k++)
        for (size_t i = 0; i < p->rows; i++) {
            DiffRow *r = &d->rows[i];
            process(h, new ? 10 * p->factor : 10, (new ? r->new_ms : r->old_ms) + k * p->trials,
                    p->trials);
            level += h->level / (double)(p->rows * p->processes);
        }
    return level;
}

static void run_files(NoisyHost *h, Diff *d, const NoisyPairs *p)
{
    double old = sweep(h, d, p, false), new = sweep(h, d, p, true);
    for (size_t i = 0; i < p->rows; i++) {
        DiffRow *r = &d->rows[i];
        r->old_count = r->new_count = p->processes * p->trials;
        r->old_processes = r->new_processes = p->processes;
        if (p->probed)
            r->shift = exp(fabs(new - old + 0.03 * gaussian(&h->random))) - 1;
    }
}

static void run_in_turns(NoisyHost *h, Diff *d, const NoisyPairs *p)
{
    double *trials = xmalloc(p->trials * sizeof *trials);
    for (size_t k = 0; k < p->processes; k++)
        for (size_t i = 0; i < p->rows; i++) {
            DiffRow *r = &d->rows[i];
            bool new_first = chance(&h->random, 0.5);
            for (int turn = 0; turn < 2; turn++) {
                bool new = new_first ^ (turn == 1);
                process(h, new ? 10 * p->factor : 10, trials, p->trials);
                *(new ? &r->new_ms[k] : &r->old_ms[k]) = median_of(trials, p->trials);
            }
            r->old_count = r->new_count = p->processes;
        }
    free(trials);
}

NoisyVerdicts noisy_verdicts(NoisyHost *h, const NoisyPairs *p, size_t pairs)
{
    NoisyVerdicts v = {.pairs = pairs};
    const DiffRule rule = {.unit = p->run ? DIFF_PROCESSES : DIFF_TRIALS,
                           .threshold = p->threshold};
    for (size_t i = 0; i < pairs; i++) {
        Err err;
        Diff d = {.rows = xcalloc(p->rows, sizeof(DiffRow)), .count = p->rows};
        for (size_t k = 0; k < p->rows; k++) {
            d.rows[k].old_ms = xcalloc(p->processes * p->trials, sizeof(double));
            d.rows[k].new_ms = xcalloc(p->processes * p->trials, sizeof(double));
        }
        h->level = 0;
        (p->run ? run_in_turns : run_files)(h, &d, p);
        CHECK(diff_judge(&d, &rule, &err) == 0, "%s", err.msg);
        v.seen[d.verdict]++;
        diff_release(&d);
    }
    return v;
}
