/* products: the three matrix products of y[n,O] = x[n,K] w[O,K]^T, for the ops that contain one.
 * Each function returns the Gemm for gemm_run; the caller adds epilogue, packing or
 * accumulation. */
#pragma once

#include "autograd/kernels/kernels.h"

/* y[n,O] = x w^T; the caller sets a_type and c_type where x or y is not fp32. */
static inline Gemm product_forward(size_t n, size_t O, size_t K, const void *x, const float *w,
                                   void *y)
{
    return (Gemm){.m = n,
                  .n = O,
                  .k = K,
                  .a = x,
                  .a_row = K,
                  .a_col = 1,
                  .b = w,
                  .b_row = 1,
                  .b_col = K,
                  .c = y,
                  .c_row = O};
}

/* dy[n,O], as fp32 or, of the same memory, as what round_row_part left there. */
typedef struct RowGradients {
    const void *data;
    DType type;
    size_t row; /* elements from row to row */
} RowGradients;

/* Whether backward products of this format round dy to bf16: worth doing once for both. */
static inline bool product_takes_bf16(DType product)
{
    return product == DT_BF16;
}

static inline RowGradients row_gradients(const float *dy, size_t O, DType product)
{
    return product_takes_bf16(product) ? (RowGradients){dy, DT_BF16, 2 * O}
                                       : (RowGradients){dy, DT_F32, O};
}

/* Rounds n elements of a row of dy, from `from` on, to bf16 at the front of the row. Those before
 * them have to be rounded already. */
static inline void round_row_part(float *row, size_t from, size_t n)
{
    kernels()->narrow(DT_BF16, row + from, (uint16_t *)row + from, n);
}

/* dw[O,K] = dy[n,O]^T x[n,K] */
static inline Gemm product_weight_gradient(size_t n, size_t O, size_t K, RowGradients dy,
                                           const void *x, DType x_type, float *dw)
{
    return (Gemm){.m = O,
                  .n = K,
                  .k = n,
                  .a = dy.data,
                  .a_type = dy.type,
                  .a_row = 1,
                  .a_col = dy.row,
                  .b = x,
                  .b_type = x_type,
                  .b_row = K,
                  .b_col = 1,
                  .c = dw,
                  .c_row = K};
}

/* dx[n,K] = dy[n,O] w[O,K] */
static inline Gemm product_input_gradient(size_t n, size_t O, size_t K, RowGradients dy,
                                          const float *w, float *dx)
{
    return (Gemm){.m = n,
                  .n = K,
                  .k = O,
                  .a = dy.data,
                  .a_type = dy.type,
                  .a_row = dy.row,
                  .a_col = 1,
                  .b = w,
                  .b_row = K,
                  .b_col = 1,
                  .c = dx,
                  .c_row = K};
}
