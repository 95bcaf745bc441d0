/* support: see support.h. */
#include "bench/row/support.h"

#include <stdio.h>
#include <string.h>

#include "autograd/kernels/cpu.h"
#include "model/decoder.h"
#include "bench/ranks/loader.h"
#include "bench/row/config.h"
#include "bench/row/ranked.h"
#include "bench/util/process.h"

Precision row_precision(const RowConfig *c)
{
    Precision p;
    Err err;
    CHECK(precision_parse(c->precision, &p, &err) == 0, "%s",
          err.msg); /* fields.def has refused it */
    return p;
}

DType row_product(const RowConfig *c)
{
    return precision_product(row_precision(c));
}

void row_product_fill(RowResult *r)
{
    Precision p = row_precision(&r->config);
    text_set(r->product_support, support_name(precision_support(p)));
    text_set(r->product_instruction, product_instruction(precision_product(p)));
}

/* Whether several ranks could be started here; -1 with what is missing. */
static int check_launcher(const RowConfig *c, Err *err)
{
    char **words;
    if (row_ranks(c) == 1)
        return 0;
    if (launcher_words(c->launcher, c->ranks, &words, err) != 0)
        return -1;
    argv_free(words);
    return 0;
}

/* Of a row that has a cache. */
static int cache_takes(const RowConfig *c, const ModelConfig *m, Err *err)
{
    return row_task(c) == TASK_LOSS ? 0 : decoder_cache_takes(m, kv_type(c->kv_type), err);
}

bool row_supported(const RowConfig *c, FieldTEXT reason)
{
    Precision p = row_precision(c);
    const char *name = precision_name(p);
    bool emulated = precision_support(p) == SUPPORT_EMULATED;
    ModelConfig model = row_config_model(c);
    Err err;
    if (!c->forward_only && !precision_has_backward(p))
        snprintf(reason, TEXT_SIZE, "%s has no backward pass, only forward_only = true runs", name);
    else if (p != PRECISION_FP32 && strcmp(c->gemm, "packed") != 0)
        snprintf(reason, TEXT_SIZE, "%.20s multiplies fp32 only, not %s", c->gemm, name);
    else if (emulated && !c->include_emulated)
        snprintf(reason, TEXT_SIZE, "%s would be emulated: the %s kernels on %s have no %s", name,
                 kernels()->isa, cpu_features()->name, precision_missing(p));
    else if (row_ranks(c) > 1 && row_parallel(c).strategy == FSDP && precision_weights(p) != DT_F32)
        snprintf(reason, TEXT_SIZE, "fsdp gathers fp32 weights; with %s choose another parallel",
                 name);
    else if (precision_takes(p, &model, &err) != 0 || cache_takes(c, &model, &err) != 0 ||
             check_launcher(c, &err) != 0)
        text_set(reason, err.msg);
    else
        return true;
    return false;
}
