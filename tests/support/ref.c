/* ref: the formulas, loop by loop. */
#include "tests/support/ref.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

void ref_gemm(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col,
              const float *b, size_t b_row, size_t b_col, const double *c0, double *c)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = c0 ? c0[i * n + j] : 0;
            for (size_t p = 0; p < k; p++)
                sum += (double)a[i * a_row + p * a_col] * b[p * b_row + j * b_col];
            c[i * n + j] = sum;
        }
}

static double normal_cdf(double z)
{
    return 0.5 * erfc(-z / sqrt(2));
}

/* 2 sqrt(2/pi) (z + 0.044715 z^3): tanh(u/2) = 2 logistic(u) - 1. */
static double gelu_argument(double z)
{
    return 2 * sqrt(2 / M_PI) * (z + 0.044715 * z * z * z);
}

double ref_act(Act act, double z)
{
    switch (act) {
    case ACT_GELU_TANH:
        return z / (1 + exp(-gelu_argument(z)));
    case ACT_GELU_ERF:
        return z * normal_cdf(z);
    case ACT_RELU:
        return z > 0 ? z : 0;
    case ACT_TANH:
        return tanh(z);
    case ACT_NONE:
        break;
    }
    return z;
}

double ref_act_slope(Act act, double z)
{
    double e = exp(-fabs(gelu_argument(z))), s = z < 0 ? e / (1 + e) : 1 / (1 + e);
    switch (act) {
    case ACT_GELU_TANH:
        return s + z * e / ((1 + e) * (1 + e)) * 2 * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * z * z);
    case ACT_GELU_ERF:
        return normal_cdf(z) + z * exp(-z * z / 2) / sqrt(2 * M_PI);
    case ACT_RELU:
        return z > 0;
    case ACT_TANH:
        return 1 / (cosh(z) * cosh(z));
    case ACT_NONE:
        break;
    }
    return 1;
}

static void row_moments(const float *x, size_t C, double eps, double *mean, double *rstd)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < C; i++)
        sum += x[i];
    *mean = sum / (double)C;
    for (size_t i = 0; i < C; i++)
        squares += (x[i] - *mean) * (x[i] - *mean);
    *rstd = 1 / sqrt(squares / (double)C + eps);
}

void ref_layernorm(const float *x, const float *w, const float *b, double eps, size_t rows,
                   size_t C, double *y, double *mean, double *rstd)
{
    for (size_t r = 0; r < rows; r++) {
        row_moments(x + r * C, C, eps, &mean[r], &rstd[r]);
        for (size_t i = 0; i < C; i++)
            y[r * C + i] = (x[r * C + i] - mean[r]) * rstd[r] * w[i] + b[i];
    }
}

void ref_layernorm_backward(const float *x, const float *w, double eps, const float *dy,
                            size_t rows, size_t C, double *dx, double *dw, double *db)
{
    for (size_t i = 0; i < C; i++)
        dw[i] = db[i] = 0;
    for (size_t r = 0; r < rows; r++) {
        double mean, rstd, g0 = 0, g1 = 0;
        row_moments(x + r * C, C, eps, &mean, &rstd);
        for (size_t i = 0; i < C; i++) {
            double xhat = (x[r * C + i] - mean) * rstd, g = dy[r * C + i];
            dw[i] += g * xhat;
            db[i] += g;
            g0 += g * w[i] / (double)C;
            g1 += g * w[i] * xhat / (double)C;
        }
        for (size_t i = 0; i < C; i++) {
            double xhat = (x[r * C + i] - mean) * rstd;
            dx[r * C + i] = rstd * (dy[r * C + i] * (double)w[i] - g0 - xhat * g1);
        }
    }
}

/* ---- attention ---- */

static bool visible(const Attention *a, size_t b, size_t t, size_t s)
{
    return (!a->causal || s <= t) && (!a->key_mask || a->key_mask[b * a->T + s]);
}

/* The head's row of q, k or v, of fp32. */
static const float *qkv_row(const Attention *a, const void *x, size_t b, size_t t, size_t h)
{
    return (const float *)x + (b * a->T + t) * a->qkv_stride + h * a->D;
}

/* p[s]: the probabilities of query (b, t, h); returns the log-sum-exp. */
static double probabilities(const Attention *a, size_t b, size_t t, size_t h, double *p)
{
    const float *q = qkv_row(a, a->q, b, t, h);
    double max = -INFINITY, sum = 0;
    for (size_t s = 0; s < a->T; s++) {
        const float *k = qkv_row(a, a->k, b, s, h);
        p[s] = -INFINITY;
        if (!visible(a, b, t, s))
            continue;
        p[s] = 0;
        for (size_t d = 0; d < a->D; d++)
            p[s] += (double)q[d] * k[d] * a->scale;
        max = p[s] > max ? p[s] : max;
    }
    for (size_t s = 0; s < a->T; s++) {
        p[s] = p[s] == -INFINITY ? 0 : exp(p[s] - max);
        sum += p[s];
    }
    for (size_t s = 0; s < a->T && sum > 0; s++)
        p[s] /= sum;
    return sum > 0 ? max + log(sum) : -INFINITY;
}

void ref_attention(const Attention *a, double *out, double *lse)
{
    double *p = xcalloc(a->T, sizeof(*p));
    for (size_t b = 0; b < a->B; b++)
        for (size_t h = 0; h < a->H; h++)
            for (size_t t = 0; t < a->T; t++) {
                double *o = out + ((b * a->T + t) * a->H + h) * a->D;
                lse[(b * a->H + h) * a->T + t] = probabilities(a, b, t, h, p);
                for (size_t d = 0; d < a->D; d++) {
                    o[d] = 0;
                    for (size_t s = 0; s < a->T; s++)
                        o[d] += p[s] * qkv_row(a, a->v, b, s, h)[d];
                }
            }
    free(p);
}

/* One query: with dp[s] = dout.v[s] and ds = p (dp - sum p dp) scale,
 * dv[s] += p[s] dout, dq += ds[s] k[s], dk[s] += ds[s] q. */
static void query_backward(const Attention *a, const float *dout, size_t b, size_t t, size_t h,
                           double *p, double *dp, double *dq, double *dk, double *dv)
{
    size_t at = ((b * a->T + t) * a->H + h) * a->D;
    double mean = 0;
    probabilities(a, b, t, h, p);
    for (size_t s = 0; s < a->T; s++) {
        dp[s] = 0;
        for (size_t d = 0; d < a->D; d++)
            dp[s] += (double)dout[at + d] * qkv_row(a, a->v, b, s, h)[d];
        mean += p[s] * dp[s];
    }
    for (size_t s = 0; s < a->T; s++) {
        size_t from = ((b * a->T + s) * a->H + h) * a->D;
        double ds = p[s] * (dp[s] - mean) * a->scale;
        for (size_t d = 0; d < a->D; d++) {
            dv[from + d] += p[s] * dout[at + d];
            dq[at + d] += ds * qkv_row(a, a->k, b, s, h)[d];
            dk[from + d] += ds * qkv_row(a, a->q, b, t, h)[d];
        }
    }
}

void ref_attention_backward(const Attention *a, const float *dout, double *dq, double *dk,
                            double *dv)
{
    double *p = xcalloc(a->T, sizeof(*p)), *dp = xcalloc(a->T, sizeof(*dp));
    for (size_t i = 0; i < a->B * a->T * a->H * a->D; i++)
        dq[i] = dk[i] = dv[i] = 0;
    for (size_t b = 0; b < a->B; b++)
        for (size_t h = 0; h < a->H; h++)
            for (size_t t = 0; t < a->T; t++)
                query_backward(a, dout, b, t, h, p, dp, dq, dk, dv);
    free(p);
    free(dp);
}

/* ---- comparing ---- */

double ref_max_error(const float *x, const double *ref, size_t n, double unit)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs(x[i] - ref[i]) / unit;
        if (!(error <= worst))
            worst = isnan(error) ? INFINITY : error;
    }
    return worst;
}

double ref_ulps(float y, double ref)
{
    float nearest = (float)ref;
    if (y == nearest || (isnan(y) && isnan(ref)))
        return 0;
    if (!isfinite(y) || !isfinite(nearest))
        return INFINITY;
    int exponent;
    frexp(fabs(ref) < FLT_MIN ? FLT_MIN : ref, &exponent);
    return fabs(y - ref) / ldexp(1, exponent - FLT_MANT_DIG);
}
