/* support: whether this CPU can run a row of its precision, and by which instruction.
 *
 * The one idea: only the CPU's features are looked at and no kernel runs, so a sweep's parent may
 * ask. */
#pragma once

#include "model/precision.h"
#include "bench/row/row.h"

Precision row_precision(const RowConfig *c);
DType row_product(const RowConfig *c); /* what operands of its matrix products are rounded to */

/* Fills product_support and product_instruction. */
void row_product_fill(RowResult *r);

/* Whether the row can run. False, with a line why: the precision has no backward pass, the BLAS
 * cannot multiply it, a layer is too wide for it, or the CPU has no instruction for it and
 * include_emulated is False. */
bool row_supported(const RowConfig *c, FieldTEXT reason);
