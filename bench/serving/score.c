/* score: see score.h. */
#include "bench/serving/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats/stats.h"

Score score_of(const LabelledTexts *texts, const int32_t *labels, const char *category)
{
    Score s = {0};
    for (size_t i = 0; i < texts->count; i++) {
        if (category && strcmp(texts->at[i].category, category) != 0)
            continue;
        s.texts++;
        s.right += labels[i] == texts->at[i].label;
    }
    Interval wilson = wilson_interval((size_t)s.right, (size_t)s.texts, CONFIDENCE_LEVEL);
    s.share = s.texts ? s.right / (double)s.texts : NAN;
    s.lo = wilson.lo;
    s.hi = wilson.hi;
    return s;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **categories_of(const LabelledTexts *texts, size_t *count)
{
    const char **names = xcalloc(texts->count + 1, sizeof *names);
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < texts->count; i++)
        if (*texts->at[i].category)
            names[n++] = texts->at[i].category;
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || strcmp(names[i], names[kept - 1]) != 0)
            names[kept++] = names[i];
    *count = kept;
    return names;
}

size_t agreements(const int32_t *a, const int32_t *b, size_t n)
{
    size_t equal = 0;
    for (size_t i = 0; i < n; i++)
        equal += a[i] == b[i];
    return equal;
}

double mcnemar_of(const LabelledTexts *texts, const int32_t *a, const int32_t *b)
{
    size_t only_a = 0, only_b = 0;
    for (size_t i = 0; i < texts->count; i++) {
        bool a_right = a[i] == texts->at[i].label, b_right = b[i] == texts->at[i].label;
        only_a += a_right && !b_right;
        only_b += b_right && !a_right;
    }
    return mcnemar_exact(only_a, only_b);
}
