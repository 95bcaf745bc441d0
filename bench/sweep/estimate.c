/* estimate: see estimate.h. */
#include "bench/sweep/estimate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/families/family.h"
#include "bench/machine/machine.h"
#include "bench/row/config.h"
#include "bench/row/generate.h"
#include "bench/row/ranked.h"
#include "bench/row/support.h"
#include "bench/row/run.h"
#include "bench/util/units.h"

/* ---- memory ---- */

enum { MAX_LAYERS_PLANNED = 256 };

typedef struct PeakMemory {
    double bytes;
    Recompute recompute;
} PeakMemory;

static PeakMemory plan_decoder(const RowConfig *c, const ModelConfig *config)
{
    const DecoderOptions options = row_decoder_options(c);
    Decoder d;
    decoder_plan(&d, config, &options);
    PeakMemory memory = {(double)decoder_predicted_bytes(&d), RECOMPUTE_NONE};
    decoder_release(&d);
    return memory;
}

static PeakMemory plan_memory(const RowConfig *c, size_t layers, size_t memory_limit)
{
    ModelConfig config = row_config_model(c);
    config.num_layers = layers;
    if (row_task(c) != TASK_LOSS)
        return plan_decoder(c, &config);
    ModelOptions options = row_model_options(c, memory_limit);
    Model m;
    model_plan(&m, &config, &options);
    PeakMemory memory = {(double)row_rank_bytes(&m, c), m.recompute};
    model_release(&m);
    return memory;
}

/* Layers are alike: beyond some depth each adds the same amount of memory. */
static PeakMemory extrapolate_memory(const RowConfig *c, size_t memory_limit)
{
    const size_t deep = MAX_LAYERS_PLANNED, half = deep / 2;
    PeakMemory at_half = plan_memory(c, half, 0), at_deep = plan_memory(c, deep, 0);
    double slope = (at_deep.bytes - at_half.bytes) / (double)(deep - half);
    PeakMemory memory = at_deep;
    memory.bytes += slope * ((double)c->num_layers - (double)deep);
    bool is_auto = row_task(c) == TASK_LOSS && strcmp(c->recompute, "auto") == 0;
    if (!is_auto || memory_limit == 0 || memory.bytes <= (double)memory_limit)
        return memory;
    RowConfig block = *c;
    text_set(block.recompute, "block");
    return extrapolate_memory(&block, 0);
}

/* A lower bound for rows whose buffers overflow a size_t: the bytes of activations that each layer
 * reads and writes at least, in fp32. */
static double activation_bytes(const RowConfig *c)
{
    ModelConfig m = row_config_model(c);
    double C = (double)m.d_model, heads = (double)heads_width(model_heads(&m));
    double channels = 4 * C + 2 * heads + 2 * (double)m.d_ff + (double)m.num_heads;
    return (double)row_rank_batch(c) * (double)row_positions(c) * channels * sizeof(float);
}

static PeakMemory estimate_peak_bytes(const RowConfig *c, size_t memory_limit)
{
    ModelConfig config = row_config_model(c);
    if (activation_bytes(c) * MAX_LAYERS_PLANNED > 0x1p58)
        return (PeakMemory){(double)model_num_params(&config) * sizeof(float) + activation_bytes(c),
                            RECOMPUTE_NONE};
    if (config.num_layers > MAX_LAYERS_PLANNED)
        return extrapolate_memory(c, memory_limit);
    return plan_memory(c, config.num_layers, memory_limit);
}

/* ---- time ---- */

/* An AVX-512 or AVX2 server core in fp32 matrix products; the first finished row corrects it. */
#define DEFAULT_GFLOPS_PER_THREAD 50.0

/* Assumed costs of a row beside its runs: starting the process and initialising the weights. The
 * first run, which touches all memory first, counts as COLD_RUNS ordinary ones. */
#define START_SECONDS     0.05
#define SECONDS_PER_PARAM 4e-9
#define COLD_RUNS         2.0
#define BYTES_PER_S       10e9
#define AUTO_WARMUPS      10

#define DEFAULT_SPREAD 0.5

void time_model_init(TimeModel *t, double gflops, int64_t threads)
{
    *t = (TimeModel){0};
    t->gflops_per_thread = gflops > 0 ? gflops / (double)threads : DEFAULT_GFLOPS_PER_THREAD;
}

static double assumed_seconds(const TimeModel *t, const RowResult *r)
{
    const RowConfig *c = &r->config;
    bool found = row_config_finds_warmups(c);
    double warmups = found ? AUTO_WARMUPS : (double)c->num_warmups;
    double runs = warmups + (double)c->num_trials - 1 + COLD_RUNS;
    double rate = t->gflops_per_thread * (double)c->threads * row_ranks(c) * 1e9;
    double traffic =
        isnan(r->bytes_per_token) ? 0 : r->bytes_per_token * row_tokens(c) / BYTES_PER_S;
    return (double)row_processes(c) * (START_SECONDS + SECONDS_PER_PARAM * (double)r->num_params +
                                       runs * fmax(r->model_flops / rate, traffic));
}

/* Rows whose predictions are wrong by the same factor. */
static TimeRatios *kind_of(const TimeModel *t, const RowConfig *c)
{
    size_t place = c->forward_only ? (size_t)row_task(c) : NUM_TASKS;
    return (TimeRatios *)&t->kind[row_precision(c)][place];
}

void time_model_learn(TimeModel *t, const RowResult *r, double seconds)
{
    double x = log(seconds / assumed_seconds(t, r));
    TimeRatios *both[] = {kind_of(t, &r->config), &t->all};
    for (size_t i = 0; i < COUNT_OF(both); i++) {
        both[i]->count += 1;
        both[i]->sum += x;
        both[i]->sum_of_squares += x * x;
    }
}

double time_model_count(const TimeModel *t)
{
    return t->all.count;
}

/* By rows of the same kind, else by all rows, else the assumption. */
double time_model_predict(const TimeModel *t, const RowResult *r)
{
    const TimeRatios *own = kind_of(t, &r->config);
    const TimeRatios *known = own->count > 0 ? own : &t->all;
    double correction = known->count > 0 ? known->sum / known->count : 0;
    return assumed_seconds(t, r) * exp(correction);
}

double time_model_spread(const TimeModel *t)
{
    double squares = 0, freedom = 0;
    const TimeRatios *kind = &t->kind[0][0];
    for (size_t i = 0; i < sizeof t->kind / sizeof *kind; i++) {
        double n = kind[i].count;
        if (n < 2)
            continue;
        squares += kind[i].sum_of_squares - kind[i].sum * kind[i].sum / n;
        freedom += n - 1;
    }
    return freedom >= 2 ? sqrt(fmax(squares, 0) / freedom) : DEFAULT_SPREAD;
}

/* ---- the row ---- */

void row_estimate(RowResult *r, int64_t memory_limit, const TimeModel *t)
{
    const RowConfig *c = &r->config;
    ModelConfig config = row_config_model(c);
    FieldTEXT reason;
    r->num_params = (int64_t)model_num_params(&config);
    row_fill_work(r, &config);
    row_product_fill(r);
    if (!row_supported(c, reason))
        return;
    PeakMemory memory = estimate_peak_bytes(c, memory_limit > 0 ? (size_t)memory_limit : 0);
    r->predicted_peak_bytes = memory.bytes < 0x1p62 ? (int64_t)memory.bytes : (int64_t)1 << 62;
    if (row_task(c) == TASK_LOSS)
        text_set(r->recompute_used, recompute_name(memory.recompute));
    r->predicted_time_s = time_model_predict(t, r);
}

void row_estimate_ranks(RowResult *r, int64_t memory_limit, CommRate rate, double gflops)
{
    const RowConfig *c = &r->config;
    ModelConfig config = row_config_model(c);
    if (config.num_layers > MAX_LAYERS_PLANNED || r->predicted_peak_bytes == INT_MISSING ||
        activation_bytes(c) * MAX_LAYERS_PLANNED > 0x1p58)
        return;
    ModelOptions options = row_model_options(c, memory_limit > 0 ? (size_t)memory_limit : 0);
    Model m;
    model_plan(&m, &config, &options);
    row_fill_rank_bytes(r, &m);
    row_forecast(r, &m, rate, r->model_flops / row_ranks(c) / (gflops * 1e6));
    model_release(&m);
}

bool row_admit(RowResult *r, int64_t memory_limit, double max_seconds)
{
    if (!row_supported(&r->config, r->status_reason)) {
        text_set(r->status, STATUS_UNSUPPORTED);
        return false;
    }
    return row_fits(r, memory_limit, max_seconds);
}

/* Whether the ranks of a row fit together, where the default launcher starts them all here. */
static bool ranks_fit(RowResult *r)
{
    char needed[UNIT_TEXT_SIZE], there[UNIT_TEXT_SIZE];
    int64_t ranks = row_ranks(&r->config), available = memory_auto_limit();
    if (ranks == 1 || *r->config.launcher || available == INT_MISSING ||
        r->predicted_peak_bytes <= available / ranks)
        return true;
    format_bytes(needed, (double)r->predicted_peak_bytes);
    format_bytes(there, (double)available);
    text_set(r->status, STATUS_SKIPPED_MEMORY);
    snprintf(r->status_reason, TEXT_SIZE, "each of %d ranks needs %s, all together have %s",
             (int)ranks, needed, there);
    return false;
}

bool row_fits(RowResult *r, int64_t memory_limit, double max_seconds)
{
    char needed[UNIT_TEXT_SIZE], allowed[UNIT_TEXT_SIZE];
    if (!ranks_fit(r))
        return false;
    if (memory_limit != INT_MISSING && r->predicted_peak_bytes > memory_limit) {
        format_bytes(needed, (double)r->predicted_peak_bytes);
        format_bytes(allowed, (double)memory_limit);
        text_set(r->status, STATUS_SKIPPED_MEMORY);
        snprintf(r->status_reason, TEXT_SIZE, "needs %s, %s allowed", needed, allowed);
        return false;
    }
    if (r->predicted_time_s > max_seconds) {
        format_duration(needed, r->predicted_time_s);
        format_duration(allowed, max_seconds);
        text_set(r->status, STATUS_SKIPPED_TIME);
        snprintf(r->status_reason, TEXT_SIZE, "would take %s, %s allowed", needed, allowed);
        return false;
    }
    return true;
}
