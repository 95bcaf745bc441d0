/* diff_print: a judged Diff as a table, CSV, Markdown or JSON. The columns are listed once, below. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result/csv.h"
#include "bench/result/diff.h"
#include "bench/util/number_json.h"
#include "bench/result/table.h"

typedef enum ColumnKind {
    COLUMN_TEXT,
    COLUMN_COUNT,
    COLUMN_REAL,
    COLUMN_VERDICT,
    COLUMN_NOTE
} ColumnKind;

typedef struct DiffColumn {
    const char *name;
    ColumnKind kind;
    size_t offset;   /* in DiffRow */
    bool for_people; /* shown in tables too */
} DiffColumn;

static const DiffColumn columns[] = {
    {"row", COLUMN_TEXT, offsetof(DiffRow, name), true},
    {"row_id", COLUMN_TEXT, offsetof(DiffRow, row_id), false},
    {"old_trials", COLUMN_COUNT, offsetof(DiffRow, old_count), false},
    {"new_trials", COLUMN_COUNT, offsetof(DiffRow, new_count), false},
    {"old_ms", COLUMN_REAL, offsetof(DiffRow, old_median), true},
    {"new_ms", COLUMN_REAL, offsetof(DiffRow, new_median), true},
    {"ratio", COLUMN_REAL, offsetof(DiffRow, test.ratio), true},
    {"ratio_lo", COLUMN_REAL, offsetof(DiffRow, test.interval.lo), true},
    {"ratio_hi", COLUMN_REAL, offsetof(DiffRow, test.interval.hi), true},
    {"coverage", COLUMN_REAL, offsetof(DiffRow, test.interval.coverage), false},
    {"p", COLUMN_REAL, offsetof(DiffRow, test.p), true},
    {"q", COLUMN_REAL, offsetof(DiffRow, q), true},
    {"welch_ratio", COLUMN_REAL, offsetof(DiffRow, welch.ratio), false},
    {"welch_p", COLUMN_REAL, offsetof(DiffRow, welch.p), false},
    {"cv", COLUMN_REAL, offsetof(DiffRow, cv), false},
    {"least_change", COLUMN_REAL, offsetof(DiffRow, least_change), false},
    {"detectable", COLUMN_REAL, offsetof(DiffRow, detectable), false},
    {"verdict", COLUMN_VERDICT, 0, true},
    {"note", COLUMN_NOTE, 0, true},
};

static void write_note(const Diff *d, const DiffRow *r, char *text)
{
    text[0] = '\0';
    if (r->verdict != VERDICT_INCONCLUSIVE)
        return;
    double trials = trials_to_detect(r->cv, d->threshold);
    if (isnan(r->detectable))
        snprintf(text, TEXT_SIZE, "%zu and %zu trials are too few to test", r->old_count,
                 r->new_count);
    else if (r->least_change > d->threshold)
        snprintf(text, TEXT_SIZE, "threads waited for a CPU: only changes beyond %.2g %% tell",
                 100 * r->least_change);
    else if (verdict_of(r->test.interval, d->threshold) != VERDICT_INCONCLUSIVE)
        snprintf(text, TEXT_SIZE, "could be chance among this many rows");
    else if (d->threshold > 0 && trials > (double)r->old_count)
        snprintf(text, TEXT_SIZE,
                 "changes from %.2g %% would show; with %.0f trials a side, from %.2g %%",
                 100 * (d->threshold + r->detectable), trials, 200 * d->threshold);
    else
        snprintf(text, TEXT_SIZE, "changes from %.2g %% would show",
                 100 * (d->threshold + r->detectable));
}

/* The cell as text: rounded for people, in full for programs. Missing is empty. */
static void write_cell(const Diff *d, const DiffRow *r, const DiffColumn *c, bool rounded,
                       char *text)
{
    const void *at = (const char *)r + c->offset;
    double value;
    switch (c->kind) {
    case COLUMN_TEXT:
        snprintf(text, TEXT_SIZE, "%s", (const char *)at);
        break;
    case COLUMN_COUNT:
        snprintf(text, TEXT_SIZE, "%zu", *(const size_t *)at);
        break;
    case COLUMN_REAL:
        value = *(const double *)at;
        text[0] = '\0';
        if (!isnan(value))
            snprintf(text, TEXT_SIZE, rounded ? "%.4g" : "%.17g", value);
        break;
    case COLUMN_VERDICT:
        snprintf(text, TEXT_SIZE, "%s", verdict_name(r->verdict));
        break;
    case COLUMN_NOTE:
        write_note(d, r, text);
        break;
    }
}

static bool is_number(const DiffColumn *c)
{
    return c->kind == COLUMN_REAL || c->kind == COLUMN_COUNT;
}

/* The widest cell of a column, its name included. */
static int width_of(const Diff *d, const DiffColumn *c)
{
    size_t widest = strlen(c->name);
    for (size_t i = 0; i < d->count; i++) {
        FieldTEXT text;
        write_cell(d, &d->rows[i], c, true, text);
        widest = strlen(text) > widest ? strlen(text) : widest;
    }
    return (int)widest;
}

/* One line of a table for people; r == NULL is the line of names. Numbers are right-aligned; blanks at
 * the end are left out. */
static void print_aligned(const Diff *d, const DiffRow *r, const int *widths, FILE *out)
{
    int owed = 0; /* blanks due before the next text */
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        const DiffColumn *c = &columns[i];
        FieldTEXT text;
        if (!c->for_people)
            continue;
        snprintf(text, sizeof text, "%s", c->name);
        if (r)
            write_cell(d, r, c, true, text);
        int length = (int)strlen(text), blanks = widths[i] - length;
        int left = is_number(c) ? blanks : 0;
        if (length > 0)
            fprintf(out, "%*s%s", owed + left, "", text);
        owed = length > 0 ? blanks - left + 2 : owed + widths[i] + 2;
    }
    fputc('\n', out);
}

static void print_aligned_rows(const Diff *d, FILE *out)
{
    int widths[COUNT_OF(columns)];
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        widths[i] = width_of(d, &columns[i]);
    print_aligned(d, NULL, widths, out);
    for (size_t i = 0; i < d->count; i++)
        print_aligned(d, &d->rows[i], widths, out);
}

static void print_markdown_rows(const Diff *d, FILE *out)
{
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        if (columns[i].for_people)
            fprintf(out, "| %s ", columns[i].name);
    fputs("|\n", out);
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        if (columns[i].for_people)
            fputs(is_number(&columns[i]) ? "|---:" : "|---", out);
    fputs("|\n", out);
    for (size_t i = 0; i < d->count; i++) {
        for (size_t j = 0; j < COUNT_OF(columns); j++) {
            FieldTEXT text;
            if (!columns[j].for_people)
                continue;
            write_cell(d, &d->rows[i], &columns[j], true, text);
            fputs("| ", out);
            markdown_print(out, text);
            fputc(' ', out);
        }
        fputs("|\n", out);
    }
}

static void print_csv_rows(const Diff *d, FILE *out)
{
    const char *cells[COUNT_OF(columns)];
    FieldTEXT texts[COUNT_OF(columns)];
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells[i] = columns[i].name;
    csv_write_record(out, cells, COUNT_OF(columns));
    for (size_t i = 0; i < d->count; i++) {
        for (size_t j = 0; j < COUNT_OF(columns); j++) {
            write_cell(d, &d->rows[i], &columns[j], false, texts[j]);
            cells[j] = texts[j];
        }
        csv_write_record(out, cells, COUNT_OF(columns));
    }
}

static json_t *row_json(const Diff *d, const DiffRow *r)
{
    json_t *object = json_object();
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        const DiffColumn *c = &columns[i];
        const void *at = (const char *)r + c->offset;
        json_t *value;
        FieldTEXT text;
        if (c->kind == COLUMN_REAL) {
            value = number_json(*(const double *)at);
        } else if (c->kind == COLUMN_COUNT) {
            value = json_integer((json_int_t) * (const size_t *)at);
        } else {
            write_cell(d, r, c, false, text);
            value = json_string_nocheck(text);
        }
        json_object_set_new(object, c->name, value);
    }
    return object;
}

static void print_json(const Diff *d, FILE *out)
{
    json_t *root = json_object(), *rows = json_array(), *skipped = json_array();
    for (size_t i = 0; i < d->count; i++)
        json_array_append_new(rows, row_json(d, &d->rows[i]));
    for (size_t i = 0; i < d->num_skipped; i++) {
        json_t *object = json_object();
        json_object_set_new(object, "row", json_string_nocheck(d->skipped[i].name));
        json_object_set_new(object, "reason", json_string_nocheck(d->skipped[i].reason));
        json_array_append_new(skipped, object);
    }
    json_object_set_new(root, "verdict", json_string(verdict_name(d->verdict)));
    json_object_set_new(root, "ratio", number_json(d->ratio));
    json_object_set_new(root, "ratio_lo", number_json(d->interval.lo));
    json_object_set_new(root, "ratio_hi", number_json(d->interval.hi));
    json_object_set_new(root, "threshold", json_real(d->threshold));
    json_object_set_new(root, "differences", json_string_nocheck(d->differences));
    json_object_set_new(root, "rows", rows);
    json_object_set_new(root, "not_compared", skipped);
    json_dumpf(root, out, JSON_INDENT(1));
    fputc('\n', out);
    json_decref(root);
}

void diff_print_summary(const Diff *d, FILE *out)
{
    size_t seen[VERDICT_REGRESSION + 1] = {0};
    for (size_t i = 0; i < d->count; i++)
        seen[d->rows[i].verdict]++;
    for (size_t i = 0; i < d->num_skipped; i++)
        fprintf(out, "not compared: %s: %s\n", d->skipped[i].name, d->skipped[i].reason);
    fprintf(out, "verdict: %s\n", verdict_name(d->verdict));
    fprintf(out, "%zu rows", d->count);
    for (int v = VERDICT_REGRESSION; v >= VERDICT_INCONCLUSIVE; v--)
        fprintf(out, "%s %zu %s", v == VERDICT_REGRESSION ? ":" : ",", seen[v], verdict_name(v));
    fprintf(out, "\nnew / old: geometric mean %.4g", d->ratio);
    if (!isnan(d->interval.lo))
        fprintf(out, ", 95 %% interval %.4g to %.4g", d->interval.lo, d->interval.hi);
    fprintf(out, "; changes within %.3g %% count as none\n", 100 * d->threshold);
    size_t waited = 0;
    for (size_t i = 0; i < d->count; i++)
        waited += d->rows[i].least_change > d->threshold;
    if (waited)
        fprintf(out, "in %zu rows threads waited for a CPU longer than that: quieten the machine\n",
                waited);
}

void diff_print(const Diff *d, const char *format, FILE *out)
{
    if (strcmp(format, "json") == 0) {
        print_json(d, out);
        return;
    }
    if (strcmp(format, "csv") == 0) {
        print_csv_rows(d, out);
        return;
    }
    if (strcmp(format, "md") == 0)
        print_markdown_rows(d, out);
    else
        print_aligned_rows(d, out);
    fputc('\n', out);
    diff_print_summary(d, out);
}
