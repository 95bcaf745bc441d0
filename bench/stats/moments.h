/* moments: what one sample says about its centre, spread and percentiles.
 *
 * Every function is pure: a vector of n samples in run order, in any one unit, is read and not
 * changed; the result has that unit unless said otherwise. The one idea: a figure the sample is too
 * small for is NaN, which the CSV writer prints as an empty field; it is never 0 or a guess.
 * Intervals are in intervals.h. */
#pragma once

#include <stddef.h>

/* Sum of x / n, Neumaier-compensated. NaN for n = 0. */
double mean_of(const double *x, size_t n);

/* Sample standard deviation, n - 1 in the denominator, by the corrected two-pass formula (Chan,
 * Golub & LeVeque 1983): a difference of sums of squares would cancel. NaN for n < 2. */
double std_of(const double *x, size_t n);

/* std / mean, a fraction. NaN for n < 2. */
double cv_of(const double *x, size_t n);

/* exp(mean(ln r)). NaN for n = 0 or a ratio that is not positive. */
double geometric_mean_of(const double *ratio, size_t n);

/* NaN for n = 0. */
double min_of(const double *x, size_t n);
double max_of(const double *x, size_t n);
double median_of(const double *x, size_t n);

/* A normal sample's standard deviation is this many times its median absolute deviation. */
#define MAD_TO_SIGMA 1.4826

/* Median absolute deviation med|x - med x|, not scaled. NaN for n = 0. */
double mad_of(const double *x, size_t n);

/* MAD_TO_SIGMA MAD / median, a fraction that spikes do not move. NaN for n = 0. */
double robust_cv_of(const double *x, size_t n);

/* A fresh ascending copy; the caller frees. */
double *sorted_copy(const double *x, size_t n);

/* Percentile 0 <= p <= 1, between the samples at h = (n-1)p: Hyndman & Fan's (1996) type 7, the
 * default of NumPy and pandas. The p90 of 1..10 is 9.1. NaN for n = 0. The first needs ascending
 * order. */
double percentile_of_sorted(const double *sorted, size_t n, double p);
double percentile_of(const double *x, size_t n, double p);

/* The same; NaN where n samples cannot show it, n < 1 / (1 - p): p95 needs 20, p99 100. */
double supported_percentile_of(const double *x, size_t n, double p);

/* The fewest samples whose largest bounds percentile p from above with this confidence: the
 * smallest n with p^n <= 1 - confidence. */
size_t samples_for_upper_bound(double p, double confidence);
