/* diff: two result files, joined row by row and judged.
 *
 * The one idea: the process is the unit (Kalibera & Jones 2013). Trials, read from the samples
 * files beside the two results, tell how much one process varies; what processes of one build
 * differ by is told by the row's own processes, where it has several, else by the noise floor that
 * the sweeps measured (sweep/noise.h), else by a threshold; without any of them a verdict is
 * inconclusive. Builds that took turns (sweep/diff_run.h) are compared round by round. Rows that
 * cannot be compared honestly are listed, not guessed. diff_load reads and joins, diff_judge is
 * pure, diff_print shows. What a verdict is: stats/verdict.h. */
#pragma once

#include <stdio.h>

#include "bench/result/fingerprint.h"
#include "bench/stats/rank_tests.h"
#include "bench/row/row.h"
#include "bench/stats/verdict.h"

/* What a time is that is compared. */
typedef enum DiffUnit {
    DIFF_TRIALS,        /* a timed trial; those of a side are of one process */
    DIFF_PAIRED_TRIALS, /* the same; trial i of both sides ran in the same round */
    DIFF_PROCESSES,     /* the median of a process; process i of both sides ran in the same round */
    DIFF_APART          /* of a row alone: the median of a process; the sides ran apart */
} DiffUnit;

/* With fewer processes a side no verdict is given. */
enum { FEWEST_PROCESSES = 5 };

/* A row that is `ok` on both sides: its units in ms, in run order. */
typedef struct DiffRow {
    FieldTEXT name, row_id;
    double *old_ms, *new_ms;
    size_t old_count, new_count;
    /* Processes that the units are trials of, equally many each; 0 or 1: of one. */
    size_t old_processes, new_processes;
    /* Standard deviation of the logarithm of one process's median, from the noise floor of both
     * sweeps, and its degrees of freedom; 0 freedom = not measured. */
    double noise, noise_freedom;
    /* How much more one sweep's probe took than the other's (row/probe.h), a fraction: what the
     * machine did between them; 0 = not known. */
    double shift;
    /* Share of a trial that waiting for a CPU may have cost: the larger cpu_wait x threads of both
     * sides, in turns the mean of all processes; 0 if not known. */
    double wait;

    /* What diff_judge finds. */
    DiffUnit unit;
    bool spread_known; /* between processes of one build; without it the verdict is inconclusive */
    double old_median, new_median;
    /* A smaller change says nothing: the largest of the diff's threshold, `wait` (but in turns),
     * `shift` and what the noise floor allows. */
    double least_change;
    RatioTest test;  /* of new / old; its interval is judged */
    RatioTest welch; /* the same by Welch, for a second opinion */
    double q;        /* p adjusted for the number of rows, and their mean where it has a p */
    /* Of a unit: robust, of both sides together; of processes, from the ratios in their rounds. */
    double cv;
    /* Smallest relative change beyond the threshold that these units show with 80 % power; NaN when
     * they are too few to test. */
    double detectable;
    bool by_floor; /* the noise floor says what processes differ by */
    Verdict verdict;
} DiffRow;

/* A row of either file that was not compared, and why, in words. */
typedef struct DiffSkipped {
    FieldTEXT name, reason;
} DiffSkipped;

typedef struct Diff {
    DiffRow *rows; /* in the order of the old file */
    size_t count;
    DiffSkipped *skipped;
    size_t num_skipped;
    size_t failed;          /* rows that a program failed while they were compared */
    double process_seconds; /* that one process takes, mean of the rows; 0 = not known */
    DiffUnit unit;
    FieldTEXT differences; /* "cpu_model: 'A' and 'B'; ..." that the guard let pass, or "" */
    double threshold;
    bool spread_known; /* of every row */
    double ratio;      /* geometric mean of new / old */
    Interval interval; /* of that; missing for fewer than 6 rows */
    Verdict verdict;   /* of the file */
} Diff;

/* Machine, build, and the part of a row's config that the machine may have chosen. */
#define DIFF_CONTEXT_COLUMNS "threads|" FINGERPRINT_COLUMNS

/* Differences of machine or build that are not refused. */
typedef struct DiffGuard {
    bool force;                 /* accept every difference; all are still reported */
    const char *const *allowed; /* columns that are not compared */
    size_t num_allowed;
} DiffGuard;

/* Reads OLD.csv, NEW.csv and their samples files, joins rows on row_id. -1: a file that cannot be
 * read or is wrong (with file and line), no row to compare, or another machine or build that
 * `guard` refuses (with what differs). Release with diff_release also after -1. */
int diff_load(Diff *d, const char *old_path, const char *new_path, const DiffGuard *guard,
              Err *err);
void diff_release(Diff *d);

/* Lists a row as not compared; d->skipped has room. */
void diff_skip(Diff *d, const char *name, const char *reason);

/* Units of one side of a judged row: trials or processes. */
size_t diff_units(const DiffRow *r, bool new);

typedef struct DiffRule {
    DiffUnit unit;
    double threshold;     /* changes up to this fraction count as none */
    bool threshold_given; /* by the user, who thereby says what processes of one build differ by */
} DiffRule;

/* Tests every row and the whole. -1: paired trials, and a row has not equally many in both
 * files. */
int diff_judge(Diff *d, const DiffRule *rule, Err *err);

/* Prints rows and summary. format: "table", "csv", "md" or "json"; csv has the rows alone. Shares
 * are fractions, times ms. */
void diff_print(const Diff *d, const char *format, FILE *out);

/* What was not compared, the verdict on the file and how it came about: the end of a table. */
void diff_print_summary(const Diff *d, FILE *out);
