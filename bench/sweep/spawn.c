/* spawn: see spawn.h. */
#include "bench/sweep/spawn.h"

#include <stdio.h>

#include "bench/ranks/launch.h"
#include "bench/util/process.h"
#include "bench/row/stamp.h"
#include "bench/row/config.h"

json_t *row_document(const RowResult *r, const Samples *samples, const Profile *profile)
{
    json_t *document = json_object();
    json_object_set_new(document, "result", schema_to_json(&row_schema, r));
    json_object_set_new(document, "samples", samples_to_json(samples));
    if (samples->num_tokens)
        json_object_set_new(document, "tokens", tokens_to_json(samples));
    if (profile)
        json_object_set_new(document, "profile", profile_to_json(profile));
    return document;
}

/* Copies the result columns that `to` lacks, and the number of warmups that ran. */
static void add_results(RowResult *to, const RowResult *from)
{
    for (size_t i = 0; i < num_row_fields; i++) {
        const Field *f = &row_fields[i];
        if (f->group == FIELD_RESULT && field_is_missing(f, to))
            field_copy(f, from, to);
    }
    to->config.num_warmups = from->config.num_warmups;
}

/* Columns that an older program does not know are missing. */
static void add_unknown(json_t *object, const Schema *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (json_is_object(object) && !json_object_get(object, s->fields[i].name))
            json_object_set_new(object, s->fields[i].name,
                                s->fields[i].kind == FIELD_BOOL ? json_false() : json_null());
}

static void add_unknown_columns(json_t *document)
{
    json_t *samples = json_object_get(document, "samples");
    add_unknown(json_object_get(document, "result"), &row_schema);
    for (size_t i = 0; i < json_array_size(samples); i++)
        add_unknown(json_array_get(samples, i), &sample_schema);
}

int row_document_samples(const json_t *document, Samples *samples, Err *err)
{
    const json_t *tokens = json_object_get(document, "tokens");
    int status = samples_from_json(json_object_get(document, "samples"), samples, err);
    return status == 0 && tokens ? tokens_from_json(tokens, samples, err) : status;
}

int row_document_parse(const char *text, size_t len, RowResult *r, Samples *samples,
                       Profile *profile, Err *err)
{
    json_error_t where;
    RowResult answered;
    row_result_init(&answered);
    json_t *document = json_loadb(text, len, 0, &where);
    if (!document)
        return err_set(err, "the row's answer is not JSON: %s", where.text);
    add_unknown_columns(document);
    int status = schema_from_json(&row_schema, json_object_get(document, "result"), &answered, err);
    if (status == 0)
        status = row_document_samples(document, samples, err);
    if (status == 0 && profile)
        status = profile_from_json(json_object_get(document, "profile"), profile, err);
    if (status == 0)
        add_results(r, &answered);
    json_decref(document);
    return status;
}

/* The row's own command, as one process of it, then what only its parent says; free with
 * argv_free. */
static char **child_argv(const RowConfig *c, const Profile *profile, const RowLimits *limits)
{
    RowConfig one = *c;
    one.num_processes = 1;
    char **argv = row_argv(&one, "tare");
    argv_add(&argv, "--result-fd");
    argv_add(&argv, "%d", CHILD_RESULT_FD);
    if (profile)
        argv_add(&argv, "--profile");
    if (profile && profile->traced)
        argv_add(&argv, "--trace=-");
    if (limits->no_probe)
        argv_add(&argv, "--no-probe");
    if (limits->memory_limit)
        argv_add(&argv, "--max-memory=%zu", limits->memory_limit);
    return argv;
}

/* Sets the row's status by the way its process ended. */
static void take_answer(const Child *c, RowResult *r, Samples *samples, Profile *profile)
{
    Err err;
    if (c->end == CHILD_INTERRUPTED)
        return;
    if (c->end != CHILD_EXITED || c->code != 0) {
        text_set(r->status, STATUS_FAILED);
        child_reason(c, r->status_reason, sizeof r->status_reason);
    } else if (row_document_parse(c->answer, c->answer_len, r, samples, profile, &err) != 0) {
        text_set(r->status, STATUS_FAILED);
        text_set(r->status_reason, err.msg);
        samples->count = samples->num_tokens = 0;
        if (profile)
            profile_release(profile);
    }
    row_stamp(r);
}

int row_spawn(RowResult *r, Samples *samples, const RowLimits *limits, Err *err)
{
    return row_spawn_profiled(r, samples, NULL, limits, err);
}

int row_spawn_profiled(RowResult *r, Samples *samples, Profile *profile, const RowLimits *limits,
                       Err *err)
{
    Child c;
    r->status[0] = r->status_reason[0] = '\0';
    samples->count = samples->num_tokens = 0;
    char **argv = child_argv(&r->config, profile, limits);
    const char *program = limits->program ? limits->program : own_program();
    int status = child_run(&c, program, argv, limits->max_seconds, err);
    argv_free(argv);
    if (status != 0)
        return -1;
    take_answer(&c, r, samples, profile);
    child_release(&c);
    return 0;
}

int row_spawn_ranks(const RowConfig *c, char **argv, int fd, Err *err)
{
    OWNED char *answer = NULL;
    int status = ranks_launch(argv + 1, c->ranks, c->launcher, NULL, &answer, err);
    if (status == 0 && dprintf(fd, "%s", answer) < 0)
        status = err_set(err, "cannot write the result to descriptor %d", fd);
    argv_free(argv);
    return status;
}
