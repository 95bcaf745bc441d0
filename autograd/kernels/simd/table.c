/* table: the table of one instruction set, from kernels.def. */
#include "autograd/kernels/simd/simd.h"

#define STRING(x)  #x
#define NAME_OF(x) STRING(x)

#if VL > 4
#define FMA         "vfmadd231ps"
#define F16_WIDENS  "vcvtph2ps"
#define F16_SUPPORT SUPPORT_CONVERT
#else
#define FMA         "multiply and add"
#define F16_WIDENS  "integer arithmetic"
#define F16_SUPPORT SUPPORT_EMULATED
#endif

#if VL > 4
double KERNEL(dot_loop)(size_t rounds);   /* low_tile.c */
double KERNEL(pairs_loop)(size_t rounds); /* group_tile.c */
#define I8_KERNEL                                                                                  \
    .instruction = "vpmaddwd", .support = SUPPORT_NATIVE, .widens = true,                          \
    .peak_loop = KERNEL(dot_loop)
#define GROUP_KERNEL                                                                               \
    .instruction = "vpmaddubsw", .support = SUPPORT_NATIVE, .rows = 4,                             \
    .peak_loop = KERNEL(pairs_loop)
#else
#define I8_KERNEL    .instruction = "int32 multiply and add", .support = SUPPORT_EMULATED
#define GROUP_KERNEL .instruction = "int32 multiply and add", .support = SUPPORT_EMULATED, .rows = 2
#endif

extern const Isa KERNEL(isa);

const Isa KERNEL(isa) = {
    .rows =
        {
            .isa = NAME_OF(TARE_ISA_NAME),
#define ROW_KERNEL(result, name, parameters) .name = KERNEL(name),
#include "autograd/kernels/kernels.def"
        },
    .tile = {.rows = MR, .lanes = VL, .vectors = NV},
    .fma = FMA,
    .bf16 = {.instruction = FMA " after a shift",
             .support = SUPPORT_CONVERT,
             .widens = true,
             .tile = KERNEL(tile_bf16)},
    .f16 = {.instruction = FMA " after " F16_WIDENS,
            .support = F16_SUPPORT,
            .widens = true,
            .tile = KERNEL(tile_f16)},
    .i8 = {I8_KERNEL, .tile = KERNEL(tile_i8)},
    .q8_0 = {GROUP_KERNEL, .tile = KERNEL(tile_q8_0)},
    .q4_0 = {GROUP_KERNEL, .tile = KERNEL(tile_q4_0)},
#define BLOCK_KERNEL(result, name, parameters) .name = KERNEL(name),
#include "autograd/kernels/kernels.def"
};
