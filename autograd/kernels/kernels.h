/* kernels: the arithmetic. One table of functions for each instruction set, one table chosen at run
 * time; matrix products and attention on top of it.
 *
 * Letters, here and in every kernel: B batch, T time (context), C channels (d_model), H heads, D
 * head size (C / H), V vocabulary. Matrices are row-major fp32 unless a stride says otherwise.
 *
 * Kernels allocate nothing: the caller reads the scratch bytes of a call first and passes the
 * memory. Results do not depend on the number of threads, bit for bit: every output element is
 * summed in one fixed order. They differ between instruction sets by rounding only. */
#pragma once

#include "autograd/base.h"
#include "autograd/dtype.h"

/* Activation of a linear layer, applied to z = x W^T + b. GELU behind a product of a small format
 * that keeps no z is an approximation: within 1e-6, or 4e-7 of the value where that is more. */
typedef enum Act {
    ACT_NONE,
    /* GPT-2: 0.5 z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))), Hendrycks & Gimpel 2016 */
    ACT_GELU_TANH,
    /* BERT: z Phi(z) with the exact error function */
    ACT_GELU_ERF,
    ACT_RELU,
    ACT_TANH,
} Act;

/* ---- the instruction set ---- */

enum { DROPOUT_LEVELS = 1 << 16, DROPOUT_STEP = 32 };

/* The row kernels of one instruction set; kernels.def says what each computes. */
typedef struct Kernels {
    const char *isa; /* "generic", "avx2" or "avx512" */
#define ROW_KERNEL(result, name, parameters) result(*name) parameters;
#include "autograd/kernels/kernels.def"
} Kernels;

/* The table in use: the best this CPU has, or the one forced by TARE_ISA=generic|avx2|avx512. */
const Kernels *kernels(void);

/* Picks the table once; call it first in main. -1 where TARE_ISA names an unknown set or one that
 * this CPU lacks, or where TARE_CPU names an unknown feature. Without this call kernels() picks the
 * best table and ignores the environment. */
int kernels_select(const char *isa_or_null, Err *err);

/* The table of one instruction set; NULL where this CPU or build lacks it. Tests compare tables. */
const Kernels *kernels_for(const char *isa);

/* How a processor multiplies a format. Sums are fp32, of i8 int32, of f16 by vfmadd231ph those of
 * short chains f16. */
typedef enum Support {
    SUPPORT_NATIVE,   /* an instruction multiplies it; of i8 also one of 16-bit integers */
    SUPPORT_CONVERT,  /* an instruction widens it, and fp32 is multiplied */
    SUPPORT_EMULATED, /* neither: right, but no measure of the format */
} Support;

const char *support_name(Support s); /* "native", "convert", "emulated" */

/* Of the kernels in use. TARE_CPU=-avx512_bf16,-avx512_vnni, read by kernels_select, hides features
 * of the processor (cpu.h names them), so that every choice can be tried on any machine. */
Support product_support(DType product);
const char *product_instruction(DType product); /* "vdpbf16ps", "vfmadd231ps after vcvtph2ps" */

/* What the matrix products and attentions that this thread called have multiplied since the last
 * call of products_taken: a bit 1 << DType for each format, PRODUCT_BLAS for fp32 by the CBLAS. For
 * profiles. */
enum { PRODUCT_BLAS = 1 << NUM_DTYPES };
unsigned products_taken(void);

/* Their instructions, "vfmadd231ps, vdpbf16ps"; the CBLAS is "openblas". Empty for none. */
void products_describe(unsigned products, char *out, size_t size);

/* ---- matrix product ---- */

/* What happens to a finished element of C, in this order: + bias, keep as z, activation, +
 * residual. */
typedef struct Epilogue {
    const float *bias; /* [n], or NULL */
    /* [m, n] with C's row stride: the value before the activation, or NULL. Needs an fp32 C. */
    float *z;
    Act act;
    /* [m, n] in C's format with C's row stride, or NULL. May be C itself where only the bias comes
     * before it: no z, ACT_NONE, no accumulate. */
    const void *residual;
} Epilogue;

/* B of C = A B, rearranged once into the panels that the tile kernels read. Opaque; see
 * gemm_pack. */
typedef struct PackedB PackedB;

/* C[m,n] = (accumulate ? C : 0) + A[m,k] B[k,n], then the epilogue. A[i,p] = a[i*a_row + p*a_col];
 * one of a_row, a_col is 1. The same for B[p,j] with b_row, b_col. y = x W^T is b_row = 1, b_col =
 * k.
 *
 * The format of the product is that of `packed`, or `product` where B is not packed. Both operands
 * are rounded to it (A of an i8 product: each row by its own scale; of q8_0 and q4_0: each group to
 * 8 bits by its own scale, and k is a multiple of QUANT_GROUP). The whole sum over k is fp32 (i8:
 * exact; groups: exact inside a group; f16 by vfmadd231ph: 32 products at a time are summed in f16,
 * and a row of A may exceed f16's range), and only the result of the epilogue is rounded to c_type.
 * Of bf16 and f16 the order of a sum depends on m, k and whether B is packed, never on the number
 * of threads. The sums of i8, q8_0 and q4_0 are the same bits in every instruction set. Products of
 * small formats always run on our own code. */
typedef struct Gemm {
    size_t m, n, k;
    /* f32; or bf16 or f16 where the product is not fp32 and a_col is 1; or bf16 in columns where
     * that is the product */
    const void *a;
    DType a_type;
    size_t a_row, a_col;
    /* Not read where B is packed, except by "openblas". */
    const void *b;
    DType b_type; /* f32; or bf16 where that is the product */
    size_t b_row, b_col;
    /* Columns [packed_from, packed_from + n) of `packed` are B; both ends are multiples of
     * GEMM_COLUMNS, or the end of the matrix. */
    const PackedB *packed;
    size_t packed_from;
    /* Without `packed`: f32; or bf16 or f16, to which A and B are rounded. */
    DType product;
    /* f32; or bf16 or f16 where the product is not fp32 */
    void *c;
    DType c_type;
    size_t c_row;
    bool accumulate;
    Epilogue epi;
} Gemm;

enum {
    GEMM_COLUMNS =
        192, /* cuts of a packed matrix are at multiples of this, and so of every tile's width */
    GEMM_MOST_K_I8 =
        133144, /* inputs of one i8 output at most: 127 * 127 * k has to fit an int32 */
};

/* Uses at most `threads` threads, and fewer where the work does not pay for them: a parallel region
 * costs some microseconds. scratch: gemm_scratch_bytes(threads) bytes, 64-byte aligned. */
void gemm_run(const Gemm *g, int threads, void *scratch);
size_t gemm_scratch_bytes(int threads);

/* C = A B of n x n matrices that lie one after the other at `abc`: the product by which a machine
 * is measured. */
Gemm gemm_of_square(float *abc, size_t n);

/* Packs B[k,n] for a weight that is used many times, in f32, bf16, f16, i8 with one scale a column,
 * q8_0 or q4_0 with groups along k. Writes into `memory` of gemm_packed_bytes bytes (64-byte
 * aligned) and returns its head. */
size_t gemm_packed_bytes(DType type, size_t k, size_t n);
const PackedB *gemm_pack(DType type, size_t k, size_t n, const float *b, size_t b_row, size_t b_col,
                         int threads, void *memory);
DType gemm_packed_type(const PackedB *p);

/* Whether one product of so many rows is faster if its plain B, in columns, is packed first. Else
 * gemm_run packs it piece by piece, once for each block of rows, and may add up C from more blocks
 * over k, which rounds differently. */
bool gemm_pays_packing(DType product, size_t m, size_t k);

/* The same in slices of columns, so that no whole fp32 copy has to exist. Every column has to come
 * once. b begins at column `from`; from and to are multiples of GEMM_COLUMNS that cut no panel
 * (gemm_cuts_panel, of f32 only), or to is n. The second takes levels that are quantised already,
 * as an int8 file has them: B[p,j] = level * scale[j - from]. The third takes q8_0 or q4_0 as a
 * file has it: the groups of column `from`, then those of the next. */
PackedB *gemm_pack_begin(DType type, size_t k, size_t n, void *memory);
void gemm_pack_columns(PackedB *p, size_t from, size_t to, const float *b, size_t b_row,
                       size_t b_col, int threads);
void gemm_pack_columns_i8(PackedB *p, size_t from, size_t to, const int8_t *levels, size_t b_row,
                          size_t b_col, const float *scale, int threads);
void gemm_pack_columns_groups(PackedB *p, size_t from, size_t to, const void *groups, int threads);

/* Whether a panel of n columns of f32 crosses column `at`, a multiple of GEMM_COLUMNS up to n. */
bool gemm_cuts_panel(size_t n, size_t at);

/* Column j of a packed matrix, [k], as the product sees it: row j of W where y = x W^T. */
void gemm_packed_column(const PackedB *p, size_t j, float *out);

/* Which code multiplies fp32: "packed" (ours, the default) or "openblas" (the CBLAS of the build,
 * which reads no packed copies). gemm_select(NULL) takes TARE_GEMM or the default. */
int gemm_select(const char *backend_or_null, Err *err);
const char *gemm_backend(void);
/* One line on the BLAS in use: library, version, core, threading; for results and doctor. */
const char *gemm_blas_description(void);

/* ---- attention ---- */

/* out[b,t,h,:] = softmax_s(scale q[b,t,h,:].k[b,s,h,:]) v[b,s,h,:], over s <= t when causal and
 * over keys with key_mask[b*T+s] != 0 when there is a mask. Worked in tiles with memory linear in T
 * (Dao et al. 2022): no T x T buffer exists, causal tiles above the diagonal are skipped. Element
 * (b,t,h,d) of q, and of k and v with h < KV, is at [(b*T + t)*qkv_stride + h*D + d]: packed qkv is
 * three pointers into one buffer with stride (H + 2 KV) D. out has stride H*D. A query without any
 * visible key gets zeros.
 *
 * With a cache, k and v hold the keys of every position instead: of the past[b] before the rows of
 * sequence b, then of these rows, which attention has not to write. */
typedef struct Attention {
    size_t B, T, H, D;
    /* Heads of k and v, a divisor of H; 0 stands for H. Query heads h to h + H/KV - 1, h a multiple
     * of H/KV, share key/value head h / (H/KV) (Ainslie et al. 2023). */
    size_t KV;
    const void *q, *k, *v; /* of `type` */
    size_t qkv_stride;
    /* [B + 1], or NULL. Sequence b has the rows from starts[b] to before starts[b+1], at most T of
     * them; NULL: T rows from b*T on. */
    const int32_t *starts;
    const int32_t *key_mask; /* [B, T], or NULL; not with starts */
    bool causal;
    float scale;
    /* 0, or that of a cache: k and v are [B, KV, capacity, D] of cache_type (f32, bf16, f16 or
     * q8_0), past is [B]. Forward only; causal, no mask; the product is f32 or, of an even D,
     * cache_type. */
    size_t capacity;
    const int32_t *past;
    DType cache_type;
    /* Forward computes only these queries of each sequence; num_queries 0: all. */
    size_t first_query, num_queries;
    void *out; /* [B*T, H*D], of out_type */
    /* Log-sum-exp of the scaled scores, [H, T] of each sequence; NULL where no backward follows. */
    float *lse;
    DType type, out_type; /* of q (and k, v) and of out: f32, bf16 or f16 */
    /* What the operands of all products are rounded to: f32, or attention_product() where type is
     * f32 or that product. Sums and the softmax are fp32. */
    DType product;
    /* NULL, or where to add the time, in ns and summed over threads, of the scores' products, of
     * the softmax and of the values' products; of fp32 heads so short that a softmax is part of its
     * product (simd/attention_short.c), with that product. Asking costs a few readings of the clock
     * a block. */
    uint64_t *part_ns;
} Attention;

/* The rows of sequence b. */
static inline Range sequence_rows(const int32_t *starts, size_t T, size_t b)
{
    return starts ? (Range){(size_t)starts[b], (size_t)starts[b + 1]} : (Range){b * T, (b + 1) * T};
}

/* Positions of sequence b before its rows, and with them: its keys. */
static inline size_t attention_past(const Attention *a, size_t b)
{
    return a->capacity ? (size_t)a->past[b] : 0;
}

static inline size_t attention_keys(const Attention *a, size_t b)
{
    Range rows = sequence_rows(a->starts, a->T, b);
    return attention_past(a, b) + rows.to - rows.from;
}

/* bf16 where product_support calls it native, else f32: the smallest format that a->product can
 * be. */
DType attention_product(void);

void attention_forward(const Attention *a, int threads, void *scratch);

/* Writes dq, dk and dv (stride qkv_stride), and adds to none. dout has stride H*D. Needs a->lse of
 * the forward pass, whose product may have been another. */
void attention_backward(const Attention *a, const float *dout, float *dq, float *dk, float *dv,
                        int threads, void *scratch);
/* Of an attention of these B, T, H, KV, capacity, D, types and product. */
size_t attention_scratch_bytes(const Attention *a, int threads, bool backward);
