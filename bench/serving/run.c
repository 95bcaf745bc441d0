/* run: cold starts, labels and turns; see serving.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/files/safetensors.h"
#include "bench/text/classifier.h"
#include "bench/util/interrupt.h"
#include "bench/serving/serving.h"

/* Streams of the order of turns and of the order of samples. */
enum { STREAM_TURNS = 0, STREAM_SAMPLES = 1 };

static const LabelledTexts *samples_of(const Serving *s)
{
    return &s->sets[SET_BENCHMARK];
}

static bool failed(const ServingEntry *c)
{
    return entry_failed(&c->entry);
}

int serving_start(Serving *s, Err *err)
{
    const ServingConfig *c = s->config;
    const ImplementationOptions options = {
        .wanted = c->wanted, .threads = c->threads, .max_wait = c->max_wait};
    Implementation *implementations = s->session.implementations;
    if (session_start(&s->session, &options, err) != 0)
        return -1;
    implementations_stop(implementations); /* each begins with cold starts */
    session_measure_peaks(&s->session);
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++) {
        size_t requests = (size_t)c->rounds * samples_of(s)->count;
        if (implementations[k].available)
            s->entries[s->count++] =
                (ServingEntry){.entry.implementation = &implementations[k],
                               .ms = xcalloc(requests, sizeof(double)),
                               .tokenizer_ms = xcalloc(requests, sizeof(double)),
                               .round_mean_ms = xcalloc((size_t)c->rounds, sizeof(double))};
    }
    return 0;
}

/* ---- requests ---- */

static json_t *load_request(const Serving *s)
{
    json_t *texts = json_array();
    for (size_t k = 0; k < NUM_SETS; k++)
        for (size_t i = 0; i < s->sets[k].count; i++)
            json_array_append_new(texts, json_string(s->sets[k].at[i].text));
    json_t *request =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "do", "load", "component", "classify",
                  "model_dir", s->model.dir, "max_length", (json_int_t)s->max_length, "threads",
                  (json_int_t)s->config->threads, "texts", texts);
    CHECK(request, "a folder or text that is no UTF-8");
    return request;
}

/* An array of `count` times of the reply, from ns to ms. */
static int read_times(const ServingEntry *c, const json_t *reply, const char *key, size_t count,
                      double *ms, Err *err)
{
    const json_t *list = json_object_get(reply, key);
    if (json_array_size(list) != count)
        return err_set(err, "%s answered 'requests' without %zu times '%s'",
                       c->entry.implementation->name, count, key);
    for (size_t i = 0; i < count; i++) {
        const json_t *ns = json_array_get(list, i);
        ms[i] = json_is_number(ns) ? json_number_value(ns) / 1e6 : NAN;
        if (!(ms[i] >= 0))
            return err_set(err, "%s answered 'requests' with a time that is none",
                           c->entry.implementation->name);
    }
    return 0;
}

static int request_piece(ServingEntry *c, const size_t *texts, size_t count, double *ms,
                         double *tokenizer_ms, Err *err)
{
    json_t *numbers = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(numbers, json_integer((json_int_t)texts[i]));
    json_auto_t *reply = implementation_ask(
        c->entry.implementation, json_pack("{s:s, s:o}", "do", "requests", "texts", numbers), err);
    return reply && read_times(c, reply, "ns", count, ms, err) == 0
               ? read_times(c, reply, "tokenizer_ns", count, tokenizer_ms, err)
               : -1;
}

/* Labels these texts one after the other; total and tokenizer time of each. In pieces: a reply has
 * to stay below PEER_REPLY_BYTES. */
static int request_texts(ServingEntry *c, const size_t *texts, size_t count, double *ms,
                         double *tokenizer_ms, Err *err)
{
    const size_t most = 4096;
    for (size_t i = 0; i < count; i += most) {
        size_t some = count - i < most ? count - i : most;
        if (request_piece(c, texts + i, some, ms + i, tokenizer_ms + i, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- cold ---- */

/* Times of one, in ms. */
enum { COLD_START, COLD_LOAD, COLD_FIRST, COLD_TIMES };

/* A process that did not exist before; it stays. What it reads lies in the page cache. */
static int cold_start(const Serving *s, ServingEntry *c, double ms[COLD_TIMES], Err *err)
{
    const size_t first_text = 0;
    double tokenizer_ms;
    peer_stop(&c->entry.implementation->peer);
    int64_t start = clock_ns();
    if (implementation_wake(c->entry.implementation, err) != 0)
        return -1;
    ms[COLD_START] = (double)(clock_ns() - start) / 1e6;
    json_auto_t *reply = implementation_ask(c->entry.implementation, load_request(s), err);
    if (!reply)
        return -1;
    const json_t *ns = json_object_get(reply, "ns");
    ms[COLD_LOAD] = json_is_number(ns) ? json_number_value(ns) / 1e6 : NAN;
    return request_texts(c, &first_text, 1, &ms[COLD_FIRST], &tokenizer_ms, err);
}

/* Fills the medians. */
static int cold_starts(const Serving *s, ServingEntry *c, Err *err)
{
    size_t count = (size_t)s->config->cold_starts;
    OWNED double *all = xcalloc(COLD_TIMES * count, sizeof *all);
    double one[COLD_TIMES];
    for (size_t i = 0; i < count; i++) {
        if (cold_start(s, c, one, err) != 0)
            return -1;
        for (size_t k = 0; k < COLD_TIMES; k++)
            all[k * count + i] = one[k];
    }
    c->start_ms = median_of(all + COLD_START * count, count);
    c->load_ms = median_of(all + COLD_LOAD * count, count);
    c->first_ms = median_of(all + COLD_FIRST * count, count);
    return 0;
}

/* ---- labels ---- */

static int read_labels(const Serving *s, ServingEntry *c, const char *path, Err *err)
{
    size_t n = s->num_texts, k = s->labels.count;
    SafeTensors *file = safetensors_open(path, err);
    if (!file)
        return -1;
    const STensor *logits = safetensors_find(file, "logits"),
                  *lengths = safetensors_find(file, "lengths");
    bool right = logits && logits->dtype == ST_F32 && stensor_count(logits) == n * k && lengths &&
                 lengths->dtype == ST_I32 && stensor_count(lengths) == n;
    OWNED float *values = xcalloc(n * k, sizeof *values);
    if (right) {
        c->labels = xcalloc(n, sizeof *c->labels);
        c->lengths = xcalloc(n, sizeof *c->lengths);
        memcpy(c->lengths, lengths->data, n * sizeof *c->lengths);
        memcpy(values, logits->data, n * k * sizeof *values);
        for (size_t i = 0; i < n; i++)
            c->labels[i] = (int32_t)classifier_best(values + i * k, k);
    }
    safetensors_free(file);
    return right ? 0
                 : err_set(err, "%s did not write logits and lengths of %zu texts",
                           c->entry.implementation->name, n);
}

static int label_all(const Serving *s, ServingEntry *c, Err *err)
{
    Implementation *a = c->entry.implementation;
    OWNED char *path = session_file(&s->session, a->name);
    return session_write_outputs(&s->session, a, a->name, err) != 0 ? -1
                                                                    : read_labels(s, c, path, err);
}

/* ---- warm ---- */

static int warm_up(const Serving *s, ServingEntry *c, Err *err)
{
    size_t count = (size_t)s->config->warmups;
    OWNED size_t *texts = xcalloc(count + 1, sizeof *texts);
    OWNED double *ms = xcalloc(2 * count + 1, sizeof *ms);
    for (size_t i = 0; i < count; i++)
        texts[i] = i % samples_of(s)->count;
    return request_texts(c, texts, count, ms, ms + count, err);
}

/* texts[samples + 1]: a random order of the samples, the first of them twice. */
static void draw_order(const Serving *s, size_t round, size_t *texts)
{
    size_t n = samples_of(s)->count;
    uint64_t seed = (uint64_t)s->config->seed;
    for (size_t i = 0; i < n; i++)
        texts[1 + i] = i;
    for (size_t i = n; i-- > 1;) {
        size_t j = (size_t)(rng_uniform(seed, STREAM_SAMPLES, round * n + i) * (double)(i + 1));
        size_t other = texts[1 + j];
        texts[1 + j] = texts[1 + i];
        texts[1 + i] = other;
    }
    texts[0] = texts[1];
}

/* The median request. Times behind the first, which is untimed, are kept. */
static double turn(void *serving, size_t i, Err *err)
{
    Serving *s = serving;
    ServingEntry *c = &s->entries[i];
    size_t n = samples_of(s)->count, round = c->entry.rounds;
    OWNED size_t *texts = xcalloc(n + 1, sizeof *texts);
    OWNED double *ms = xcalloc(2 * (n + 1), sizeof *ms);
    draw_order(s, round, texts);
    if (request_texts(c, texts, n + 1, ms, ms + n + 1, err) != 0)
        return NAN;
    memcpy(c->ms + round * n, ms + 1, n * sizeof *ms);
    memcpy(c->tokenizer_ms + round * n, ms + n + 2, n * sizeof *ms);
    c->round_mean_ms[round] = mean_of(ms + 1, n);
    return median_of(ms + 1, n);
}

/* ---- figures ---- */

/* Model FLOPs of the benchmark samples over the time of the median round, in GFLOP/s. The lengths
 * are tare's own; parity says that the others' are equal. */
static double gflops_of(const Serving *s, const ServingEntry *c)
{
    const int32_t *lengths = s->entries[0].lengths;
    size_t n = samples_of(s)->count;
    double flops = 0;
    if (!lengths)
        return NAN;
    for (size_t i = 0; i < n; i++)
        flops += model_flops(&s->model.config, 1, (size_t)lengths[i], false);
    return flops / (median_of(c->round_mean_ms, c->entry.rounds) * (double)n * 1e6);
}

/* What is left of a tail when each request is beside others of its own text, so of its own
 * length. */
static double text_p99(const Serving *s, const ServingEntry *c)
{
    size_t n = samples_of(s)->count, rounds = c->entry.rounds, requests = rounds * n;
    OWNED size_t *texts = xcalloc(n + 1, sizeof *texts);
    OWNED double *by_text = xcalloc(requests + 1, sizeof *by_text);
    for (size_t round = 0; round < rounds; round++) {
        draw_order(s, round, texts);
        for (size_t i = 0; i < n; i++)
            by_text[texts[1 + i] * rounds + round] = c->ms[round * n + i];
    }
    for (size_t text = 0; text < n; text++) {
        double *ms = by_text + text * rounds, median = median_of(ms, rounds);
        for (size_t round = 0; round < rounds; round++)
            ms[round] /= median;
    }
    return supported_percentile_of(by_text, requests, 0.99);
}

static void summarise(Serving *s)
{
    for (ServingEntry *c = s->entries; c < s->entries + s->count; c++) {
        size_t requests = c->entry.rounds * samples_of(s)->count;
        c->latency = summary_of(c->ms, requests);
        c->text_p99 = text_p99(s, c);
        c->tokenizer_share = mean_of(c->tokenizer_ms, requests) / mean_of(c->ms, requests);
        session_claim(&s->session, &c->entry,
                      (Claim){.product = DT_F32, .gflops = gflops_of(s, c), .cpus_used = NAN});
    }
    session_measure_peaks(&s->session); /* the machine may have become faster meanwhile */
    for (size_t i = 0; i < s->count; i++)
        s->entries[i].entry.ratio = serving_entry_ratio(s, &s->entries[0], &s->entries[i]);
}

/* ---- the whole ---- */

static void prepare(const Serving *s, ServingEntry *c)
{
    Err *err = &c->entry.failure;
    if (cold_starts(s, c, err) == 0 && label_all(s, c, err) == 0)
        session_prove(&s->session, &s->entries[0].entry, &c->entry, parity_tolerance);
    bool differs = c->entry.has_parity && !c->entry.parity.ok;
    if (failed(c))
        fprintf(stderr, "tare: %s failed: %s\n", c->entry.implementation->name, err->msg);
    else
        fprintf(stderr, "tare: %s: start %.4g ms, model load %.4g ms, first request %.4g ms%s%s\n",
                c->entry.implementation->name, c->start_ms, c->load_ms, c->first_ms,
                differs ? ", parity FAILED: " : "", differs ? c->entry.parity.reason : "");
}

int serving_measure(Serving *s, Err *err)
{
    Entry *entries[NUM_IMPLEMENTATIONS];
    for (size_t i = 0; i < s->count && !interrupted(); i++)
        prepare(s, &s->entries[i]);
    for (size_t i = 0; i < s->count; i++) {
        ServingEntry *c = &s->entries[i];
        entries[i] = &c->entry;
        session_remove_file(&s->session, c->entry.implementation->name);
        if (!failed(c) && !interrupted())
            warm_up(s, c, &c->entry.failure);
    }
    if (!interrupted())
        fprintf(stderr, "tare: %lld rounds of %zu requests each\n", (long long)s->config->rounds,
                samples_of(s)->count);
    const RoundsPlan plan = {.seed = (uint64_t)s->config->seed,
                             .stream = STREAM_TURNS,
                             .rounds = (size_t)s->config->rounds};
    if (rounds_run(entries, s->count, &plan, turn, s) != 0)
        return err_set(err, "interrupted");
    summarise(s);
    return 0;
}
