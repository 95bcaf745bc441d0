/* worker: `tare worker`: this implementation as one of the implementations of `tare compare`, which
 * starts it. It speaks what bench/peers/worker.py speaks, one line of JSON each way:
 *
 *   {"do":"hello"}                 {"versions":{...}}
 *   {"do":"load", ...}             {"ns":time}        see compare/worker_job.h
 *   {"do":"run","calls":N}         {"ns":mean time of one call, measured here around the calls}
 *   {"do":"nothing","calls":N}     {"ns":the same for a call that does nothing}
 *   {"do":"outputs","path":FILE}   {}                 one untimed call, its results in FILE
 *   {"do":"profile","calls":N}     {"profile":{...}}  of N more calls; only `tare worker` has it
 *   {"do":"requests","texts":[I]}  {"ns":[...],"tokenizer_ns":[...]}  of a classifier, text by text
 *
 * Any failure is {"error":"a sentence"}, and the worker goes on. It ends when stdin does. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/kernels/kernels.h"
#include "bench/commands.h"
#include "commit.h"
#include "bench/util/options.h"
#include "bench/compare/worker_job.h"
#include "bench/machine/machine.h"

static int call_nothing(WorkerJob *job, Err *err)
{
    (void)job;
    (void)err;
    return 0;
}

static json_t *time_calls(WorkerJob *job, const json_t *request,
                          int (*volatile call)(WorkerJob *job, Err *err), Err *err)
{
    json_int_t calls = json_integer_value(json_object_get(request, "calls"));
    if (calls < 1)
        calls = 1;
    double cpu_ms = process_cpu_ms(getpid());
    int64_t start = clock_ns();
    for (json_int_t i = 0; i < calls; i++)
        if (call(job, err) != 0)
            return NULL;
    int64_t end = clock_ns();
    cpu_ms = process_cpu_ms(getpid()) - cpu_ms;
    return json_pack("{s:f, s:o}", "ns", (double)(end - start) / (double)calls, "cpu_ns",
                     number_json(1e6 * cpu_ms / (double)calls));
}

static json_t *answer_hello(void)
{
    return json_pack("{s:{s:s, s:s, s:s, s:s}}", "versions", "tare", TARE_GIT_COMMIT, "isa",
                     kernels()->isa, "gemm", gemm_backend(), "blas", gemm_blas_description());
}

static json_t *answer_load(WorkerJob **job, json_t *request, Err *err)
{
    worker_job_free(*job); /* first: two models may not fit */
    int64_t start = clock_ns();
    *job = worker_job_new(request, err);
    return *job ? json_pack("{s:I}", "ns", (json_int_t)(clock_ns() - start)) : NULL;
}

static json_t *answer_requests(WorkerJob *job, const json_t *request, Err *err)
{
    const json_t *texts = json_object_get(request, "texts");
    json_t *all = json_array(), *tokenizer = json_array();
    for (size_t i = 0; i < json_array_size(texts); i++) {
        json_int_t text = json_integer_value(json_array_get(texts, i));
        if (text < 0 || (size_t)text >= worker_job_num_requests(job)) {
            err_set(err, "there is no text %lld", (long long)text);
            json_decref(all);
            json_decref(tokenizer);
            return NULL;
        }
        int64_t start = clock_ns();
        worker_job_encode(job, (size_t)text);
        int64_t encoded = clock_ns();
        worker_job_label(job);
        int64_t end = clock_ns();
        json_array_append_new(all, json_integer(end - start));
        json_array_append_new(tokenizer, json_integer(encoded - start));
    }
    return json_pack("{s:o, s:o}", "ns", all, "tokenizer_ns", tokenizer);
}

static json_t *answer_profile(WorkerJob *job, const json_t *request, Err *err)
{
    Profile p;
    json_t *reply = NULL;
    profile_init(&p);
    if (worker_job_profile(job, json_integer_value(json_object_get(request, "calls")), &p, err) ==
        0)
        reply = json_pack("{s:o}", "profile", profile_to_json(&p));
    profile_release(&p);
    return reply;
}

static json_t *answer_outputs(WorkerJob *job, const json_t *request, Err *err)
{
    const char *path = json_string_value(json_object_get(request, "path"));
    if (!path) {
        err_set(err, "the request has no path");
        return NULL;
    }
    return worker_job_outputs(job, path, err) == 0 ? json_object() : NULL;
}

/* A new reference, or NULL with a sentence. *job: what is loaded; NULL before the first load. */
static json_t *answer(WorkerJob **job, json_t *request, Err *err)
{
    const char *verb = json_string_value(json_object_get(request, "do"));
    if (!verb)
        verb = "";
    if (strcmp(verb, "hello") == 0)
        return answer_hello();
    if (strcmp(verb, "load") == 0)
        return answer_load(job, request, err);
    if (strcmp(verb, "nothing") == 0)
        return time_calls(*job, request, call_nothing, err);
    if (!*job)
        err_set(err, "nothing is loaded");
    else if (strcmp(verb, "run") == 0)
        return time_calls(*job, request, worker_job_run, err);
    else if (strcmp(verb, "outputs") == 0)
        return answer_outputs(*job, request, err);
    else if (strcmp(verb, "profile") == 0)
        return answer_profile(*job, request, err);
    else if (strcmp(verb, "requests") == 0)
        return answer_requests(*job, request, err);
    else
        err_set(err, "unknown request '%s'", verb);
    return NULL;
}

static void reply_to(WorkerJob **job, const char *line, size_t len)
{
    Err err = {""};
    json_error_t where;
    json_t *request = json_loadb(line, len, 0, &where), *reply = NULL;
    if (request)
        reply = answer(job, request, &err);
    else
        err_set(&err, "the request is no JSON: %s", where.text);
    if (!reply)
        reply = json_pack("{s:s}", "error", err.msg);
    json_dumpf(reply, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(reply);
    json_decref(request);
}

int cmd_worker(int argc, char **argv, Err *err)
{
    const Command command = {
        .verb = "worker",
        .summary = "Answers requests of `tare compare`, one line of JSON each; not for people.",
    };
    int outcome = options_parse(&command, argc, argv, err);
    if (outcome != OPTIONS_RUN)
        return outcome;
    WorkerJob *job = NULL;
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    while ((len = getline(&line, &room, stdin)) > 0)
        reply_to(&job, line, (size_t)len);
    free(line);
    worker_job_free(job);
    return EXIT_OK;
}
