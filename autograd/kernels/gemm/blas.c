/* blas: the choice between our own code and cblas_sgemm, and the product by the latter.
 *
 * The choice exists so that a BLAS can be measured by a real training step; results agree with our
 * own within rounding. OpenBLAS gets its number of threads at every call and is described in
 * detail; any other CBLAS works too and is described as such. */
#include "autograd/kernels/gemm/blas.h"

#include <cblas.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Present in OpenBLAS only: null elsewhere. */
__attribute__((weak)) char *openblas_get_config(void);
__attribute__((weak)) char *openblas_get_corename(void);
__attribute__((weak)) int openblas_get_parallel(void);
__attribute__((weak)) void openblas_set_num_threads(int num_threads);

static bool use_blas;

bool gemm_uses_blas(void)
{
    return use_blas;
}

const char *gemm_backend(void)
{
    return use_blas ? "openblas" : "packed";
}

int gemm_select(const char *backend_or_null, Err *err)
{
    const char *name = backend_or_null ? backend_or_null : getenv("TARE_GEMM");
    if (!name || !*name)
        name = "packed";
    if (strcmp(name, "packed") != 0 && strcmp(name, "openblas") != 0)
        return err_set(err, "unknown matrix product backend '%s': packed and openblas exist", name);
    use_blas = strcmp(name, "openblas") == 0;
    return 0;
}

const char *gemm_blas_description(void)
{
    static const char *const threading[] = {"sequential", "pthreads", "OpenMP"};
    static char line[256];
    if (!openblas_get_config)
        return "a CBLAS other than OpenBLAS";
    int parallel = openblas_get_parallel ? openblas_get_parallel() : -1;
    snprintf(line, sizeof(line), "%s, core %s, threads by %s", openblas_get_config(),
             openblas_get_corename ? openblas_get_corename() : "unknown",
             parallel >= 0 && parallel <= 2 ? threading[parallel] : "unknown means");
    return line;
}

/* The epilogue walks C once more, a row at a time; pieces of it are cheap to hand out. */
static void epilogue_rows(const Gemm *g, const Isa *isa, int threads)
{
    bool serial = g->m * g->n < 1 << 16;
#pragma omp parallel for schedule(static) num_threads(threads) if (!serial)
    for (size_t i = 0; i < g->m; i++) {
        Epilogue epi = epilogue_at(&g->epi, DT_F32, (ptrdiff_t)(i * g->c_row), 0);
        isa->epilogue(&epi, (float *)g->c + i * g->c_row, g->c_row, 1, 0, g->n);
    }
}

/* BLAS insists on a leading dimension that covers a row, also where there is only one row. */
static int leading(size_t stride, size_t row_length)
{
    size_t ld = stride > row_length ? stride : row_length;
    CHECK(ld <= INT_MAX, "a stride of %zu is too large for CBLAS", ld);
    return (int)ld;
}

void gemm_blas_run(const Gemm *g, const Isa *isa, int threads)
{
    CHECK(g->b, "the CBLAS needs the plain matrix B, not only its packed form");
    CHECK(g->m <= INT_MAX && g->n <= INT_MAX && g->k <= INT_MAX, "too large for CBLAS");
    if (openblas_set_num_threads)
        openblas_set_num_threads(threads);
    bool a_plain = g->a_col == 1, b_plain = g->b_col == 1;
    int lda = a_plain ? leading(g->a_row, g->k) : leading(g->a_col, g->m);
    int ldb = b_plain ? leading(g->b_row, g->n) : leading(g->b_col, g->k);
    cblas_sgemm(CblasRowMajor, a_plain ? CblasNoTrans : CblasTrans,
                b_plain ? CblasNoTrans : CblasTrans, (int)g->m, (int)g->n, (int)g->k, 1.0f, g->a,
                lda, g->b, ldb, g->accumulate ? 1.0f : 0.0f, g->c, (int)g->c_row);
    const Epilogue *epi = &g->epi;
    if (epi->bias || epi->z || epi->residual || epi->act != ACT_NONE)
        epilogue_rows(g, isa, threads);
}
