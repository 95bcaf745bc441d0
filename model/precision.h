/* precision: what the user calls a number format, and what it means for memory and arithmetic.
 *
 *             matrices        activations     products of matrices                    of attention   backward
 *   fp32      f32             f32             fp32                                    fp32           yes
 *   fp16      f16             f16             widened into fp32                       fp32           no
 *   bf16      bf16            bf16            bf16, or widened into fp32              bf16           no
 *   mixed     f32 (masters)   f32             bf16                                    bf16           yes
 *   int8      i8, row scales  f32             i8 x i8, activations quantised per row  bf16           no
 *
 * The products of matrices are those of linear layers and heads; their sums are fp32 (int8: int32, exact), as
 * are attention's. Attention's are bf16 only where the CPU has an instruction for it and no backward pass
 * follows, else fp32; q, k and v are then stored in bf16, which changes no product. Embeddings are read from the
 * table's format and widened. Norms, softmax, activations, residuals and the loss are computed in fp32 in every
 * precision and rounded once where they are stored. Token ids and the attention mask are integers throughout.
 * Biases and norms are held in fp32, in fp16 and bf16 with values rounded to the format. Mixed is PyTorch's
 * autocast but for attention in training and for the outputs of linear layers, which stay fp32 here. */
#ifndef TARE_MODEL_PRECISION_H
#define TARE_MODEL_PRECISION_H

#include "autograd/kernels/kernels.h"
#include "model/config.h"

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

/* What the operands of attention's products are rounded to in a forward pass, on this CPU; with a backward
 * pass they are fp32. */
DType precision_attention(Precision p);

/* What the operands of linear layers' products are rounded to, and whether this CPU, with the kernels in
 * use (kernels_select), has an instruction for it. Mixed without a native bf16 is emulated: nothing is
 * stored small, so widening gains nothing. */
DType precision_product(Precision p);
Support precision_support(Precision p);

/* Which ops compute in the format and which in fp32, which every CPU has: one line for reports. */
const char *precision_ops(void);

/* -1, with one sentence, for a model that the format cannot run: an int8 sum over more inputs than an
 * int32 holds. */
int precision_takes(Precision p, const ModelConfig *c, Err *err);

/* The instruction that would make an emulated precision real, "vpdpbusd (AVX512_VNNI)"; for the reason
 * why a row is left out. */
const char *precision_missing(Precision p);

#endif
