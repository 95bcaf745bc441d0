/* config: see config.h. */
#include "bench/precision/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/machine/threads.h"
#include "bench/util/filter.h"

enum { MAX_ROUNDS = 100000, MAX_SIZE = 1 << 20 };

/* ---- keys ---- */

/* When the command line sets the rounds, all models are there, and have to follow. */
static int set_rounds_of_models(const ConfigAt *at, Err *err)
{
    (void)err;
    StudyConfig *c = at->out;
    for (size_t i = 0; i < c->num_models; i++)
        c->models[i].rounds = 0;
    return 0;
}

static void multiply_out(StudyModel *m)
{
    m->times = xcalloc(m->batch_size.count * m->seq_len.count + 1, sizeof *m->times);
    for (size_t b = 0; b < m->batch_size.count; b++)
        for (size_t l = 0; l < m->seq_len.count; l++)
            m->times[m->num_times++] =
                (StudyTime){(size_t)m->batch_size.at[b], (size_t)m->seq_len.at[l]};
}

static int check_model(const ConfigAt *at, Err *err)
{
    StudyModel *m = at->table;
    if (compare_check_model(at, err) != 0)
        return -1;
    if (!m->batch_size.count != !m->seq_len.count)
        return err_set(err, "batch_size and seq_len belong together");
    if (!m->batch_size.count && !m->test && !m->text)
        return err_set(err,
                       "nothing is asked of this model: batch_size and seq_len, test, or text");
    multiply_out(m);
    return 0;
}

#define TOP_KEY(kind, name, ...)   CONFIG_KEY(kind, StudyConfig, name, __VA_ARGS__)
#define MODEL_KEY(kind, name, ...) CONFIG_KEY(kind, StudyModel, name, __VA_ARGS__)

static const ConfigKey top_keys[] = {
    TURN_KEYS(StudyConfig, "precision"),
    TOP_KEY(INT, rounds, .min = 1, .max = MAX_ROUNDS, .fallback = "20",
            .check = set_rounds_of_models, .doc = "of turns; every format has one in each"),
    CONFIG_KEY_CALLED("formats", CHOICE, StudyConfig, listed, .count = CONFIG_SOME,
                      .choices = PRECISION_NAMES,
                      .doc = "all by default; fp32 is always one: the others are compared with it"),
};

static const ConfigKey model_keys[] = {
    MODEL_KEYS,
    MODEL_KEY(TEXT, made_by, .doc = "the command to name where the directory is missing"),
    MODEL_KEY(INT, batch_size, .count = CONFIG_SOME, .min = 1, .max = MAX_SIZE,
              .doc = "times: every batch_size with every seq_len"),
    MODEL_KEY(INT, seq_len, .count = CONFIG_SOME, .min = 1, .max = MAX_SIZE,
              .doc = "tokens of a sequence"),
    MODEL_KEY(INT, rounds, .min = 1, .max = MAX_ROUNDS, .doc = "instead of those at the top"),
    MODEL_KEY(TEXT, test, .doc = "of a classifier, JSON lines: accuracy on these texts"),
    MODEL_KEY(INT, max_length, .min = 2, .max = MAX_SIZE, .fallback = "128",
              .doc = "tokens of a text; what is longer is cut"),
    MODEL_KEY(TEXT, text, .doc = "of a decoder, any file: perplexity of its last share"),
    MODEL_KEY(REAL, held_out, .min = 1e-9, .max = 1, .fallback = "0.1",
              .doc = "this share; 1: the whole text"),
    MODEL_KEY(INT, context, .min = 1, .max = MAX_SIZE,
              .doc = "tokens of a window of that text; its learned positions by default, 512 where "
                     "it has none"),
};

static const ConfigSection sections[] = {
    CONFIG_SECTION(NULL, top_keys),
    CONFIG_SECTION("model", model_keys, .size = sizeof(StudyModel),
                   .offset = offsetof(StudyConfig, models),
                   .count = offsetof(StudyConfig, num_models), .check = check_model),
};

/* ---- the whole ---- */

/* fp32 first, then the others as they are listed, each once. */
static void order_formats(StudyConfig *c)
{
    bool has[NUM_PRECISIONS] = {[PRECISION_FP32] = true};
    c->formats[c->num_formats++] = PRECISION_FP32;
    for (size_t i = 0; i < (c->listed.count ? c->listed.count : NUM_PRECISIONS); i++) {
        Precision p = (Precision)(c->listed.count ? (size_t)c->listed.at[i] : i);
        if (!has[p])
            c->formats[c->num_formats++] = p;
        has[p] = true;
    }
}

static int finish(void *out, Err *err)
{
    (void)err;
    StudyConfig *c = out;
    if (c->threads == 0)
        c->threads = threads_default();
    for (size_t i = 0; i < c->num_models; i++)
        if (c->models[i].rounds == 0)
            c->models[i].rounds = c->rounds;
    order_formats(c);
    return 0;
}

static void release_times(void *out)
{
    StudyConfig *c = out;
    for (size_t i = 0; i < c->num_models; i++)
        free(c->models[i].times);
}

const ConfigFile study_config_file = CONFIG_FILE(sections, StudyConfig, .title = "`tare precision`",
                                                 .check = finish, .release = release_times);

/* ---- --filter ---- */

static bool keeps(NameFilter *f, const StudyModel *m, const char *work)
{
    OWNED char *name = xasprintf("%s/%s", m->source.name, work);
    return name_filter_keeps(f, name);
}

static void keep_quality(NameFilter *f, const StudyModel *m, char **data, const char *work)
{
    if (!*data || keeps(f, m, work))
        return;
    free(*data);
    *data = NULL;
}

static void filter_model(NameFilter *f, StudyModel *m)
{
    size_t count = m->num_times;
    m->num_times = 0;
    for (size_t i = 0; i < count; i++) {
        char work[64];
        snprintf(work, sizeof work, "time/b%zus%zu", m->times[i].batch, m->times[i].seq_len);
        if (keeps(f, m, work))
            m->times[m->num_times++] = m->times[i];
    }
    keep_quality(f, m, &m->test, "accuracy");
    keep_quality(f, m, &m->text, "perplexity");
}

int study_config_filter(StudyConfig *c, const char *regex, Err *err)
{
    NameFilter f;
    if (name_filter_open(&f, regex, err) != 0)
        return -1;
    size_t kept = 0;
    for (size_t i = 0; i < c->num_models; i++) {
        StudyModel m = c->models[i];
        filter_model(&f, &m);
        if (m.num_times || m.test || m.text) {
            c->models[kept++] = m;
        } else {
            free(m.times);
            config_release_table(&sections[1], &m);
        }
    }
    c->num_models = kept;
    return name_filter_close(&f, "pieces of work", err);
}
