/* ref: what the kernels should compute, in double and obvious on sight.
 *
 * Inputs are the kernels' own floats, results are doubles. Letters as in kernels.h. Slow by
 * design: no blocking, no threads, no tricks. */
#pragma once

#include "autograd/kernels/kernels.h"

/* The product of matrices that lie in rows, without gaps. */
static inline Gemm gemm_of_rows(size_t m, size_t n, size_t k, const float *a, const float *b,
                                float *c)
{
    return (Gemm){.m = m,
                  .n = n,
                  .k = k,
                  .a = a,
                  .a_row = k,
                  .a_col = 1,
                  .b = b,
                  .b_row = n,
                  .b_col = 1,
                  .c = c,
                  .c_row = n};
}

/* C[i,j] = c0[i,j] + sum_p A[i,p] B[p,j]; c0 may be NULL for zeros; strides as in Gemm, c and c0
 * are [m, n]. */
void ref_gemm(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col,
              const float *b, size_t b_row, size_t b_col, const double *c0, double *c);

double ref_act(Act act, double z);
double ref_act_slope(Act act, double z);

void ref_layernorm(const float *x, const float *w, const float *b, double eps, size_t rows,
                   size_t C, double *y, double *mean, double *rstd);
/* dx is written; dw and db are written. */
void ref_layernorm_backward(const float *x, const float *w, double eps, const float *dy,
                            size_t rows, size_t C, double *dx, double *dw, double *db);

/* out [B, T, H, D] and lse [B, H, T]; shapes and strides as in Attention. */
void ref_attention(const Attention *a, double *out, double *lse);
/* dq, dk, dv [B, T, H, D], written. */
void ref_attention_backward(const Attention *a, const float *dout, double *dq, double *dk,
                            double *dv);

/* ---- comparing ---- */

/* Largest |x - ref| over n elements, relative to `unit`; NaN or infinity in x counts as
 * infinite. */
double ref_max_error(const float *x, const double *ref, size_t n, double unit);

/* |y - ref| in units of the last place of ref as a float. 0 where both are NaN or equal. */
double ref_ulps(float y, double ref);
