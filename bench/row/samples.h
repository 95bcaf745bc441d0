/* samples: every run of one row, warmups too, with the counters that explain its time.
 *
 * The columns are listed once, in samples.def; the struct, the CSV and the JSON between a row's
 * process and its parent follow from it. Files are not written here. */
#pragma once

#include "bench/util/fields.h"

typedef struct Sample {
#define SAMPLE(kind, name, doc) Field##kind name;
#include "bench/row/samples.def"
#undef SAMPLE
} Sample;

extern const Schema sample_schema;

/* A sample of which nothing is known yet: every column missing. */
Sample sample_empty(void);

/* One token, of every sequence, of a timed trial of decode: a line of NAME.tokens.csv. */
typedef struct TokenTime {
    FieldINT trial; /* run of this row, as in the samples file */
    FieldINT token; /* step of the trial, from 0; each gives a token of every sequence */
    FieldINT depth; /* positions in the cache before it */
    FieldINT ns;    /* from the token before, of the first from the begin of the trial */
} TokenTime;

/* Its columns; `at`: the place of the TokenTime in Struct, such as "token.". */
#define TOKEN_FIELDS(Struct, at)                                                                   \
    FIELD(Struct, INT, "trial", at trial), FIELD(Struct, INT, "token", at token),                  \
        FIELD(Struct, INT, "depth", at depth), FIELD(Struct, INT, "ns", at ns)

extern const Schema token_schema;

/* All runs of a row in the order in which they ran. */
typedef struct Samples {
    Sample *at;
    size_t count, capacity;
    TokenTime *tokens; /* of the timed trials, in their order; NULL where there are none */
    size_t num_tokens, token_capacity;
} Samples;

void samples_init(Samples *s);
void samples_release(Samples *s);
void samples_reserve(Samples *s, size_t capacity); /* later samples_add calls allocate nothing */
void samples_add(Samples *s, Sample sample);

void samples_reserve_tokens(Samples *s, size_t capacity);
void samples_add_token(Samples *s, TokenTime token);

/* The runs from place `start` on that are of one process: a view, not to be released; none at the
 * end. */
Samples samples_of_process(const Samples *s, size_t start);

/* How many processes the runs are of. */
size_t samples_processes(const Samples *s);

/* Copies one column over all runs or over the timed trials only, times `scale` (1e-6: ns to ms),
 * leaving out what is missing. `out` has room for s->count values; returns how many were
 * written. */
enum SampleSet { ALL_RUNS, TIMED_TRIALS };
size_t samples_column(const Samples *s, enum SampleSet set, const char *name, double scale,
                      double *out);

/* The same into an array of its own, of *count values; the caller frees. */
double *samples_values(const Samples *s, enum SampleSet set, const char *name, double scale,
                       size_t *count);

/* Times in ms of the timed trials, in run order; the caller frees. */
double *samples_timed_ms(const Samples *s, size_t *count);

/* An array of objects. samples_from_json adds to *s; -1: no array, or schema_from_json refuses
 * one. */
json_t *samples_to_json(const Samples *s);
int samples_from_json(const json_t *array, Samples *s, Err *err);

/* The tokens, the same way. */
json_t *tokens_to_json(const Samples *s);
int tokens_from_json(const json_t *array, Samples *s, Err *err);
