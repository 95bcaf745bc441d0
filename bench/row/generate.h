/* generate: runs one row of task prefill or decode in this process and times it.
 *
 * The one idea: run_prefill and run_decode, read top to bottom, define what is timed. Rows of task
 * loss are run.h's. */
#pragma once

#include "model/decoder.h"
#include "bench/row/row.h"
#include "bench/row/run.h"
#include "bench/row/samples.h"

/* The decoder of such a row, for its prediction and for the row itself. */
DecoderOptions row_decoder_options(const RowConfig *c);

/* Fills model_flops and, of prefill and decode, the bytes of weights, cache and a token. */
void row_fill_work(RowResult *r, const ModelConfig *m);

/* GB/s of the best of so many passes and nanoseconds over a decoder's own weights and cache: other
 * work can only slow a pass down. */
double row_read_bandwidth(const Decoder *d, int passes, int64_t least_ns);

/* Does what row_run (run.h) does. -1: memory was refused, or the logits are not numbers. */
int row_generate(RowResult *r, Samples *samples, const RowExtras *extras, Err *err);
