/* bootstrap: see bootstrap.h. */
#include "bench/stats/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "autograd/base.h"
#include "bench/stats/distributions.h"
#include "bench/stats/moments.h"

static const uint64_t FIXED_SEED = 20210917;

Xoshiro xoshiro_from_seed(uint64_t seed)
{
    Xoshiro r;
    for (size_t i = 0; i < COUNT_OF(r.state); i++)
        r.state[i] = rng_u64(seed, 0, i);
    return r;
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t xoshiro_next(Xoshiro *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

size_t xoshiro_below(Xoshiro *r, size_t bound)
{
    CHECK(bound > 0, "a random number below 0");
    return (size_t)(((unsigned __int128)xoshiro_next(r) * bound) >> 64);
}

/* The mean of n samples drawn from x with replacement. */
static double resampled_mean(const double *x, size_t n, Xoshiro *r)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[xoshiro_below(r, n)];
    return sum / (double)n;
}

/* Efron's acceleration of the mean. A jackknife deviation, mean of the leave-one-out means less one
 * of them, is (x - mean) / (n - 1), and the factor cancels. NaN when all samples are equal. */
static double acceleration_of_mean(const double *x, size_t n)
{
    double mean = mean_of(x, n), squares = 0, cubes = 0;
    for (size_t i = 0; i < n; i++) {
        double d = x[i] - mean;
        squares += d * d;
        cubes += d * d * d;
    }
    return cubes / (6 * pow(squares, 1.5));
}

/* The percentile of the bootstrap distribution that stands for percentile p of the estimate. */
static double bca_percentile(double p, double z0, double acceleration)
{
    double z = z0 + normal_quantile(p);
    return normal_cdf(z0 + z / (1 - acceleration * z));
}

static Interval percentile_interval(const double *sorted, size_t n, double from, double to,
                                    double level)
{
    return (Interval){percentile_of_sorted(sorted, n, from), percentile_of_sorted(sorted, n, to),
                      level};
}

Interval bca_mean_interval(const double *x, size_t n, double level)
{
    if (n < 2)
        return interval_missing();
    Xoshiro r = xoshiro_from_seed(FIXED_SEED);
    OWNED double *means = xmalloc(BOOTSTRAP_RESAMPLES * sizeof *means);
    double mean = mean_of(x, n);
    size_t below = 0;
    for (size_t i = 0; i < BOOTSTRAP_RESAMPLES; i++) {
        means[i] = resampled_mean(x, n, &r);
        below += means[i] < mean;
    }
    OWNED double *sorted = sorted_copy(means, BOOTSTRAP_RESAMPLES);
    double from = (1 - level) / 2, to = 1 - from, acceleration = acceleration_of_mean(x, n);
    if (isfinite(acceleration) && below > 0 && below < BOOTSTRAP_RESAMPLES) {
        double z0 = normal_quantile((double)below / BOOTSTRAP_RESAMPLES);
        from = bca_percentile(from, z0, acceleration);
        to = bca_percentile(to, z0, acceleration);
    }
    return percentile_interval(sorted, BOOTSTRAP_RESAMPLES, from, to, level);
}

Interval geometric_mean_interval(const double *ratio, size_t n, double level)
{
    OWNED double *logs = xmalloc(n * sizeof *logs);
    for (size_t i = 0; i < n; i++) {
        CHECK(ratio[i] > 0, "ratio %g", ratio[i]);
        logs[i] = log(ratio[i]);
    }
    Interval of_logs = bca_mean_interval(logs, n, level);
    return (Interval){exp(of_logs.lo), exp(of_logs.hi), of_logs.coverage};
}

static double resampled_nested_mean(Nested s, Xoshiro *r)
{
    double sum = 0;
    for (size_t i = 0; i < s.processes; i++) {
        size_t process = xoshiro_below(r, s.processes);
        sum += resampled_mean(s.x + process * s.trials, s.trials, r);
    }
    return sum / (double)s.processes;
}

Interval nested_ratio_interval(Nested numerator, Nested denominator, double level)
{
    if (numerator.processes < 2 || denominator.processes < 2)
        return interval_missing();
    CHECK(numerator.trials > 0 && denominator.trials > 0, "processes without trials");
    Xoshiro r = xoshiro_from_seed(FIXED_SEED);
    OWNED double *ratios = xmalloc(BOOTSTRAP_RESAMPLES * sizeof *ratios);
    for (size_t i = 0; i < BOOTSTRAP_RESAMPLES; i++) {
        double top = resampled_nested_mean(numerator, &r);
        ratios[i] = top / resampled_nested_mean(denominator, &r);
    }
    OWNED double *sorted = sorted_copy(ratios, BOOTSTRAP_RESAMPLES);
    double tail = (1 - level) / 2;
    return percentile_interval(sorted, BOOTSTRAP_RESAMPLES, tail, 1 - tail, level);
}
