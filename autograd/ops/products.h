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

/* dw[O,K] = dy[n,O]^T x[n,K] */
static inline Gemm product_weight_gradient(size_t n, size_t O, size_t K, const float *dy,
                                           const float *x, float *dw)
{
    return (Gemm){.m = O,
                  .n = K,
                  .k = n,
                  .a = dy,
                  .a_row = 1,
                  .a_col = O,
                  .b = x,
                  .b_row = K,
                  .b_col = 1,
                  .c = dw,
                  .c_row = K};
}

/* dx[n,K] = dy[n,O] w[O,K] */
static inline Gemm product_input_gradient(size_t n, size_t O, size_t K, const float *dy,
                                          const float *w, float *dx)
{
    return (Gemm){.m = n,
                  .n = K,
                  .k = O,
                  .a = dy,
                  .a_row = O,
                  .a_col = 1,
                  .b = w,
                  .b_row = K,
                  .b_col = 1,
                  .c = dx,
                  .c_row = K};
}
