/* kernels: the arithmetic, found by instruction set in one table at run time.
 *
 * Letters, here and in every kernel: B batch, T time (context), C channels (d_model), H heads,
 * D head size (C / H), V vocabulary. Matrices are row-major fp32 unless a stride says otherwise.
 *
 * Nothing here allocates: the caller asks for scratch bytes in advance and hands the memory over.
 * Results do not depend on the number of threads, bit for bit: every output element is summed in
 * one fixed order. They differ between instruction sets by rounding only. */
#ifndef TARE_KERNELS_H
#define TARE_KERNELS_H

#include "../base.h"

/* Activation of a linear layer, applied to z = x W^T + b. */
typedef enum Act {
    ACT_NONE,
    ACT_GELU_TANH, /* GPT-2: 0.5 z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))), Hendrycks & Gimpel 2016 */
    ACT_GELU_ERF, /* BERT: z Phi(z) with the exact error function */
    ACT_RELU,
    ACT_TANH,
} Act;

/* ---- the instruction set ---- */

/* The row kernels of one instruction set. One thread each; the caller splits the rows. Pointers may
 * be equal (in place) where the comment says so, and never overlap otherwise. */
typedef struct Kernels {
    const char *isa; /* "generic", "avx2" or "avx512" */

    /* y[i] = exp(x[i]); in place allowed. Error and range are stated in vmath. */
    void (*exp)(const float *x, float *y, size_t n);
    /* y = act(z); in place allowed. */
    void (*act_forward)(Act act, const float *z, float *y, size_t n);
    /* dz = dy * act'(z); dz may be dy. */
    void (*act_backward)(Act act, const float *z, const float *dy, float *dz, size_t n);

    /* y = a + b; y may be a or b. */
    void (*add)(const float *a, const float *b, float *y, size_t n);

    /* Rows of C channels: y = (x - mean) * rstd * w + b, with mean and rstd kept per row (Ba, Kiros
     * & Hinton 2016; biased variance, two passes over the row while it is in cache). */
    void (*layernorm_forward)(const float *x, const float *w, const float *b, float eps, float *y,
                              float *mean, float *rstd, size_t rows, size_t C);
    /* dx = or += the gradient of the rows; dw[C], db[C] += their sums over these rows. */
    void (*layernorm_backward)(const float *x, const float *w, const float *mean, const float *rstd,
                               const float *dy, float *dx, bool add_dx, float *dw, float *db,
                               size_t rows, size_t C);

    /* Online log-sum-exp over one more piece of a row: updates the running maximum and the running
     * sum of exp(x - max) (Milakov & Gimelshein 2018). Start from -INFINITY and 0. */
    void (*logsumexp_update)(const float *x, size_t n, float *max, float *sum);
    /* x[i] = scale * exp(x[i] - lse): one row of a softmax, in place. */
    void (*softmax_from_lse)(float *x, size_t n, float lse, float scale);

    /* Sum over rows: out[j] = or += sum_i x[i * stride + j], j < C. */
    void (*sum_rows)(const float *x, size_t stride, size_t rows, size_t C, bool add, float *out);

    /* AdamW with decoupled decay (Loshchilov & Hutter 2019), one pass over n elements:
     * m = b1 m + (1-b1) g s; v = b2 v + (1-b2) (g s)^2; w -= lr ((m c1) / (sqrt(v c2) + eps) + wd w)
     * where s scales the gradient (clipping) and c1 = 1/(1-b1^t), c2 = 1/(1-b2^t). */
    void (*adamw)(float *w, const float *g, float *m, float *v, size_t n, float lr, float beta1,
                  float beta2, float eps, float decay, float c1, float c2, float gscale);

    /* y[i] = mean + std * N(0,1), element i being a pure function of (seed, stream, first + i):
     * Box-Muller (1958) over counter-based uniforms. */
    void (*normal)(float *y, size_t n, uint64_t seed, uint64_t stream, uint64_t first, float mean,
                   float std);
} Kernels;

/* The table in use: the best this CPU has, or the one forced by TARE_ISA=generic|avx2|avx512. */
const Kernels *kernels(void);

/* Picks the table once; call it first in main. -1: TARE_ISA names an unknown set or one that this
 * CPU lacks. Without the call, kernels() picks the best and ignores the environment. */
int kernels_select(const char *isa_or_null, Err *err);

/* The table of one instruction set, or NULL where this CPU or build lacks it (tests compare them). */
const Kernels *kernels_for(const char *isa);

/* ---- matrix product ---- */

/* What happens to a finished element of C, in this order: + bias, keep as z, activation, + residual. */
typedef struct Epilogue {
    const float *bias; /* [n], or NULL */
    float *z;          /* [m, n] with c's row stride: the value before the activation, or NULL */
    Act act;
    const float *residual; /* [m, n] with c's row stride, or NULL; may be c itself where nothing
                              but the bias comes before it (no z, ACT_NONE, no accumulate) */
} Epilogue;

/* B of C = A B, rearranged once into the panels the tile kernel reads. Opaque; made by gemm_pack. */
typedef struct PackedB PackedB;

/* C[m,n] = (accumulate ? C : 0) + A[m,k] B[k,n], then the epilogue.
 * A[i,p] = a[i*a_row + p*a_col]; one of a_row, a_col is 1. The same for B[p,j] with b_row, b_col.
 * y = x W^T is b_row = 1, b_col = k. */
typedef struct Gemm {
    size_t m, n, k;
    const float *a;
    size_t a_row, a_col;
    const float *b; /* not read when packed is given, but "openblas" always needs it */
    size_t b_row, b_col;
    const PackedB *packed;
    float *c;
    size_t c_row;
    bool accumulate;
    Epilogue epi;
} Gemm;

/* threads: at most this many; fewer are used where the work does not pay for them (a parallel
 * region costs some microseconds). scratch: gemm_scratch_bytes(threads) bytes, 64-byte aligned. */
void gemm_run(const Gemm *g, int threads, void *scratch);
size_t gemm_scratch_bytes(int threads);

/* A lasting packed copy of B[k,n], for a weight that is used many times. gemm_pack writes into
 * `memory` of gemm_packed_bytes(k, n) bytes (64-byte aligned) and returns its head. */
size_t gemm_packed_bytes(size_t k, size_t n);
const PackedB *gemm_pack(size_t k, size_t n, const float *b, size_t b_row, size_t b_col,
                         int threads, void *memory);

/* Which code multiplies: "packed" (ours, the default) or "openblas" (the CBLAS of the build; packed
 * copies are not used then). gemm_select(NULL) takes TARE_GEMM or the default. */
int gemm_select(const char *backend_or_null, Err *err);
const char *gemm_backend(void);
/* One line on the BLAS in use: library, version, core, threading; for results and doctor. */
const char *gemm_blas_description(void);

/* ---- attention ---- */

/* out[b,t,h,:] = softmax_s(scale q[b,t,h,:].k[b,s,h,:]) v[b,s,h,:], over s <= t when causal and over
 * keys with key_mask[b*T+s] != 0 when there is a mask. Worked in tiles with memory linear in T
 * (Dao et al. 2022): no T x T buffer exists, causal tiles above the diagonal are skipped.
 * Element (b,t,h,d) of q, k, v is at [(b*T + t)*qkv_stride + h*D + d]: packed qkv is three pointers
 * into one buffer with stride 3C. out has stride H*D. A query without any visible key gets zeros. */
typedef struct Attention {
    size_t B, T, H, D;
    const float *q, *k, *v;
    size_t qkv_stride;
    const int32_t *key_mask; /* [B, T], or NULL */
    bool causal;
    float scale;
    float *out; /* [B*T, H*D] */
    float
        *lse; /* [B, H, T] log-sum-exp of the scaled scores, kept for backward; NULL = not wanted */
} Attention;

void attention_forward(const Attention *a, int threads, void *scratch);

/* dq, dk, dv (stride qkv_stride) are written, not added to. dout has stride H*D. Needs a->out and
 * a->lse of the forward pass. */
void attention_backward(const Attention *a, const float *dout, float *dq, float *dk, float *dv,
                        int threads, void *scratch);
size_t attention_scratch_bytes(size_t T, size_t D, int threads, bool backward);

#endif
