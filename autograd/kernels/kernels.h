/* kernels: the arithmetic, found by instruction set in one table at run time.
 *
 * Letters, here and in every kernel: B batch, T time (context), C channels (d_model), H heads,
 * D head size (C / H), V vocabulary. Matrices are row-major fp32 unless a stride says otherwise.
 *
 * Nothing here allocates: the caller asks for scratch bytes in advance and hands the memory over.
 * Results do not depend on the number of threads, bit for bit: every output element is summed in
 * one fixed order. They differ between instruction sets by rounding only. */
#ifndef TARE_AUTOGRAD_KERNELS_KERNELS_H
#define TARE_AUTOGRAD_KERNELS_KERNELS_H

#include "autograd/base.h"
#include "autograd/dtype.h"

/* Activation of a linear layer, applied to z = x W^T + b. */
typedef enum Act {
    ACT_NONE,
    /* Behind a product of a small format that keeps no z, both GELUs are within 1e-6 or, where that is more,
     * 4e-7 of the value. */
    ACT_GELU_TANH, /* GPT-2: 0.5 z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))), Hendrycks & Gimpel 2016 */
    ACT_GELU_ERF, /* BERT: z Phi(z) with the exact error function */
    ACT_RELU,
    ACT_TANH,
} Act;

/* ---- the instruction set ---- */

enum { DROPOUT_LEVELS = 1 << 16, DROPOUT_STEP = 32 };

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

    /* Between fp32 and bf16 or f16 (or fp32: a copy); widening is exact. Narrowing goes to nearest even;
     * a NaN stays one, what is too large for f16 becomes infinite. */
    void (*widen)(DType from, const void *x, float *y, size_t n);
    void (*narrow)(DType to, const float *x, void *y, size_t n);

    /* Symmetric int8: scale = max |x| / 127, then q = x / scale to nearest even within [-127, 127]. A
     * scale of 0 makes zeros. A NaN or an infinity in x is in the scale too, so that products show it. */
    float (*quantize_scale)(const float *x, size_t n);
    void (*quantize)(const float *x, float scale, int8_t *q, size_t n);

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

    /* y[i] = 0 for `dropped` of DROPOUT_LEVELS elements, x[i] DROPOUT_LEVELS / (DROPOUT_LEVELS - dropped) for
     * the others; in place allowed. The element first + i is decided by 16 bits of the hash (first + i) / 4
     * under the key; first is a multiple of DROPOUT_STEP. */
    void (*dropout)(const float *x, float *y, size_t n, uint64_t key, uint64_t first,
                    uint32_t dropped);

    /* y[i] = mean + std * N(0,1), element i being a pure function of (seed, stream, first + i):
     * Box-Muller (1958) over counter-based uniforms. */
    void (*normal)(float *y, size_t n, uint64_t seed, uint64_t stream, uint64_t first, float mean,
                   float std);
} Kernels;

/* The table in use: the best this CPU has, or the one forced by TARE_ISA=generic|avx2|avx512. */
const Kernels *kernels(void);

/* Picks the table once; call it first in main. -1: TARE_ISA names an unknown set or one that this
 * CPU lacks, or TARE_CPU a feature that does not exist. Without the call, kernels() picks the best and
 * ignores the environment. */
int kernels_select(const char *isa_or_null, Err *err);

/* The table of one instruction set, or NULL where this CPU or build lacks it (tests compare them). */
const Kernels *kernels_for(const char *isa);

/* What a processor has for products of a format. Sums are fp32 in any case, int32 for i8. */
typedef enum Support {
    SUPPORT_NATIVE,   /* an instruction multiplies the format itself */
    SUPPORT_CONVERT,  /* an instruction widens it, and fp32 is multiplied */
    SUPPORT_EMULATED, /* neither: right, but no measure of the format */
} Support;

const char *support_name(Support s); /* "native", "convert", "emulated" */

/* Of the kernels in use. TARE_CPU=-avx512_bf16,-avx512_vnni, read by kernels_select, hides features
 * (names as cpu_features_text has them), so that every rule can be tried on any machine. */
Support product_support(DType product);
const char *product_instruction(DType product); /* "vdpbf16ps", "vfmadd231ps after vcvtph2ps" */

/* ---- matrix product ---- */

/* What happens to a finished element of C, in this order: + bias, keep as z, activation, + residual. */
typedef struct Epilogue {
    const float *bias; /* [n], or NULL */
    /* [m, n] with c's row stride: the value before the activation, or NULL; only beside an fp32 c. */
    float *z;
    Act act;
    /* [m, n] in c's format with c's row stride, or NULL; may be c itself where nothing but the bias comes
     * before it (no z, ACT_NONE, no accumulate). */
    const void *residual;
} Epilogue;

/* B of C = A B, rearranged once into the panels the tile kernel reads. Opaque; made by gemm_pack. */
typedef struct PackedB PackedB;

/* C[m,n] = (accumulate ? C : 0) + A[m,k] B[k,n], then the epilogue.
 * A[i,p] = a[i*a_row + p*a_col]; one of a_row, a_col is 1. The same for B[p,j] with b_row, b_col.
 * y = x W^T is b_row = 1, b_col = k.
 *
 * The format of the product is that of `packed`, or `product` without it: both operands are rounded to it
 * (A of an i8 product: each row by a scale of its own), the whole sum over k is fp32 (i8: exact), and only
 * the result of the epilogue is rounded to c_type. Formats other than fp32 always run on our own code. */
typedef struct Gemm {
    size_t m, n, k;
    const void *a; /* of a_type: f32, bf16 or f16; the latter two only with a_col == 1 ... */
    DType a_type;  /* ... and where the product is not fp32 */
    size_t a_row, a_col;
    const float *b; /* not read when packed is given, but "openblas" always needs it */
    size_t b_row, b_col;
    const PackedB *packed;
    size_t packed_from; /* the column of `packed` that is column 0 of B and C: a multiple of
                           GEMM_COLUMNS; that of packed_from + n must be one too, or the end */
    DType product; /* of a product that is not packed: f32, or bf16 or f16 with A and B in fp32 */
    void *c;       /* of c_type: f32, or bf16 or f16 where the product is not fp32 */
    DType c_type;
    size_t c_row;
    bool accumulate;
    Epilogue epi;
} Gemm;

/* Where a packed matrix may be cut: a multiple of every tile's width. */
enum { GEMM_COLUMNS = 192 };

/* threads: at most this many; fewer are used where the work does not pay for them (a parallel
 * region costs some microseconds). scratch: gemm_scratch_bytes(threads) bytes, 64-byte aligned. */
void gemm_run(const Gemm *g, int threads, void *scratch);
size_t gemm_scratch_bytes(int threads);

/* A lasting packed copy of B[k,n] in a format, for a weight that is used many times: f32, bf16, f16, or i8
 * with one scale a column. gemm_pack writes into `memory` of gemm_packed_bytes bytes (64-byte aligned)
 * and returns its head. */
size_t gemm_packed_bytes(DType type, size_t k, size_t n);
const PackedB *gemm_pack(DType type, size_t k, size_t n, const float *b, size_t b_row, size_t b_col,
                         int threads, void *memory);
DType gemm_packed_type(const PackedB *p);

/* The same in slices, so that no whole fp32 copy has to exist; not for f32. Every column has to come once.
 * b begins at column `from`; from and to are multiples of GEMM_COLUMNS, or to is n. The second takes
 * what is quantised already, such as the matrix of an int8 file: B[p,j] = level * scale[j - from]. */
PackedB *gemm_pack_begin(DType type, size_t k, size_t n, void *memory);
void gemm_pack_columns(PackedB *p, size_t from, size_t to, const float *b, size_t b_row,
                       size_t b_col, int threads);
void gemm_pack_columns_i8(PackedB *p, size_t from, size_t to, const int8_t *levels, size_t b_row,
                          size_t b_col, const float *scale, int threads);

/* Column j of a packed matrix, [k], as the product sees it; with y = x W^T that is row j of W. Not for
 * f32. */
void gemm_packed_column(const PackedB *p, size_t j, float *out);

/* Which code multiplies fp32: "packed" (ours, the default) or "openblas" (the CBLAS of the build; packed
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
    const void *q, *k, *v; /* of `type` */
    size_t qkv_stride;
    const int32_t *starts;   /* [B + 1], or NULL: sequence b has the rows from starts[b] to before
                                starts[b+1], at most T of them, instead of T from b*T on */
    const int32_t *key_mask; /* [B, T], or NULL; not with starts */
    bool causal;
    float scale;
    size_t first_query, num_queries; /* forward: only these of each sequence; none: all */
    void *out;                       /* [B*T, H*D], of out_type */
    float *lse; /* log-sum-exp of the scaled scores, [H, T] of each sequence; NULL: no backward */
    DType type, out_type; /* f32, bf16 or f16; backward, f32 */
    /* What the operands of both products are rounded to: f32; or attention_product(), of f32 or itself, forward
     * only. Sums and what is between the products are fp32. */
    DType product;
} Attention;

/* The rows of sequence b. */
static inline Range sequence_rows(const int32_t *starts, size_t T, size_t b)
{
    return starts ? (Range){(size_t)starts[b], (size_t)starts[b + 1]} : (Range){b * T, (b + 1) * T};
}

/* bf16 where product_support calls it native, else f32: the smallest format that a->product can be. */
DType attention_product(void);

void attention_forward(const Attention *a, int threads, void *scratch);

/* dq, dk, dv (stride qkv_stride) are written, not added to. dout has stride H*D. Needs a->out and
 * a->lse of the forward pass. */
void attention_backward(const Attention *a, const float *dout, float *dq, float *dk, float *dv,
                        int threads, void *scratch);
/* Of an attention of these T, D, type and product. */
size_t attention_scratch_bytes(const Attention *a, int threads, bool backward);

#endif
