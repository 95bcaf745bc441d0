/* low_ways: what the tests of products of small formats share: every way to multiply them. */
#pragma once

#include "tests/support/amx_emulated.h"
#include "tests/support/bf16_plain.h"
#include "tests/support/fp16_emulated.h"
#include "tests/support/ref.h"

#include "autograd/kernels/cpu.h"
#include "autograd/kernels/gemm/low_kernel.h"
#include "autograd/kernels/gemm/low_kernel_testing.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* TARE_ISA and TARE_CPU: instruction sets with and without the instructions that multiply a format;
 * AMX where the processor has it; AMX and AVX512_FP16 emulated wherever it has AVX-512. */
typedef struct Way {
    const char *isa, *hidden;
    enum { NO_AMX, EMULATED, REAL_AMX } amx;
} Way;

static const Way ways[] = {
    {"generic", "", NO_AMX},
    {"avx2", "-avx_vnni", NO_AMX},
    {"avx2", "", NO_AMX},
    {"avx512", "-avx512_bf16,-avx512_fp16,-avx512_vnni", NO_AMX},
    {"avx512", "-amx_bf16,-amx_int8", NO_AMX},
    {"avx512", "-amx_bf16,-amx_int8", EMULATED},
    {"avx512", "", REAL_AMX},
};

static inline bool way_choose(const Way *way)
{
    Err err;
    bool emulated = way->amx == EMULATED;
    setenv("TARE_CPU", way->hidden, 1);
    int status = kernels_select(way->isa, &err);
    unsetenv("TARE_CPU");
    low_kernel_force(DT_BF16, emulated ? &amx_emulated_bf16 : NULL);
    low_kernel_force(DT_I8, emulated ? &amx_emulated_i8 : NULL);
    low_kernel_force(DT_Q8_0, emulated ? &amx_emulated_q8_0 : NULL);
    low_kernel_force(DT_Q4_0, emulated ? &amx_emulated_q4_0 : NULL);
    low_kernel_force(DT_F16, emulated ? &fp16_emulated : NULL);
    if (status == 0 && emulated) {
        cr_assert_str_eq(product_instruction(DT_BF16), amx_emulated_bf16.instruction);
        cr_assert_str_eq(product_instruction(DT_F16), fp16_emulated.instruction);
        cr_assert_str_eq(product_instruction(DT_Q8_0), amx_emulated_q8_0.instruction);
        cr_assert_str_eq(product_instruction(DT_Q4_0), amx_emulated_q4_0.instruction);
    }
    return status == 0 && (way->amx != REAL_AMX || cpu_features()->amx_bf16);
}

#define FOR_EACH_WAY(way)                                                                          \
    for (const Way *way = ways; way < ways + COUNT_OF(ways); way++)                                \
        if (way_choose(way))

/* Plain C stands in where no instruction multiplies bf16. */
static inline bool way_choose_bf16(const Way *way)
{
    if (!way_choose(way))
        return false;
    if (attention_product() != DT_BF16)
        low_kernel_force(DT_BF16, &bf16_plain);
    cr_assert_eq(attention_product(), DT_BF16);
    return true;
}

#define FOR_EACH_WAY_OF_BF16(way)                                                                  \
    for (const Way *way = ways; way < ways + COUNT_OF(ways); way++)                                \
        if (way_choose_bf16(way))

static const DType products[] = {DT_BF16, DT_F16, DT_I8};

static inline void *aligned(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    cr_assert_not_null(p);
    return p;
}

/* Scratch for kernels: NaN, followed by a guard line that scratch_free checks. */
static inline char *scratch_new(size_t bytes)
{
    char *scratch = aligned(bytes + 64);
    memset(scratch, 0xff, bytes + 64);
    return scratch;
}

static inline void scratch_free(char *scratch, size_t bytes)
{
    for (size_t i = bytes; i < bytes + 64; i++)
        cr_assert_eq(scratch[i], (char)0xff, "scratch is too small");
    free(scratch);
}

/* x as the format holds it, widened again. */
static inline float rounded(DType type, float x)
{
    uint16_t half[2];
    kernels_for("generic")->narrow(type, &x, half, 1);
    kernels_for("generic")->widen(type, half, &x, 1);
    return x;
}
