/* report: a comparison as JSON, CSV and Markdown. */
#ifndef TARE_BENCH_COMPARE_REPORT_H
#define TARE_BENCH_COMPARE_REPORT_H

#include <stdio.h>
#include <time.h>

#include "bench/compare/cell.h"
#include "bench/compare/output.h"

/* Writes FOLDER/benchmark_YYYYMMDD_HHMMSS.{json,csv,md} (UTC; see output.h)
 * with all records so far, replacing what an earlier call wrote. */
int compare_report_write(const Comparison *c, ReportPlace *place, Err *err);

/* Prints a Comparison as Markdown: parity, then medians and shares of the peak, one table a
 * model. */
void compare_report_markdown(const void *comparison, time_t started, FILE *f);

#endif
