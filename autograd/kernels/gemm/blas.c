/* blas: the choice between our own code and cblas_sgemm, and the product by the latter.
 *
 * The choice exists so that a BLAS can be measured by a real training step; results agree with our
 * own within rounding. The library is loaded when it is first used or described, not with the
 * program: what does not need it must not depend on how it starts. OpenBLAS gets its number of
 * threads at every call and is described in detail; any other CBLAS is described as such. */
#include "autograd/kernels/gemm/blas.h"

#include <cblas.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static bool use_blas;

/* ---- the library ---- */

typedef struct Blas {
    __typeof__(&cblas_sgemm) sgemm; /* NULL: not loaded */
    /* In OpenBLAS only; NULL elsewhere. */
    char *(*config)(void), *(*core)(void);
    int (*parallel)(void);
    void (*set_threads)(int threads);
} Blas;

static Blas blas;

/* Where address space is short OpenBLAS asks for its buffers again and again, for ever (0.3.21). */
static int check_address_space(Err *err)
{
    enum { NEEDED_MIB = 1024 };
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) != 0 || space.rlim_cur == RLIM_INFINITY ||
        space.rlim_cur >> 20 >= NEEDED_MIB)
        return 0;
    return err_set(err,
                   "the BLAS is not loaded: ulimit -v allows %ju MiB of addresses, its start may "
                   "take %d",
                   (uintmax_t)(space.rlim_cur >> 20), NEEDED_MIB);
}

/* The libraries of the build, needed ones last ("a.so;b.so"); the handle of the first. */
static void *open_libraries(Err *err)
{
    char list[] = TARE_BLAS_LIBRARIES, *at;
    void *handle = NULL;
    while (list[0]) {
        at = strrchr(list, ';');
        handle = dlopen(at ? at + 1 : list, RTLD_NOW | RTLD_GLOBAL);
        if (!handle) {
            err_set(err, "cannot load the BLAS: %s", dlerror());
            return NULL;
        }
        *(at ? at : list) = '\0';
    }
    return handle;
}

static int load(Err *err)
{
    if (blas.sgemm)
        return 0;
    if (check_address_space(err) != 0)
        return -1;
    void *handle = open_libraries(err);
    if (!handle)
        return -1;
    *(void **)&blas.sgemm = dlsym(handle, "cblas_sgemm");
    *(void **)&blas.config = dlsym(handle, "openblas_get_config");
    *(void **)&blas.core = dlsym(handle, "openblas_get_corename");
    *(void **)&blas.parallel = dlsym(handle, "openblas_get_parallel");
    *(void **)&blas.set_threads = dlsym(handle, "openblas_set_num_threads");
    return blas.sgemm ? 0 : err_set(err, "the BLAS has no cblas_sgemm");
}

const char *gemm_blas_description(void)
{
    static const char *const threading[] = {"sequential", "pthreads", "OpenMP"};
    static char line[256];
    Err err;
    if (load(&err) != 0) {
        snprintf(line, sizeof line, "%.200s", err.msg);
        return line;
    }
    if (!blas.config)
        return "a CBLAS other than OpenBLAS";
    int parallel = blas.parallel ? blas.parallel() : -1;
    snprintf(line, sizeof line, "%s, core %s, threads by %s", blas.config(),
             blas.core ? blas.core() : "unknown",
             parallel >= 0 && parallel <= 2 ? threading[parallel] : "unknown means");
    return line;
}

/* ---- the choice ---- */

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
    return use_blas ? load(err) : 0;
}

/* ---- the product ---- */

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
    CHECK(blas.sgemm, "the CBLAS was never selected");
    if (blas.set_threads)
        blas.set_threads(threads);
    bool a_plain = g->a_col == 1, b_plain = g->b_col == 1;
    int lda = a_plain ? leading(g->a_row, g->k) : leading(g->a_col, g->m);
    int ldb = b_plain ? leading(g->b_row, g->n) : leading(g->b_col, g->k);
    blas.sgemm(CblasRowMajor, a_plain ? CblasNoTrans : CblasTrans,
               b_plain ? CblasNoTrans : CblasTrans, (int)g->m, (int)g->n, (int)g->k, 1.0f, g->a,
               lda, g->b, ldb, g->accumulate ? 1.0f : 0.0f, g->c, (int)g->c_row);
    const Epilogue *epi = &g->epi;
    if (epi->bias || epi->z || epi->residual || epi->act != ACT_NONE)
        epilogue_rows(g, isa, threads);
}
