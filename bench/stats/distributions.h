/* distributions: the normal, Student and binomial distributions, from their definitions.
 *
 * The one idea: quantiles are found by bisecting the distribution function, so there is no table of
 * constants to trust. Speed does not matter: a row asks for a handful of them. It does not know of
 * samples or tests; those are in intervals.h and rank_tests.h. Arguments out of range are our
 * bugs. */
#pragma once

#include <stddef.h>

/* Standard normal: P(Z <= x), and its inverse for 0 < p < 1. */
double normal_cdf(double x);
double normal_quantile(double p);

/* Student's t with df > 0 degrees of freedom, not necessarily whole (Welch's are not): P(T <= t) by
 * the incomplete beta function's continued fraction (DLMF 8.17.22), and its inverse. */
double student_cdf(double t, double df);
double student_quantile(double p, double df);

/* B successes in n trials of probability 0 <= p <= 1: P(B = k), computed with log-gamma, for k <=
 * n; and P(B < k) as a sum of it, for any k. Meant for n up to about 1e5. */
double binomial_term(size_t k, size_t n, double p);
double binomial_below(size_t k, size_t n, double p);
