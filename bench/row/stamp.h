/* stamp: fills the columns that say on which machine, with which build and when a row ran. */
#pragma once

#include "bench/row/row.h"

/* Fills cpu_model, cpus_allowed, cpu_quota, governor, build, timestamp_utc, git_commit, schema. */
void row_stamp(RowResult *r);
