/* warmup_advice: see warmup_advice.h. */
#include "warmup_advice.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "moments.h"
#include "steady.h"
#include "units.h"

static bool is_unsettled(const RowResult *r)
{
    return strcmp(r->steady_class, steady_class_name(STEADY_NONE)) == 0 ||
           strcmp(r->steady_class, steady_class_name(STEADY_SLOWDOWN)) == 0;
}

/* What the first run cost above the others, in seconds. */
static double cold_seconds(const RowResult *r)
{
    double steady = isnan(r->steady_mean_ms) ? r->median_ms : r->steady_mean_ms;
    return (r->first_trial_ms - steady) / 1e3;
}

WarmupAdvice warmup_advice_of(const RowResult *const *rows, size_t count, const char *model_size)
{
    WarmupAdvice a = {.cold_seconds = NAN};
    double *needed = xmalloc((count + 1) * sizeof *needed);
    double *cold = xmalloc((count + 1) * sizeof *cold);
    size_t num_cold = 0;
    for (size_t i = 0; i < count; i++) {
        const RowResult *r = rows[i];
        if (strcmp(r->config.model_size, model_size) != 0 || strcmp(r->status, STATUS_OK) != 0)
            continue;
        if (r->warmups_needed != INT_MISSING)
            needed[a.told++] = (double)r->warmups_needed;
        a.unsettled += is_unsettled(r);
        if (!isnan(cold_seconds(r)))
            cold[num_cold++] = cold_seconds(r);
    }
    if (a.told)
        a.warmups = (int64_t)ceil(percentile_of(needed, a.told, 0.75, PERCENTILE_HF7));
    for (size_t i = 0; i < a.told; i++)
        a.enough_for += needed[i] <= (double)a.warmups;
    if (num_cold)
        a.cold_seconds = median_of(cold, num_cold);
    free(needed);
    free(cold);
    return a;
}

/* "; the cold trial costs 820 ms", or nothing where that is not known. */
static void cold_clause(double seconds, char *text, size_t size)
{
    char cost[UNIT_TEXT_SIZE];
    text[0] = '\0';
    if (isnan(seconds))
        return;
    format_duration(cost, seconds);
    snprintf(text, size, "; the cold trial costs %s", seconds > 0 ? cost : "nothing");
}

void warmup_advice_sentence(const WarmupAdvice *a, const char *model_size, FieldTEXT text)
{
    char cold[UNIT_TEXT_SIZE + 64];
    cold_clause(a->cold_seconds, cold, sizeof cold);
    if (a->told + a->unsettled == 0)
        snprintf(text, TEXT_SIZE, "%s: no row had runs enough to tell how many warmups it needs%s",
                 model_size, cold);
    else if (a->unsettled >= a->told)
        snprintf(text, TEXT_SIZE,
                 "%s: %zu of %zu rows did not settle, so warmups cannot be judged%s", model_size,
                 a->unsettled, a->told + a->unsettled, cold);
    else
        snprintf(text, TEXT_SIZE, "%s: %" PRId64 " warmup%s enough (in %zu of %zu rows)%s",
                 model_size, a->warmups, a->warmups == 1 ? " is" : "s are", a->enough_for,
                 a->told + a->unsettled, cold);
}
