/* fp32_pack: a packed matrix of fp32, in the panels of isa.h. Private to gemm/. */
#pragma once

#include "autograd/kernels/isa.h"

/* Packs columns [from, to) of B, which begins with the first of them, into `packed`, which
 * gemm_pack_begin has made for f32; as gemm_pack_columns and gemm_packed_column. */
void fp32_pack(PackedB *packed, size_t from, size_t to, const float *b, size_t b_row, size_t b_col,
               int threads);
void fp32_packed_column(const PackedB *p, size_t j, float *out);
