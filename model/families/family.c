/* family: the table of families, and what is the same for all of them; see family.h. */
#include "model/families/family.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Family *const families[] = {
#define FAMILY(name) &family_##name,
#include "model/families/families.def"
#undef FAMILY
};

/* "gpt2, distilbert and bert". */
static void list_families(char *text, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < COUNT_OF(families) && at < size; i++) {
        const char *between = i == 0 ? "" : i + 1 == COUNT_OF(families) ? " and " : ", ";
        at += (size_t)snprintf(text + at, size - at, "%s%s", between, families[i]->model_type);
    }
}

const Family *family_find(const char *model_type, Err *err)
{
    for (size_t i = 0; model_type && i < COUNT_OF(families); i++)
        if (strcmp(families[i]->model_type, model_type) == 0)
            return families[i];
    char built[256];
    list_families(built, sizeof built);
    if (model_type)
        err_set(err, "model_type '%.40s' is not built; %s are", model_type, built);
    else
        err_set(err, "no model_type; %s are understood", built);
    return NULL;
}

/* ---- configurations ---- */

static const struct {
    const char *name;
    size_t offset;
} dimensions[NUM_DIMENSIONS] = {
    [VOCAB_SIZE] = {"vocab_size", offsetof(ModelConfig, vocab_size)},
    [D_MODEL] = {"d_model", offsetof(ModelConfig, d_model)},
    [NUM_LAYERS] = {"num_layers", offsetof(ModelConfig, num_layers)},
    [NUM_HEADS] = {"num_heads", offsetof(ModelConfig, num_heads)},
    [D_FF] = {"d_ff", offsetof(ModelConfig, d_ff)},
    [MAX_POSITIONS] = {"max_positions", offsetof(ModelConfig, max_positions)},
    [TYPE_VOCAB_SIZE] = {"type_vocab_size", offsetof(ModelConfig, type_vocab_size)},
    [NUM_LABELS] = {"num_labels", offsetof(ModelConfig, num_labels)},
};

size_t *model_dimension(ModelConfig *c, Dimension d)
{
    return (size_t *)((char *)c + dimensions[d].offset);
}

int model_dimension_check(const char *key, size_t value, Err *err)
{
    if (value == 0 || value > MAX_DIMENSION)
        return err_set(err, "%s is %zu, but must be from 1 to %d", key, value, MAX_DIMENSION);
    return 0;
}

static bool is_used(const ModelConfig *c, Dimension d)
{
    return d == NUM_LABELS ? c->head == HEAD_CLASSIFIER : c->family->keys[d].name != NULL;
}

/* Beyond these, angles overflow a float or all but the first plane stand still. */
#define LEAST_THETA 1e-6
#define MOST_THETA  1e30

static int check_heads(const ModelConfig *c, Err *err)
{
    const Heads h = model_heads(c);
    if (h.kv > MAX_DIMENSION || c->num_heads % h.kv != 0)
        return err_set(err, "num_kv_heads %zu does not divide num_heads %zu", h.kv, c->num_heads);
    if (model_dimension_check("head_dim", h.channels, err) != 0)
        return -1;
    if (h.channels % 2 != 0)
        return err_set(err, "head_dim %zu is odd, but rotary embedding turns pairs", h.channels);
    if ((double)h.count * (double)h.channels > MAX_DIMENSION)
        return err_set(err, "num_heads x head_dim is %zu x %zu, more than %d", h.count, h.channels,
                       MAX_DIMENSION);
    if (!(c->rope.theta >= LEAST_THETA && c->rope.theta <= MOST_THETA))
        return err_set(err, "rope_theta is %g, outside %g to %g", c->rope.theta, LEAST_THETA,
                       MOST_THETA);
    return 0;
}

int model_config_check(const ModelConfig *c, Err *err)
{
    ModelConfig copy = *c;
    for (Dimension d = 0; d < NUM_DIMENSIONS; d++)
        if (is_used(c, d) &&
            model_dimension_check(dimensions[d].name, *model_dimension(&copy, d), err) != 0)
            return -1;
    if (c->head_dim == 0 && c->d_model % c->num_heads != 0)
        return err_set(err, "num_heads %zu does not divide d_model %zu", c->num_heads, c->d_model);
    if (c->family->rotary && check_heads(c, err) != 0)
        return -1;
    if (!(c->norm_eps > 0) || isinf(c->norm_eps))
        return err_set(err, "norm_eps is %g, but must be positive", (double)c->norm_eps);
    if (c->family->params(c) > 0x1p48)
        return err_set(err, "a model of %.3g parameters is beyond the limit of 2^48",
                       c->family->params(c));
    return 0;
}

size_t model_num_params(const ModelConfig *c)
{
    return (size_t)c->family->params(c);
}

double model_flops(const ModelConfig *c, size_t batch, size_t context, bool backward)
{
    return (double)batch * c->family->flops(c, (double)context) * (backward ? 3 : 1);
}

/* ---- recordings ---- */

static void record_inputs(Graph *g, const ModelConfig *c, const RecordWants *want, Recording *r)
{
    size_t bt[] = {want->batch, want->context}, ends = want->batch + 1;
    CHECK(want->context <= c->max_positions, "%zu positions of %zu", want->context,
          c->max_positions);
    CHECK(!want->rows || !want->mask, "sequences without padding need no mask");
    CHECK(!want->capacity || (c->family->causal && want->rows &&
                              want->capacity <= c->max_positions && !want->loss && !want->hidden),
          "a cache of %zu positions", want->capacity);
    CHECK(want->rows <= INT32_MAX, "%zu rows", want->rows);
    if (want->rows) {
        bt[0] = 1;
        bt[1] = want->rows;
    }
    bool classifier = c->head == HEAD_CLASSIFIER;
    *r = (Recording){.tokens = graph_input(g, "tokens", DT_I32, 2, bt)};
    r->sequences = (Sequences){.batch = want->batch, .longest = want->context};
    if (want->rows)
        r->sequences.starts = graph_input(g, "starts", DT_I32, 1, &ends);
    if (want->mask)
        r->mask = graph_input(g, "mask", DT_I32, 2, bt);
    if (want->types && c->type_vocab_size > 0)
        r->types = graph_input(g, "types", DT_I32, 2, bt);
    if (want->loss)
        r->targets =
            graph_input(g, "targets", DT_I32, classifier ? 1 : 2, classifier ? &want->batch : bt);
}

Tensor *record_causal_attention(Graph *g, const ModelConfig *c, const RecordWants *want,
                                const Recording *r, Tensor *qkv)
{
    const Heads h = model_heads(c);
    const DType product = want->capacity
                              ? attention_cached_product(want->attention, want->cache_type, h)
                              : want->attention;
    tensor_store(qkv, product); /* which rounds it to that anyway */
    if (want->capacity == 0)
        return op_attention(g, qkv, r->mask, r->sequences, h, true, product);
    KvCache cache = kv_cache(g, want->batch, h, want->capacity, want->cache_type);
    return op_attention_cached(g, qkv, cache, r->sequences, h, product);
}

Tensor *record_wanted_rows(Graph *g, const RecordWants *want, const Recording *r, Tensor *x)
{
    return want->capacity ? op_end_token(g, x, r->sequences, true) : x;
}

void model_record(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want, Recording *r)
{
    record_inputs(g, c, want, r);
    r->hidden = xcalloc(c->num_layers + 1, sizeof *r->hidden);
    c->family->record(g, c, p, want, r);
    for (size_t i = 0; i <= c->num_layers && want->hidden; i++)
        tensor_keep(r->hidden[i]);
    if (r->logits && want->logits)
        tensor_keep(r->logits);
    if (r->loss)
        tensor_keep(r->loss);
}

void recording_release(Recording *r)
{
    free(r->hidden);
    *r = (Recording){0};
}

void model_declare(Params *p, const ModelConfig *c)
{
    Graph g;
    Recording r;
    params_init(p);
    graph_init(&g);
    model_record(&g, c, p, &(RecordWants){.batch = 1, .context = 1}, &r);
    recording_release(&r);
    graph_release(&g);
}
