/* low_kernel: see low_kernel.h.
 *
 * One idea: the fastest first, but AMX and AVX512_FP16 only after a small product by them came out
 * right on this machine: a system may announce AMX and still not run it well. Only that product is
 * multiplied here. */
#include "autograd/kernels/gemm/low_kernel.h"

#include "autograd/kernels/cpu.h"
#include "autograd/kernels/gemm/low_kernel_testing.h"
#include "autograd/kernels/simd/amx_groups.h"
#include "autograd/kernels/simd/amx_tile.h"
#include "autograd/kernels/simd/fp16_tile.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- a trial ---- */

/* A unit of elements whose sums are exact: small integers in bf16 and f16, any levels in i8. */
static uint32_t trial_unit(DType product, size_t i)
{
    uint32_t word = (uint32_t)i * 2654435761u ^ (uint32_t)i >> 3;
    const float pair[2] = {(float)(word >> 28) - 8, (float)(word >> 24 & 15) - 8};
    if (product != DT_I8)
        kernels()->narrow(product, pair, &word, 2);
    return word;
}

static double unit_dot(DType product, uint32_t a, uint32_t b)
{
    double sum = 0;
    float x[2], y[2];
    for (int i = 0; i < 4 && product == DT_I8; i++)
        sum += (uint8_t)(a >> 8 * i) * (int8_t)(b >> 8 * i);
    if (product == DT_I8)
        return sum;
    kernels()->widen(product, &a, x, 2);
    kernels()->widen(product, &b, y, 2);
    return x[0] * y[0] + x[1] * y[1];
}

static double sum_value(DType product, float sum)
{
    int32_t integer;
    memcpy(&integer, &sum, sizeof(integer));
    return product == DT_I8 ? integer : sum;
}

/* Level e of column j in a step of groups, and its scale (LowTile in isa.h). */
static int32_t group_level(DType product, const uint32_t *step, size_t width, size_t j, size_t e)
{
    size_t in_units = product == DT_Q8_0 ? QUANT_GROUP : QUANT_GROUP / 2;
    uint32_t byte = step[e % in_units / 4 * width + j] >> 8 * (e % 4) & 0xff;
    return product == DT_Q8_0 ? (int32_t)byte - 128 : (int32_t)(byte >> e / in_units * 4 & 15) - 8;
}

static float group_scale(DType product, const uint32_t *step, size_t width, size_t j)
{
    size_t units = product == DT_Q8_0 ? QUANT_GROUP / 4 : QUANT_GROUP / 8;
    float scale;
    kernels()->widen(DT_F16, (const uint16_t *)(step + units * width) + j, &scale, 1);
    return scale;
}

static float add_group(DType product, const LowGroup *a, const uint32_t *step, size_t width,
                       size_t j, float sum)
{
    int32_t levels = 0;
    for (size_t e = 0; e < QUANT_GROUP; e++)
        levels += a->levels[e] * group_level(product, step, width, j, e);
    return fmaf((float)levels, a->scale * group_scale(product, step, width, j), sum);
}

static bool groups_are_right(DType product, const LowKernel *kernel, size_t lanes)
{
    enum { STEPS = 18, ROWS = 20, VECTORS = 3, WIDEST = VECTORS * AMX_LANES };
    const size_t width = VECTORS * lanes, step = width * dtype_bytes(product, QUANT_GROUP) / 4;
    const size_t a_row = STEPS * LOW_GROUP_UNITS;
    uint32_t *placed = xcalloc(kernel->rows * a_row, sizeof(*placed));
    uint32_t b[STEPS * WIDEST * Q8_0_BYTES / 4];
    LowGroup a[ROWS][STEPS];
    float sums[ROWS * WIDEST], x[QUANT_GROUP];
    for (size_t i = 0; i < STEPS * step; i++)
        b[i] = trial_unit(DT_I8, i);
    for (size_t s = 0; s < STEPS; s++) /* scales near 1 */
        for (size_t j = 0; j < width / 2; j++)
            b[(s + 1) * step - width / 2 + j] = 0x3c013a00 + (uint32_t)j;
    for (size_t i = 0; i < ROWS * STEPS; i++) {
        for (size_t e = 0; e < QUANT_GROUP; e++)
            x[e] = (int8_t)trial_unit(DT_I8, i * QUANT_GROUP + e);
        isa_in_use()->quantize_groups(x, QUANT_GROUP, 0, &a[i / STEPS][i % STEPS]);
    }
    for (size_t r = 0; r < ROWS; r++)
        kernel->place_groups(a[r], STEPS, r, placed, a_row);
    LowTile t = {.rows = ROWS,
                 .vectors = VECTORS,
                 .steps = STEPS,
                 .a = placed,
                 .a_row = a_row,
                 .a_unit = 1,
                 .b = b,
                 .sums = sums};
    kernel->tile(&t);
    t.add = true;
    kernel->tile(&t);
    low_release(kernel);
    free(placed);
    for (size_t i = 0; i < ROWS * width; i++) {
        float expected = 0;
        for (size_t s = 0; s < 2 * STEPS; s++)
            expected = add_group(product, &a[i / width][s % STEPS], b + s % STEPS * step, width,
                                 i % width, expected);
        if (sums[i] != expected)
            return false;
    }
    return true;
}

bool low_kernel_is_right(DType product, const LowKernel *kernel, size_t lanes)
{
    if (dtype_is_grouped(product))
        return groups_are_right(product, kernel, lanes);
    enum { VECTORS = 3, WIDEST = VECTORS * AMX_LANES, STEPS = 16 + 5 };
    const size_t width = VECTORS * lanes;
    uint32_t a[AMX_ROWS * STEPS], b[STEPS * WIDEST];
    float sums[AMX_ROWS * WIDEST];
    for (size_t i = 0; i < COUNT_OF(a); i++)
        a[i] = trial_unit(product, i);
    for (size_t i = 0; i < COUNT_OF(b); i++)
        b[i] = trial_unit(product, COUNT_OF(a) + i);
    LowTile t = {.rows = kernel->rows,
                 .vectors = VECTORS,
                 .steps = STEPS,
                 .a = a,
                 .a_row = STEPS,
                 .a_unit = 1,
                 .b = b,
                 .sums = sums};
    kernel->tile(&t);
    t.add = true;
    kernel->tile(&t);
    low_release(kernel);
    for (size_t i = 0; i < kernel->rows * width; i++) {
        double expected = 0;
        for (size_t s = 0; s < STEPS; s++)
            expected += unit_dot(product, a[i / width * STEPS + s], b[s * width + i % width]);
        if (sum_value(product, sums[i]) != 2 * expected)
            return false;
    }
    return true;
}

/* ---- the choice ---- */

/* A kernel whose first use is preceded by the trial. */
typedef struct Candidate {
    const LowKernel *kernel;
    atomic_int verdict;
} Candidate;

enum { UNTRIED, RIGHT, WRONG };

static const LowKernel *if_right(DType product, Candidate *c, size_t lanes)
{
    if (c->verdict == UNTRIED)
        c->verdict = low_kernel_is_right(product, c->kernel, lanes) ? RIGHT : WRONG;
    return c->verdict == RIGHT ? c->kernel : NULL;
}

static Candidate forced[NUM_DTYPES];

void low_kernel_force(DType product, const LowKernel *kernel)
{
    forced[product].kernel = kernel;
    forced[product].verdict = UNTRIED;
}

#ifdef TARE_HAVE_X86
extern const Isa isa_avx2, isa_avx512;
void tile_bf16_avx512_bf16(const LowTile *t);
double dot_loop_avx512_bf16(size_t rounds);

static const LowKernel avx512_bf16 = {.instruction = "vdpbf16ps",
                                      .support = SUPPORT_NATIVE,
                                      .tile = tile_bf16_avx512_bf16,
                                      .finishes = true,
                                      .peak_loop = dot_loop_avx512_bf16};

/* vpdpbusd on the registers of one set. */
typedef struct Vnni {
    LowKernel i8, q8_0, q4_0;
} Vnni;

#define VNNI(extension, group_rows)                                                                \
    void tile_i8_##extension(const LowTile *t);                                                    \
    void tile_q8_0_##extension(const LowTile *t);                                                  \
    void tile_q4_0_##extension(const LowTile *t);                                                  \
    double dot_loop_##extension(size_t rounds);                                                    \
    static const Vnni extension = {                                                                \
        .i8 = {VNNI_KERNEL(extension), .tile = tile_i8_##extension, .finishes = true},             \
        .q8_0 = {VNNI_KERNEL(extension), .tile = tile_q8_0_##extension, .rows = group_rows},       \
        .q4_0 = {VNNI_KERNEL(extension), .tile = tile_q4_0_##extension, .rows = group_rows},       \
    };
#define VNNI_KERNEL(extension)                                                                     \
    .instruction = "vpdpbusd", .support = SUPPORT_NATIVE, .peak_loop = dot_loop_##extension
VNNI(avx512_vnni, 4)
VNNI(avx_vnni, 2)

/* NULL where the processor lacks it. */
static const Vnni *vnni_of(const Isa *isa)
{
    return isa == &isa_avx512 && cpu_features()->avx512_vnni ? &avx512_vnni
           : isa == &isa_avx2 && cpu_features()->avx_vnni    ? &avx_vnni
                                                             : NULL;
}
#endif

#ifdef TARE_HAVE_AMX
static const LowKernel amx_bf16 = {.instruction = "tdpbf16ps",
                                   .support = SUPPORT_NATIVE,
                                   .rows = AMX_ROWS,
                                   .tile = tile_bf16_amx,
                                   .release = amx_release,
                                   .finishes = true,
                                   .finishes_any = true,
                                   .prefetches = true,
                                   .block = AMX_BLOCK,
                                   .peak_loop = peak_loop_bf16_amx};
static const LowKernel amx_i8 = {.instruction = "tdpbusd",
                                 .support = SUPPORT_NATIVE,
                                 .rows = AMX_ROWS,
                                 .tile = tile_i8_amx,
                                 .release = amx_release,
                                 .finishes = true,
                                 .finishes_any = true,
                                 .prefetches = true,
                                 .block = AMX_BLOCK,
                                 .peak_loop = peak_loop_i8_amx};
#define AMX_GROUPS                                                                                 \
    .instruction = "tdpbssd", .support = SUPPORT_NATIVE, .rows = AMX_GROUP_ROWS,                   \
    .place_groups = place_groups_amx, .peak_loop = peak_loop_groups_amx
static const LowKernel amx_q8_0 = {AMX_GROUPS, .least_rows = 96, .tile = tile_q8_0_amx};
static const LowKernel amx_q4_0 = {AMX_GROUPS, .least_rows = 64, .tile = tile_q4_0_amx};
#endif

#ifdef TARE_HAVE_FP16
static const LowKernel avx512_fp16 = {.instruction = "vfmadd231ph",
                                      .support = SUPPORT_NATIVE,
                                      .scales = true,
                                      .rows = FP16_ROWS,
                                      .tile = tile_f16_fp16,
                                      .peak_loop = peak_loop_fp16};
#endif

/* NULL where the kernel to be tried is missing, hidden or wrong. Only the panels of AVX-512 fit
 * those of a processor; a test forces what fits. */
static const LowKernel *tried_kernel(const Isa *isa, DType product)
{
    if (forced[product].kernel)
        return if_right(product, &forced[product], isa->tile.lanes);
    if (isa->tile.lanes != AMX_LANES)
        return NULL;
#ifdef TARE_HAVE_AMX
    static Candidate bf16 = {.kernel = &amx_bf16}, i8 = {.kernel = &amx_i8};
    if (product == DT_BF16 && cpu_features()->amx_bf16)
        return if_right(product, &bf16, AMX_LANES);
    if (product == DT_I8 && cpu_features()->amx_int8)
        return if_right(product, &i8, AMX_LANES);
    static Candidate q8_0 = {.kernel = &amx_q8_0}, q4_0 = {.kernel = &amx_q4_0};
    if (dtype_is_grouped(product) && cpu_features()->amx_int8)
        return if_right(product, product == DT_Q8_0 ? &q8_0 : &q4_0, AMX_LANES);
#endif
#ifdef TARE_HAVE_FP16
    static Candidate f16 = {.kernel = &avx512_fp16};
    if (product == DT_F16 && cpu_features()->avx512_fp16)
        return if_right(product, &f16, AMX_LANES);
#endif
    return NULL;
}

static const LowKernel *sure_kernel(const Isa *isa, DType product)
{
#ifdef TARE_HAVE_X86
    if (isa == &isa_avx512 && product == DT_BF16 && cpu_features()->avx512_bf16)
        return &avx512_bf16;
    const Vnni *vnni = vnni_of(isa);
    if (vnni && product == DT_I8)
        return &vnni->i8;
    if (vnni && dtype_is_grouped(product))
        return product == DT_Q8_0 ? &vnni->q8_0 : &vnni->q4_0;
#endif
    return product == DT_BF16   ? &isa->bf16
           : product == DT_F16  ? &isa->f16
           : product == DT_Q8_0 ? &isa->q8_0
           : product == DT_Q4_0 ? &isa->q4_0
                                : &isa->i8;
}

const LowKernel *low_kernel(const Isa *isa, DType product)
{
    return low_kernel_for(isa, product, SIZE_MAX);
}

const LowKernel *low_kernel_for(const Isa *isa, DType product, size_t rows)
{
    const LowKernel *tried = tried_kernel(isa, product);
    return tried && rows >= tried->least_rows ? tried : sure_kernel(isa, product);
}

/* ---- support, as kernels.h declares it ---- */

const char *support_name(Support s)
{
    static const char *const names[] = {"native", "convert", "emulated"};
    return names[s];
}

Support product_support(DType product)
{
    return product == DT_F32 ? SUPPORT_NATIVE : low_kernel(isa_in_use(), product)->support;
}

const char *product_instruction(DType product)
{
    return product == DT_F32 ? isa_in_use()->fma : low_kernel(isa_in_use(), product)->instruction;
}
