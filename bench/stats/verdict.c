/* verdict: see verdict.h. */
#include "bench/stats/verdict.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "autograd/base.h"

const char *verdict_name(Verdict v)
{
    static const char *const names[] = {
        [VERDICT_INCONCLUSIVE] = "inconclusive",
        [VERDICT_EQUIVALENT] = "equivalent",
        [VERDICT_IMPROVEMENT] = "improvement",
        [VERDICT_REGRESSION] = "regression",
    };
    CHECK((size_t)v < COUNT_OF(names), "verdict %d", (int)v);
    return names[v];
}

Verdict verdict_of(Interval ratio, double threshold)
{
    CHECK(threshold >= 0, "threshold %g", threshold);
    if (isnan(ratio.lo) || isnan(ratio.hi))
        return VERDICT_INCONCLUSIVE;
    if (ratio.lo > 1 + threshold)
        return VERDICT_REGRESSION;
    if (ratio.hi < 1 - threshold)
        return VERDICT_IMPROVEMENT;
    if (ratio.lo >= 1 - threshold && ratio.hi <= 1 + threshold)
        return VERDICT_EQUIVALENT;
    return VERDICT_INCONCLUSIVE;
}

Verdict verdict_among_rows(Interval ratio, double threshold, double q)
{
    Verdict v = verdict_of(ratio, threshold);
    bool change = v == VERDICT_IMPROVEMENT || v == VERDICT_REGRESSION;
    return change && !(q <= FALSE_DISCOVERY_RATE) ? VERDICT_INCONCLUSIVE : v;
}

typedef struct Ranked {
    double p;
    size_t row;
} Ranked;

static int by_p(const void *a, const void *b)
{
    double x = ((const Ranked *)a)->p, y = ((const Ranked *)b)->p;
    return (x > y) - (x < y);
}

void benjamini_hochberg(const double *p, size_t count, double *q)
{
    OWNED Ranked *tested = xmalloc(count * sizeof *tested);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        q[i] = NAN;
        if (!isnan(p[i]))
            tested[n++] = (Ranked){p[i], i};
    }
    qsort(tested, n, sizeof *tested, by_p);
    double least = 1;
    for (size_t rank = n; rank > 0; rank--) {
        Ranked r = tested[rank - 1];
        least = fmin(least, r.p * (double)n / (double)rank);
        q[r.row] = least;
    }
}

Verdict verdict_of_file(const Verdict *rows, size_t count, Verdict mean)
{
    size_t seen[VERDICT_REGRESSION + 1] = {0};
    for (size_t i = 0; i < count; i++)
        seen[rows[i]]++;
    if (seen[VERDICT_REGRESSION] > 0 || mean == VERDICT_REGRESSION)
        return VERDICT_REGRESSION;
    if (seen[VERDICT_IMPROVEMENT] > 0 || mean == VERDICT_IMPROVEMENT)
        return VERDICT_IMPROVEMENT;
    if ((count > 0 && seen[VERDICT_EQUIVALENT] == count) || mean == VERDICT_EQUIVALENT)
        return VERDICT_EQUIVALENT;
    return VERDICT_INCONCLUSIVE;
}

double minimum_detectable_effect(double cv, size_t n, size_t m)
{
    return 2.8 * cv * sqrt(1 / (double)n + 1 / (double)m);
}

double trials_to_detect(double cv, double effect)
{
    return ceil(15.7 * (cv / effect) * (cv / effect));
}
