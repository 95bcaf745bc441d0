/* simulate_steady: does the classifier reach the rates its design promises?
 *
 * Times are drawn with 2 % noise in the ways that trials go wrong, classified, and the share that
 * gets the right class is compared with the promised one. The promise comes from 200 repetitions
 * itself, so both have a binomial error; a difference of more than 3 of their joint standard errors
 * (and the half per cent to which the promise is rounded) fails. Exit 1 if any does. Takes some
 * seconds; not part of the quick tests. */
#include <math.h>
#include <stdio.h>

#include "autograd/base.h"
#include "bench/stats/bootstrap.h"
#include "bench/stats/steady.h"

enum { REPETITIONS = 2000, PROMISED_REPETITIONS = 200, LONGEST = 100 };
static const double NOISE = 0.02;

static double gaussian(Xoshiro *r)
{
    double u = ((double)(xoshiro_next(r) >> 11) + 0.5) * 0x1p-53;
    double v = (double)(xoshiro_next(r) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v); /* Box & Muller 1958 */
}

static void draw_flat(double *x, size_t n, Xoshiro *r)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 100 * (1 + NOISE * gaussian(r));
}

static void draw_spiky(double *x, size_t n, Xoshiro *r)
{
    draw_flat(x, n, r);
    for (size_t i = 0; i < n; i++)
        x[i] *= xoshiro_below(r, 20) == 0 ? 1.3 : 1;
}

static void draw_correlated(double *x, size_t n, Xoshiro *r)
{
    const double rho = 0.5;
    double state = gaussian(r);
    for (size_t i = 0; i < n; i++) {
        x[i] = 100 * (1 + NOISE * state);
        state = rho * state + sqrt(1 - rho * rho) * gaussian(r);
    }
}

static void draw_cold_first(double *x, size_t n, Xoshiro *r)
{
    draw_flat(x, n, r);
    x[0] *= 2;
}

static void scale(double *x, size_t from, size_t to, double factor)
{
    for (size_t i = from; i < to; i++)
        x[i] *= factor;
}

static void draw_faster_half(double *x, size_t n, Xoshiro *r)
{
    draw_flat(x, n, r);
    scale(x, n / 2, n, 0.9);
}

static void draw_slower_half(double *x, size_t n, Xoshiro *r)
{
    draw_flat(x, n, r);
    scale(x, n / 2, n, 1.1);
}

static void draw_slower_fifth(double *x, size_t n, Xoshiro *r)
{
    draw_flat(x, n, r);
    scale(x, n - n / 5, n, 1.1);
}

typedef struct Scenario {
    const char *name;
    void (*draw)(double *x, size_t n, Xoshiro *r);
    SteadyClass expected;
    size_t n[3];
    double promised[3]; /* per cent of runs that get the expected class */
} Scenario;

static const Scenario scenarios[] = {
    {"flat", draw_flat, STEADY_FLAT, {10, 30, 100}, {92, 99, 100}},
    {"5 % spikes of x1.3", draw_spiky, STEADY_FLAT, {10, 30, 100}, {86, 87, 76}},
    {"AR(1), rho 0.5", draw_correlated, STEADY_FLAT, {10, 30, 100}, {81, 84, 97}},
    {"cold first trial, x2", draw_cold_first, STEADY_WARMUP, {10, 30, 100}, {97, 100, 99}},
    {"-10 % from the middle", draw_faster_half, STEADY_WARMUP, {10, 30, 100}, {97, 100, 100}},
    {"+10 % from the middle", draw_slower_half, STEADY_SLOWDOWN, {10, 30, 100}, {97, 100, 100}},
    {"+10 % in the last fifth", draw_slower_fifth, STEADY_NONE, {20, 30, 100}, {99, 99, 99}},
};

static double percent_classified(const Scenario *s, size_t n, Xoshiro *r)
{
    size_t right = 0;
    for (int repetition = 0; repetition < REPETITIONS; repetition++) {
        double x[LONGEST];
        s->draw(x, n, r);
        right += steady_of(x, n, STEADY_DELTA, 0).steady_class == s->expected;
    }
    return 100.0 * (double)right / REPETITIONS;
}

/* In per cent. The rate behind a promise of 100 of 200 may be 99.5: hence at most that is
 * assumed. */
static double allowed_difference(double promised)
{
    double p = fmin(promised / 100, 1 - 1.0 / PROMISED_REPETITIONS);
    double standard_error = sqrt(p * (1 - p) * (1.0 / PROMISED_REPETITIONS + 1.0 / REPETITIONS));
    return 100 * 3 * standard_error + 0.5;
}

int main(void)
{
    Xoshiro r = xoshiro_from_seed(7);
    int failures = 0;
    printf("%-26s %-16s %5s %9s %9s %8s\n", "scenario", "class", "n", "promised", "found",
           "allowed");
    for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
        const Scenario *s = &scenarios[i];
        for (size_t j = 0; j < COUNT_OF(s->n); j++) {
            double found = percent_classified(s, s->n[j], &r);
            double allowed = allowed_difference(s->promised[j]);
            int wrong = fabs(found - s->promised[j]) > allowed;
            printf("%-26s %-16s %5zu %8.0f%% %8.1f%% %7.1f%%%s\n", s->name,
                   steady_class_name(s->expected), s->n[j], s->promised[j], found, allowed,
                   wrong ? "  WRONG" : "");
            failures += wrong;
        }
    }
    return failures > 0;
}
