/* Rows of prefill and decode: what is timed, what follows from it, and that nothing but the time
 * depends on how a row is run. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

#include "bench/row/generate.h"
#include "bench/row/result.h"
#include "bench/row/run.h"
#include "bench/util/md5.h"
#include "tests/support/tiny_row.h"

static RowConfig generating(const char *task)
{
    RowConfig c = tiny_row();
    text_set(c.task, task);
    c.n_gen = 12;
    c.depth = 10;
    c.ubatch = 8;
    return c;
}

Test(row_generate, tokens_of_the_timed_trials_add_up)
{
    Samples s;
    RowConfig c = generating("decode");
    RowResult r = run_row(&c, &s);
    cr_expect(eq(str, r.status, "ok"));
    cr_assert(eq(sz, s.count, 8));
    cr_assert(eq(sz, s.num_tokens, 6 * 12));
    double gaps = 0;
    for (size_t i = 0; i < s.num_tokens; i += 12) {
        int64_t sum = 0;
        for (size_t k = 0; k < 12; k++) {
            const TokenTime *t = &s.tokens[i + k];
            cr_expect(eq(i64, t->trial, 3 + (int64_t)i / 12));
            cr_expect(eq(i64, t->token, (int64_t)k));
            cr_expect(eq(i64, t->depth, 10 + (int64_t)k));
            sum += t->ns;
            gaps += k ? (double)t->ns * 1e-6 : 0;
        }
        cr_expect(eq(i64, sum, s.at[2 + i / 12].wall_ns));
    }
    cr_expect(epsilon_eq(dbl, r.tpot_ms, gaps / (6 * 11), 1e-9 * gaps));
    cr_expect(epsilon_eq(dbl, r.tokens_per_s, 2 * 12 / (r.median_ms * 1e-3), 1e-6));
    cr_expect(r.itl_p95_ms > 0 && isnan(r.itl_p99_ms), "66 gaps have a p95 and no p99");
    cr_expect(r.itl_p50_ms <= r.itl_p95_ms && r.itl_p95_ms <= r.itl_max_ms);
    cr_expect(isnan(r.loss) && isnan(r.ttft_ms));
    samples_release(&s);
}

Test(row_generate, prefill_is_the_time_to_the_first_token)
{
    Samples s;
    RowConfig c = generating("prefill");
    RowResult r = run_row(&c, &s);
    cr_expect(eq(sz, s.num_tokens, 0));
    cr_expect(epsilon_eq(dbl, r.ttft_ms, r.median_ms, 0));
    cr_expect(isnan(r.tpot_ms) && isnan(r.loss));
    cr_expect(epsilon_eq(dbl, r.tokens_per_s, 2 * 16 / (r.median_ms * 1e-3), 1e-6));
    samples_release(&s);
}

/* The ids are those of the weights, whatever the pieces and threads. */
Test(row_generate, ids_do_not_depend_on_how_the_row_runs)
{
    static const char *const tasks[] = {"prefill", "decode"};
    for (size_t i = 0; i < COUNT_OF(tasks); i++) {
        Samples s;
        RowConfig c = generating(tasks[i]);
        RowResult first = run_row(&c, &s);
        samples_release(&s);
        cr_expect(eq(sz, strlen(first.ids_md5), 32));
        c.ubatch = 3;
        c.threads = 2;
        c.num_warmups = 0;
        RowResult again = run_row(&c, &s);
        samples_release(&s);
        cr_expect(eq(str, first.ids_md5, again.ids_md5));
        c.seed = 2;
        again = run_row(&c, &s);
        samples_release(&s);
        cr_expect(strcmp(first.ids_md5, again.ids_md5) != 0);
    }
}

Test(row_generate, warm_trials_fault_no_page)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer faults pages of its own");
#endif
    static const char *const tasks[] = {"prefill", "decode"};
    for (size_t i = 0; i < COUNT_OF(tasks); i++) {
        Samples s;
        RowConfig c = generating(tasks[i]);
        run_row(&c, &s);
        for (size_t k = 2; k < s.count; k++)
            cr_expect(eq(i64, s.at[k].minor_faults + s.at[k].major_faults, 0), "%s, run %zu",
                      tasks[i], k + 1);
        samples_release(&s);
    }
}

/* By hand: matrices of a layer 4 x 32 x 32 + 2 x 32 x 128, the head 101 x 32; 4 x 32 FLOPs for a
 * key in a layer. */
Test(row_generate, work_is_counted)
{
    Err err;
    RowResult r;
    const double weights = 2 * (4 * 32 * 32 + 2 * 32 * 128) + 101 * 32, key = 2 * 4 * 32;
    row_result_init(&r);
    r.config = generating("decode");
    cr_assert(row_config_complete(&r.config, &err) == 0);
    ModelConfig m = row_config_model(&r.config);
    row_fill_work(&r, &m);
    cr_expect(epsilon_eq(dbl, (double)r.weight_bytes, 4 * weights, 0));
    cr_expect(eq(i64, r.kv_bytes_per_token, 2 * 2 * 32 * 4));
    /* behind 10 positions the 12 tokens see 11, ..., 22 keys: 198 together, 16.5 each */
    cr_expect(epsilon_eq(dbl, r.model_flops, 2 * (12 * 2 * weights + 198 * key), 0.5));
    cr_expect(epsilon_eq(dbl, r.bytes_per_token, 4 * weights / 2 + 16.5 * 512, 0.5));
    row_result_init(&r);
    r.config = generating("prefill");
    text_set(r.config.kv_type, "bf16");
    cr_assert(row_config_complete(&r.config, &err) == 0);
    row_fill_work(&r, &m);
    /* 32 rows in pieces of 8; the head for the last row of each sequence only; 1 + ... + 16 keys */
    double rows = 2 * (16 * 2 * (weights - 101 * 32) + 2 * 101 * 32 + 136 * key);
    cr_expect(epsilon_eq(dbl, r.model_flops, rows, 0.5));
    cr_expect(epsilon_eq(dbl, r.bytes_per_token, 4 * 4 * weights / 32 + 256, 0.5));
}

Test(row_generate, a_rate_above_the_memorys_is_not_believed)
{
    Err err;
    Peaks p = {.threads = 1, .fma = 100, .gemm = 100, .theoretical = 100};
    Guard g = {.at = &p, .count = 1};
    RowResult r;
    row_result_init(&r);
    r.config = generating("decode");
    r.mean_time_ms = 1;
    r.gflops_per_s = 10;
    r.peak_gb_per_s = 20;
    r.gb_per_s = 19;
    r.bandwidth_fraction = 0.95;
    text_set(r.status, STATUS_OK);
    cr_assert(result_judge(&r, &g, &err) == 0);
    cr_expect(eq(str, r.status, "ok"));
    cr_expect(eq(str, r.bound, "memory"));
    r.gb_per_s = 22;
    r.bandwidth_fraction = 1.1;
    cr_assert(result_judge(&r, &g, &err) == 0);
    cr_expect(eq(str, r.status, "implausible"));
    cr_expect(eq(str, r.status_reason,
                 "reads 22 GB/s, but no more than 20 were measured over the same memory"));
    text_set(r.status, STATUS_OK);
    r.bandwidth_fraction = 0.2;
    cr_assert(result_judge(&r, &g, &err) == 0);
    cr_expect(eq(str, r.bound, "overhead"));
    r.gflops_per_s = 70;
    cr_assert(result_judge(&r, &g, &err) == 0);
    cr_expect(eq(str, r.bound, "compute"));
}

/* RFC 1321, appendix A.5; and lengths about the end of a block, of which 55 to 64 need care. */
Test(md5, is_that_of_the_rfc)
{
    static const char *const known[][2] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
         "d174ab98d277d9f5a5611c2c9f419d9f"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"},
    };
    char text[MD5_TEXT_SIZE];
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        md5_text(known[i][0], strlen(known[i][0]), text);
        cr_expect(eq(str, text, (char *)known[i][1]));
    }
}
