/* output: see output.h. */
#include "bench/compare/output.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "model/files/paths.h"
#include "bench/machine/machine.h"
#include "bench/util/units.h"
#include "commit.h"

/* ---- reports ---- */

static void write_csv(const Report *r, time_t started, FILE *f)
{
    void *record = xmalloc(r->schema->size);
    (void)started;
    schema_write_header(r->schema, f);
    for (size_t i = 0; i < r->count; i++) {
        schema_init(r->schema, record);
        r->record(r->of, i, record);
        schema_write_record(r->schema, record, f);
    }
    free(record);
}

static void write_json(const Report *r, time_t started, FILE *f)
{
    void *record = xmalloc(r->schema->size);
    json_t *records = json_array();
    for (size_t i = 0; i < r->count; i++) {
        schema_init(r->schema, record);
        r->record(r->of, i, record);
        json_t *object = schema_to_json(r->schema, record);
        r->details(r->of, i, object);
        json_array_append_new(records, object);
    }
    json_t *document = r->document(r->of, started, records);
    CHECK(document, "a report that is no JSON");
    json_dumpf(document, f, JSON_INDENT(2) | JSON_REAL_PRECISION(REPORT_DIGITS));
    fputc('\n', f);
    json_decref(document);
    free(record);
}

static void write_markdown(const Report *r, time_t started, FILE *f)
{
    r->markdown(r->of, started, f);
}

typedef void WriteReport(const Report *r, time_t started, FILE *f);

int report_folder_make(const char *folder, Err *err)
{
    struct stat s;
    char *target = path_to_make(folder);
    bool there = mkdir(target, 0777) == 0 || (stat(target, &s) == 0 && S_ISDIR(s.st_mode));
    free(target);
    return there ? 0
                 : err_set(err, "--out '%s': %s", folder,
                           errno == EEXIST ? "not a folder" : strerror(errno));
}

/* Through a temporary file, so that a result is never half written. */
static int write_file(const char *path, WriteReport *write, const Report *r, time_t started,
                      Err *err)
{
    char *target = path_target(path), *partial = xasprintf("%s.tmp", target); /* a link stays one */
    FILE *f = fopen(partial, "w");
    bool written = false;
    if (f) {
        write(r, started, f);
        written = fflush(f) == 0 && !ferror(f);
        written = fclose(f) == 0 && written && rename(partial, target) == 0;
    }
    int status = written ? 0 : err_set(err, "cannot write '%s': %s", path, strerror(errno));
    if (status != 0)
        unlink(partial);
    free(partial);
    free(target);
    return status;
}

int report_write(const Report *r, const char *folder, time_t started, Err *err)
{
    static const struct {
        const char *extension;
        WriteReport *write;
    } formats[] = {{"json", write_json}, {"csv", write_csv}, {"md", write_markdown}};
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y%m%d_%H%M%S", gmtime(&started));
    int status = 0;
    for (size_t i = 0; i < COUNT_OF(formats) && status == 0; i++) {
        char *path = xasprintf("%s/benchmark_%s.%s", folder, stamp, formats[i].extension);
        status = write_file(path, formats[i].write, r, started, err);
        free(path);
    }
    return status;
}

/* ---- an entry ---- */

void entry_record_fill(EntryRecord *r, const Session *s, const Implementation *a, const Entry *e,
                       bool shows_ratio)
{
    const Peaks *peaks = session_peaks(s);
    text_set(r->implementation, a->name);
    text_set(r->status, entry_state_names[entry_state(e, peaks)]);
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
    r->empty_call_ms = a->empty_call_ms;
    r->rounds = int_unless_zero(e->rounds);
    r->gflops_per_s = e->claim.gflops;
    r->peak_fraction = entry_peak_fraction(e, peaks);
}

/* ---- the machine ---- */

/* PRETTY_NAME of /etc/os-release, else the kernel's name. */
static void name_system(char *name, size_t size, const struct utsname *u)
{
    Err ignored;
    size_t len;
    snprintf(name, size, "%s", u->sysname);
    char *text = file_read("/etc/os-release", 1 << 16, &len, &ignored);
    const char *at = text ? strstr(text, "PRETTY_NAME=\"") : NULL;
    if (at) {
        at += strlen("PRETTY_NAME=\"");
        snprintf(name, size, "%.*s", (int)strcspn(at, "\"\n"), at);
    }
    free(text);
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

void system_info_print(time_t started, int64_t threads, FILE *f)
{
    char memory[UNIT_TEXT_SIZE];
    json_t *info = system_info(started);
    json_int_t cpus, online, bytes;
    const char *when, *cpu, *os, *kernel, *architecture, *commit;
    int status = json_unpack(info, "{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "timestamp_utc",
                             &when, "cpu_model", &cpu, "os", &os, "kernel", &kernel, "architecture",
                             &architecture, "git_commit", &commit, "cpus", &cpus, "cpus_online",
                             &online, "memory_bytes", &bytes);
    CHECK(status == 0, "a field of the machine is missing");
    format_bytes(memory, (double)bytes);
    fprintf(f, "**Date:** %s\n**Hardware:** %s, %lld of %lld CPUs, %s of memory\n", when, cpu,
            (long long)cpus, (long long)online, memory);
    fprintf(f, "**System:** %s, Linux %s, %s\n**Threads:** %lld\n**Commit:** %s\n", os, kernel,
            architecture, (long long)threads, commit);
    json_decref(info);
}

void other_cpus_print(double cpus, FILE *f)
{
    char text[32] = "not known";
    if (!isnan(cpus))
        snprintf(text, sizeof text, "%.2f", cpus);
    fprintf(f, "**CPUs kept busy by others before:** %s\n", text);
}
