/* precision: what the user calls a number format, and what it means for memory and arithmetic.
 *
 *           matrices         activations   products                     of attention   backward
 *   fp32    f32              f32           fp32                         fp32           yes
 *   fp16    f16              f16           f16, or widened into fp32    fp32           no
 *   bf16    bf16             bf16          bf16, or widened into fp32   bf16           no
 *   mixed   f32 (masters)    f32, bf16     bf16                         bf16           yes
 *   int8    i8, row scales   f32           i8 x i8                      bf16           no
 *   q8_0    q8_0             f32           q8_0 x i8 by groups          bf16           no
 *   q4_0    q4_0             f32           q4_0 x i8 by groups          bf16           no
 *
 * Products are those of linear layers and heads, summed in fp32 (int8: in int32, exactly; f16 that
 * is not widened: 32 at a time in f16, then in fp32). int8
 * quantises activations per row. q8_0 and q4_0 have a scale for each 32 weights of a row (dtype.h)
 * and quantise each 32 activations to 8 bits too; sums inside such a group are exact.
 *
 * Products of attention, summed in fp32 too, are bf16 only where the CPU has an instruction for it,
 * backward too; otherwise they are fp32. Where they are bf16, q, k and v are stored in bf16, which
 * changes no product. Over a cache (decoder.h) they are bf16 only if the cache is too
 * (attention_cached_product). A decoder's logits are fp32; ModelOptions.as_decoder asks a model for
 * those and for attention in fp32.
 *
 * In every precision, norms, softmax, activation functions, residuals and the loss are computed in
 * fp32 and rounded once where they are stored. Embeddings are read from the table's format and
 * widened. Biases and norm weights are held in fp32; in fp16 and bf16 their values are rounded to
 * the format. Token ids and the attention mask are integers. Mixed is PyTorch's autocast, but for
 * the outputs of linear layers, which stay fp32. In training it stores in bf16 what only products
 * read (graph_store_operands). */
#pragma once

#include "autograd/kernels/kernels.h"
#include "model/config.h"

typedef enum Precision {
    PRECISION_FP32,
    PRECISION_FP16,
    PRECISION_BF16,
    PRECISION_MIXED,
    PRECISION_INT8,
    PRECISION_Q8_0,
    PRECISION_Q4_0,
} Precision;

enum { NUM_PRECISIONS = PRECISION_Q4_0 + 1 };

/* The names in the order of the enum, as lists of choices want them. */
#define PRECISION_NAMES "fp32|fp16|bf16|mixed|int8|q8_0|q4_0"

const char *precision_name(Precision p);

/* -1, with a sentence that lists the names, for a word that is none of them. */
int precision_parse(const char *name, Precision *p, Err *err);

DType precision_weights(Precision p);     /* memory of the matrices */
DType precision_activations(Precision p); /* memory of what ops hand to each other, in mixed f32 */
bool precision_has_backward(Precision p);

/* The format that operands of attention's products are rounded to on this CPU. */
DType precision_attention(Precision p);

/* The format that operands of linear layers' products are rounded to, and whether this CPU, with
 * the kernels in use (kernels_select), has an instruction for it. Mixed without a native bf16 is
 * emulated: nothing is stored small, so widening gains nothing. */
DType precision_product(Precision p);
Support precision_support(Precision p);

/* The format that fp32 operands of products are rounded to: f32, not at all, unless weights stay
 * fp32 and products do not. */
DType precision_operands(Precision p);

/* Which ops compute in the format and which in fp32, which every CPU has: one line for reports. */
const char *precision_ops(void);

/* -1, with a sentence, for a model that the format cannot run: one with an int8 sum over more
 * inputs than an int32 holds, or with layers whose inputs are no groups of q8_0 and q4_0. */
int precision_takes(Precision p, const ModelConfig *c, Err *err);

/* The instruction that would make an emulated precision native, such as "vdpbf16ps (AVX512_BF16)";
 * for messages. */
const char *precision_missing(Precision p);
