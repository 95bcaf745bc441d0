/* orderings: see orderings.h. */
#include "bench/precision/orderings.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats/rank_tests.h"
#include "bench/stats/stats.h"

const char *agreement_name(Agreement a)
{
    static const char *const names[] = {"not judged", "agrees", "contradicts", "within noise"};
    return names[a];
}

Agreement agreement_of(Interval seen, Region expected)
{
    if (isnan(seen.lo) || isnan(seen.hi))
        return NOT_JUDGED;
    if (seen.lo > expected.lo && seen.hi < expected.hi)
        return AGREES;
    return seen.hi <= expected.lo || seen.lo >= expected.hi ? CONTRADICTS : WITHIN_NOISE;
}

Agreement agreement_of_all(const Agreement *each, size_t count)
{
    size_t seen[WITHIN_NOISE + 1] = {0};
    for (size_t i = 0; i < count; i++)
        seen[each[i]]++;
    if (seen[CONTRADICTS])
        return CONTRADICTS;
    if (seen[WITHIN_NOISE])
        return WITHIN_NOISE;
    return seen[NOT_JUDGED] || count == 0 ? NOT_JUDGED : AGREES;
}

/* ---- text ---- */

static void append(char *text, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *text, size_t size, const char *fmt, ...)
{
    size_t n = strlen(text);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text + n, size - n, fmt, ap);
    va_end(ap);
}

/* ---- an order of formats ---- */

static const Series *series_of(Precision p, const Series *series, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (series[i].format == p)
            return &series[i];
    return NULL;
}

/* Of a / b. */
static Interval ratio_interval(const Series *a, const Series *b, double level)
{
    size_t rounds = a->count < b->count ? a->count : b->count;
    double ratio = a->center / b->center;
    if (a->exact && b->exact)
        return (Interval){ratio, ratio, 1};
    return paired_ratio(b->at, a->at, rounds, level).interval;
}

static Region region_of(char relation)
{
    const double equal = 1e-3;
    return relation == '>'   ? (Region){1, INFINITY}
           : relation == '<' ? (Region){0, 1}
                             : (Region){1 - equal, 1 + equal};
}

/* The formats that have a series, in the expected order; notes the others. A relation belongs to
 * the format before it; where that or the next is missing, the neighbours that remain keep the
 * stricter one. */
static size_t choose(Ordering *o, const Precision *formats, const char *relations, size_t count,
                     const Series *series, size_t num_series, const Series **chosen, char *links)
{
    size_t n = 0;
    char link = '=';
    for (size_t i = 0; i < count; i++) {
        const Series *s = series_of(formats[i], series, num_series);
        append(o->expected, sizeof o->expected, "%s", study_format_title(formats[i]));
        if (i + 1 < count)
            append(o->expected, sizeof o->expected, " %c ", relations[i]);
        if (i > 0 && relations[i - 1] != '=')
            link = relations[i - 1];
        if (!s) {
            append(o->note, sizeof o->note, "%s%s has no figure to rank", *o->note ? ", " : "",
                   study_format_title(formats[i]));
            continue;
        }
        if (n > 0)
            links[n - 1] = link;
        link = '=';
        chosen[n++] = s;
    }
    return n;
}

static bool goes_before(const Series *a, const Series *b, bool ascending)
{
    return ascending ? a->center < b->center : a->center > b->center;
}

static char relation_seen(Interval ratio, bool ascending)
{
    if (ratio.lo == 1 && ratio.hi == 1)
        return '=';
    bool apart = ratio.lo > 1 || ratio.hi < 1;
    return !apart ? '~' : ascending ? '<' : '>';
}

/* Largest first, or smallest first where the expectation is written so; ~ where the data cannot
 * tell. */
static void show_observed(Ordering *o, const Series *const *chosen, size_t n, bool ascending,
                          double level, const char *unit)
{
    const Series *order[NUM_PRECISIONS];
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at > 0 && goes_before(chosen[i], order[at - 1], ascending); at--)
            order[at] = order[at - 1];
        order[at] = chosen[i];
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            append(o->observed, sizeof o->observed, " %c ",
                   relation_seen(ratio_interval(order[i - 1], order[i], level), ascending));
        append(o->observed, sizeof o->observed, "%s %.4g%s", study_format_title(order[i]->format),
               order[i]->center, unit);
    }
}

void ordering_of_series(Ordering *o, const Precision *formats, const char *relations, size_t count,
                        const Series *series, size_t num_series, const char *unit)
{
    const Series *chosen[NUM_PRECISIONS];
    char links[NUM_PRECISIONS];
    Agreement each[NUM_PRECISIONS] = {NOT_JUDGED};
    CHECK(count >= 2 && count <= NUM_PRECISIONS, "an order of %zu formats", count);
    o->expected[0] = o->observed[0] = o->note[0] = '\0';
    size_t n = choose(o, formats, relations, count, series, num_series, chosen, links);
    size_t pairs = n > 0 ? n - 1 : 0;
    double level = bonferroni_level(CONFIDENCE_LEVEL, pairs);
    for (size_t i = 0; i < pairs; i++)
        each[i] =
            agreement_of(ratio_interval(chosen[i], chosen[i + 1], level), region_of(links[i]));
    o->verdict = agreement_of_all(each, pairs);
    if (o->verdict == NOT_JUDGED && pairs > 0)
        append(o->note, sizeof o->note, "%stoo few rounds for an interval", *o->note ? ", " : "");
    show_observed(o, chosen, n, strchr(relations, '<') != NULL, level, unit);
}
