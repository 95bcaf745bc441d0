/* precision: what the user calls a number format, and what it means for memory and arithmetic.
 *
 *             matrices        activations     products of matrices                    backward
 *   fp32      f32             f32             fp32                                    yes
 *   fp16      f16             f16             f16, or widened into fp32               no
 *   bf16      bf16            bf16            bf16, or widened into fp32              no
 *   mixed     f32 (masters)   f32             bf16 or f16, whichever is native        yes
 *   int8      i8, row scales  f32             i8 x i8, activations quantised per row  no
 *
 * Sums of products are fp32 (int8: int32, exact). Norms, softmax, activations and the loss are computed
 * in fp32 in every precision. Biases and norms are held in fp32, in fp16 and bf16 with values rounded
 * to the format. Mixed is what PyTorch's autocast does: only operands of products are rounded. */
#ifndef TARE_PRECISION_H
#define TARE_PRECISION_H

#include "../autograd/kernels/kernels.h"

typedef enum Precision {
    PRECISION_FP32,
    PRECISION_FP16,
    PRECISION_BF16,
    PRECISION_MIXED,
    PRECISION_INT8,
} Precision;

enum { NUM_PRECISIONS = PRECISION_INT8 + 1 };

/* The names in the order of the enum, as lists of choices want them. */
#define PRECISION_NAMES "fp32|fp16|bf16|mixed|int8"

const char *precision_name(Precision p);

/* -1 for a word that is none of the names; one sentence that lists them. */
int precision_parse(const char *name, Precision *p, Err *err);

DType precision_weights(Precision p);     /* memory of the matrices */
DType precision_activations(Precision p); /* memory of what ops hand to each other */
bool precision_has_backward(Precision p);

/* What the operands of matrix products are rounded to, and whether this CPU, with the kernels in use
 * (kernels_select), has an instruction for it. Mixed takes bf16 where that is native, else f16 where
 * that is, else bf16, which is then emulated: nothing is stored small, so widening gains nothing. */
DType precision_product(Precision p);
Support precision_support(Precision p);

/* The instruction that would make an emulated precision real, "vpdpbusd (AVX512_VNNI)"; for the reason
 * why a row is left out. */
const char *precision_missing(Precision p);

#endif
