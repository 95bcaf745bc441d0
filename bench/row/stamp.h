/* stamp: where and from what a row came, in its columns. */
#ifndef TARE_BENCH_ROW_STAMP_H
#define TARE_BENCH_ROW_STAMP_H

#include "bench/row/row.h"

/* The columns that say where and from what a row came: cpu_model, cpus_allowed, cpu_quota, governor, build,
 * timestamp_utc, git_commit, schema. */
void row_stamp(RowResult *r);

#endif
