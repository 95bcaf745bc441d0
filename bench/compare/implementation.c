/* implementation: see implementation.h. */
#include "bench/compare/implementation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/machine/machine.h"
#include "bench/util/interrupt.h"
#include "bench/stats/moments.h"

enum { EMPTY_CALLS = 20, EMPTY_RUN_CALLS = 1000, SETTLE_SECONDS = 5 };

/* ---- requests ---- */

static json_t *ask(Implementation *a, json_t *request, Err *err)
{
    json_t *reply = peer_ask(&a->peer, request, a->max_wait, err);
    if (peer_running(&a->peer))
        peer_settle(&a->peer, SETTLE_SECONDS);
    return reply;
}

json_t *implementation_ask(Implementation *a, json_t *request, Err *err)
{
    json_t *reply = ask(a, request, err);
    if (!reply)
        say_how_to_install(a->install, err);
    return reply;
}

double implementation_time(Implementation *a, const char *what, int64_t calls, Err *err)
{
    json_auto_t *reply =
        implementation_ask(a, json_pack("{s:s, s:I}", "do", what, "calls", (json_int_t)calls), err);
    const json_t *ns = json_object_get(reply, "ns"), *cpu_ns = json_object_get(reply, "cpu_ns");
    a->cpu_ns = json_is_number(cpu_ns) ? json_number_value(cpu_ns) : NAN;
    if (json_is_number(ns) && json_number_value(ns) >= 0)
        return json_number_value(ns);
    if (reply)
        err_set(err, "%s answered '%s' without a time", a->name, what);
    return NAN;
}

/* ---- starting ---- */

/* The packages of requirements.txt, or its own beside them. */
static char *install_command(size_t index, const Project *p)
{
    const char *packages = implementation_packages[index];
    if (!packages)
        return xstrdup(p->install);
    const char *arguments = strchr(packages, '|') + 1;
    int settings = (int)(arguments - 1 - packages);
    return xasprintf("%.*s%s%s/.venv/bin/pip install %s", settings, packages, settings ? " " : "",
                     p->local, arguments);
}

/* Our own worker is this program; the others are one Python file. All of them get the same
 * threads, and nothing in the environment that would start fewer. */
static void describe(Implementation *a, size_t index, const Project *p,
                     const ImplementationOptions *o)
{
    static const char *const variables[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                            "MKL_NUM_THREADS", "RAYON_NUM_THREADS"};
    *a = (Implementation){.name = implementation_names[index], .max_wait = o->max_wait};
    bool ours = index == 0;
    a->argv[0] = xstrdup(ours ? p->program : p->python);
    a->argv[1] = ours ? xstrdup("worker") : xasprintf("%s/bench/peers/worker.py", p->root);
    a->argv[2] = ours ? NULL : xstrdup(a->name);
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        a->settings[i] = xasprintf("%s=%lld", variables[i], (long long)o->threads);
    a->settings[COUNT_OF(variables)] = xstrdup("OMP_DYNAMIC=false");
    a->settings[COUNT_OF(variables) + 1] = xstrdup("OMP_MAX_ACTIVE_LEVELS=1");
    a->install = install_command(index, p);
}

/* Starts the process and says hello. Returns the answer, or NULL. */
static json_t *greet(Implementation *a, Err *err)
{
    if (peer_start(&a->peer, a->name, a->argv, a->settings, err) != 0)
        return NULL;
    return ask(a, json_pack("{s:s}", "do", "hello"), err);
}

int implementation_wake(Implementation *a, Err *err)
{
    if (peer_running(&a->peer))
        return 0;
    json_auto_t *reply = greet(a, err);
    return reply ? 0 : -1;
}

static int measure_empty_calls(Implementation *a, Err *err)
{
    double ms[EMPTY_CALLS];
    for (size_t i = 0; i < EMPTY_CALLS; i++) {
        int64_t start = clock_ns();
        json_auto_t *reply = peer_ask(
            &a->peer, json_pack("{s:s, s:i}", "do", "nothing", "calls", 1), a->max_wait, err);
        ms[i] = (double)(clock_ns() - start) / 1e6;
        if (!reply)
            return -1;
    }
    a->empty_call_ms = median_of(ms, EMPTY_CALLS);
    a->empty_run_ns = implementation_time(a, "nothing", EMPTY_RUN_CALLS, err);
    return isnan(a->empty_run_ns) ? -1 : 0;
}

/* Takes the versions from the first answer. A worker that answers "unavailable" lacks a device. */
static int introduce(Implementation *a, const json_t *reply, bool *no_device, Err *err)
{
    const char *reason = json_string_value(json_object_get(reply, "unavailable"));
    *no_device = reason != NULL;
    if (reason)
        return err_set(err, "%s", reason);
    a->versions = json_incref(json_object_get(reply, "versions"));
    int status = json_is_object(a->versions)
                     ? measure_empty_calls(a, err)
                     : err_set(err, "%s answered 'hello' without its versions", a->name);
    if (status != 0)
        peer_stop(&a->peer); /* it is there, and lacks nothing */
    return status;
}

/* A worker that answers with a sentence lacks something; any other end is a fault of it. */
static void leave_out(Implementation *a, bool no_device, const Err *why, bool *misbehaved)
{
    bool lacking = peer_running(&a->peer);
    peer_stop(&a->peer);
    a->left_out = *why;
    if (no_device) {
        err_prefix(&a->left_out, "not available here");
        fprintf(stderr, "tare: %s is %s\n", a->name, a->left_out.msg);
    } else if (lacking) {
        fprintf(stderr, "tare: %s is left out (%s); to install it: %s\n", a->name, a->left_out.msg,
                a->install);
    } else {
        fprintf(stderr, "tare: %s is left out: %s\n", a->name, a->left_out.msg);
    }
    *misbehaved |= !lacking;
}

static int start_one(Implementation *a, bool ours, bool *misbehaved, Err *err)
{
    bool no_device = false;
    int64_t start = clock_ns();
    json_auto_t *reply = greet(a, err);
    a->start_ms = (double)(clock_ns() - start) / 1e6;
    a->available = reply && introduce(a, reply, &no_device, err) == 0;
    if (!a->available && (ours || interrupted()))
        return -1;
    if (!a->available)
        leave_out(a, no_device, err, misbehaved);
    return 0;
}

int implementations_start(Implementation list[NUM_IMPLEMENTATIONS], const Project *p,
                          const ImplementationOptions *o, bool *misbehaved, Err *err)
{
    bool alone = !p->root || !p->python;
    const char *missing = p->root ? "Python" : "bench/peers/worker.py";
    if (alone)
        fprintf(stderr, "tare: no %s, so tare is measured alone; to install the peers: %s\n",
                missing, p->install);
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++) {
        Implementation *a = &list[k];
        if (k > 0 && !o->wanted[k])
            continue;
        if (k > 0 && alone) {
            *misbehaved |= !p->root; /* without Python nothing can be wrong with the peers */
            a->name = implementation_names[k];
            err_set(&a->left_out, "no %s", missing);
            continue;
        }
        describe(a, k, p, o);
        if (start_one(a, k == 0, misbehaved, err) != 0)
            return -1;
    }
    return 0;
}

void implementations_stop(Implementation list[NUM_IMPLEMENTATIONS])
{
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++)
        peer_stop(&list[k].peer);
}

void implementations_release(Implementation list[NUM_IMPLEMENTATIONS])
{
    implementations_stop(list);
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++) {
        Implementation *a = &list[k];
        for (size_t i = 0; i < COUNT_OF(a->argv); i++)
            free(a->argv[i]);
        for (size_t i = 0; i < COUNT_OF(a->settings); i++)
            free(a->settings[i]);
        free(a->install);
        json_decref(a->versions);
        *a = (Implementation){.name = NULL};
    }
}

/* ---- in reports ---- */

json_t *implementations_to_json(const Implementation list[NUM_IMPLEMENTATIONS])
{
    json_t *all = json_object();
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++) {
        const Implementation *a = &list[k];
        if (a->available)
            json_object_set_new(all, a->name,
                                json_pack("{s:O, s:f, s:f}", "versions", a->versions,
                                          "empty_call_ms", a->empty_call_ms, "empty_run_ns",
                                          a->empty_run_ns));
    }
    return all;
}

json_t *implementations_left_out(const Implementation list[NUM_IMPLEMENTATIONS])
{
    json_t *all = json_object();
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++)
        if (list[k].left_out.msg[0])
            json_object_set_new(all, list[k].name, json_string(list[k].left_out.msg));
    return all;
}

void implementations_print(const Implementation list[NUM_IMPLEMENTATIONS], FILE *f)
{
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++) {
        const Implementation *a = &list[k];
        const char *name;
        json_t *value;
        if (a->left_out.msg[0])
            fprintf(f, "**%s:** left out: %s\n", a->name, a->left_out.msg);
        if (!a->available)
            continue;
        fprintf(f, "**%s:**", a->name);
        json_object_foreach (a->versions, name, value)
            fprintf(f, " %s %s;", name, json_string_value(value) ? json_string_value(value) : "?");
        fprintf(f, " empty call %.3f ms\n", a->empty_call_ms);
    }
}

double other_cpus_before_start(void)
{
    const struct timespec window = {.tv_nsec = 500000000};
    Machine machine;
    machine_read(&machine, "");
    CpuTime before = machine_cpu_time("");
    nanosleep(&window, NULL);
    double busy = machine_other_cpus(before, machine_cpu_time(""), (double)machine.cpus_online);
    if (busy > CPUS_IN_USE)
        fprintf(stderr,
                "tare: other programs keep %.2f CPUs busy before anything was started: times will "
                "be wrong\n",
                busy);
    return busy;
}
