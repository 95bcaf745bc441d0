/* profile: where the time of runs goes, op by op: of a row, or of a cell of `tare compare`.
 *
 * The one idea: exec calls a hook after each step, which adds up by op and pass. Stamping costs
 * time, so profiled runs are extra runs and enter no other figure; the table says what stamping
 * cost (profile_print.c). */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "autograd/exec.h"
#include "bench/row/row.h"
#include "bench/row/samples.h"
#include "bench/util/table.h"

/* One op in one pass, or one part of it (OpDef.parts), added up over all profiled runs. The time of
 * a step is divided among its parts as the time that its threads spent in them. */
typedef struct ProfileLine {
    const OpDef *op;
    StepKind kind;
    int64_t part; /* -1: the whole op, which has no parts */
    double steps, ns;
    double flops;      /* of matrix products, repeated ones included; 0 = it has none */
    double bytes;      /* its steps must read and write, each tensor once a step; NaN = not known */
    unsigned products; /* what they multiplied (products_taken) */
} ProfileLine;

typedef struct Profile {
    ProfileLine *lines;
    size_t count;
    Samples runs;   /* the profiled ones */
    int64_t slices; /* of each run (slices.h); times are those of the first */
    bool backward;  /* whether a forward pass keeps something for a backward one */
    bool traced;    /* asks for the trace of one more run */
    json_t *trace;  /* of trace_to_json; NULL = none */
} Profile;

void profile_init(Profile *p);
void profile_release(Profile *p);

/* Adds `count` runs of `once`, which runs plans in e, to p. */
void profile_runs(Profile *p, Exec *e, int64_t count, Sample (*once)(void *what), void *what);

/* "forward", "refresh" or "backward". */
const char *profile_pass(StepKind kind);

/* Write and read a profile, between a row's process and its parent. profile_from_json fills an
 * initialised Profile; -1: a key is missing or of another type, or no such op or pass exists. */
json_t *profile_to_json(const Profile *p);
int profile_from_json(const json_t *object, Profile *p, Err *err);

/* What a profile is held against. */
typedef struct ProfileBeside {
    const double *plain_ms; /* [num_plain]: the same without stamps */
    size_t num_plain;
    double peak_gflops_per_s; /* shares are of it; NaN = not known */
    const char *precision;    /* in which it was measured */
    int64_t threads, num_params, head_dim;
} ProfileBeside;

/* Prints a table, the most expensive line first, figures per run; then what stamping cost. At least
 * one run was profiled. */
void profile_print(const Profile *p, const ProfileBeside *beside, TableFormat format, FILE *out);
/* The same as text, of a row beside the trials in `samples`. */
void profile_print_row(const Profile *p, const RowResult *r, const Samples *samples, FILE *out);
