/* output: what the reports of `tare compare` have in common: records as lists of columns, files
 * that appear whole, and the machine they belong to. What is in a report is decided elsewhere. */
#ifndef TARE_BENCH_COMPARE_OUTPUT_H
#define TARE_BENCH_COMPARE_OUTPUT_H

#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "autograd/base.h"

/* ---- columns ---- */

/* Of one record: names and values, in order. A missing value is empty in CSV and null in JSON. */
typedef struct Column {
    const char *name;
    enum { COLUMN_TEXT, COLUMN_REAL, COLUMN_COUNT, COLUMN_BOOL, COLUMN_EMPTY } kind;
    const char *text;
    double real;
    size_t integer;
} Column;

enum { MAX_COLUMNS = 64 };

typedef struct Columns {
    Column at[MAX_COLUMNS];
    size_t count;
} Columns;

/* Each appends one. Names and texts are borrowed. */
void column_text(Columns *c, const char *name, const char *text);
void column_real(Columns *c, const char *name, double value);  /* NaN is missing */
void column_count(Columns *c, const char *name, size_t value); /* 0 is missing */
void column_bool(Columns *c, const char *name, bool value);
void column_empty(Columns *c, const char *name);

void columns_write_header(const Columns *c, FILE *f); /* CSV */
void columns_write_record(const Columns *c, FILE *f); /* CSV */
json_t *columns_to_json(const Columns *c);

/* ---- files ---- */

typedef void ReportWriter(const void *report, time_t started, FILE *f);

typedef struct ReportWriters {
    ReportWriter *json, *csv, *markdown;
} ReportWriters;

/* Writes FOLDER/benchmark_YYYYMMDD_HHMMSS.{json,csv,md} (UTC), each through a temporary file, replacing
 * what an earlier call with the same start wrote. */
int report_files_write(const char *folder, time_t started, const ReportWriters *writers,
                       const void *report, Err *err);

/* ---- the machine ---- */

/* Hardware, operating system, time and commit: {"timestamp_utc", "cpu_model", "cpus", ...}. Python and
 * library versions are the implementations'. */
json_t *system_info(time_t started);
/* The same as lines of Markdown. */
void system_info_print(time_t started, int64_t threads, FILE *f);
/* A line of Markdown: CPUs that others kept busy; NaN where the system does not tell. */
void other_cpus_print(double cpus, FILE *f);

#endif
