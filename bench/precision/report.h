/* report: a study as JSON, CSV and Markdown. */
#ifndef TARE_BENCH_PRECISION_REPORT_H
#define TARE_BENCH_PRECISION_REPORT_H

#include <stdio.h>
#include <time.h>

#include "bench/compare/output.h"
#include "bench/precision/study.h"

/* Writes FOLDER/benchmark_YYYYMMDD_HHMMSS.{json,csv,md} (UTC; see output.h) with all
 * records so far, replacing what an earlier call wrote. */
int study_report_write(const Study *s, ReportPlace *place, Err *err);

/* The Markdown report of a Study: formats, times, sizes, accuracy, perplexity, expectations. */
void study_report_markdown(const void *study, time_t started, FILE *f);

/* Copies the start of a text for Markdown: at most `bytes` bytes, whole characters, one line,
 * blanks for what would end a table's cell, "..." behind a cut. `out` has room for bytes + 4. */
void text_start(const char *text, size_t bytes, char *out);

/* The subject of a record. */
const StudySubject *study_subject_of(const Study *s, const StudyRecord *r);

#endif
