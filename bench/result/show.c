/* show: see show.h. */
#include "bench/result/show.h"

#include <math.h>
#include <string.h>

#include "bench/row/config.h"

static double known(int64_t value)
{
    return value == INT_MISSING ? NAN : (double)value;
}

/* What a model has of its own. A column is shown where a row differs in it from a GPT-2's usual
 * shape, and then of every row. */
#define OWN "arch|d_ff|kv heads"

typedef struct Own {
    bool arch, d_ff, kv_heads;
} Own;

static Own own_of(const RowResult *const *rows, size_t count)
{
    Own own = {0};
    for (size_t i = 0; i < count; i++) {
        const RowConfig *c = &rows[i]->config;
        own.arch |= *c->arch && strcmp(c->arch, "gpt2") != 0;
        own.d_ff |= c->d_ff != INT_MISSING && c->d_ff != 4 * c->d_model;
        own.kv_heads |= c->num_kv_heads != INT_MISSING && c->num_kv_heads != c->num_heads;
    }
    return own;
}

static void add_own(Table *t, const RowConfig *c, Own own)
{
    table_cells(t, "%s|%.0f|%.0f", told(own.arch ? c->arch : ""), own.d_ff ? known(c->d_ff) : NAN,
                own.kv_heads ? known(c->num_kv_heads) : NAN);
}

/* What was swept, beside what the name of a row says. */
#define SWEPT "threads|precision|gemm|recompute|optimizer|seed|processes|ubatch|kv type"

static void add_config(Table *t, const RowConfig *c, Own own)
{
    FieldTEXT name;
    row_name(c, name);
    table_cells(t, "%s|%" PRId64, name, c->batch_size);
    add_own(t, c, own);
    table_cells(t, "%" PRId64 "|%s|%s|%s|%s|%" PRId64 "|%" PRId64 "|%.0f|%s", c->threads,
                told(c->precision), told(c->gemm), told(c->recompute), told(c->optimizer), c->seed,
                row_processes(c), known(c->ubatch), told(c->kv_type));
}

static void add_result(Table *t, const RowResult *r)
{
    table_cells(t, "%s|%.2f|%.2f|%.2f|%.1f %%|%.1f %%|%.2f|%.0f|%.2f|%.1f|%.0f %%|%s|%.1f|%.0f %%",
                told(r->status), r->mean_time_ms, r->std_time_ms, r->median_ms, 100 * r->between_cv,
                100 * r->within_cv, r->first_trial_ms, r->tokens_per_s, r->tpot_ms, r->gb_per_s,
                r->bandwidth_fraction * 100, told(r->bound), r->gflops_per_s,
                r->peak_fraction * 100);
    table_bytes(t, known(r->peak_rss_bytes));
}

static void add_prediction(Table *t, const RowResult *r)
{
    table_cells(t, "%.1f|%.1f|%s", known(r->num_params) / 1e6, r->model_flops / 1e9,
                told(r->recompute_used));
    table_bytes(t, r->bytes_per_token);
    table_bytes(t, known(r->kv_cache_bytes));
    table_value(t, "%.0f", r->predicted_tokens_per_s);
    table_bytes(t, known(r->predicted_peak_bytes));
    table_duration(t, r->predicted_time_s);
}

static void show_table(FILE *out, TableFormat format, const RowResult *const *rows, size_t count)
{
    Own own = own_of(rows, count);
    bool planned = count > 0 && strcmp(rows[0]->status, STATUS_PLANNED) == 0;
    Table t = table_new(out, format, "row|batch");
    table_columns(&t, OWN, TABLE_IF_KNOWN);
    table_columns(&t, SWEPT, TABLE_IF_VARIED);
    table_columns(
        &t,
        planned
            ? "M params|GFLOP|recomputes|bytes a token|cache|tokens/s|peak memory|time"
            : "status|mean ms|std ms|median ms|between|within|first ms|tokens/s|ms a token|GB/s|"
              "of read|bound|GFLOP/s|of peak|peak memory",
        TABLE_IF_KNOWN);
    table_columns(&t, "reason", TABLE_IF_KNOWN);
    for (size_t i = 0; i < count; i++) {
        add_config(&t, &rows[i]->config, own);
        (planned ? add_prediction : add_result)(&t, rows[i]);
        table_text(&t, rows[i]->status_reason);
        table_row_end(&t);
    }
    table_end(&t);
}

static void show_json(FILE *out, const Schema *s, const void *const *records, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, schema_to_json(s, records[i]));
    json_dumpf(array, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(array);
}

static void show_csv(FILE *out, const Schema *s, const void *const *records, size_t count)
{
    schema_write_header(s, out);
    for (size_t i = 0; i < count; i++)
        schema_write_record(s, records[i], out);
}

bool show_records(FILE *out, TableFormat format, const Schema *s, const void *const *records,
                  size_t count)
{
    if (format == TABLE_CSV)
        show_csv(out, s, records, count);
    else if (format == TABLE_JSON)
        show_json(out, s, records, count);
    return format == TABLE_CSV || format == TABLE_JSON;
}

void show_rows(FILE *out, TableFormat format, const RowResult *const *rows, size_t count)
{
    if (!show_records(out, format, &row_schema, (const void *const *)rows, count))
        show_table(out, format, rows, count);
}

void show_columns(FILE *out)
{
    Table t = table_new(out, TABLE_MARKDOWN, "column|unit|option|meaning");
    for (size_t i = 0; i < num_row_fields; i++) {
        const Field *f = &row_fields[i];
        const char *quote = f->option ? "`" : "";
        table_row(&t, "`%s`|%s|%s%s%s|%s", f->name, f->unit, quote, f->option ? f->option : "",
                  quote, f->doc);
    }
    table_end(&t);
}
