/* output: what the reports of `tare compare` and `tare precision` share: files that appear whole,
 * the columns every entry has, and the machine they belong to.
 *
 * The one idea: a Report names its records by a Schema; CSV and JSON follow from it. What is in a
 * report is decided elsewhere. */
#pragma once

#include <time.h>

#include "bench/compare/session.h"
#include "bench/util/fields.h"
#include "bench/util/table.h"

/* ---- reports ---- */

/* One kind of report. Every function is given `of`, its subject. */
typedef struct Report {
    const Schema *schema; /* of a record */
    /* fills record i, in which every field is missing */
    void (*record)(const void *of, size_t i, void *record);
    /* an object of what only JSON has of record i */
    json_t *(*details)(const void *of, size_t i);
    /* makes the whole JSON; takes over `records`, an array */
    json_t *(*document)(const void *of, time_t started, json_t *records);
    void (*markdown)(const void *of, time_t started, FILE *f); /* the console's as well */
} Report;

/* Where the reports of one run go. */
typedef struct ReportPlace {
    const char *folder;
    time_t started;
    time_t named; /* the second in the files' names, from the first report_write on; 0 before */
} ReportPlace;

/* Writes FOLDER/benchmark_YYYYMMDD_HHMMSS.{json,csv,md} (UTC) with `count` records, each through a
 * temporary file, replacing what an earlier call with the same place wrote. The second is that of
 * the start, or the next one that no other report has. */
int report_write(const Report *r, const void *of, size_t count, ReportPlace *place, Err *err);

enum { REPORT_DIGITS = 9 }; /* significant ones of a REAL */

/* ---- an entry ---- */

/* What a record of `tare compare` begins with: one implementation's figures. */
typedef struct EntryRecord {
#define ENTRY(kind, name) Field##kind name;
#include "bench/compare/fields.def"
#undef ENTRY
} EntryRecord;

/* For bench/compare/fields.def in the table of a struct that begins with an EntryRecord. */
#define ENTRY_FIELD(kind, name) FIELD(EntryRecord, kind, #name, name, .digits = REPORT_DIGITS),

/* Fills all but component, model, batch_size and seq_len. */
void entry_record_fill(EntryRecord *r, const Session *s, const Entry *e, bool shows_ratio);

/* A heading, then what has to be equal or near among `outputs` before a speed-up is shown. */
void parity_rule_print(const char *heading, const char *outputs, FILE *f);

/* A cell: whether its parity is proven, else why not. `passed`: what is said of one that is. */
void add_parity_verdict(Table *t, const Entry *e, const char *passed);

/* Makes the folder of --out where it is missing. */
int report_folder_make(const char *folder, Err *err);

/* ---- the machine ---- */

/* Hardware, operating system, time and commit: {"timestamp_utc", "cpu_model", "cpus", ...}. Python
 * and library versions are the implementations'. */
json_t *system_info(time_t started);
/* The same and then the keys of `more`, which it takes over. */
json_t *system_info_and(time_t started, json_t *more);
/* The same as lines of Markdown. */
void system_info_print(time_t started, int64_t threads, FILE *f);
/* A line of Markdown: CPUs that others kept busy; NaN where the system does not tell. */
void other_cpus_print(double cpus, FILE *f);
/* The title of a report, both of these, and the implementations. */
void session_print(const Session *s, const char *title, const char *name, time_t started, FILE *f);
