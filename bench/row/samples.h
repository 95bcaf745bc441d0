/* samples: every run of one row, warmups too, with the counters that explain its time.
 *
 * The columns are listed once, in samples.def; the struct, the names, the cells of the CSV and the
 * JSON between a row's process and its parent follow from it. Files are not written here. */
#ifndef TARE_BENCH_ROW_SAMPLES_H
#define TARE_BENCH_ROW_SAMPLES_H

#include <jansson.h>

#include "autograd/base.h"

#define SAMPLE_NONE INT64_MIN

typedef struct Sample {
#define SAMPLE(name, help) int64_t name;
#include "bench/row/samples.def"
#undef SAMPLE
} Sample;

/* A sample of which nothing is known yet: every column SAMPLE_NONE. */
Sample sample_empty(void);

typedef struct SampleColumn {
    const char *name, *help;
} SampleColumn;

extern const SampleColumn sample_columns[];
extern const size_t num_sample_columns;

/* The cell of one column as CSV shows it: a number, True or False, or empty. */
void sample_cell(const Sample *s, size_t column, char *text, size_t size);

/* The value of one column by its place in sample_columns, and its change: for readers of files. */
int64_t sample_get(const Sample *s, size_t column);
void sample_set(Sample *s, size_t column, int64_t value);

/* All runs of a row in the order in which they ran. */
typedef struct Samples {
    Sample *at;
    size_t count, capacity;
} Samples;

void samples_init(Samples *s);
void samples_release(Samples *s);
void samples_reserve(Samples *s, size_t capacity); /* later samples_add calls allocate nothing */
void samples_add(Samples *s, Sample sample);

/* Copies one column over all runs or over the timed trials only, times `scale` (1e-6: ns to ms),
 * leaving out SAMPLE_NONE. `out` has room for s->count values; returns how many were written. */
enum SampleSet { ALL_RUNS, TIMED_TRIALS };
size_t samples_column(const Samples *s, enum SampleSet set, const char *name, double scale,
                      double *out);

/* An array of objects. samples_from_json fails on a missing column, an unknown one or a value that
 * is not an integer (or null). */
json_t *samples_to_json(const Samples *s);
int samples_from_json(const json_t *array, Samples *s, Err *err);

#endif
