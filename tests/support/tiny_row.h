/* tiny_row: a row of some milliseconds that several tests run. */
#ifndef TARE_TESTS_SUPPORT_TINY_ROW_H
#define TARE_TESTS_SUPPORT_TINY_ROW_H

#include "bench/row/config.h"

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

#endif
