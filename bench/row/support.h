/* support: what the precision of a row means on this CPU: whether the row can run, and by which
 * instruction.
 *
 * Only the features of the CPU are looked at; no kernel runs, so the parent of a sweep may ask. */
#ifndef TARE_BENCH_ROW_SUPPORT_H
#define TARE_BENCH_ROW_SUPPORT_H

#include "model/precision.h"
#include "bench/row/row.h"

Precision row_precision(const RowConfig *c);
DType row_product(const RowConfig *c); /* what operands of its matrix products are rounded to */

/* Fills product_support and product_instruction. */
void row_product_fill(RowResult *r);

/* False, with one line why, for a backward pass that the precision lacks, for a BLAS that cannot
 * multiply it, for a layer too wide for it, and, without include_emulated, where the CPU has no
 * instruction for it. */
bool row_supported(const RowConfig *c, FieldTEXT reason);

#endif
