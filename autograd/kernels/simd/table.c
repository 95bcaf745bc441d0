/* table: the kernels of one instruction set, in one place. */
#include "simd.h"

#define STRING(x)  #x
#define NAME_OF(x) STRING(x)

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
            .normal = KERNEL(normal),
        },
    .tile = {.rows = MR, .lanes = VL, .vectors = NV},
    .pack_b = KERNEL(pack_b),
    .gemm_block = KERNEL(gemm_block),
    .epilogue = KERNEL(epilogue),
    .attention_forward = KERNEL(attention_forward),
    .attention_backward = KERNEL(attention_backward),
    .fma_loop = KERNEL(fma_loop),
};
