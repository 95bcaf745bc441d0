/* lowp_ways: what the tests of products of small formats share: every way to multiply them. */
#ifndef TARE_LOWP_WAYS_H
#define TARE_LOWP_WAYS_H

#include "ref.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* TARE_ISA and TARE_CPU: instruction sets with and without the instructions that multiply a format. */
typedef struct Way {
    const char *isa, *hidden;
} Way;

static const Way ways[] = {
    {"generic", ""}, {"avx2", ""}, {"avx512", "-avx512_bf16,-avx512_vnni"}, {"avx512", ""}};

static inline bool way_choose(const Way *way)
{
    Err err;
    setenv("TARE_CPU", way->hidden, 1);
    int status = kernels_select(way->isa, &err);
    unsetenv("TARE_CPU");
    return status == 0;
}

#define FOR_EACH_WAY(way)                                                                          \
    for (const Way *way = ways; way < ways + COUNT_OF(ways); way++)                                \
        if (way_choose(way))

static const DType products[] = {DT_BF16, DT_F16, DT_I8};

static inline void *aligned(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    cr_assert_not_null(p);
    return p;
}

/* x as the format holds it, widened again. */
static inline float rounded(DType type, float x)
{
    uint16_t half[2];
    kernels_for("generic")->narrow(type, &x, half, 1);
    kernels_for("generic")->widen(type, half, &x, 1);
    return x;
}

#endif
