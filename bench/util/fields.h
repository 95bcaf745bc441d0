/* fields: how a value that is not there is written in a field of a struct. */
#ifndef TARE_BENCH_UTIL_FIELDS_H
#define TARE_BENCH_UTIL_FIELDS_H

#include <stdint.h>

/* Missing values, an empty cell: NaN for REAL, INT_MISSING for INT, "" for TEXT. BOOL always is. */
#define INT_MISSING INT64_MIN

#endif
