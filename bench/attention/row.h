/* row: one line of an attention study: one attention layer, forward and backward, by one of two
 * implementations.
 *
 * The one idea: a line holds a RowResult, so that statistics, judgement and stamps are those of any
 * row; its columns are members of both. What is timed is run.h's business. */
#pragma once

#include "autograd/kernels/kernels.h"
#include "bench/row/row.h"

typedef struct AttentionRow {
    RowResult base; /* first, so that columns of row/fields.def have the same offset in both */
    FieldTEXT impl;
    FieldINT head_dim;
    FieldBOOL causal;
    FieldINT saved_bytes;
    FieldTEXT parity;
    FieldINT parity_context;
    FieldREAL parity_error;
} AttentionRow;

/* Of an AttentionRow; a Field.group of FIELD_CONFIG is a key of the study's config. */
const Schema *attention_schema(void);

/* Of an AttentionRow, fills the name that --filter knows, "flash/b8/h1/t1024/d64/causal/fp32", into
 * base.row_id, and what follows from the shape: FLOPs, predicted bytes, bytes saved, how the CPU
 * multiplies. Bytes that no machine has are held at 2^62. */
void attention_row_plan(void *row);

/* The shape without pointers; products are bf16 where the row and the CPU are. */
Attention attention_shape(const AttentionRow *r);
