/* report: a sentiment comparison as JSON, CSV and Markdown, and what can be concluded from it. */
#ifndef TARE_BENCH_SERVING_REPORT_H
#define TARE_BENCH_SERVING_REPORT_H

#include <stdio.h>
#include <time.h>

#include "bench/compare/output.h"
#include "bench/serving/serving.h"

/* Writes FOLDER/benchmark_YYYYMMDD_HHMMSS.{json,csv,md}. */
int serving_report_write(const Serving *s, ReportPlace *place, Err *err);

/* The Markdown report of a Serving, which is the console's as well. */
void serving_report_markdown(const void *serving, time_t started, FILE *f);

/* Sentences, each of which follows from the figures of this run alone: an array of strings. */
json_t *serving_findings(const Serving *s);

/* "tare" of one entry. */
const char *serving_entry_name(const ServingEntry *c);

#endif
