/* report: a comparison as JSON, CSV and Markdown. */
#ifndef TARE_BENCH_COMPARE_REPORT_H
#define TARE_BENCH_COMPARE_REPORT_H

#include <stdio.h>
#include <time.h>

#include "bench/compare/cell.h"

/* Writes FOLDER/benchmark_YYYYMMDD_HHMMSS.{json,csv,md} (UTC; the time the comparison started)
 * with all records so far, replacing what an earlier call wrote. */
int compare_report_write(const Comparison *c, const char *folder, time_t started, Err *err);

/* Prints a Comparison as Markdown: parity, then medians and shares of the peak, one table a
 * model. */
void compare_report_markdown(const void *comparison, time_t started, FILE *f);

#endif
