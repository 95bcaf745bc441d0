/* precision: see precision.h. */
#include "model/precision.h"

#include <string.h>

static const struct {
    const char *name;
    DType weights, activations, product, attention;
    bool backward;
    const char *missing;
} table[NUM_PRECISIONS] = {
    [PRECISION_FP32] = {"fp32", DT_F32, DT_F32, DT_F32, DT_F32, true, ""},
    [PRECISION_FP16] = {"fp16", DT_F16, DT_F16, DT_F16, DT_F32, false, "vcvtph2ps (F16C)"},
    [PRECISION_BF16] = {"bf16", DT_BF16, DT_BF16, DT_BF16, DT_BF16, false,
                        "vdpbf16ps (AVX512_BF16)"},
    [PRECISION_MIXED] = {"mixed", DT_F32, DT_F32, DT_BF16, DT_BF16, true,
                         "vdpbf16ps (AVX512_BF16)"},
    [PRECISION_INT8] = {"int8", DT_I8, DT_F32, DT_I8, DT_BF16, false, "vpmaddwd (AVX2)"},
    [PRECISION_Q8_0] = {"q8_0", DT_Q8_0, DT_F32, DT_Q8_0, DT_BF16, false, "vpmaddubsw (AVX2)"},
    [PRECISION_Q4_0] = {"q4_0", DT_Q4_0, DT_F32, DT_Q4_0, DT_BF16, false, "vpmaddubsw (AVX2)"},
};

const char *precision_name(Precision p)
{
    return table[p].name;
}

int precision_parse(const char *name, Precision *p, Err *err)
{
    for (int i = 0; i < NUM_PRECISIONS; i++)
        if (strcmp(name, table[i].name) == 0) {
            *p = (Precision)i;
            return 0;
        }
    return err_set(err, "'%s' is no precision: " PRECISION_NAMES, name);
}

DType precision_weights(Precision p)
{
    return table[p].weights;
}

DType precision_activations(Precision p)
{
    return table[p].activations;
}

bool precision_has_backward(Precision p)
{
    return table[p].backward;
}

DType precision_product(Precision p)
{
    return table[p].product;
}

DType precision_operands(Precision p)
{
    return precision_weights(p) == DT_F32 ? precision_product(p) : DT_F32;
}

DType precision_attention(Precision p)
{
    return table[p].attention == attention_product() ? table[p].attention : DT_F32;
}

Support precision_support(Precision p)
{
    Support s = product_support(precision_product(p));
    return p == PRECISION_MIXED && s == SUPPORT_CONVERT ? SUPPORT_EMULATED : s;
}

#define OPS_WITH(attention)                                                                        \
    "linear layers and heads multiply in the format, by its instruction; embeddings are read "     \
    "from it and widened; " attention                                                              \
    "; norms, softmax, activations and residuals are fp32 in every format"

const char *precision_ops(void)
{
    return attention_product() == DT_BF16
               ? OPS_WITH("attention multiplies bf16 in bf16, mixed, int8, q8_0 "
                          "and q4_0, else fp32")
               : OPS_WITH("attention multiplies fp32");
}

/* -1 where a linear layer's inputs are not divided into whole groups. */
static int takes_groups(Precision p, const ModelConfig *c, Err *err)
{
    const struct {
        const char *name;
        size_t count;
    } inputs[] = {{"d_model", c->d_model},
                  {"d_ff", c->d_ff},
                  {"num_heads x head_dim", c->num_heads * c->head_dim}};
    for (size_t i = 0; i < COUNT_OF(inputs); i++)
        if (inputs[i].count % QUANT_GROUP != 0)
            return err_set(err, "%s takes inputs of a layer by groups of %d, and %s is %zu",
                           precision_name(p), QUANT_GROUP, inputs[i].name, inputs[i].count);
    return 0;
}

int precision_takes(Precision p, const ModelConfig *c, Err *err)
{
    size_t widest = c->d_ff > c->d_model ? c->d_ff : c->d_model;
    if (precision_product(p) == DT_I8 && widest > GEMM_MOST_K_I8)
        return err_set(err, "%s takes at most %d inputs of a layer, this model has %zu",
                       precision_name(p), GEMM_MOST_K_I8, widest);
    return dtype_is_grouped(precision_product(p)) ? takes_groups(p, c, err) : 0;
}

const char *precision_missing(Precision p)
{
    return table[p].missing;
}
