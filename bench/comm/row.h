/* row: one line of a study of communication: one collective operation over one array, by MPI's own
 * algorithm or by ours, among some ranks.
 *
 * The one idea: a line holds a RowResult, so that the job, its statistics and its stamps are those
 * of any row of several ranks (row/ranked.h); its columns are members of both. */
#pragma once

#include "bench/row/row.h"

typedef struct CommRow {
    RowResult base; /* first, so that columns of row/fields.def have the same offset in both */
    FieldTEXT operation;
    FieldINT bytes, wrong, rounds, piece;
    FieldREAL algbw_gb_per_s, busbw_gb_per_s;
    FieldBOOL overlap;
    FieldREAL compute_ms, both_ms, overlap_fraction;
} CommRow;

/* Of a CommRow; a Field.group of FIELD_CONFIG is a key of the study's config. */
const Schema *comm_schema(void);

/* Of a CommRow, fills the name that --filter knows, "all_reduce/1000000/r2/ring", into base.row_id,
 * and the bytes that a rank takes. */
void comm_row_plan(void *row);

/* Fills the rates of a median: bytes over time, and that times what the links carry for each byte,
 * as in nccl-tests (its PERFORMANCE page). */
void comm_row_rates(CommRow *r);
