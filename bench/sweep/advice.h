/* advice: how many warmups a model needed, from what a sweep saw.
 *
 * The one idea: each row that is believed (row/warning.h) tells after how many runs it was steady,
 * and the advice is enough for most rows. */
#pragma once

#include "bench/row/row.h"

typedef struct WarmupAdvice {
    size_t told, doubted; /* rows that are believed; rows that had enough runs and are not */
    int64_t warmups;      /* enough for three quarters of those believed */
    size_t enough_for;    /* in how many of them it was enough */
    /* Seconds that a slow first run took above the median of the steady runs: least and most over
     * the believed rows that had one; NaN without any. */
    double cold_least, cold_most;
} WarmupAdvice;

/* Looks at the finished rows of this model_size. */
WarmupAdvice warmup_advice_of(const RowResult *const *rows, size_t count, const char *model_size);

/* Writes "small: 1 warmup is enough (in 5 of 6 rows); the cold trial costs 690 ms to 820 ms".
 * analysis/verdicts.py says the same of the same rows. */
void warmup_advice_sentence(const WarmupAdvice *a, const char *model_size, FieldTEXT text);
