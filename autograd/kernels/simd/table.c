/* table: the kernels of one instruction set, in one place. */
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

extern const Isa KERNEL(isa);

const Isa KERNEL(isa) = {
    .rows =
        {
            .isa = NAME_OF(TARE_ISA_NAME),
            .exp = KERNEL(exp),
            .act_forward = KERNEL(act_forward),
            .act_backward = KERNEL(act_backward),
            .add = KERNEL(add),
            .layernorm_forward = KERNEL(layernorm_forward),
            .layernorm_backward = KERNEL(layernorm_backward),
            .logsumexp_update = KERNEL(logsumexp_update),
            .softmax_from_lse = KERNEL(softmax_from_lse),
            .sum_rows = KERNEL(sum_rows),
            .adamw = KERNEL(adamw),
            .dropout = KERNEL(dropout),
            .normal = KERNEL(normal),
            .widen = KERNEL(widen),
            .narrow = KERNEL(narrow),
            .quantize_scale = KERNEL(quantize_scale),
            .quantize = KERNEL(quantize),
        },
    .tile = {.rows = MR, .lanes = VL, .vectors = NV},
    .fma = FMA,
    .pack_b = KERNEL(pack_b),
    .gemm_block = KERNEL(gemm_block),
    .epilogue = KERNEL(epilogue),
    .interleave = KERNEL(interleave),
    .zip_bf16 = KERNEL(zip_bf16),
    .low_finish = KERNEL(low_finish),
    .bf16 = {.instruction = FMA " after a shift",
             .support = SUPPORT_CONVERT,
             .widens = true,
             .tile = KERNEL(tile_bf16)},
    .f16 = {.instruction = FMA " after " F16_WIDENS,
            .support = F16_SUPPORT,
            .widens = true,
            .tile = KERNEL(tile_f16)},
    .i8 = {.instruction = "int32 multiply and add",
           .support = SUPPORT_EMULATED,
           .tile = KERNEL(tile_i8)},
    .attention_forward = KERNEL(attention_forward),
    .attention_backward = KERNEL(attention_backward),
    .fma_loop = KERNEL(fma_loop),
};
