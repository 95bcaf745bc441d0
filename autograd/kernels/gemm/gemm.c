/* gemm: the matrix product of kernels.h: hands each product to the code for its format. */
#include "autograd/kernels/gemm/blas.h"
#include "autograd/kernels/gemm/fp32.h"
#include "autograd/kernels/gemm/low.h"

#include <stdio.h>
#include <string.h>

/* ---- what was multiplied ---- */

static _Thread_local unsigned taken;

void product_note(unsigned products)
{
    taken |= products;
}

unsigned products_taken(void)
{
    unsigned products = taken;
    taken = 0;
    return products;
}

void products_describe(unsigned products, char *out, size_t size)
{
    out[0] = '\0';
    for (unsigned i = 0; i <= NUM_DTYPES; i++) {
        const char *name = i < NUM_DTYPES ? product_instruction((DType)i) : "openblas";
        size_t used = strlen(out);
        if (products >> i & 1)
            snprintf(out + used, size - used, "%s%s", used ? ", " : "", name);
    }
}

/* ---- the product ---- */

Gemm gemm_of_square(float *abc, size_t n)
{
    return (Gemm){.m = n,
                  .n = n,
                  .k = n,
                  .a = abc,
                  .a_row = n,
                  .a_col = 1,
                  .b = abc + n * n,
                  .b_row = n,
                  .b_col = 1,
                  .c = abc + 2 * n * n,
                  .c_row = n};
}

size_t gemm_scratch_bytes(int threads)
{
    size_t fp32 = fp32_scratch_bytes(threads), low = low_scratch_bytes(threads);
    return fp32 > low ? fp32 : low;
}

bool gemm_pays_packing(DType product, size_t m, size_t k)
{
    return product != DT_F32 && low_pays_packing(product, m, k);
}

void gemm_run(const Gemm *given, int threads, void *scratch)
{
    Gemm g = *given;
    CHECK(g.a_row == 1 || g.a_col == 1, "A has no unit stride");
    CHECK(g.packed || g.b_row == 1 || g.b_col == 1, "B has no unit stride");
    if (g.epi.residual == g.c) {
        CHECK(!g.accumulate && !g.epi.z && g.epi.act == ACT_NONE, "C is needed before it is done");
        g.epi.residual = NULL;
        g.accumulate = true;
    }
    if (g.m == 0 || g.n == 0)
        return;
    if (low_takes(&g)) {
        product_note(1u << (g.packed ? gemm_packed_type(g.packed) : g.product));
        low_run(&g, threads, scratch);
    } else if (gemm_uses_blas()) {
        product_note(PRODUCT_BLAS);
        gemm_blas_run(&g, isa_in_use(), threads);
    } else {
        product_note(1u << DT_F32);
        fp32_run(&g, threads, scratch);
    }
}

const PackedB *gemm_pack(DType type, size_t k, size_t n, const float *b, size_t b_row, size_t b_col,
                         int threads, void *memory)
{
    PackedB *packed = gemm_pack_begin(type, k, n, memory);
    gemm_pack_columns(packed, 0, n, b, b_row, b_col, threads);
    return packed;
}
