/* blas: see blas.h. */
#include "bench/machine/blas.h"

#include <stdio.h>
#include <string.h>

#include "autograd/base.h"
#include "autograd/kernels/cpu.h"
#include "autograd/kernels/kernels.h"

/* Cores of OpenBLAS (driver/others/dynamic.c) whose kernels have no more than SSE. */
static const char *const sse_cores[] = {"Katmai",       "Coppermine", "Northwood", "Prescott",
                                        "Banias",       "Atom",       "Core2",     "Penryn",
                                        "Dunnington",   "Nehalem",    "Athlon",    "Opteron",
                                        "Opteron_SSE3", "Barcelona",  "Bobcat",    "Nano"};

bool blas_is_far_below(const char *description, const char *isa, char text[BLAS_TEXT_SIZE])
{
    const char *core = strstr(description, "core ");
    text[0] = '\0';
    if (!core || strcmp(isa, "generic") == 0)
        return false;
    core += strlen("core ");
    size_t len = strcspn(core, ",");
    for (size_t i = 0; i < COUNT_OF(sse_cores); i++) {
        if (strlen(sse_cores[i]) != len || strncmp(core, sse_cores[i], len) != 0)
            continue;
        snprintf(text, BLAS_TEXT_SIZE,
                 "OpenBLAS runs %s kernels (SSE), far below this processor's %s", sse_cores[i],
                 isa);
        return true;
    }
    return false;
}

bool blas_in_use_is_far_below(char text[BLAS_TEXT_SIZE])
{
    text[0] = '\0';
    return strcmp(gemm_backend(), "openblas") == 0 &&
           blas_is_far_below(gemm_blas_description(), best_isa(), text);
}

const char *best_isa(void)
{
    const CpuFeatures *cpu = cpu_features();
    return cpu->avx512 ? "avx512" : cpu->avx2_fma ? "avx2" : "generic";
}
