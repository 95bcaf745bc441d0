/* compare_report: the machine-readable files; see compare_report.h. */
#include "compare_report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../autograd/kernels/kernels.h"
#include "context.h"
#include "csv.h"

enum { SCHEMA = 1 };

static bool measured(const Record *r)
{
    return r->rounds > 0;
}

static bool is_ours(const Record *r)
{
    return strcmp(r->alternative->name, alternative_names[0]) == 0;
}

/* ---- one record as a list of columns ---- */

/* A column: NaN and INT_MISSING are empty in CSV and null in JSON. */
typedef struct Column {
    const char *name;
    enum { TEXT, REAL, INT, BOOL, EMPTY } kind;
    const char *text;
    double real;
    int64_t integer;
} Column;

enum { NUM_COLUMNS = 15 };

static Column text_column(const char *name, const char *text)
{
    return (Column){.name = name, .kind = TEXT, .text = text};
}

static Column real_column(const char *name, double value)
{
    return (Column){.name = name, .kind = isnan(value) ? EMPTY : REAL, .real = value};
}

static Column int_column(const char *name, size_t value)
{
    return (Column){.name = name, .kind = value ? INT : EMPTY, .integer = (int64_t)value};
}

static void columns_of(const Comparison *c, const Record *r, Column out[NUM_COLUMNS])
{
    const CompareCell *cell = r->cell;
    size_t n = 0;
    out[n++] = text_column("component", cell->component->name);
    out[n++] = text_column("model", c->config->models[cell->model].name);
    out[n++] = int_column("batch_size", cell->batch_size);
    out[n++] = int_column("seq_len", cell->seq_len);
    out[n++] = text_column("implementation", r->alternative->name);
    out[n++] = real_column("median_ms", r->median_ms);
    out[n++] = real_column("median_lo_ms", r->interval.lo);
    out[n++] = real_column("median_hi_ms", r->interval.hi);
    out[n++] = real_column("ratio", r->ratio.ratio);
    out[n++] = real_column("ratio_lo", r->ratio.interval.lo);
    out[n++] = real_column("ratio_hi", r->ratio.interval.hi);
    out[n++] = real_column("parity_max_abs", r->has_parity ? r->parity.max_abs : NAN);
    out[n++] = (Column){
        .name = "parity_ok", .kind = r->has_parity ? BOOL : EMPTY, .integer = r->parity.ok};
    out[n++] = real_column("empty_call_ms", r->alternative->empty_call_ms);
    out[n++] = int_column("rounds", r->rounds);
    CHECK(n == NUM_COLUMNS, "%zu columns", n);
}

/* ---- CSV ---- */

static void cell_of(const Column *c, char *text, size_t size)
{
    if (c->kind == TEXT)
        snprintf(text, size, "%s", c->text);
    else if (c->kind == REAL)
        snprintf(text, size, "%.9g", c->real);
    else if (c->kind == INT)
        snprintf(text, size, "%lld", (long long)c->integer);
    else
        snprintf(text, size, "%s", c->kind == EMPTY ? "" : c->integer ? "True" : "False");
}

static void write_csv(const Comparison *c, time_t started, FILE *f)
{
    (void)started;
    for (size_t i = 0; i < c->num_records; i++) {
        Column columns[NUM_COLUMNS];
        char texts[NUM_COLUMNS][128];
        const char *names[NUM_COLUMNS], *cells[NUM_COLUMNS];
        columns_of(c, &c->records[i], columns);
        for (size_t k = 0; k < NUM_COLUMNS; k++) {
            cell_of(&columns[k], texts[k], sizeof texts[k]);
            names[k] = columns[k].name;
            cells[k] = texts[k];
        }
        if (i == 0)
            csv_write_record(f, names, NUM_COLUMNS);
        csv_write_record(f, cells, NUM_COLUMNS);
    }
}

/* ---- JSON ---- */

static json_t *value_of(const Column *c)
{
    switch (c->kind) {
    case TEXT:
        return json_string(c->text);
    case REAL:
        return json_real(c->real);
    case INT:
        return json_integer((json_int_t)c->integer);
    case BOOL:
        return json_boolean(c->integer);
    case EMPTY:
        break;
    }
    return json_null();
}

static json_t *record_json(const Comparison *c, const Record *r)
{
    Column columns[NUM_COLUMNS];
    json_t *object = json_object(), *samples = json_array();
    columns_of(c, r, columns);
    for (size_t k = 0; k < NUM_COLUMNS; k++)
        json_object_set_new(object, columns[k].name, value_of(&columns[k]));
    for (size_t i = 0; i < r->rounds; i++)
        json_array_append_new(samples, json_real(r->ms[i]));
    json_object_set_new(object, "samples_ms", samples);
    json_object_set_new(object, "calls_per_sample", json_integer(r->calls));
    json_object_set_new(object, "untimed_call_before", json_boolean(r->warm_call));
    json_object_set_new(object, "fresh_process", json_boolean(r->cell->fresh_process));
    if (measured(r) && !isnan(r->interval.lo))
        json_object_set_new(object, "median_coverage", json_real(r->interval.coverage));
    if (!isnan(r->ratio.ratio) && !isnan(r->ratio.interval.lo)) {
        json_object_set_new(object, "ratio_coverage", json_real(r->ratio.interval.coverage));
        json_object_set_new(object, "ratio_p", json_real(r->ratio.p));
    }
    if (r->has_parity) {
        if (*r->parity.worst)
            json_object_set_new(object, "parity_max_rel", json_real(r->parity.max_rel));
        json_object_set_new(object, "parity_reason", json_string(r->parity.reason));
    }
    json_object_set_new(object, "failure", json_string(r->failure.msg));
    return object;
}

static json_t *models_json(const Comparison *c)
{
    json_t *models = json_object();
    for (size_t i = 0; i < c->config->num_models; i++) {
        const ModelFiles *m = &c->models[i];
        if (m->dir)
            json_object_set_new(models, c->config->models[i].name,
                                json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "dir", m->dir, "sha256",
                                          m->sha256, "d_model", (json_int_t)m->config.d_model,
                                          "num_layers", (json_int_t)m->config.num_layers,
                                          "vocab_size", (json_int_t)m->config.vocab_size,
                                          "num_params", (json_int_t)model_num_params(&m->config)));
    }
    return models;
}

static json_t *alternatives_json(const Comparison *c)
{
    json_t *all = json_object();
    for (size_t k = 0; k < NUM_ALTERNATIVES; k++) {
        const Alternative *a = &c->alternatives[k];
        if (a->available)
            json_object_set_new(all, a->name,
                                json_pack("{s:O, s:f, s:f}", "versions", a->versions,
                                          "empty_call_ms", a->empty_call_ms, "empty_run_ns",
                                          a->empty_run_ns));
    }
    return all;
}

static void write_json(const Comparison *c, time_t started, FILE *f)
{
    RowResult stamp;
    Context context;
    row_result_init(&stamp);
    context_stamp(&stamp);
    context_read(&context, "");
    char when[32];
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime(&started));
    json_t *records = json_array();
    for (size_t i = 0; i < c->num_records; i++)
        json_array_append_new(records, record_json(c, &c->records[i]));
    json_t *all = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:I, s:f, s:I, s:I, s:f, s:f, s:o, s:o, s:o}", "schema", SCHEMA,
        "name", c->config->name, "timestamp_utc", when, "git_commit", stamp.git_commit, "cpu_model",
        stamp.cpu_model, "cpus", (json_int_t)context.cpus_allowed, "load_before", c->load,
        "threads", (json_int_t)c->config->threads, "seed", (json_int_t)c->config->seed,
        "parity_tolerance", parity_tolerance, "sample_min_ms", SAMPLE_NS / 1e6, "models",
        models_json(c), "implementations", alternatives_json(c), "records", records);
    CHECK(all, "a comparison that is no JSON");
    json_dumpf(all, f, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    fputc('\n', f);
    json_decref(all);
}

/* ---- files ---- */

typedef struct Format {
    const char *extension;
    void (*write)(const Comparison *c, time_t started, FILE *f);
} Format;

static const Format formats[] = {
    {"json", write_json}, {"csv", write_csv}, {"md", compare_report_markdown}};

/* Through a temporary file, so that a result is never half written. */
static int write_file(const Comparison *c, const char *path, const Format *format, time_t started,
                      Err *err)
{
    char *partial = xasprintf("%s.tmp", path);
    FILE *f = fopen(partial, "w");
    bool written = false;
    if (f) {
        format->write(c, started, f);
        written = fflush(f) == 0 && !ferror(f);
        written = fclose(f) == 0 && written && rename(partial, path) == 0;
    }
    int status = written ? 0 : err_set(err, "cannot write '%s': %s", path, strerror(errno));
    if (status != 0)
        unlink(partial);
    free(partial);
    return status;
}

int compare_report_write(const Comparison *c, const char *folder, time_t started, Err *err)
{
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y%m%d_%H%M%S", gmtime(&started));
    int status = 0;
    for (size_t i = 0; i < COUNT_OF(formats) && status == 0; i++) {
        char *path = xasprintf("%s/benchmark_%s.%s", folder, stamp, formats[i].extension);
        status = write_file(c, path, &formats[i], started, err);
        free(path);
    }
    return status;
}

void compare_speedup(const Record *r, char *text)
{
    const size_t size = 128;
    double ratio = r->ratio.ratio, lo = r->ratio.interval.lo, hi = r->ratio.interval.hi;
    if (r->failure.msg[0])
        snprintf(text, size, "failed");
    else if (r->has_parity && !r->parity.ok)
        snprintf(text, size, "parity FAILED");
    else if (is_ours(r) || isnan(ratio))
        snprintf(text, size, "-");
    else if (lo <= 1 && hi >= 1)
        snprintf(text, size, "no clear difference [%.2f, %.2f]", 1 / hi, 1 / lo);
    else if (isnan(lo))
        snprintf(text, size, "%.2fx %s (too few rounds)", ratio < 1 ? 1 / ratio : ratio,
                 ratio < 1 ? "Faster" : "Slower");
    else if (ratio < 1)
        snprintf(text, size, "**%.2fx Faster** [%.2f, %.2f]", 1 / ratio, 1 / hi, 1 / lo);
    else
        snprintf(text, size, "%.2fx Slower [%.2f, %.2f]", ratio, lo, hi);
}
