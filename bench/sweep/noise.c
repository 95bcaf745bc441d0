/* noise: see noise.h. */
#include "bench/sweep/noise.h"

#include <math.h>
#include <string.h>

#include "bench/row/config.h"
#include "bench/stats/moments.h"

void noise_row(RowConfig *c, int64_t threads)
{
    Err err;
    row_config_init(c);
    text_set(c->model_size, "doctor");
    c->d_model = 128;
    c->num_layers = 4;
    c->num_heads = 4;
    c->vocab_size = 5000;
    c->context_length = 64;
    c->batch_size = 2;
    c->num_warmups = NOISE_WARMUPS;
    c->num_trials = NOISE_TRIALS;
    c->threads = threads;
    CHECK(row_config_complete(c, &err) == 0, "%s", err.msg);
}

int noise_look(Noise *n, int64_t threads, bool no_probe, RowExecutor execute, Err *err)
{
    const RowLimits limits = {.max_seconds = 60, .no_probe = no_probe};
    for (int i = 0; i < NOISE_LOOK && n->count < COUNT_OF(n->ms); i++) {
        RowResult r;
        Samples samples;
        samples_init(&samples);
        row_result_init(&r);
        noise_row(&r.config, threads);
        int status = execute(&r, &samples, &limits, err);
        samples_release(&samples);
        if (status != 0)
            return -1;
        if (strcmp(r.status, STATUS_OK) == 0 && r.median_ms > 0)
            n->ms[n->count++] = r.median_ms;
    }
    return 0;
}

double noise_cv(const Noise *n)
{
    double logs[COUNT_OF(n->ms)];
    for (size_t i = 0; i < n->count; i++)
        logs[i] = log(n->ms[i]);
    return std_of(logs, n->count);
}
