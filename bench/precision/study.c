/* study: finding and reading what is studied, records, energy; see study.h. */
#include "bench/precision/study.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/files/checkpoint.h"
#include "model/files/convert.h"
#include "model/files/model_tokenizer.h"
#include "model/files/weights.h"
#include "bench/compare/implementation.h"
#include "bench/stats/stats.h"
#include "bench/train/train.h"
#include "bench/util/interrupt.h"
#include "bench/util/units.h"

enum { IDLE_SECONDS = 10, BYTE_VALUES = 256, DEFAULT_CONTEXT = 512, MOST_KEPT = 1 << 30 };

/* ---- what is missing ---- */

/* Whether the model and its data are there, as far as looking tells. */
static bool look(StudySubject *s)
{
    const StudyModel *m = s->asked;
    const char *data = m->test ? m->test : m->text;
    OWNED char *weights = m->source.dir ? weights_find(m->source.dir) : NULL;
    bool there = !m->source.dir || weights;
    if (!there && weights_advice(m->source.dir))
        weights_missing(m->source.dir, &s->left_out);
    else if (!there)
        err_set(&s->left_out, "there is no model in '%s'%s%s", m->source.dir,
                m->made_by ? "; to make it: " : "", m->made_by ? m->made_by : "");
    else if (data && access(data, F_OK) != 0)
        err_set(&s->left_out, "there is no '%s'", data);
    else
        return true;
    return false;
}

/* ---- models and data ---- */

static int check_sizes(const StudyModel *m, const ModelConfig *c, Err *err)
{
    for (size_t i = 0; i < m->num_times; i++)
        if (m->times[i].seq_len > c->max_positions)
            return err_set(err, "it has %zu positions, seq_len = %zu needs more", c->max_positions,
                           m->times[i].seq_len);
    return c->head == HEAD_NONE ? err_set(err, "it has no head, so there are no logits to compare")
                                : 0;
}

static int read_texts(StudySubject *s, Err *err)
{
    const StudyModel *m = s->asked;
    const ModelConfig *c = &s->files.config;
    if (c->head != HEAD_CLASSIFIER)
        return err_set(err, "test is for a classifier");
    if (c->max_positions < 2)
        return err_set(err, "with %zu positions it has no room for a text", c->max_positions);
    size_t most =
        (size_t)m->max_length < c->max_positions ? (size_t)m->max_length : c->max_positions;
    if (labels_load(&s->labels, s->files.dir, c->num_labels, err) != 0 ||
        jsonl_load(&s->texts, m->test, &s->labels, err) != 0)
        return -1;
    WordPiece *w = wordpiece_load(s->files.dir, err);
    int status =
        w ? examples_load_texts(&s->examples, m->test, &s->labels, w, most, c->vocab_size, err)
          : -1;
    wordpiece_free(w);
    return status;
}

/* What a training beside the model says of itself; NULL: not known. */
typedef struct Trained {
    char *data, *held_out, *context;
} Trained;

/* Compares the text with what its training says: the share that it held out, and the rest. `from`:
 * tokens before our windows. */
static int check_trained(StudySubject *s, const Trained *t, const Tokenizer *tokenizer, size_t from,
                         Err *err)
{
    const StudyModel *m = s->asked;
    double held_out = strtod(t->held_out, NULL);
    size_t context = strtoull(t->context, NULL, 10);
    Examples trained, held;
    if (examples_load_windows(&trained, &held, m->text, tokenizer, context, held_out, err) != 0)
        return -1;
    OWNED char *now = train_data_value(&trained);
    if (strcmp(now, t->data) != 0)
        err_set(&s->left_out,
                "'%s' is not, or no longer, the text that '%s' was trained on, so no part of it "
                "is known to be held out; train again, with --overwrite%s%s",
                m->text, s->files.dir, m->made_by ? ": " : "", m->made_by ? m->made_by : "");
    else if (m->held_out > held_out)
        err_set(&s->left_out, "held_out = %g, but its training held out only %g", m->held_out,
                held_out);
    else if (from < trained.start[trained.count])
        err_set(&s->left_out,
                "windows of %zu begin before what its training held out in windows of %zu; take "
                "that context, or a smaller held_out",
                s->context, context);
    examples_release(&trained);
    examples_release(&held);
    return 0;
}

/* Leaves the subject out where a training beside the model says that it may have seen the
 * windows. */
static int check_unseen(StudySubject *s, const Tokenizer *tokenizer, size_t from, Err *err)
{
    const char *dir = s->files.dir;
    Trained t = {NULL, NULL, NULL};
    int status = train_state_value(dir, train_data_key, &t.data, err);
    if (status == 0)
        status = train_state_value(dir, "held_out", &t.held_out, err);
    if (status == 0)
        status = train_state_value(dir, "context", &t.context, err);
    if (status == 0 && t.data && t.held_out && t.context)
        status = check_trained(s, &t, tokenizer, from, err);
    free(t.data);
    free(t.held_out);
    free(t.context);
    return status;
}

static int choose_context(StudySubject *s, Err *err)
{
    const ModelConfig *c = &s->files.config;
    bool learned = c->max_positions < MAX_DIMENSION;
    s->context = learned ? c->max_positions : DEFAULT_CONTEXT;
    if (s->asked->context > 0)
        s->context = (size_t)s->asked->context;
    if (s->context > c->max_positions)
        return err_set(err, "it has %zu positions, context = %zu needs more", c->max_positions,
                       s->context);
    return 0;
}

/* *t: the model's own, for the caller to free; NULL where each byte is a token, as in what
 * `tare train` makes without a tokenizer. */
static int load_tokenizer(const StudySubject *s, Tokenizer **t, Err *err)
{
    const char *dir = s->files.dir;
    size_t tokens = s->files.config.vocab_size;
    *t = NULL;
    if (!model_has_tokenizer(dir))
        return tokens == BYTE_VALUES
                   ? 0
                   : err_set(err, "'%s' has no tokenizer to turn a text into its %zu tokens", dir,
                             tokens);
    if (!(*t = model_tokenizer_load(dir, err)))
        return -1;
    if (!tokenizer_decodes(*t))
        return err_set(err, "'%s' has WordPiece; the text of a decoder is read with byte-level BPE",
                       dir);
    if (tokenizer_num_ids(*t) > tokens)
        return err_set(err, "the tokenizer has %zu ids, but the model only %zu",
                       tokenizer_num_ids(*t), tokens);
    return 0;
}

static int cut_windows(StudySubject *s, const Tokenizer *t, Err *err)
{
    Examples before;
    if (examples_load_windows(&before, &s->windows, s->asked->text, t, s->context,
                              s->asked->held_out, err) != 0)
        return -1;
    size_t from = before.start[before.count];
    examples_release(&before);
    s->first_id = t ? tokenizer_first_id(t) : -1;
    return check_unseen(s, t, from, err);
}

static int read_windows(StudySubject *s, Err *err)
{
    Tokenizer *t;
    if (s->files.config.head != HEAD_LM)
        return err_set(err, "text is for a decoder with a language model head");
    if (choose_context(s, err) != 0)
        return -1;
    int status = load_tokenizer(s, &t, err);
    if (status == 0)
        status = cut_windows(s, t, err);
    tokenizer_free(t);
    return status;
}

/* The type of most elements. */
static StDtype stored_type(const Checkpoint *ck)
{
    size_t elements[NUM_ST_DTYPES] = {0};
    StDtype most = 0;
    for (size_t i = 0; i < safetensors_count(ck->file); i++) {
        const STensor *t = safetensors_at(ck->file, i);
        elements[t->dtype] += stensor_count(t);
        if (elements[t->dtype] > elements[most])
            most = t->dtype;
    }
    return most;
}

static int open_files(StudySubject *s, Err *err)
{
    Checkpoint ck;
    if (model_files_open(&s->files, &ck, err) != 0)
        return -1;
    for (size_t p = 0; p < NUM_PRECISIONS; p++)
        s->disk_bytes[p] = converted_bytes(&ck, precision_weights((Precision)p));
    s->stored = stored_type(&ck);
    checkpoint_release(&ck);
    return 0;
}

/* A model that has to be made first and cannot be is missing, not faulty. */
static int open_subject(StudySubject *s, const StudyModel *m, const Project *project, Err *err)
{
    s->asked = m;
    if (!look(s))
        return 0;
    if (model_files_find(&s->files, &m->source, project, err) != 0) {
        if (m->source.dir)
            return -1;
        s->left_out = *err;
        return 0;
    }
    if (open_files(s, err) != 0)
        return -1;
    int status = check_sizes(m, &s->files.config, err);
    if (status == 0 && m->test)
        status = read_texts(s, err);
    if (status == 0 && m->text)
        status = read_windows(s, err);
    s->there = status == 0 && !*s->left_out.msg;
    return status == 0 ? 0 : err_prefix(err, "model '%s'", m->source.name);
}

int study_open(Study *s, const StudyConfig *c, const StudyOptions *o, Err *err)
{
    Project project;
    int status = 0;
    size_t there = 0;
    *s = (Study){.config = c,
                 .include_emulated = o->include_emulated,
                 .other_cpus_before = other_cpus_before_start(),
                 .idle = {NAN, NAN},
                 .other_cpus = NAN,
                 .kept_bytes = MOST_KEPT,
                 .subjects = xcalloc(c->num_models, sizeof *s->subjects)};
    guard_init(&s->guard);
    project_find(&project);
    for (size_t i = 0; i < c->num_models && status == 0; i++) {
        status = open_subject(&s->subjects[i], &c->models[i], &project, err);
        there += s->subjects[i].there;
    }
    project_release(&project);
    if (status == 0 && there == 0)
        status = err_set(err, "%s: none of its models is there; '%s': %s", c->path,
                         c->models[0].source.name, s->subjects[0].left_out.msg);
    for (size_t i = 0; i < c->num_models && status == 0; i++)
        if (!s->subjects[i].there)
            fprintf(stderr, "tare: %s is left out: %s\n", c->models[i].source.name,
                    s->subjects[i].left_out.msg);
    if (status == 0)
        energy_open(&s->energy, "", o->model_watts);
    return status;
}

void study_release(Study *s)
{
    for (size_t i = 0; i < s->config->num_models; i++) {
        StudySubject *subject = &s->subjects[i];
        model_files_release(&subject->files);
        labels_release(&subject->labels);
        labelled_texts_release(&subject->texts);
        examples_release(&subject->examples);
        examples_release(&subject->windows);
    }
    free(s->subjects);
    for (size_t i = 0; i < s->num_records; i++)
        study_record_release(&s->records[i]);
    free(s->records);
    orderings_release(&s->orderings);
    energy_close(&s->energy);
    guard_release(&s->guard);
}

/* ---- energy ---- */

void study_begin(Study *s)
{
    s->idle.before = energy_idle_watts(&s->energy, IDLE_SECONDS);
    s->begun = machine_cpu_time("");
}

/* Above idle; an estimate has no idle power in it. Nobody waits for a window after an interrupted
 * study. */
static double idle_power(const Study *s)
{
    if (s->energy.source == ENERGY_MODEL)
        return 0;
    return isnan(s->idle.after) ? s->idle.before : idle_watts(&s->idle);
}

static void fill_energy(const Study *s, StudyRecord *r)
{
    OWNED double *each = energy_per_sample(r, idle_power(s));
    if (!each) {
        bool flawed = r->joules && *r->energy_flaw;
        text_set(r->energy_reason, s->energy.source == ENERGY_NONE ? s->energy.reason.msg
                                   : flawed                        ? r->energy_flaw
                                                                   : "idle power is not known");
        return;
    }
    Interval i = median_interval(each, (size_t)r->rounds, CONFIDENCE_LEVEL);
    double tokens = (double)r->seq_len;
    r->energy_per_sample_j = median_of(each, (size_t)r->rounds);
    r->energy_per_sample_lo_j = i.lo;
    r->energy_per_sample_hi_j = i.hi;
    r->energy_per_token_j = r->energy_per_sample_j / tokens;
    r->energy_per_token_lo_j = i.lo / tokens;
    r->energy_per_token_hi_j = i.hi / tokens;
}

void study_end(Study *s)
{
    Machine machine;
    machine_read(&machine, "");
    s->other_cpus = machine_other_cpus(s->begun, machine_cpu_time(""), (double)machine.cpus_online);
    s->idle.after = energy_idle_watts(&s->energy, IDLE_SECONDS);
    for (size_t i = 0; i < s->num_records; i++)
        if (study_record_ok(&s->records[i]) && s->records[i].ms)
            fill_energy(s, &s->records[i]);
}

void study_judge(Study *s)
{
    orderings_release(&s->orderings);
    orderings_build(&s->orderings, s->records, s->num_records, idle_power(s));
}

/* ---- records ---- */

StudyRecord *study_new_records(const Study *s, const StudySubject *subject, const char *work)
{
    size_t n = s->config->num_formats;
    StudyRecord *records = xcalloc(n, sizeof *records);
    for (size_t i = 0; i < n; i++) {
        Precision p = s->config->formats[i];
        study_record_init(&records[i], subject->asked->source.name, work, p, s->include_emulated);
        records[i].disk_bytes = (int64_t)subject->disk_bytes[p];
    }
    return records;
}

int study_finish(Study *s, StudyRecord *records, Err *err)
{
    size_t n = s->config->num_formats;
    bool kept = !interrupted();
    if (kept) {
        s->records = xrealloc(s->records, (s->num_records + n) * sizeof *s->records);
        memcpy(s->records + s->num_records, records, n * sizeof *records);
        s->num_records += n;
    }
    for (size_t i = 0; i < n && !kept; i++)
        study_record_release(&records[i]);
    free(records);
    return kept ? 0 : err_set(err, "interrupted");
}

/* ---- loading ---- */

void study_fail_not_finite(StudyRecord *record)
{
    study_record_fail(record, STATUS_FAILED, "the model's output is not finite");
}

static bool fits(const Model *m, size_t beside, StudyRecord *r)
{
    char needed[UNIT_TEXT_SIZE], usable[UNIT_TEXT_SIZE], reason[TEXT_SIZE];
    size_t bytes = model_predicted_bytes(m) + beside;
    int64_t limit = memory_auto_limit();
    if (limit == INT_MISSING || bytes <= (size_t)limit)
        return true;
    format_bytes(needed, (double)bytes);
    format_bytes(usable, (double)limit);
    snprintf(reason, sizeof reason, "needs %s beside what is loaded, %s can be used", needed,
             usable);
    study_record_fail(r, STATUS_SKIPPED_MEMORY, reason);
    return false;
}

static int read_weights(const StudySubject *subject, Model *m, Err *err)
{
    Checkpoint ck;
    if (checkpoint_open(&ck, subject->files.dir, err) != 0)
        return -1;
    int status = checkpoint_load(&ck, &m->params, err);
    checkpoint_release(&ck);
    return status;
}

bool study_load(const Study *s, const StudySubject *subject, const ModelOptions *options,
                size_t beside, StudyRecord *r, Model *m)
{
    Err err;
    ModelOptions o = *options;
    o.precision = r->precision;
    o.threads = (int)s->config->threads;
    *m = (Model){0};
    if (precision_takes(r->precision, &subject->files.config, &err) != 0) {
        study_record_fail(r, STATUS_UNSUPPORTED, err.msg);
        return false;
    }
    model_plan(m, &subject->files.config, &o);
    bool loaded = fits(m, beside, r);
    if (loaded && (model_alloc(m, &err) != 0 || read_weights(subject, m, &err) != 0)) {
        study_record_fail(r, STATUS_FAILED, err.msg);
        loaded = false;
    }
    if (!loaded)
        model_release(m);
    return loaded;
}
