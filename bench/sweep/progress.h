/* progress: shows how far a sweep is, on stderr: a bar with the time left on a terminal, a line a
 * row otherwise. How rows are run is not known here. */
#pragma once

#include <stdio.h>

#include "bench/row/row.h"

typedef struct Progress {
    FILE *out;
    bool bar;
    size_t total, done;
} Progress;

/* Seconds left, and the range it is likely in, which is not shown where both ends are the same; NaN
 * where nothing is known. */
typedef struct TimeLeft {
    double seconds, low, high;
} TimeLeft;

void progress_start(Progress *p, FILE *out, size_t total);
void progress_row_begins(Progress *p, const char *name, TimeLeft left);
void progress_row_ended(Progress *p, const char *name, const RowResult *r, TimeLeft left);
void progress_end(Progress *p);

/* One line that stays, above the bar where there is one. */
void progress_note(Progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
