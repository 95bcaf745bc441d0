/* cell: one cell of a comparison: every implementation loads the same model and inputs, shows that
 * it computes the same, and then they take turns.
 *
 * Order and length of turns are those of turns.h; a sample is timed inside the worker, and in a fresh
 * process an untimed call always goes first. After a turn the next begins when every thread of the last
 * worker sleeps. The parent only waits; it never calls a kernel. Nothing is subtracted from any time. */
#ifndef TARE_BENCH_COMPARE_CELL_H
#define TARE_BENCH_COMPARE_CELL_H

#include "bench/compare/implementation.h"
#include "bench/compare/parity.h"
#include "bench/compare/config.h"
#include "bench/machine/plausible.h"
#include "bench/stats/rank_tests.h"

/* Of one implementation in one cell. */
typedef struct CellEntry {
    const CompareCell *cell;
    const Implementation *implementation;
    double *ms; /* [rounds], in their order */
    size_t rounds;
    int64_t calls;  /* a sample */
    bool warm_call; /* an untimed call goes before each sample */
    double median_ms;
    Interval interval;
    bool has_parity; /* not for tare itself */
    Parity parity;
    size_t peak_rss_bytes; /* of a whole fresh process, the highest of all turns; 0 = not known */
    size_t input_bytes;    /* of the texts of a tokenizer; 0 otherwise */
    RatioTest ratio;       /* tare's time over this one's; missing without parity */
    Err failure;           /* "" = none; otherwise there are no figures */
} CellEntry;

/* Model FLOPs of one call of the cell (model_flops; recomputation and padding are not counted). NaN where
 * there is no matrix work to speak of: tokenizers, embeddings. */
double cell_flops(const CompareCell *cell, const ModelConfig *c);

/* Everything but the models. */
typedef struct Comparison {
    const CompareConfig *config;
    Project project;
    Implementation implementations[NUM_IMPLEMENTATIONS];
    Guard guard;                   /* without peaks where no cell has matrix work */
    double other_cpus;             /* kept busy by others before anything was started */
    char folder[TEMPORARY_FOLDER]; /* temporary, for inputs and outputs */
    ModelFiles *models;            /* [config->num_models]; dir is NULL where no cell uses it */
    CellEntry *records;            /* of the finished cells */
    size_t num_records;
} Comparison;

/* The peaks of the comparison's threads; NULL = not known. */
const Peaks *comparison_peaks(const Comparison *c);
/* Measures them again; on failure they stay as they are, with a line on stderr. */
void comparison_measure_peaks(Comparison *c);

/* Starts the implementations (implementations_start) and measures the machine's peaks. */
int comparison_start(Comparison *c, bool *misbehaved, Err *err);
void comparison_release(Comparison *c);

/* Measures the cell and appends a record for every available implementation that can do it. An
 * implementation that fails has its failure in its record. -1: the inputs cannot be read or written, or we
 * were interrupted, and nothing was appended. */
int comparison_measure(Comparison *c, const CompareCell *cell, Err *err);

/* Model FLOPs over the median; NaN where the cell has no matrix work or the record no figures. */
double cell_entry_gflops(const Comparison *c, const CellEntry *r);
/* That as a share of the peak of its products; NaN also where the peaks are not known. */
double cell_entry_peak_fraction(const Comparison *c, const CellEntry *r);
EntryState cell_entry_state(const Comparison *c, const CellEntry *r);
/* Whether the machine can do it; *why as of plausible.h. */
bool cell_entry_plausible(const Comparison *c, const CellEntry *r, Err *why);

/* Tare's record of the same cell. */
const CellEntry *cell_entry_ours(const Comparison *c, const CellEntry *r);

/* Whether the record's ratio may be shown: nothing speaks against it, nor against tare's. */
bool cell_entry_shows_ratio(const Comparison *c, const CellEntry *r);

#endif
