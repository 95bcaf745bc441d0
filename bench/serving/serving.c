/* serving: the model and the texts, and what follows from the figures; see serving.h. */
#include "bench/serving/serving.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/families/family.h"
#include "model/files/weights.h"

/* ---- opening ---- */

static int open_model(Serving *s, Err *err)
{
    Checkpoint ck;
    const char *dir = s->config->model;
    OWNED char *weights = weights_find(dir);
    if (!weights && weights_advice(dir))
        return weights_missing(dir, err);
    if (!weights)
        return err_set(err,
                       "there is no model in '%s'; to make it: tare train "
                       "configs/sentiment_train.toml",
                       dir);
    if (model_files_find(&s->model, &(CompareModel){.dir = (char *)dir}, &s->session.project,
                         err) != 0 ||
        model_files_open(&s->model, &ck, err) != 0)
        return -1;
    checkpoint_release(&ck);
    const ModelConfig *c = &s->model.config;
    if (c->head != HEAD_CLASSIFIER)
        return err_set(err, "'%s' has no classifier; tare train makes one", dir);
    s->max_length = c->max_positions;
    if (s->config->max_length > 0 && (size_t)s->config->max_length < s->max_length)
        s->max_length = (size_t)s->config->max_length;
    return labels_load(&s->labels, dir, c->num_labels, err);
}

static int open_texts(Serving *s, Err *err)
{
    for (size_t k = 0; k < NUM_SETS; k++) {
        const char *path = s->config->data[k];
        if (k == SET_TEST && path && access(path, R_OK) != 0) {
            fprintf(stderr,
                    "tare: no '%s', so there is no test set; analysis/fetch_sentiment.py "
                    "fetches it\n",
                    path);
            path = NULL;
        }
        if (path && jsonl_load(&s->sets[k], path, &s->labels, err) != 0)
            return -1;
        s->num_texts += s->sets[k].count;
    }
    return 0;
}

int serving_open(Serving *s, const ServingConfig *c, Err *err)
{
    *s = (Serving){.config = c};
    session_init(&s->session);
    return open_model(s, err) != 0 || open_texts(s, err) != 0 ? -1 : 0;
}

static void serving_entry_release(ServingEntry *c)
{
    free(c->labels);
    free(c->lengths);
    free(c->ms);
    free(c->tokenizer_ms);
    free(c->round_mean_ms);
    entry_release(&c->entry);
}

void serving_release(Serving *s)
{
    for (size_t i = 0; i < s->count; i++)
        serving_entry_release(&s->entries[i]);
    for (size_t k = 0; k < NUM_SETS; k++)
        labelled_texts_release(&s->sets[k]);
    labels_release(&s->labels);
    model_files_release(&s->model);
    session_release(&s->session);
    *s = (Serving){.config = NULL};
}

size_t serving_first(const Serving *s, ServingSet set)
{
    size_t first = 0;
    for (size_t k = 0; k < set; k++)
        first += s->sets[k].count;
    return first;
}

/* ---- figures ---- */

/* Everybody's labels were compared with ours, so without ours nothing is proven. */
static bool is_proven(const Serving *s, const ServingEntry *c)
{
    bool ours = c == &s->entries[0];
    return session_state(&s->session, &c->entry) == ENTRY_OK && (ours || c->entry.has_parity);
}

RatioTest serving_entry_ratio(const Serving *s, const ServingEntry *a, const ServingEntry *b)
{
    return is_proven(s, a) && is_proven(s, b) ? entry_ratio(&a->entry, &b->entry, s->count)
                                              : ratio_missing();
}
