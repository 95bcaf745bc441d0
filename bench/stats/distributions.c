/* distributions: see distributions.h. */
#include "bench/stats/distributions.h"

#include <float.h>
#include <math.h>

#include "autograd/base.h"

double normal_cdf(double x)
{
    return 0.5 * erfc(-x / M_SQRT2);
}

/* The continued fraction of I_x(a, b) without its prefactor, by the modified Lentz method. It
 * converges quickly for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double x, double a, double b)
{
    enum { MAX_TERMS = 500 };
    const double tiny = DBL_MIN / DBL_EPSILON;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double value = d;
    for (int term = 1; term <= MAX_TERMS; term++) {
        double m = term;
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step = 1;
        for (int half = 0; half < 2; half++) {
            double coefficient = half == 0 ? even : odd;
            d = 1 + coefficient * d;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = 1 + coefficient / c;
            c = fabs(c) < tiny ? tiny : c;
            step = c * d;
            value *= step;
        }
        if (fabs(step - 1) < 2 * DBL_EPSILON)
            break;
    }
    return value;
}

static double log_gamma(double x)
{
    int sign; /* lgamma() writes a global; lgamma_r() does not */
    return lgamma_r(x, &sign);
}

/* The regularised incomplete beta function I_x(a, b). */
static double incomplete_beta(double x, double a, double b)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(1 - x, b, a) / b;
}

double student_cdf(double t, double df)
{
    CHECK(df > 0, "%g degrees of freedom", df);
    double tail = 0.5 * incomplete_beta(df / (df + t * t), df / 2, 0.5);
    return t > 0 ? 1 - tail : tail;
}

static double normal_cdf_of(double x, double unused)
{
    (void)unused;
    return normal_cdf(x);
}

/* The x with cdf(x, parameter) = p, for a distribution symmetric about 0. The lower half is
 * searched because there p is resolved finely. */
static double symmetric_quantile(double (*cdf)(double, double), double parameter, double p)
{
    CHECK(p > 0 && p < 1, "a quantile at probability %g", p);
    if (p == 0.5)
        return 0;
    if (p > 0.5)
        return -symmetric_quantile(cdf, parameter, 1 - p);
    double lo = -1, hi = 0;
    while (cdf(lo, parameter) > p) {
        hi = lo;
        lo *= 2;
    }
    for (;;) {
        double middle = 0.5 * (lo + hi);
        if (middle <= lo || middle >= hi || hi - lo < DBL_EPSILON * DBL_EPSILON)
            return middle;
        if (cdf(middle, parameter) > p)
            hi = middle;
        else
            lo = middle;
    }
}

double normal_quantile(double p)
{
    return symmetric_quantile(normal_cdf_of, 0, p);
}

double student_quantile(double p, double df)
{
    return symmetric_quantile(student_cdf, df, p);
}

double binomial_term(size_t k, size_t n, double p)
{
    CHECK(k <= n, "%zu successes of %zu", k, n);
    if (p <= 0 || p >= 1)
        return (p <= 0 && k == 0) || (p >= 1 && k == n);
    double successes = (double)k, failures = (double)(n - k);
    double log_ways = log_gamma((double)n + 1) - log_gamma(successes + 1) - log_gamma(failures + 1);
    return exp(log_ways + successes * log(p) + failures * log1p(-p));
}

double binomial_below(size_t k, size_t n, double p)
{
    if (k > n)
        return 1;
    double sum = 0;
    for (size_t i = 0; i < k; i++)
        sum += binomial_term(i, n, p);
    return fmin(sum, 1);
}
