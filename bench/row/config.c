/* config: see config.h. */
#include "bench/row/config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/kernels/kernels.h"
#include "model/families/family.h"
#include "model/families/shapes.h"
#include "model/model.h"
#include "bench/machine/threads.h"
#include "bench/row/model_dir.h"
#include "bench/util/process.h"

#define WARMUP_FIXED "fixed"

static bool is_config(const Field *f)
{
    return f->group != FIELD_RESULT;
}

static bool is_of_model(const Field *f)
{
    return f->group == FIELD_MODEL || f->group == FIELD_SHAPE;
}

static bool is_num_warmups(const Field *f)
{
    return f->offset == offsetof(RowConfig, num_warmups);
}

bool row_config_finds_warmups(const RowConfig *c)
{
    return c->warmup_mode[0] && strcmp(c->warmup_mode, WARMUP_FIXED) != 0; /* "" in older files */
}

int64_t row_processes(const RowConfig *c)
{
    return c->num_processes > 1 ? c->num_processes : 1;
}

/* A number of warmups, or the name of a mode that finds it. */
static bool set_warmup_mode(RowConfig *c, const char *text)
{
    Err err;
    const char *modes = row_field("warmup_mode")->choices;
    bool named = choice_check("", modes, text, &err) == 0 && strcmp(text, WARMUP_FIXED) != 0;
    text_set(c->warmup_mode, named ? text : WARMUP_FIXED);
    return named;
}

void row_config_init(RowConfig *c)
{
    memset(c, 0, sizeof *c);
    for (const Field *f = row_fields; f < row_fields + num_row_fields; f++)
        if (is_of_model(f))
            field_clear(f, c);
        else if (is_config(f) && f->fallback)
            field_default(f, c);
    c->threads = threads_default();
    text_set(c->gemm, gemm_backend());
}

static bool is_recompute(const char *text)
{
    RecomputeChoice choice;
    Err err;
    return recompute_parse(text, &choice, &err) == 0;
}

int row_config_set(RowConfig *c, const Field *f, const char *text, Err *err)
{
    CHECK(is_config(f), "%s is no config field", f->name);
    if (is_num_warmups(f) && set_warmup_mode(c, text)) {
        c->num_warmups = INT_MISSING;
        return 0;
    }
    if (text[0] == '\0')
        return err_set(err, "%s is empty", f->name);
    if (f->offset == offsetof(RowConfig, recompute) && !is_recompute(text))
        return choice_check(f->name, "auto|none|cheap|block|block:K", text, err);
    return field_parse(f, c, text, err);
}

/* ---- the model ---- */

/* The published model of that name, or NULL. */
static const NamedShape *published(const RowConfig *c)
{
    const NamedShape *named = c->model_dir[0] ? NULL : model_shape_find(c->model_size);
    return named && named->arch ? named : NULL;
}

static const Arch *arch_of(const RowConfig *c)
{
    const Arch *arch = arch_find(c->arch[0] ? c->arch : row_field("arch")->fallback);
    CHECK(arch, "arch '%s'", c->arch); /* row_config_set has refused it */
    return arch;
}

void row_config_fill(RowConfig *c, const RowConfig *from)
{
    for (size_t i = 0; i < num_row_fields; i++)
        if (is_of_model(&row_fields[i]) && field_is_missing(&row_fields[i], c))
            field_copy(&row_fields[i], from, c);
}

/* The nearest of the few digits that files have. */
static double as_written(float x)
{
    char text[32];
    snprintf(text, sizeof text, "%.7g", (double)x);
    return strtod(text, NULL);
}

static const char *arch_name(const Family *family)
{
    return !family->rotary ? "gpt2" : family->interleaved ? "cs336" : "llama";
}

/* As fields of a row; what its arch does not have is missing. */
static void shape_of_model(const ModelConfig *m, RowConfig *all)
{
    const Heads h = model_heads(m);
    row_config_init(all);
    text_set(all->arch, arch_name(m->family));
    all->d_model = (FieldINT)m->d_model;
    all->num_layers = (FieldINT)m->num_layers;
    all->num_heads = (FieldINT)m->num_heads;
    all->num_kv_heads = (FieldINT)h.kv;
    all->head_dim = (FieldINT)h.channels;
    all->d_ff = (FieldINT)m->d_ff;
    all->vocab_size = (FieldINT)m->vocab_size;
    all->norm_eps = as_written(m->norm_eps);
    all->tied_head = m->tied_head;
    if (m->family->rotary) {
        all->rope_theta = m->rope.theta;
        all->qk_norm = m->qk_norm;
        all->qkv_bias = m->qkv_bias;
    }
}

/* A row that says of its model what the files do not. */
static int check_against_dir(const RowConfig *c, const RowConfig *all, Err *err)
{
    for (size_t i = 0; i < num_row_fields; i++) {
        FieldTEXT given, there;
        const Field *f = &row_fields[i];
        if (!is_of_model(f))
            continue;
        field_cell(f, c, given);
        field_cell(f, all, there);
        if (given[0] && strcmp(given, there) != 0)
            return err_set(err, "%s is %.60s, but %s in '%.200s'", f->name, given,
                           there[0] ? there : "there is none", c->model_dir);
    }
    return 0;
}

static int take_model_dir(RowConfig *c, Err *err)
{
    ModelConfig m;
    RowConfig all;
    FieldTEXT name;
    model_dir_name(c->model_dir, name);
    if (model_dir_config(c->model_dir, &m, err) != 0)
        return -1;
    if (!c->model_size[0])
        text_set(c->model_size, name);
    else if (model_shape_find(c->model_size) && strcmp(c->model_size, name) != 0)
        return err_set(err, "model_size '%s' is built in, but the model is that of '%.200s'",
                       c->model_size, c->model_dir);
    shape_of_model(&m, &all);
    if (check_against_dir(c, &all, err) != 0)
        return -1;
    row_config_fill(c, &all);
    return 0;
}

static void take_named_shape(RowConfig *c)
{
    const NamedShape *named = model_shape_find(c->model_size);
    RowConfig all;
    if (!named)
        return;
    const DecoderShape *s = &named->shape;
    row_config_init(&all);
    all.d_model = (FieldINT)s->d_model;
    all.num_layers = (FieldINT)s->num_layers;
    all.num_heads = (FieldINT)s->num_heads;
    if (named->arch) {
        text_set(all.arch, named->arch);
        all.num_kv_heads = int_unless_zero(s->num_kv_heads);
        all.head_dim = int_unless_zero(s->head_dim);
        all.d_ff = (FieldINT)s->d_ff;
        all.vocab_size = (FieldINT)s->vocab_size;
        all.rope_theta = s->rope_theta;
        all.norm_eps = s->norm_eps;
        all.tied_head = s->tied_head;
        all.qk_norm = s->qk_norm;
        all.qkv_bias = s->qkv_bias;
    }
    row_config_fill(c, &all);
}

int row_config_take_shape(RowConfig *c, Err *err)
{
    if (c->model_dir[0])
        return take_model_dir(c, err);
    take_named_shape(c);
    return 0;
}

/* What follows from the dimensions and the arch. */
static void fill_defaults(RowConfig *c)
{
    const Arch *arch = arch_of(c);
    RowConfig plain;
    row_config_init(&plain);
    for (const Field *f = row_fields; f < row_fields + num_row_fields; f++)
        if (f->group == FIELD_SHAPE && f->fallback)
            field_default(f, &plain);
    plain.d_ff = 4 * c->d_model;
    plain.num_kv_heads = c->num_heads;
    if (c->d_model % c->num_heads == 0) /* else row_config_check refuses them */
        plain.head_dim = c->d_model / c->num_heads;
    plain.tied_head = arch->tied_head;
    if (!arch->family->rotary) {
        plain.rope_theta = NAN;
        plain.qk_norm = plain.qkv_bias = INT_MISSING;
    }
    row_config_fill(c, &plain);
}

static const char *const task_names[NUM_TASKS] = {"loss", "prefill", "decode"};

void row_config_set_task(RowConfig *c, RowTask task)
{
    text_set(c->task, task_names[task]);
}

RowTask row_task(const RowConfig *c)
{
    for (int i = 0; i < NUM_TASKS; i++)
        if (strcmp(c->task, task_names[i]) == 0)
            return (RowTask)i;
    return TASK_LOSS; /* "" in older files */
}

static void fill_missing(RowConfig *c, const char *name)
{
    const Field *f = row_field(name);
    if (field_is_missing(f, c))
        field_default(f, c);
}

/* Settings that the task does not have say nothing about the row; those that it has are there, also
 * in a row that was of another task. */
static void settle_task(RowConfig *c)
{
    static const char *const own[NUM_TASKS][5] = {
        [TASK_LOSS] = {"context_length"},
        [TASK_PREFILL] = {"context_length", "ubatch", "kv_type"},
        [TASK_DECODE] = {"n_gen", "depth", "ubatch", "kv_type"},
    };
    RowTask task = row_task(c);
    for (size_t i = 0; own[task][i]; i++)
        fill_missing(c, own[task][i]);
    if (task != TASK_DECODE)
        c->n_gen = c->depth = INT_MISSING;
    if (task == TASK_LOSS) {
        c->ubatch = INT_MISSING;
        text_set(c->kv_type, "");
        return;
    }
    c->forward_only = true;
    text_set(c->optimizer, "none");
    if (task == TASK_DECODE)
        c->context_length = INT_MISSING;
}

/* Settings of ranks that the row does not have say nothing about it either. */
static void settle_ranks(RowConfig *c)
{
    if (c->ranks <= 1) {
        text_set(c->parallel, row_field("parallel")->fallback);
        text_set(c->reduce, "");
        text_set(c->launcher, "");
    } else {
        fill_missing(c, "reduce");
    }
    if (strcmp(c->parallel, "ddp-bucket") == 0)
        fill_missing(c, "bucket_mb");
    else
        c->bucket_mb = NAN;
    if (strcmp(c->parallel, "fsdp") == 0)
        fill_missing(c, "prefetch_layers");
    else
        c->prefetch_layers = INT_MISSING;
}

size_t row_positions(const RowConfig *c)
{
    return (size_t)(row_task(c) == TASK_DECODE ? c->depth + c->n_gen : c->context_length);
}

double row_tokens(const RowConfig *c)
{
    int64_t tokens = row_task(c) == TASK_DECODE ? c->n_gen : c->context_length;
    return (double)c->batch_size * (double)tokens;
}

int row_config_complete(RowConfig *c, Err *err)
{
    const NamedShape *real = published(c);
    if (row_config_take_shape(c, err) != 0)
        return -1;
    if (c->d_model == INT_MISSING || c->num_layers == INT_MISSING || c->num_heads == INT_MISSING)
        return err_set(err, "model_size '%s' is not built in: give its dimensions", c->model_size);
    if (real && strcmp(real->arch, c->arch) != 0)
        return err_set(err, "model_size '%s' is a %s, but arch is '%s'", real->name, real->arch,
                       c->arch);
    fill_defaults(c);
    settle_task(c);
    settle_ranks(c);
    return 0;
}

/* What gpt2 does not have. */
static int check_plain(const RowConfig *c, Err *err)
{
    static const char *const absent[] = {"rope_theta", "qk_norm", "qkv_bias"};
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        if (!field_is_missing(row_field(absent[i]), c))
            return err_set(err, "%s is set, but arch gpt2 has none; llama and cs336 do", absent[i]);
    if (c->num_kv_heads != INT_MISSING && c->num_kv_heads != c->num_heads)
        return err_set(
            err, "num_kv_heads is %" PRId64 ", but arch gpt2 has as many as num_heads, %" PRId64,
            c->num_kv_heads, c->num_heads);
    if (c->head_dim != INT_MISSING && c->head_dim * c->num_heads != c->d_model)
        return err_set(err,
                       "head_dim is %" PRId64
                       ", but in arch gpt2 it is d_model / num_heads, %" PRId64 " / %" PRId64,
                       c->head_dim, c->d_model, c->num_heads);
    return 0;
}

/* Tokens of a trial; more could not be numbered by the 32-bit indices of the kernels. */
#define MAX_TOKENS ((int64_t)1 << 31)

static const char *positions_name(const RowConfig *c)
{
    return row_task(c) == TASK_DECODE ? "depth + n_gen" : "context_length";
}

static int check_ranks(const RowConfig *c, Err *err)
{
    bool none = strcmp(c->parallel, "none") == 0;
    if (c->ranks <= 1)
        return 0;
    if (row_task(c) != TASK_LOSS)
        return err_set(err, "ranks is %" PRId64 ", but task %s runs in one process", c->ranks,
                       c->task);
    if (none && !c->forward_only)
        return err_set(err,
                       "ranks is %" PRId64 ", but parallel is none: say how they share the work, "
                       "ddp-bucket for one",
                       c->ranks);
    if (c->batch_size % c->ranks != 0)
        return err_set(err, "batch_size %" PRId64 " does not divide among %" PRId64 " ranks",
                       c->batch_size, c->ranks);
    return 0;
}

int row_config_check(const RowConfig *c, Err *err)
{
    ModelConfig model = row_config_model(c);
    if (model_config_check(&model, err) != 0 ||
        (!arch_of(c)->family->rotary && check_plain(c, err) != 0) || check_ranks(c, err) != 0)
        return -1;
    if (c->batch_size > MAX_TOKENS / (int64_t)row_positions(c))
        return err_set(err, "batch_size %" PRId64 " x %s %zu is more than 2^31 tokens a trial",
                       c->batch_size, positions_name(c), row_positions(c));
    if (row_positions(c) > model.max_positions)
        return err_set(err, "%s is %zu, but '%.200s' has %zu positions", positions_name(c),
                       row_positions(c), c->model_dir, model.max_positions);
    return 0;
}

static size_t or_zero(FieldINT value)
{
    return value == INT_MISSING ? 0 : (size_t)value;
}

ModelConfig row_config_model(const RowConfig *c)
{
    ModelConfig of_dir;
    Err err;
    if (c->model_dir[0]) {
        CHECK(model_dir_config(c->model_dir, &of_dir, &err) == 0, "%s", err.msg);
        return of_dir;
    }
    const Arch *arch = arch_of(c);
    const NamedShape *real = published(c);
    DecoderShape s = {
        .d_model = (size_t)c->d_model,
        .num_layers = (size_t)c->num_layers,
        .num_heads = (size_t)c->num_heads,
        .num_kv_heads = or_zero(c->num_kv_heads),
        .head_dim = or_zero(c->head_dim),
        .d_ff = or_zero(c->d_ff),
        .vocab_size = (size_t)c->vocab_size,
        .rope_theta = c->rope_theta,
        .norm_eps = c->norm_eps,
        .tied_head = c->tied_head == INT_MISSING ? arch->tied_head : c->tied_head != 0,
        .qk_norm = c->qk_norm == 1,
        .qkv_bias = c->qkv_bias == 1,
        .scaling = real ? real->shape.scaling : (Rope){0},
    };
    return model_config_decoder(arch, &s, row_positions(c));
}

/* ---- identity ---- */

/* The field as identity and command line have it: warmups counted while running are "auto" or
 * "window". */
static void config_text(const Field *f, const RowConfig *c, char *text)
{
    if (is_num_warmups(f) && row_config_finds_warmups(c))
        text_set(text, c->warmup_mode);
    else
        field_cell(f, c, text);
}

/* Whether completing the row without the field gives it the same value. */
static bool is_implied(const Field *f, const RowConfig *c)
{
    RowConfig without = *c;
    Err err;
    if (c->model_dir[0])
        return true;
    field_clear(f, &without);
    return row_config_complete(&without, &err) == 0 && field_same(f, c, &without);
}

static uint64_t fnv1a(uint64_t hash, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        hash = (hash ^ *p) * 0x100000001b3u;
    return hash;
}

void row_id(const RowConfig *c, char id[ROW_ID_SIZE])
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < num_row_fields; i++) {
        const Field *f = &row_fields[i];
        FieldTEXT text;
        if (!is_config(f))
            continue;
        config_text(f, c, text);
        if (*text == '\0' ||
            (f->group == FIELD_SHAPE ? is_implied(f, c)
                                     : f->fallback && strcmp(text, f->fallback) == 0))
            continue;
        hash = fnv1a(hash, f->name);
        hash = fnv1a(hash, "=");
        hash = fnv1a(hash, text);
        hash = fnv1a(hash, "\n");
    }
    snprintf(id, ROW_ID_SIZE, "r%016" PRIx64, hash);
}

/* Of prefill and decode. */
static void generation_name(const RowConfig *c, char *name)
{
    bool decodes = row_task(c) == TASK_DECODE;
    snprintf(name, TEXT_SIZE, "%.64s/%s%" PRId64, c->model_size, decodes ? "tg" : "pp",
             decodes ? c->n_gen : c->context_length);
    if (decodes && c->depth > 0)
        text_extend(name, "@d%" PRId64, c->depth);
    if (c->batch_size > 1)
        text_extend(name, "/b%" PRId64, c->batch_size);
}

void row_name(const RowConfig *c, char *name)
{
    FieldTEXT warmups;
    if (row_task(c) != TASK_LOSS) {
        generation_name(c, name);
        return;
    }
    config_text(row_field("num_warmups"), c, warmups);
    int len = snprintf(name, TEXT_SIZE, "%.64s/%" PRId64 "/%s/w%.32s", c->model_size,
                       c->context_length, c->forward_only ? "fwd" : "fwdbwd", warmups);
    CHECK(len > 0 && len < TEXT_SIZE, "row name of %d bytes", len);
}

const Field *row_config_difference(const RowConfig *a, const RowConfig *b)
{
    for (size_t i = 0; i < num_row_fields; i++) {
        FieldTEXT in_a, in_b;
        if (!is_config(&row_fields[i]))
            continue;
        config_text(&row_fields[i], a, in_a);
        config_text(&row_fields[i], b, in_b);
        if (strcmp(in_a, in_b) != 0)
            return &row_fields[i];
    }
    return NULL;
}

char **row_argv(const RowConfig *c, const char *program)
{
    char **argv = NULL;
    argv_add(&argv, "%s", program);
    argv_add(&argv, "run");
    for (size_t i = 0; i < num_row_fields; i++) {
        const Field *f = &row_fields[i];
        FieldTEXT text;
        if (!is_config(f) || !f->option)
            continue;
        config_text(f, c, text);
        /* A shape's default is not the one of a named model. */
        bool default_value =
            f->group == FIELD_CONFIG && f->fallback && strcmp(text, f->fallback) == 0;
        if (!*text || default_value || (f->kind == FIELD_BOOL && strcmp(text, "False") == 0))
            continue;
        argv_add(&argv, "%s", f->option);
        if (f->kind != FIELD_BOOL)
            argv_add(&argv, "%s", text);
    }
    return argv;
}

static int set_from_option(void *target, const void *context, const char *value, Err *err)
{
    return row_config_set(target, context, value ? value : "True", err);
}

static const char *value_name(const Field *f)
{
    switch (f->kind) {
    case FIELD_BOOL:
        return NULL;
    case FIELD_FLAG:
        return "[BOOL]";
    case FIELD_TEXT:
        return f->choices ? "WORD" : "NAME";
    default:
        return "N";
    }
}

size_t row_options(RowConfig *c, Option *options)
{
    size_t count = 0;
    for (size_t i = 0; i < num_row_fields; i++) {
        const Field *f = &row_fields[i];
        if (!is_config(f) || !f->option)
            continue;
        options[count++] = (Option){.name = f->option,
                                    .kind = OPTION_CALL,
                                    .value_name = value_name(f),
                                    .help = f->doc,
                                    .target = c,
                                    .choices = f->choices,
                                    .context = f,
                                    .set = set_from_option,
                                    .truth = f->kind == FIELD_FLAG};
    }
    return count;
}
