/* output: see output.h. */
#include "bench/compare/output.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "model/files/paths.h"
#include "bench/machine/blas.h"
#include "bench/machine/threads.h"
#include "bench/util/units.h"
#include "commit.h"

/* ---- reports ---- */

static void write_csv(const Report *r, const void *of, size_t count, FILE *f)
{
    OWNED void *record = xmalloc(r->schema->size);
    schema_write_header(r->schema, f);
    for (size_t i = 0; i < count; i++) {
        schema_init(r->schema, record);
        r->record(of, i, record);
        schema_write_record(r->schema, record, f);
    }
}

static void write_json(const Report *r, const void *of, size_t count, time_t started, FILE *f)
{
    OWNED void *record = xmalloc(r->schema->size);
    json_t *records = json_array();
    for (size_t i = 0; i < count; i++) {
        schema_init(r->schema, record);
        r->record(of, i, record);
        json_t *object = schema_to_json(r->schema, record);
        CHECK(json_object_update_new(object, r->details(of, i)) == 0, "no JSON of a record");
        json_array_append_new(records, object);
    }
    json_auto_t *document = r->document(of, started, records);
    CHECK(document, "a report that is no JSON");
    json_dumpf(document, f, JSON_INDENT(2) | JSON_REAL_PRECISION(REPORT_DIGITS));
    fputc('\n', f);
}

int report_folder_make(const char *folder, Err *err)
{
    struct stat s;
    OWNED char *target = path_to_make(folder);
    int why = mkdir(target, 0777) == 0 ? 0 : errno;
    if (why == 0 || (stat(target, &s) == 0 && S_ISDIR(s.st_mode)))
        return 0;
    errno = why;
    return why == EEXIST ? err_set(err, "--out '%s': not a folder", folder)
                         : path_refuse(folder, err);
}

static const char *const extensions[] = {"json", "csv", "md"};

static void write_as(const char *extension, const Report *r, const void *of, size_t count,
                     time_t started, FILE *f)
{
    if (strcmp(extension, "json") == 0)
        write_json(r, of, count, started, f);
    else if (strcmp(extension, "csv") == 0)
        write_csv(r, of, count, f);
    else
        r->markdown(of, started, f);
}

/* Through a temporary file, so that a result is never half written. */
static int write_file(const char *path, const char *extension, const Report *r, const void *of,
                      size_t count, time_t started, Err *err)
{
    OWNED char *target = path_target(path),
               *partial = path_temporary(target, NULL); /* a link stays one */
    FILE *f = fopen(partial, "wx");
    bool written = false;
    if (f) {
        temporary_lock(fileno(f));
        write_as(extension, r, of, count, started, f);
        written = fflush(f) == 0 && !ferror(f);
        written = fclose(f) == 0 && written && rename(partial, target) == 0;
    }
    int status = written ? 0 : err_set(err, "cannot write '%s': %s", path, strerror(errno));
    if (f && status != 0)
        unlink(partial);
    return status;
}

/* Caller frees. */
static char *report_path(const ReportPlace *p, size_t format)
{
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y%m%d_%H%M%S", gmtime(&p->named));
    return xasprintf("%s/benchmark_%s.%s", p->folder, stamp, extensions[format]);
}

/* Makes the first of the place's files, empty, which nobody else then can. False where one of them
 * is there already; any other fault is write_file's to say. */
static bool take(const ReportPlace *p)
{
    for (size_t i = 1; i < COUNT_OF(extensions); i++) {
        OWNED char *other = report_path(p, i);
        if (access(other, F_OK) == 0)
            return false;
    }
    OWNED char *path = report_path(p, 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno != EEXIST;
    close(fd);
    return true;
}

int report_write(const Report *r, const void *of, size_t count, ReportPlace *place, Err *err)
{
    bool first = place->named == 0;
    if (first)
        for (place->named = place->started; !take(place);)
            place->named++;
    for (size_t i = 0; i < COUNT_OF(extensions); i++) {
        OWNED char *path = report_path(place, i);
        if (write_file(path, extensions[i], r, of, count, place->started, err) == 0)
            continue;
        if (first && i == 0)
            unlink(path); /* the empty one */
        return -1;
    }
    return 0;
}

/* ---- an entry ---- */

void entry_record_fill(EntryRecord *r, const Session *s, const Entry *e, bool shows_ratio)
{
    text_set(r->implementation, e->implementation->name);
    text_set(r->status, entry_state_names[session_state(s, e)]);
    r->median_ms = e->median_ms;
    r->median_lo_ms = e->interval.lo;
    r->median_hi_ms = e->interval.hi;
    if (shows_ratio) {
        r->ratio = e->ratio.ratio;
        r->ratio_lo = e->ratio.interval.lo;
        r->ratio_hi = e->ratio.interval.hi;
    }
    if (e->has_parity) {
        r->parity_max_abs = e->parity.max_abs;
        r->parity_ok = e->parity.ok;
    }
    r->empty_call_ms = e->implementation->empty_call_ms;
    r->rounds = int_unless_zero(e->rounds);
    r->gflops_per_s = e->claim.gflops;
    r->peak_fraction = entry_peak_fraction(e, session_peaks(s));
}

/* ---- the machine ---- */

/* PRETTY_NAME of /etc/os-release, else the kernel's name. */
static void name_system(char *name, size_t size, const struct utsname *u)
{
    Err ignored;
    size_t len;
    snprintf(name, size, "%s", u->sysname);
    OWNED char *text = file_read("/etc/os-release", 1 << 16, &len, &ignored);
    const char *at = text ? strstr(text, "PRETTY_NAME=\"") : NULL;
    if (at) {
        at += strlen("PRETTY_NAME=\"");
        snprintf(name, size, "%.*s", (int)strcspn(at, "\"\n"), at);
    }
}

json_t *system_info(time_t started)
{
    struct utsname u;
    Machine machine;
    char when[32], system[128];
    uname(&u);
    machine_read(&machine, "");
    name_system(system, sizeof system, &u);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime(&started));
    int64_t memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    json_t *info = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s}", "timestamp_utc", when,
                             "git_commit", TARE_GIT_COMMIT, "cpu_model", machine.cpu_model,
                             "cpus_online", (json_int_t)machine.cpus_online, "cpus",
                             (json_int_t)machine.cpus_allowed, "memory_bytes", (json_int_t)memory,
                             "os", system, "kernel", u.release, "architecture", u.machine);
    CHECK(info, "a machine that is no JSON");
    return info;
}

json_t *system_info_and(time_t started, json_t *more)
{
    json_t *info = system_info(started);
    CHECK(json_object_update_new(info, more) == 0, "a report that is no JSON");
    return info;
}

static const char *text_of(const json_t *info, const char *key)
{
    return json_string_value(json_object_get(info, key));
}

void system_info_print(time_t started, int64_t threads, FILE *f)
{
    char memory[UNIT_TEXT_SIZE];
    char doubt[THREADS_TEXT_SIZE], far_below[BLAS_TEXT_SIZE];
    json_auto_t *info = system_info(started);
    threads_doubt(threads_seen(threads), threads, doubt);
    format_bytes(memory, json_number_value(json_object_get(info, "memory_bytes")));
    fprintf(f,
            "**Date:** %s\n**Hardware:** %s, %.0f of %.0f CPUs, %s of memory\n"
            "**System:** %s, Linux %s, %s\n**Threads:** %" PRId64 "%s%s\n**Commit:** %s\n",
            text_of(info, "timestamp_utc"), text_of(info, "cpu_model"),
            json_number_value(json_object_get(info, "cpus")),
            json_number_value(json_object_get(info, "cpus_online")), memory, text_of(info, "os"),
            text_of(info, "kernel"), text_of(info, "architecture"), threads, *doubt ? ", but " : "",
            doubt, TARE_GIT_COMMIT);
    if (blas_in_use_is_far_below(far_below))
        fprintf(f, "**BLAS:** %s: " BLAS_REMEDY "\n", far_below);
}

void other_cpus_print(double cpus, FILE *f)
{
    fputs("**CPUs kept busy by others before:** ", f);
    if (isnan(cpus))
        fputs("not known\n", f);
    else
        fprintf(f, "%.2f\n", cpus);
}

void session_print(const Session *s, const char *title, const char *name, time_t started, FILE *f)
{
    fprintf(f, "# %s: %s\n\n", title, name);
    system_info_print(started, s->threads, f);
    other_cpus_print(s->other_cpus, f);
    implementations_print(s->implementations, f);
}

/* ---- a row of parity ---- */

void parity_rule_print(const char *heading, const char *outputs, FILE *f)
{
    fprintf(
        f,
        "\n## %s\n\nOutputs of this run, each implementation's against tare's on the same "
        "weights and\ninputs: %s. Ids and counts have to be equal;\nof every other tensor the "
        "largest difference is at most %g of the largest value. Formats that\nround more, each "
        "implementation in its own way, tare too, are judged by their distance from\ntare's fp32: "
        "the root mean square of differences over that of values.\nWithout "
        "parity no speed-up is shown.\n\n",
        heading, outputs, parity_tolerance);
}

void add_parity_verdict(Table *t, const Entry *e, const char *passed)
{
    if (entry_failed(e))
        table_cells(t, "**not measured**: %s", e->failure.msg);
    else if (!e->has_parity)
        table_text(t, "**not proven**: tare failed");
    else if (!e->parity.ok)
        table_cells(t, "**FAILED**: %s", e->parity.reason);
    else
        table_cells(t, *passed ? "**PASS** (%s)" : "**PASS**%s", passed);
}
