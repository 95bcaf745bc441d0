/* table: see table.h. */
#include "bench/result/table.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result/csv.h"
#include "bench/row/config.h"
#include "bench/util/units.h"

/* One column of the short table: made by `cell`, or, without it, the field of that name, shown only where
 * its values differ: what was swept beside what the name of a row says. */
typedef struct Column {
    const char *title;
    bool left;
    void (*cell)(const RowResult *r, FieldTEXT text);
} Column;

/* clang-format off */
#define SWEPT                                             \
    {"threads", false, NULL}, {"precision", true, NULL},  \
    {"gemm", true, NULL},     {"recompute", true, NULL},  \
    {"optimizer", true, NULL}, {"seed", false, NULL}
/* clang-format on */

static void name_cell(const RowResult *r, FieldTEXT text)
{
    row_name(&r->config, text);
}

static void real_cell(FieldTEXT text, const char *format, double value)
{
    text[0] = '\0';
    if (!isnan(value))
        snprintf(text, TEXT_SIZE, format, value);
}

static void batch_cell(const RowResult *r, FieldTEXT text)
{
    real_cell(text, "%.0f", (double)r->config.batch_size);
}

static double known(int64_t value)
{
    return value == INT_MISSING ? NAN : (double)value;
}

static void params_cell(const RowResult *r, FieldTEXT text)
{
    real_cell(text, "%.1f", known(r->num_params) / 1e6);
}

static void flops_cell(const RowResult *r, FieldTEXT text)
{
    real_cell(text, "%.1f", r->model_flops / 1e9);
}

static void predicted_peak_cell(const RowResult *r, FieldTEXT text)
{
    format_bytes(text, known(r->predicted_peak_bytes));
}

static void predicted_time_cell(const RowResult *r, FieldTEXT text)
{
    format_duration(text, r->predicted_time_s);
}

static void recompute_cell(const RowResult *r, FieldTEXT text)
{
    text_set(text, r->recompute_used);
}

static void status_cell(const RowResult *r, FieldTEXT text)
{
    text_set(text, r->status);
}

static void reason_cell(const RowResult *r, FieldTEXT text)
{
    text_set(text, r->status_reason);
}

static void mean_cell(const RowResult *r, FieldTEXT text)
{
    real_cell(text, "%.2f", r->mean_time_ms);
}

static void std_cell(const RowResult *r, FieldTEXT text)
{
    real_cell(text, "%.2f", r->std_time_ms);
}

static void median_cell(const RowResult *r, FieldTEXT text)
{
    real_cell(text, "%.2f", r->median_ms);
}

static void first_cell(const RowResult *r, FieldTEXT text)
{
    real_cell(text, "%.2f", r->first_trial_ms);
}

static void tokens_cell(const RowResult *r, FieldTEXT text)
{
    real_cell(text, "%.0f", r->tokens_per_s);
}

static void gflops_cell(const RowResult *r, FieldTEXT text)
{
    real_cell(text, "%.1f", r->gflops_per_s);
}

static void peak_cell(const RowResult *r, FieldTEXT text)
{
    real_cell(text, "%.0f %%", r->peak_fraction * 100);
}

static void memory_cell(const RowResult *r, FieldTEXT text)
{
    format_bytes(text, known(r->peak_rss_bytes));
}

static const Column result_columns[] = {
    {"row", true, name_cell},
    {"batch", false, batch_cell},
    SWEPT,
    {"status", true, status_cell},
    {"mean ms", false, mean_cell},
    {"std ms", false, std_cell},
    {"median ms", false, median_cell},
    {"first ms", false, first_cell},
    {"tokens/s", false, tokens_cell},
    {"GFLOP/s", false, gflops_cell},
    {"of peak", false, peak_cell},
    {"peak memory", false, memory_cell},
    {"reason", true, reason_cell},
};

static const Column plan_columns[] = {
    {"row", true, name_cell},
    {"batch", false, batch_cell},
    SWEPT,
    {"M params", false, params_cell},
    {"GFLOP", false, flops_cell},
    {"recomputes", true, recompute_cell},
    {"peak memory", false, predicted_peak_cell},
    {"time", false, predicted_time_cell},
    {"reason", true, reason_cell},
};

void markdown_print(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static size_t display_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += (*text & 0xc0) != 0x80; /* one per code point of UTF-8 */
    return width;
}

static void print_padded(FILE *out, const char *text, size_t width, bool left, bool markdown)
{
    int padding = (int)(width - display_width(text));
    fprintf(out, "%*s", left ? 0 : padding, "");
    if (markdown)
        markdown_print(out, text);
    else
        fputs(text, out);
    fprintf(out, "%*s", left ? padding : 0, "");
}

typedef struct Grid {
    const Column *columns;
    size_t num_columns, num_rows;
    FieldTEXT *cells; /* [num_rows + 1, num_columns], the titles first */
    size_t *widths;   /* 0 for a column without any value, which is left out */
} Grid;

static void fill_cell(const Column *c, const RowResult *r, char *cell)
{
    if (c->cell)
        c->cell(r, cell);
    else
        field_cell(row_field(c->title), r, cell);
}

/* Whether a swept field is the same in all rows: then it is no column. */
static bool is_constant(const Grid *g, size_t c)
{
    for (size_t i = 2; i <= g->num_rows; i++)
        if (strcmp(g->cells[i * g->num_columns + c], g->cells[g->num_columns + c]) != 0)
            return false;
    return true;
}

static void grid_init(Grid *g, const Column *columns, size_t num_columns,
                      const RowResult *const *rows, size_t count)
{
    *g = (Grid){columns, num_columns, count, NULL, NULL};
    g->cells = xcalloc((count + 1) * num_columns, sizeof *g->cells);
    g->widths = xcalloc(num_columns, sizeof *g->widths);
    for (size_t c = 0; c < num_columns; c++) {
        text_set(g->cells[c], columns[c].title);
        for (size_t i = 0; i < count; i++) {
            char *cell = g->cells[(i + 1) * num_columns + c];
            fill_cell(&columns[c], rows[i], cell);
            size_t width = display_width(cell);
            if (width > g->widths[c])
                g->widths[c] = width;
        }
        if (!columns[c].cell && is_constant(g, c))
            g->widths[c] = 0;
        if (g->widths[c] && g->widths[c] < display_width(columns[c].title))
            g->widths[c] = display_width(columns[c].title);
    }
}

static void grid_release(Grid *g)
{
    free(g->cells);
    free(g->widths);
}

static void print_line(FILE *out, const Grid *g, size_t line, bool markdown)
{
    for (size_t c = 0, shown = 0; c < g->num_columns; c++) {
        if (!g->widths[c])
            continue;
        fputs(markdown ? (shown ? " | " : "| ") : (shown ? "  " : ""), out);
        print_padded(out, g->cells[line * g->num_columns + c], g->widths[c], g->columns[c].left,
                     markdown);
        shown++;
    }
    fputs(markdown ? " |\n" : "\n", out);
}

static void print_rule(FILE *out, const Grid *g)
{
    for (size_t c = 0; c < g->num_columns; c++) {
        if (!g->widths[c])
            continue;
        fputs(g->columns[c].left ? "|:" : "|-", out);
        for (size_t i = 0; i < g->widths[c]; i++)
            fputc('-', out);
        fputs(g->columns[c].left ? "-" : ":", out);
    }
    fputs("|\n", out);
}

static void print_grid(FILE *out, const RowResult *const *rows, size_t count, bool markdown)
{
    Grid g;
    if (count == 0)
        return;
    bool planned = strcmp(rows[0]->status, STATUS_PLANNED) == 0;
    grid_init(&g, planned ? plan_columns : result_columns,
              planned ? COUNT_OF(plan_columns) : COUNT_OF(result_columns), rows, count);
    for (size_t line = 0; line <= count; line++) {
        print_line(out, &g, line, markdown);
        if (line == 0 && markdown)
            print_rule(out, &g);
    }
    grid_release(&g);
}

static void print_json(FILE *out, const RowResult *const *rows, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, row_to_json(rows[i]));
    json_dumpf(array, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(array);
}

void report_rows(FILE *out, const char *format, const RowResult *const *rows, size_t count)
{
    if (strcmp(format, "csv") == 0) {
        csv_write_header(out);
        for (size_t i = 0; i < count; i++)
            csv_write_row(out, rows[i]);
    } else if (strcmp(format, "json") == 0) {
        print_json(out, rows, count);
    } else {
        print_grid(out, rows, count, strcmp(format, "md") == 0);
    }
}

void report_columns(FILE *out)
{
    fputs("| column | unit | option | meaning |\n|:--|:--|:--|:--|\n", out);
    for (size_t i = 0; i < num_row_fields; i++) {
        const Field *f = &row_fields[i];
        fprintf(out, "| `%s` | %s | %s%s%s | %s |\n", f->name, f->unit, f->option ? "`" : "",
                f->option ? f->option : "", f->option ? "`" : "", f->doc);
    }
}
