/* output: see output.h. */
#include "bench/compare/output.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/machine/machine.h"
#include "bench/row/stamp.h"
#include "bench/result/csv.h"
#include "bench/util/units.h"

/* ---- columns ---- */

static Column *append(Columns *c, const char *name)
{
    CHECK(c->count < MAX_COLUMNS, "more than %d columns", MAX_COLUMNS);
    c->at[c->count] = (Column){.name = name, .kind = COLUMN_EMPTY};
    return &c->at[c->count++];
}

void column_empty(Columns *c, const char *name)
{
    append(c, name);
}

void column_text(Columns *c, const char *name, const char *text)
{
    Column *column = append(c, name);
    column->kind = COLUMN_TEXT;
    column->text = text;
}

void column_real(Columns *c, const char *name, double value)
{
    Column *column = append(c, name);
    column->kind = isnan(value) ? COLUMN_EMPTY : COLUMN_REAL;
    column->real = value;
}

void column_count(Columns *c, const char *name, size_t value)
{
    Column *column = append(c, name);
    column->kind = value ? COLUMN_COUNT : COLUMN_EMPTY;
    column->integer = value;
}

void column_bool(Columns *c, const char *name, bool value)
{
    Column *column = append(c, name);
    column->kind = COLUMN_BOOL;
    column->integer = value;
}

void columns_write_header(const Columns *c, FILE *f)
{
    const char *names[MAX_COLUMNS];
    for (size_t i = 0; i < c->count; i++)
        names[i] = c->at[i].name;
    csv_write_record(f, names, c->count);
}

/* The caller frees. */
static char *cell_of(const Column *c)
{
    switch (c->kind) {
    case COLUMN_TEXT:
        return xstrdup(c->text);
    case COLUMN_REAL:
        return xasprintf("%.9g", c->real);
    case COLUMN_COUNT:
        return xasprintf("%zu", c->integer);
    case COLUMN_BOOL:
        return xstrdup(c->integer ? "True" : "False");
    case COLUMN_EMPTY:
        break;
    }
    return xstrdup("");
}

void columns_write_record(const Columns *c, FILE *f)
{
    char *cells[MAX_COLUMNS];
    for (size_t i = 0; i < c->count; i++)
        cells[i] = cell_of(&c->at[i]);
    csv_write_record(f, (const char *const *)cells, c->count);
    for (size_t i = 0; i < c->count; i++)
        free(cells[i]);
}

static json_t *value_of(const Column *c)
{
    switch (c->kind) {
    case COLUMN_TEXT:
        return json_string(c->text);
    case COLUMN_REAL:
        return json_real(c->real);
    case COLUMN_COUNT:
        return json_integer((json_int_t)c->integer);
    case COLUMN_BOOL:
        return json_boolean(c->integer);
    case COLUMN_EMPTY:
        break;
    }
    return json_null();
}

json_t *columns_to_json(const Columns *c)
{
    json_t *object = json_object();
    for (size_t i = 0; i < c->count; i++)
        json_object_set_new(object, c->at[i].name, value_of(&c->at[i]));
    return object;
}

/* ---- files ---- */

/* Through a temporary file, so that a result is never half written. */
static int write_file(const char *path, ReportWriter *write, const void *report, time_t started,
                      Err *err)
{
    char *partial = xasprintf("%s.tmp", path);
    FILE *f = fopen(partial, "w");
    bool written = false;
    if (f) {
        write(report, started, f);
        written = fflush(f) == 0 && !ferror(f);
        written = fclose(f) == 0 && written && rename(partial, path) == 0;
    }
    int status = written ? 0 : err_set(err, "cannot write '%s': %s", path, strerror(errno));
    if (status != 0)
        unlink(partial);
    free(partial);
    return status;
}

int report_files_write(const char *folder, time_t started, const ReportWriters *writers,
                       const void *report, Err *err)
{
    const struct {
        const char *extension;
        ReportWriter *write;
    } formats[] = {{"json", writers->json}, {"csv", writers->csv}, {"md", writers->markdown}};
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y%m%d_%H%M%S", gmtime(&started));
    int status = 0;
    for (size_t i = 0; i < COUNT_OF(formats) && status == 0; i++) {
        char *path = xasprintf("%s/benchmark_%s.%s", folder, stamp, formats[i].extension);
        status = write_file(path, formats[i].write, report, started, err);
        free(path);
    }
    return status;
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
    Machine context;
    RowResult stamp;
    char when[32], system[128];
    uname(&u);
    row_result_init(&stamp);
    row_stamp(&stamp);
    machine_read(&context, "");
    name_system(system, sizeof system, &u);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime(&started));
    int64_t memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    json_t *info = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s}", "timestamp_utc", when,
                             "git_commit", stamp.git_commit, "cpu_model", stamp.cpu_model,
                             "cpus_online", (json_int_t)context.cpus_online, "cpus",
                             (json_int_t)context.cpus_allowed, "memory_bytes", (json_int_t)memory,
                             "os", system, "kernel", u.release, "architecture", u.machine);
    CHECK(info, "a machine that is no JSON");
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
