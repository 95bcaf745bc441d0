/* peak: what share of the machine's peak a rate is, and whether it can be true.
 *
 * The peaks (machine/peaks.h) are measured in a child process on the threads of the comparison: before the first
 * cell, after the last, and again at once when a rate is above the limit, so that a machine whose speed
 * swings does not accuse anybody. The highest of each counts. */
#ifndef TARE_BENCH_COMPARE_PEAK_H
#define TARE_BENCH_COMPARE_PEAK_H

#include "model/config.h"
#include "bench/compare/config.h"
#include "bench/machine/peaks.h"

typedef struct PeakWatch {
    int64_t threads;
    Peaks peaks;
    bool known;
} PeakWatch;

/* Measures, and keeps the higher rates. A failure is a line on stderr: shares then stay missing. */
void peak_watch_measure(PeakWatch *w);
/* Measures again, a few times at most, while this rate (GFLOP/s) of products in a format is above the limit. */
void peak_watch_doubt(PeakWatch *w, DType product, double gflops);

/* The share of the highest rate measured of such products; NaN where peaks or rate are not known. */
double peak_watch_fraction(const PeakWatch *w, DType product, double gflops);
/* Above the limit: no machine like this does it. */
bool peak_watch_implausible(const PeakWatch *w, DType product, double gflops);
/* {"fma": ..., "gemm": ..., ...}, or null. */
json_t *peak_watch_to_json(const PeakWatch *w);

/* Model FLOPs of one call of the cell (model_flops; recomputation and padding are not counted). NaN where
 * there is no matrix work to speak of: tokenizers, embeddings. */
double cell_flops(const CompareCell *cell, const ModelConfig *c);

#endif
