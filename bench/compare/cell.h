/* cell: one cell of a comparison: every implementation loads the same model and inputs, shows that
 * it computes the same, and then they take turns (rounds.h).
 *
 * A sample is timed inside the worker; in a fresh process an untimed call always goes first. After
 * a turn the next begins when every thread of the last worker sleeps. The parent only waits; it
 * never calls a kernel. Nothing is subtracted from any time. */
#pragma once

#include "bench/attention/layer.h"
#include "bench/compare/config.h"
#include "bench/compare/output.h"
#include "bench/row/profile.h"

/* Of one implementation in one cell. */
typedef struct CellEntry {
    Entry entry; /* its claim: model FLOPs over the median; NaN where the cell has no matrix work */
    const CompareCell *cell;
    int64_t calls;           /* a sample */
    bool warm_call;          /* an untimed call goes before each sample */
    double cpu_ms, timed_ms; /* of all samples: CPU time that the worker told, and their time */
    size_t peak_rss_bytes;   /* of a whole fresh process, the highest of all turns; 0 = not known */
    size_t input_bytes;      /* of the texts of a tokenizer; 0 otherwise */
    double load_ms;          /* of the last load: what a process does before it can be called */
    double first_call_ms;    /* after the first load; NaN of a training step, of fresh processes */
    Profile profile;         /* of tare, where the comparison is profiled; else it has no runs */
} CellEntry;

/* Everything but the models. */
typedef struct Comparison {
    const CompareConfig *config;
    bool profiled;      /* tare's calls run again behind the turns of a cell, with stamps */
    Session session;    /* its peaks are not measured where no cell has matrix work */
    ModelFiles *models; /* [config->num_models]; dir is NULL where no cell uses it */
    CellEntry *records; /* of the finished cells */
    size_t num_records;
} Comparison;

/* Model FLOPs of one call of the cell (model_flops; recomputation and padding are not counted). NaN
 * where there is no matrix work to speak of: tokenizers, embeddings. */
double cell_flops(const CompareCell *cell, const ModelConfig *c);

/* Starts the implementations and measures the machine's peaks. Its models have been found. */
int comparison_start(Comparison *c, Err *err);
void comparison_release(Comparison *c);

/* Measures the cell and appends a record for every available implementation that can do it. An
 * implementation that fails has its failure in its record. -1: the inputs cannot be read or
 * written, or we were interrupted, and nothing was appended. */
int comparison_measure(Comparison *c, const CompareCell *cell, Err *err);

/* Tare's record of the same cell. */
const CellEntry *cell_entry_ours(const Comparison *c, const CellEntry *r);

/* Whether the record's ratio may be shown: nothing speaks against it, nor against tare's. */
bool cell_entry_shows_ratio(const Comparison *c, const CellEntry *r);

/* ---- report.c ---- */

/* Of a Comparison: parity, then medians and shares of the peak, one table a model. */
extern const Report compare_report;

/* ---- inputs.c ---- */

/* The layer of a cell of attention. */
Attention compare_attention(const CompareCell *cell, const CompareModel *m);

/* What all implementations of a cell are given: a load request without threads (see worker_job.h);
 * ids go to the file `path`, and so do queries, keys and values, N(0, 1). Ids are uniform over the
 * vocabulary, nothing is masked; a text has about 90 bytes, or as many words as seq_len asks for;
 * or the texts are those of the cell's file.
 * NULL when a file cannot be written or read. */
json_t *compare_load_request(const CompareCell *cell, const CompareModel *m,
                             const ModelFiles *files, uint64_t seed, const char *path, Err *err);
