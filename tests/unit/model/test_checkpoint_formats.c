/* test_checkpoint_formats: checkpoints in fp16, bf16 and int8, read into models of every format.
 * What names and layouts mean is tested in test_checkpoint. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/files/checkpoint.h"
#include "model/files/config_json.h"
#include "model/model.h"

#include "tests/support/temp_dir.h"

static const char *weights_path;

static void make_dir(void)
{
    temp_dir_make();
    weights_path = temp_path("model.safetensors");
}

static void remove_dir(void)
{
    temp_dir_expect_only("config.json model.safetensors");
    temp_dir_remove();
}

TestSuite(checkpoint_formats, .init = make_dir, .fini = remove_dir);

/* The token tables are read in more than one slice; q, k and v meet inside one. */
static const char *const gpt2 = "{\"model_type\": \"gpt2\", \"n_embd\": 72, \"n_layer\": 2, "
                                "\"n_head\": 3, \"vocab_size\": 15000,"
                                " \"n_positions\": 9, \"n_inner\": 210}";
static const char *const distilbert =
    "{\"model_type\": \"distilbert\", \"dim\": 72, \"n_layers\": 2, \"n_heads\": 3, "
    "\"hidden_dim\": 210,"
    " \"vocab_size\": 15000, \"max_position_embeddings\": 9,"
    " \"architectures\": [\"DistilBertForSequenceClassification\"], \"num_labels\": 2}";
static const char *const configs[] = {gpt2, distilbert};
/* The same with whole groups of inputs. */
static const char *const grouped[] = {
    "{\"model_type\": \"gpt2\", \"n_embd\": 96, \"n_layer\": 2, \"n_head\": 3,"
    " \"vocab_size\": 15000, \"n_positions\": 9, \"n_inner\": 224}",
    "{\"model_type\": \"distilbert\", \"dim\": 96, \"n_layers\": 2, \"n_heads\": 3, "
    "\"hidden_dim\": 224, \"vocab_size\": 15000, \"max_position_embeddings\": 9,"
    " \"architectures\": [\"DistilBertForSequenceClassification\"], \"num_labels\": 2}",
};

enum { CONTEXT = 9 };

static void start(Model *m, const ModelConfig *c, Precision precision)
{
    Err err;
    model_plan(m, c,
               &(ModelOptions){.wants = {.batch = 1, .context = CONTEXT, .logits = true},
                               .precision = precision,
                               .threads = 2});
    cr_assert(model_alloc(m, &err) == 0, "%s", err.msg);
}

static void write_tensors(const TensorList *l)
{
    Err err;
    cr_assert(safetensors_write(weights_path, l->at, l->count, NULL, &err) == 0, "%s", err.msg);
}

/* A model with random weights of this config, which are also written to the directory in fp32. */
static void write_fp32(Model *m, const char *json)
{
    ModelConfig c;
    Err err;
    temp_write("config.json", json);
    cr_assert(model_config_load(temp_dir, &c, &err) == 0, "%s", err.msg);
    start(m, &c, PRECISION_FP32);
    params_randomize(&m->params, 3, 2);
    TensorList list = {0};
    checkpoint_export(&c, true, &m->params, m->params.weights, "", &list);
    write_tensors(&list);
    tensor_list_release(&list);
}

/* ---- the file, rewritten ---- */

static bool is_conv1d(const char *name)
{
    return strstr(name, "attn.c_") || strstr(name, "mlp.c_");
}

static void add_tensor(TensorList *l, char *name, StDtype dtype, size_t ndim, const size_t *shape,
                       void *data)
{
    l->at = xrealloc(l->at, (l->count + 1) * sizeof *l->at);
    l->owned = xrealloc(l->owned, (l->count + 1) * sizeof *l->owned);
    l->at[l->count] = stensor_make(name, dtype, ndim, shape, data);
    l->owned[l->count++] = data;
}

/* One scale for each row of t, or for each column of a Conv1D matrix. */
static void add_quantised(TensorList *l, const STensor *t, const float *x)
{
    size_t rows = t->shape[0], cols = t->shape[1];
    bool by_column = is_conv1d(t->name);
    size_t outputs = by_column ? cols : rows, length = by_column ? rows : cols;
    int8_t *levels = xmalloc(rows * cols), *level = xmalloc(length);
    float *scale = xmalloc(outputs * sizeof *scale), *output = xmalloc(length * sizeof *output);
    for (size_t o = 0; o < outputs; o++) {
        for (size_t k = 0; k < length; k++)
            output[k] = by_column ? x[k * cols + o] : x[o * cols + k];
        scale[o] = kernels()->quantize_scale(output, length);
        kernels()->quantize(output, scale[o], level, length);
        for (size_t k = 0; k < length; k++)
            levels[by_column ? k * cols + o : o * cols + k] = level[k];
    }
    free(level);
    free(output);
    add_tensor(l, xstrdup(t->name), ST_I8, 2, t->shape, levels);
    add_tensor(l, xasprintf("%s.scale", t->name), ST_F32, 1, &outputs, scale);
}

/* Bytes of the groups of each output. */
static void add_groups(TensorList *l, const STensor *t, const float *x, StDtype dtype)
{
    bool by_column = is_conv1d(t->name);
    size_t outputs = t->shape[by_column], inputs = t->shape[!by_column];
    DType type = dtype == ST_Q8_0 ? DT_Q8_0 : DT_Q4_0;
    size_t row = dtype_bytes(type, inputs);
    char *groups = xmalloc(outputs * row);
    float *output = xmalloc(inputs * sizeof *output);
    for (size_t o = 0; o < outputs; o++) {
        for (size_t k = 0; k < inputs; k++)
            output[k] = by_column ? x[k * outputs + o] : x[o * inputs + k];
        kernels()->narrow(type, output, groups + o * row, inputs);
    }
    free(output);
    add_tensor(l, xstrdup(t->name), ST_U8, 2, (size_t[]){outputs, row}, groups);
}

static void rewrite(StDtype dtype)
{
    Err err;
    SafeTensors *file = safetensors_open(weights_path, &err);
    TensorList list = {0};
    cr_assert(file, "%s", err.msg);
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const STensor *t = safetensors_at(file, i);
        size_t n = stensor_count(t);
        float *x = xmalloc(n * sizeof *x);
        cr_assert(safetensors_to_f32(t, x, &err) == 0, "%s", err.msg);
        if (st_is_blocks(dtype) && t->ndim == 2) {
            add_groups(&list, t, x, dtype);
            free(x);
        } else if (dtype == ST_I8 && t->ndim == 2) {
            add_quantised(&list, t, x);
            free(x);
        } else if (dtype == ST_I8 || st_is_blocks(dtype)) {
            add_tensor(&list, xstrdup(t->name), ST_F32, t->ndim, t->shape, x);
        } else {
            uint16_t *small = xmalloc(n * sizeof *small);
            kernels()->narrow(dtype == ST_BF16 ? DT_BF16 : DT_F16, x, small, n);
            add_tensor(&list, xstrdup(t->name), dtype, t->ndim, t->shape, small);
            free(x);
        }
    }
    safetensors_free(file);
    write_tensors(&list);
    tensor_list_release(&list);
}

/* ---- reading it ---- */

static void load(Model *m, Precision precision)
{
    Checkpoint ck;
    Err err;
    cr_assert(checkpoint_open(&ck, temp_dir, &err) == 0, "%s", err.msg);
    start(m, &ck.config, precision);
    cr_assert(checkpoint_load(&ck, &m->params, &err) == 0, "%s", err.msg);
    cr_expect(!ck.unused, "not used: %s", ck.unused);
    checkpoint_release(&ck);
}

/* Logits of the model in the directory. Caller frees. */
static float *logits_of(Precision precision, size_t *count)
{
    Model m;
    load(&m, precision);
    int32_t tokens[CONTEXT];
    for (size_t i = 0; i < CONTEXT; i++)
        tokens[i] = (int32_t)(rng_u64(1, 0, i) % m.config.vocab_size);
    model_set_tokens(&m, tokens);
    model_forward(&m);
    *count = tensor_count(m.record.logits);
    float *logits = xmalloc(*count * sizeof *logits);
    exec_read(m.record.logits, logits);
    model_release(&m);
    return logits;
}

/* A model makes the same of a file in its own format as of the fp32 file that it was rounded
 * from. */
static void expect_same_from_small_file(const char *json, Precision precision, StDtype dtype)
{
    Model fp32;
    size_t n;
    write_fp32(&fp32, json);
    float *wanted = logits_of(precision, &n);
    rewrite(dtype);
    float *logits = logits_of(precision, &n);
    cr_expect(memcmp(logits, wanted, n * sizeof *logits) == 0, "%s from a file of %s",
              precision_name(precision), st_dtype_name(dtype));
    free(wanted);
    free(logits);
    model_release(&fp32);
}

Test(checkpoint_formats, a_file_of_the_models_own_format)
{
    for (size_t i = 0; i < COUNT_OF(configs); i++) {
        expect_same_from_small_file(configs[i], PRECISION_BF16, ST_BF16);
        expect_same_from_small_file(configs[i], PRECISION_FP16, ST_F16);
        expect_same_from_small_file(configs[i], PRECISION_INT8, ST_I8);
        expect_same_from_small_file(grouped[i], PRECISION_Q8_0, ST_Q8_0);
        expect_same_from_small_file(grouped[i], PRECISION_Q4_0, ST_Q4_0);
    }
}

/* Row by row: every weight within half a level of what it was, the largest at level 127. */
static void expect_dequantised(const Model *m, const Model *original)
{
    for (size_t k = 0; k < m->params.count; k++) {
        const Param *q = m->params.list[k];
        size_t cols = q->spec.cols;
        const float *w = m->params.weights + q->offset, *x = original->params.weights + q->offset;
        for (size_t i = 0; i < q->spec.rows && cols; i++) {
            float scale = kernels()->quantize_scale(x + i * cols, cols), worst = 0, largest = 0;
            for (size_t j = i * cols; j < (i + 1) * cols; j++) {
                worst = fmaxf(worst, fabsf(w[j] - x[j]));
                largest = fmaxf(largest, fabsf(w[j]));
            }
            cr_assert(worst <= 0.5001f * scale && largest == 127 * scale, "%s, row %zu", q->name,
                      i);
        }
        if (!cols)
            cr_expect(memcmp(w, x, q->spec.rows * sizeof *w) == 0, "%s", q->name);
    }
}

Test(checkpoint_formats, an_int8_file_is_dequantised_for_fp32)
{
    for (size_t i = 0; i < COUNT_OF(configs); i++) {
        Model original, m;
        write_fp32(&original, configs[i]);
        rewrite(ST_I8);
        load(&m, PRECISION_FP32);
        expect_dequantised(&m, &original);
        model_release(&m);
        model_release(&original);
    }
}

/* Whatever the file has, the weights of an fp32 model are its groups as the kernel widens them. */
Test(checkpoint_formats, a_file_of_groups_is_widened_for_fp32)
{
    const StDtype stored[] = {ST_Q8_0, ST_Q4_0};
    const DType types[] = {DT_Q8_0, DT_Q4_0};
    for (size_t i = 0; i < COUNT_OF(grouped) * COUNT_OF(stored); i++) {
        Model original, m;
        write_fp32(&original, grouped[i / 2]);
        rewrite(stored[i % 2]);
        load(&m, PRECISION_FP32);
        for (size_t k = 0; k < m.params.count; k++) {
            const Param *q = m.params.list[k];
            size_t n = tensor_count(&q->tensor);
            float *x = original.params.weights + q->offset;
            char *groups = xmalloc(n * sizeof *x);
            if (q->spec.cols) {
                kernels()->narrow(types[i % 2], x, groups, n);
                kernels()->widen(types[i % 2], groups, x, n);
            }
            cr_expect(memcmp(m.params.weights + q->offset, x, n * sizeof *x) == 0, "%s", q->name);
            free(groups);
        }
        model_release(&m);
        model_release(&original);
    }
}

/* |a - b| / |b| in the Euclidean norm. */
static double distance(const float *a, const float *b, size_t n)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        difference += pow((double)a[i] - (double)b[i], 2);
        norm += pow((double)b[i], 2);
    }
    return sqrt(difference / norm);
}

Test(checkpoint_formats, a_file_of_another_format_is_rounded_once_more)
{
    const Precision small[] = {PRECISION_BF16, PRECISION_FP16, PRECISION_INT8};
    const StDtype dtypes[] = {ST_BF16, ST_F16, ST_I8};
    double worst = 0;
    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        Model original;
        size_t n;
        write_fp32(&original, gpt2);
        model_release(&original);
        float *fp32 = logits_of(PRECISION_FP32, &n);
        rewrite(dtypes[i]);
        for (size_t k = 0; k < COUNT_OF(small); k++) {
            float *logits = logits_of(small[k], &n);
            worst = fmax(worst, distance(logits, fp32, n));
            free(logits);
        }
        free(fp32);
    }
    cr_log_info("logits are off by at most %.2e", worst);
    /* Observed: 1.5e-2, of int8. */
    cr_expect(worst < 4.5e-2, "logits are off by %.2e", worst);
}

/* ---- what is refused ---- */

typedef void Damage(STensor *t);

/* Loads the int8 checkpoint with the tensor called `name` damaged, or left out. */
static void expect_refused(const char *name, Damage *damage, const char *why)
{
    Err err = {""};
    Model m;
    write_fp32(&m, gpt2);
    model_release(&m);
    rewrite(ST_I8);
    SafeTensors *file = safetensors_open(weights_path, &err);
    cr_assert(file, "%s", err.msg);
    STensor list[128];
    size_t n = 0;
    for (size_t i = 0; i < safetensors_count(file); i++) {
        STensor t = *safetensors_at(file, i);
        bool named = strcmp(t.name, name) == 0;
        if (named && damage)
            damage(&t);
        if (!named || damage)
            list[n++] = t;
    }
    cr_assert(safetensors_write(weights_path, list, n, NULL, &err) == 0, "%s", err.msg);
    safetensors_free(file);
    Checkpoint ck;
    cr_assert(checkpoint_open(&ck, temp_dir, &err) == 0, "%s", err.msg);
    start(&m, &ck.config, PRECISION_INT8);
    cr_expect(checkpoint_load(&ck, &m.params, &err) == -1, "accepted although: %s", why);
    cr_expect(strstr(err.msg, why), "no '%s' in '%s'", why, err.msg);
    checkpoint_release(&ck);
    model_release(&m);
}

static void cut(STensor *t)
{
    t->shape[0]--;
    t->bytes -= st_dtype_size(t->dtype);
}

static void level_out_of_range(STensor *t)
{
    static int8_t levels[72 * 210];
    memset(levels, 1, sizeof levels);
    levels[17] = INT8_MIN;
    t->data = levels;
}

Test(checkpoint_formats, damaged_quantised_tensors)
{
    expect_refused("transformer.h.0.mlp.c_fc.weight.scale", NULL,
                   "tensor 'transformer.h.0.mlp.c_fc.weight' is I8 but no matrix with F32 scales");
    expect_refused(
        "transformer.wte.weight.scale", cut,
        "'transformer.wte.weight.scale' has shape [14999], config.json makes it [15000]");
    expect_refused("transformer.h.1.mlp.c_fc.weight", level_out_of_range,
                   "'transformer.h.1.mlp.c_fc.weight' has the level -128");
}
