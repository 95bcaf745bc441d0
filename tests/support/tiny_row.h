/* tiny_row: a row of some milliseconds that several tests run. */
#pragma once

#include <criterion/criterion.h>

#include "bench/row/config.h"
#include "bench/row/run.h"

static inline RowConfig tiny_row(void)
{
    RowConfig c;
    row_config_init(&c);
    text_set(c.model_size, "tiny");
    c.d_model = 32;
    c.num_layers = 2;
    c.num_heads = 2;
    c.vocab_size = 101;
    c.context_length = 16;
    c.batch_size = 2;
    c.num_warmups = 2;
    c.num_trials = 6;
    c.threads = 1; /* several tests run at a time */
    return c;
}

/* Completes, checks and runs it in this process. `samples` is made here; the caller releases it. */
static inline RowResult run_row_with(const RowConfig *c, const RowExtras *extras, Samples *samples)
{
    Err err;
    RowResult r;
    row_result_init(&r);
    samples_init(samples);
    r.config = *c;
    cr_assert(row_config_complete(&r.config, &err) == 0, "%s: %s", c->precision, err.msg);
    cr_assert(row_config_check(&r.config, &err) == 0, "%s: %s", c->precision, err.msg);
    cr_assert(row_run(&r, samples, extras, &err) == 0, "%s: %s", c->precision, err.msg);
    return r;
}

static inline RowResult run_row(const RowConfig *c, Samples *samples)
{
    return run_row_with(c, &(RowExtras){0}, samples);
}
