/* config: see config.h. */
#include "bench/row/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/kernels/kernels.h"
#include "model/families/family.h"
#include "model/families/shapes.h"
#include "bench/machine/threads.h"

#define WARMUP_FIXED "fixed"

static bool is_config(const Field *f)
{
    return f->group != FIELD_RESULT;
}

static bool is_num_warmups(const Field *f)
{
    return f->offset == offsetof(RowConfig, num_warmups);
}

bool row_config_finds_warmups(const RowConfig *c)
{
    return c->warmup_mode[0] && strcmp(c->warmup_mode, WARMUP_FIXED) != 0; /* "" in older files */
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
    for (size_t i = 0; i < num_row_fields; i++) {
        Err err;
        const Field *f = &row_fields[i];
        if (is_config(f) && f->fallback)
            CHECK(field_parse(f, c, f->fallback, &err) == 0, "default of %s: %s", f->name, err.msg);
    }
    c->threads = threads_default();
    text_set(c->gemm, gemm_backend());
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
    return field_parse(f, c, text, err);
}

int row_config_complete(RowConfig *c, Err *err)
{
    if (c->d_model && c->num_layers && c->num_heads)
        return 0;
    const NamedShape *size = model_shape_find(c->model_size);
    if (!size || size->arch) /* rows are GPT-2's so far */
        return err_set(err, "model_size '%s' is not built in: give its dimensions", c->model_size);
    c->d_model = c->d_model ? c->d_model : (int64_t)size->shape.d_model;
    c->num_layers = c->num_layers ? c->num_layers : (int64_t)size->shape.num_layers;
    c->num_heads = c->num_heads ? c->num_heads : (int64_t)size->shape.num_heads;
    return 0;
}

/* Tokens of a trial; more could not be numbered by the 32-bit indices of the kernels. */
#define MAX_TOKENS ((int64_t)1 << 31)

int row_config_check(const RowConfig *c, Err *err)
{
    ModelConfig model = row_config_model(c);
    if (model_config_check(&model, err) != 0)
        return -1;
    if (c->batch_size > MAX_TOKENS / c->context_length)
        return err_set(err,
                       "batch_size %" PRId64 " x context_length %" PRId64
                       " is more than 2^31 tokens a trial",
                       c->batch_size, c->context_length);
    return 0;
}

ModelConfig row_config_model(const RowConfig *c)
{
    return model_config_gpt((size_t)c->d_model, (size_t)c->num_layers, (size_t)c->num_heads,
                            (size_t)c->vocab_size, (size_t)c->context_length);
}

/* The field as identity and command line have it: warmups counted while running are "auto" or
 * "window". */
static void config_text(const Field *f, const RowConfig *c, char *text)
{
    if (is_num_warmups(f) && row_config_finds_warmups(c))
        text_set(text, c->warmup_mode);
    else
        field_cell(f, c, text);
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
        if (*text == '\0' || (f->fallback && strcmp(text, f->fallback) == 0))
            continue;
        hash = fnv1a(hash, f->name);
        hash = fnv1a(hash, "=");
        hash = fnv1a(hash, text);
        hash = fnv1a(hash, "\n");
    }
    snprintf(id, ROW_ID_SIZE, "r%016" PRIx64, hash);
}

void row_name(const RowConfig *c, char *name)
{
    FieldTEXT warmups;
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
    char **argv = xcalloc(2 * num_row_fields + 3, sizeof *argv);
    size_t n = 0;
    argv[n++] = xstrdup(program);
    argv[n++] = xstrdup("run");
    for (size_t i = 0; i < num_row_fields; i++) {
        const Field *f = &row_fields[i];
        FieldTEXT text;
        if (!is_config(f) || !f->option)
            continue;
        config_text(f, c, text);
        if (f->kind == FIELD_BOOL && strcmp(text, "False") == 0)
            continue;
        argv[n++] = xstrdup(f->option);
        if (f->kind != FIELD_BOOL)
            argv[n++] = xstrdup(text);
    }
    return argv;
}

void argv_free(char **argv)
{
    for (char **word = argv; *word; word++)
        free(*word);
    free(argv);
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
                                    .set = set_from_option};
    }
    return count;
}
