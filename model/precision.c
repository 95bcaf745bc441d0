/* precision: see precision.h. */
#include "precision.h"

#include <string.h>

static const struct {
    const char *name;
    DType weights, activations, product; /* product of mixed: see precision_product */
    bool backward;
    const char *missing;
} table[NUM_PRECISIONS] = {
    [PRECISION_FP32] = {"fp32", DT_F32, DT_F32, DT_F32, true, ""},
    [PRECISION_FP16] = {"fp16", DT_F16, DT_F16, DT_F16, false, "vcvtph2ps (F16C)"},
    [PRECISION_BF16] = {"bf16", DT_BF16, DT_BF16, DT_BF16, false, "vdpbf16ps (AVX512_BF16)"},
    [PRECISION_MIXED] = {"mixed", DT_F32, DT_F32, DT_BF16, true,
                         "vdpbf16ps (AVX512_BF16) or vfmadd231ph (AVX512_FP16)"},
    [PRECISION_INT8] = {"int8", DT_I8, DT_F32, DT_I8, false, "vpdpbusd (AVX512_VNNI)"},
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
    bool takes_f16 = p == PRECISION_MIXED && product_support(DT_BF16) != SUPPORT_NATIVE &&
                     product_support(DT_F16) == SUPPORT_NATIVE;
    return takes_f16 ? DT_F16 : table[p].product;
}

Support precision_support(Precision p)
{
    Support s = product_support(precision_product(p));
    return p == PRECISION_MIXED && s == SUPPORT_CONVERT ? SUPPORT_EMULATED : s;
}

const char *precision_missing(Precision p)
{
    return table[p].missing;
}
