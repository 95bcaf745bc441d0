/* number_json: a real number as JSON, which has neither NaN nor infinities: null for them. */
#ifndef TARE_BENCH_UTIL_NUMBER_JSON_H
#define TARE_BENCH_UTIL_NUMBER_JSON_H

#include <jansson.h>
#include <math.h>

static inline json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

#endif
