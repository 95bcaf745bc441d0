/* row: see row.h. */
#include "bench/attention/row.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/attention/layer.h"
#include "bench/machine/threads.h"
#include "bench/row/config.h"
#include "bench/sweep/grid_row.h"

#define KEY(...) GRID_KEY(AttentionRow, __VA_ARGS__)
#define OUT(...) GRID_OUT(AttentionRow, __VA_ARGS__)
#define SHARED   GRID_SHARED

/* Bounds that keep every product of sizes below 2^64. */
enum { MOST_SEQUENCES = 1 << 24, MOST_HEADS = 1 << 16, MOST_CHANNELS = 1 << 16 };

/* In the order of the CSV. */
static Field fields[] = {
    KEY(TEXT, "impl", impl, "flash",
        "flash: in tiles, the softmax never stored; plain: all scores stored",
        .choices = "flash|plain"),
    KEY(INT, "batch_size", base.config.batch_size, "1", "sequences in a batch",
        BETWEEN(1, MOST_SEQUENCES)),
    KEY(INT, "num_heads", base.config.num_heads, "1", "attention heads", BETWEEN(1, MOST_HEADS)),
    KEY(INT, "context_length", base.config.context_length, "1024", "tokens in a sequence",
        BETWEEN(1, MAX_DIMENSION)),
    KEY(INT, "head_dim", head_dim, "64", "channels of a head", BETWEEN(1, MOST_CHANNELS)),
    KEY(BOOL, "causal", causal, "True", "True: a token sees itself and what is before it",
        .choices = NULL),
    KEY(TEXT, "precision", base.config.precision, "fp32",
        "format of queries, keys, values, output and, in plain, probabilities; bf16: of products, "
        "forward and backward, too, where the CPU has an instruction for it, else they are fp32",
        .choices = "fp32|bf16"),
    SHARED("forward_ms"),
    SHARED("backward_ms"),
    OUT(REAL, "both_ms", base.median_ms, "ms", "median of forward and backward together"),
    OUT(INT, "saved_bytes", saved_bytes, "B",
        "what backward reads of the forward pass: queries, keys, values and a log-sum-exp a query "
        "(flash) or every probability (plain)"),
    SHARED("peak_rss_bytes"),
    OUT(REAL, "gflops_per_s", base.gflops_per_s, "1e9/s",
        "FLOPs of the six matrix products over both_ms, causal ones counted half; flash repeats "
        "one that is not counted"),
    OUT(TEXT, "status", base.status, "", "ok, skipped_memory, skipped_time, failed or implausible"),
    SHARED("status_reason"),
    OUT(TEXT, "row_id", base.row_id, "", "name of the row, for --filter and the samples file"),
    SHARED("predicted_peak_bytes"),
    OUT(TEXT, "parity", parity, "",
        "what was compared before timing: out and all gradients of both implementations"),
    OUT(INT, "parity_context", parity_context, "",
        "context of that comparison: the row's, or the largest half of it that fits"),
    OUT(REAL, "parity_error", parity_error, "",
        "largest difference over the largest value, of out or of the gradients, whichever is "
        "worse"),
    KEY(INT, "num_warmups", base.config.num_warmups, "1", "untimed runs before the first trial",
        BETWEEN(0, 1000000)),
    KEY(INT, "num_trials", base.config.num_trials, "10", "timed runs", BETWEEN(1, 1000000)),
    SHARED("threads"),
    SHARED("threads_seen"),
    KEY(INT, "seed", base.config.seed, "1", "seed of queries, keys, values and the gradient of out",
        BETWEEN(0, INT64_MAX)),
    OUT(REAL, "both_lo_ms", base.median_lo_ms, "ms",
        "lower end of the 95 % order-statistic interval of both_ms"),
    OUT(REAL, "both_hi_ms", base.median_hi_ms, "ms", "upper end of it"),
    SHARED("mean_time_ms"),
    SHARED("std_time_ms"),
    SHARED("min_ms"),
    SHARED("max_ms"),
    SHARED("cv"),
    SHARED("outliers"),
    SHARED("noise"),
    SHARED("cpus_used"),
    SHARED("cpu_wait"),
    SHARED("first_trial_ms"),
    SHARED("first_over_steady"),
    SHARED("steady_class"),
    SHARED("steady_start"),
    SHARED("steady_mean_ms"),
    SHARED("warmups_needed"),
    OUT(REAL, "model_flops", base.model_flops, "", "FLOPs that gflops_per_s counts"),
    OUT(REAL, "predicted_time_s", base.predicted_time_s, "s",
        "time of the whole row, predicted before it ran"),
    SHARED("peak_gflops_per_s"),
    SHARED("peak_fraction"),
    OUT(TEXT, "product_support", base.product_support, "",
        "how this CPU multiplies the precision, forward and backward: native, or convert (stored "
        "small, multiplied in fp32)"),
    SHARED("product_instruction"),
    SHARED("isa"),
    SHARED("gemm"),
    SHARED("blas"),
    SHARED("cpu_model"),
    SHARED("cpus_allowed"),
    SHARED("cpu_quota"),
    SHARED("governor"),
    SHARED("build"),
    SHARED("timestamp_utc"),
    SHARED("git_commit"),
};

const Schema *attention_schema(void)
{
    static const Schema schema = {"a row", fields, COUNT_OF(fields), sizeof(AttentionRow)};
    return grid_schema(&schema, fields);
}

Attention attention_shape(const AttentionRow *r)
{
    const RowConfig *c = &r->base.config;
    bool small = strcmp(c->precision, "bf16") == 0;
    return attention_layer_shape((size_t)c->batch_size, (size_t)c->context_length,
                                 (size_t)c->num_heads, (size_t)r->head_dim, r->causal,
                                 small ? DT_BF16 : DT_F32);
}

static int64_t whole_bytes(double bytes)
{
    return bytes < 0x1p62 ? (int64_t)bytes : (int64_t)1 << 62;
}

void attention_row_plan(void *row)
{
    AttentionRow *r = row;
    const RowConfig *c = &r->base.config;
    const Attention a = attention_shape(r);
    const AttentionImpl *impl = attention_impl(r->impl);
    snprintf(r->base.row_id, sizeof r->base.row_id,
             "%.16s/b%" PRId64 "/h%" PRId64 "/t%" PRId64 "/d%" PRId64 "/%s/%.16s", r->impl,
             c->batch_size, c->num_heads, c->context_length, r->head_dim,
             r->causal ? "causal" : "full", c->precision);
    r->base.num_params = 0;
    r->base.model_flops = attention_layer_flops(&a, true);
    r->saved_bytes = whole_bytes(attention_saved_bytes(&a, impl));
    r->base.predicted_peak_bytes = whole_bytes(attention_process_bytes(&a, impl, (int)c->threads));
    text_set(r->base.product_support,
             support_name(a.type == a.product ? SUPPORT_NATIVE : SUPPORT_CONVERT));
    text_set(r->base.product_instruction, product_instruction(a.product));
}
