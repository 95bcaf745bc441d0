/* row_warning: see row_warning.h. */
#include "row_warning.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "outliers.h"
#include "steady.h"

static bool is_class(const RowResult *r, SteadyClass c)
{
    return strcmp(r->steady_class, steady_class_name(c)) == 0;
}

/* How its runs went from the first to the last. */
static void settling_warning(const RowResult *r, FieldTEXT text)
{
    if (is_class(r, STEADY_NONE))
        snprintf(text, TEXT_SIZE, "its level still changed in the last runs: run it again, longer");
    else if (is_class(r, STEADY_SLOWDOWN))
        snprintf(text, TEXT_SIZE,
                 "slower from run %" PRId64 " on: look for heat or other work, and run it again",
                 r->steady_start);
    else if (is_class(r, STEADY_WARMUP) && r->warmups_needed > r->config.num_warmups)
        snprintf(text, TEXT_SIZE,
                 "slow first runs are in the mean: it takes --warmups %" PRId64
                 " to leave them out",
                 r->warmups_needed);
}

static const char *noise_advice(const RowResult *r)
{
    return r->cpu_wait > CPU_WAIT_LIMIT ? " (stop other work, or use fewer threads)" : "";
}

bool row_warning(const RowResult *r, FieldTEXT text)
{
    text[0] = '\0';
    if (strcmp(r->status, STATUS_OK) != 0)
        return false;
    settling_warning(r, text);
    size_t used = strlen(text);
    if (r->noise[0])
        snprintf(text + used, TEXT_SIZE - used, "%s%.300s%s", used ? "; " : "", r->noise,
                 noise_advice(r));
    return text[0] != '\0';
}
