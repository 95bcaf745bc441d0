/* advice: see advice.h. */
#include "bench/sweep/advice.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/row/warning.h"
#include "bench/stats/moments.h"
#include "bench/stats/steady.h"
#include "bench/util/units.h"

/* What a slow first run cost above the median of the steady ones, in seconds; NaN where the first
 * was not slow. */
static double cold_seconds(const RowResult *r)
{
    if (strcmp(r->steady_class, steady_class_name(STEADY_WARMUP)) != 0)
        return NAN;
    double cost = (r->first_trial_ms - r->first_trial_ms / r->first_over_steady) / 1e3;
    return cost > 0 ? cost : NAN;
}

WarmupAdvice warmup_advice_of(const RowResult *const *rows, size_t count, const char *model_size)
{
    WarmupAdvice a = {.cold_least = NAN, .cold_most = NAN};
    double *needed = xmalloc((count + 1) * sizeof *needed);
    for (size_t i = 0; i < count; i++) {
        const RowResult *r = rows[i];
        if (strcmp(r->config.model_size, model_size) != 0 || strcmp(r->status, STATUS_OK) != 0)
            continue;
        if (!row_is_believed(r)) {
            a.doubted += strcmp(r->steady_class, steady_class_name(STEADY_TOO_FEW)) != 0;
            continue;
        }
        needed[a.told++] = (double)r->warmups_needed;
        a.cold_least = fmin(a.cold_least, cold_seconds(r)); /* of a number and NaN: the number */
        a.cold_most = fmax(a.cold_most, cold_seconds(r));
    }
    if (a.told)
        a.warmups = (int64_t)ceil(percentile_of(needed, a.told, 0.75));
    for (size_t i = 0; i < a.told; i++)
        a.enough_for += needed[i] <= (double)a.warmups;
    free(needed);
    return a;
}

/* Appends "; the cold trial costs 690 ms to 820 ms": one figure if the two are within 5 %, nothing
 * if no judged row had a slow first run. */
static void cold_clause(const WarmupAdvice *a, char *text, size_t size)
{
    char least[UNIT_TEXT_SIZE], most[UNIT_TEXT_SIZE];
    text[0] = '\0';
    if (isnan(a->cold_least))
        return;
    format_duration(least, a->cold_least);
    format_duration(most, a->cold_most);
    if (a->cold_most < 1.05 * a->cold_least)
        snprintf(text, size, "; the cold trial costs %s", most);
    else
        snprintf(text, size, "; the cold trial costs %s to %s", least, most);
}

void warmup_advice_sentence(const WarmupAdvice *a, const char *model_size, FieldTEXT text)
{
    char cold[2 * UNIT_TEXT_SIZE + 64];
    cold_clause(a, cold, sizeof cold);
    char doubted[48] = "";
    size_t judged = a->told + a->doubted;
    if (a->doubted)
        snprintf(doubted, sizeof doubted, "; %zu more cannot be believed", a->doubted);
    if (judged == 0)
        snprintf(text, TEXT_SIZE, "%s: no row had runs enough to tell how many warmups it needs",
                 model_size);
    else if (a->doubted >= a->told)
        snprintf(text, TEXT_SIZE,
                 "%s: %zu of %zu rows cannot be believed (see the warnings), so warmups cannot be "
                 "judged",
                 model_size, a->doubted, judged);
    else
        snprintf(text, TEXT_SIZE, "%s: %" PRId64 " warmup%s enough (in %zu of %zu rows%s)%s",
                 model_size, a->warmups, a->warmups == 1 ? " is" : "s are", a->enough_for, a->told,
                 doubted, cold);
}
