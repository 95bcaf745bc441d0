/* A row from its config to its result: what is timed, what the samples show, and the guard. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/machine/blas.h"
#include "bench/row/probe.h"
#include "bench/row/result.h"
#include "bench/row/config.h"
#include "bench/row/run.h"
#include "bench/row/warning.h"
#include "bench/sweep/spawn.h"
#include "tests/support/tiny_row.h"

Test(row_run, result_and_samples_agree)
{
    Samples s;
    RowConfig c = tiny_row();
    RowResult r = run_row(&c, &s);
    cr_expect(eq(str, r.status, "ok"));
    cr_assert(eq(sz, s.count, 8));
    double sum = 0;
    for (size_t i = 0; i < s.count; i++) {
        cr_expect(eq(i64, s.at[i].trial, (int64_t)i + 1));
        cr_expect(eq(i64, s.at[i].is_warmup, i < 2));
        cr_expect(eq(i64, s.at[i].wall_ns, s.at[i].forward_ns + s.at[i].backward_ns));
        cr_expect(eq(i64, s.at[i].optimizer_ns, INT_MISSING));
        sum += i < 2 ? 0 : (double)s.at[i].wall_ns * 1e-6;
    }
    cr_expect(epsilon_eq(dbl, r.mean_time_ms, sum / 6, 1e-9 * sum));
    cr_expect(epsilon_eq(dbl, r.first_trial_ms, (double)s.at[0].wall_ns * 1e-6, 1e-12));
    cr_expect(epsilon_eq(dbl, r.tokens_per_s, 32 / (r.median_ms * 1e-3), 1e-6));
    cr_expect(isnan(r.optimizer_ms) && !isnan(r.backward_ms) && isnan(r.p95_ms));
    /* an untrained model guesses: logits have a standard deviation of 0.02 sqrt(32), which moves
     * the mean over 32 targets; observed 0.047 above ln(101) */
    cr_expect(epsilon_eq(dbl, r.loss, log(101), 0.1));
    samples_release(&s);
}

Test(row_run, warm_trials_fault_no_page)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer faults pages of its own: 37 a run, without any allocation");
#endif
    Samples s;
    RowConfig c = tiny_row();
    c.context_length = 64;
    c.vocab_size = 5000;
    run_row(&c, &s);
    cr_expect(gt(i64, s.at[0].minor_faults, 0), "the cold run touches its memory first");
    for (size_t i = 2; i < s.count; i++)
        cr_expect(eq(i64, s.at[i].minor_faults + s.at[i].major_faults, 0), "run %zu", i + 1);
    samples_release(&s);
}

Test(row_run, forward_only_has_no_backward)
{
    Samples s;
    RowConfig c = tiny_row();
    RowResult both = run_row(&c, &s);
    samples_release(&s);
    c.forward_only = true;
    c.num_warmups = 0;
    RowResult r = run_row(&c, &s);
    cr_expect(eq(sz, s.count, 6));
    cr_expect(eq(i64, s.at[0].is_warmup, 0));
    cr_expect(isnan(r.backward_ms));
    cr_expect(eq(i64, s.at[0].backward_ns, INT_MISSING));
    cr_expect(eq(dbl, r.loss, both.loss), "backward changes no weight");
    cr_expect(epsilon_eq(dbl, both.model_flops, 3 * r.model_flops, 1));
    samples_release(&s);
}

Test(row_run, optimizer_learns_and_is_stamped)
{
    Samples s;
    RowConfig c = tiny_row();
    RowResult before = run_row(&c, &s);
    samples_release(&s);
    text_set(c.optimizer, "adamw");
    RowResult r = run_row(&c, &s);
    cr_expect(lt(dbl, r.loss, before.loss - 0.1), "eight updates on one batch");
    cr_expect(gt(dbl, r.optimizer_ms, 0));
    cr_expect(
        eq(i64, s.at[3].wall_ns, s.at[3].forward_ns + s.at[3].backward_ns + s.at[3].optimizer_ns));
    samples_release(&s);
}

Test(row_run, seed_decides_the_loss_and_recompute_does_not)
{
    Samples s;
    RowConfig c = tiny_row();
    RowResult first = run_row(&c, &s);
    samples_release(&s);
    text_set(c.recompute, "block");
    RowResult block = run_row(&c, &s);
    samples_release(&s);
    cr_expect(eq(dbl, first.loss, block.loss));
    cr_expect(eq(str, block.recompute_used, "block"));
    c.seed = 2;
    RowResult other = run_row(&c, &s);
    samples_release(&s);
    cr_expect(ne(dbl, first.loss, other.loss));
}

Test(row_run, found_warmups_are_whole_blocks_and_then_come_fresh_trials)
{
    static const char *const modes[] = {"auto", "window"};
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        Err err;
        Samples s;
        RowConfig c = tiny_row();
        cr_assert(row_config_set(&c, row_field("num_warmups"), modes[i], &err) == 0);
        cr_expect(eq(str, c.warmup_mode, (char *)modes[i]));
        RowResult r = run_row(&c, &s);
        cr_expect(eq(i64, r.config.num_warmups % 5, 0));
        cr_expect(ge(i64, r.config.num_warmups, 5));
        cr_expect(le(i64, r.config.num_warmups, 100));
        cr_expect(eq(sz, s.count, (size_t)r.config.num_warmups + 6));
        cr_expect(eq(i64, s.at[s.count - 7].is_warmup, 1));
        cr_expect(eq(i64, s.at[s.count - 6].is_warmup, 0));
        samples_release(&s);
    }
}

Test(row_run, document_carries_the_row_and_keeps_what_the_parent_knew)
{
    Err err;
    Samples s, back;
    RowConfig c = tiny_row();
    RowResult r = run_row(&c, &s), parent;
    json_t *document = row_document(&r, &s, NULL);
    char *text = json_dumps(document, JSON_REAL_PRECISION(17));
    json_decref(document);
    row_result_init(&parent);
    samples_init(&back);
    parent.config = c;
    parent.predicted_time_s = 12.5;
    parent.predicted_peak_bytes = 77;
    cr_assert(row_document_parse(text, strlen(text), &parent, &back, NULL, &err) == 0, "%s",
              err.msg);
    cr_expect(eq(dbl, parent.median_ms, r.median_ms));
    cr_expect(eq(dbl, parent.predicted_time_s, 12.5));
    cr_expect(eq(i64, parent.predicted_peak_bytes, 77));
    cr_expect(eq(str, parent.status, "ok"));
    cr_expect(eq(sz, back.count, s.count));
    cr_expect(row_document_parse(text, strlen(text) / 2, &parent, &back, NULL, &err) == -1);
    free(text);
    samples_release(&s);
    samples_release(&back);
}

Test(row_run, a_slow_trial_is_told_with_its_cause)
{
    RowResult r;
    Samples s;
    row_result_init(&r);
    samples_init(&s);
    r.config = tiny_row();
    r.model_flops = 1e6;
    for (int i = 0; i < 11; i++) {
        Sample one = sample_empty();
        one.trial = i + 1;
        one.is_warmup = i == 0;
        one.wall_ns = 100000000 + 100000 * (i % 3) + (i == 6 ? 212000000 : 0);
        one.runqueue_ns = i == 6 ? 209000000 : 1000 * i;
        one.cpu_ns = 90000000;
        samples_add(&s, one);
    }
    result_fill(&r, &s, 1);
    cr_expect(eq(i64, r.outliers, 1));
    cr_expect(eq(str, r.noise, "trial 7: +212 ms, 209 ms waiting for a CPU"));
    cr_expect(eq(str, r.steady_class, "flat"));
    cr_expect(eq(i64, r.steady_start, 1));
    cr_expect(epsilon_eq(dbl, r.cpus_used, 900 / (10 * 100.1 + 212), 1e-12));
    samples_release(&s);
}

/* No trial stands out where all of them wait. */
Test(row_run, threads_that_always_wait_are_told)
{
    RowResult r;
    Samples s;
    FieldTEXT warning;
    row_result_init(&r);
    samples_init(&s);
    r.config = tiny_row();
    r.config.threads = 2;
    r.model_flops = 1e6;
    for (int i = 0; i < 10; i++) {
        Sample one = sample_empty();
        one.trial = i + 1;
        one.is_warmup = false;
        one.wall_ns = 100000000 + 10000 * (i % 3);
        one.runqueue_ns = 64000000;
        samples_add(&s, one);
    }
    result_fill(&r, &s, 1);
    cr_expect(eq(i64, r.outliers, 0));
    cr_expect(eq(str, r.noise, "threads waited for a CPU 32 % of the time"));
    text_set(r.status, STATUS_OK);
    cr_expect(row_warning(&r, warning));
    cr_expect(eq(str, warning,
                 "threads waited for a CPU 32 % of the time (stop other work, or use "
                 "fewer threads)"));
    samples_release(&s);
}

Test(row_run, warnings_say_what_to_do)
{
    static const struct {
        const char *status, *steady_class, *warning;
        int64_t start, needed, warmups;
    } cases[] = {
        {"ok", "flat", "", 1, 0, 1},
        {"ok", "too_few", "", INT_MISSING, INT_MISSING, 0},
        {"ok", "warmup", "", 2, 1, 1},
        {"ok", "warmup", "slow first runs are in the mean: it takes 1 warmup to leave them out", 2,
         1, 0},
        {"ok", "warmup", "slow first runs are in the mean: it takes 3 warmups to leave them out", 4,
         3, 1},
        {"ok", "slowdown", "slower from run 8 on: look for heat or other work, and run it again", 8,
         INT_MISSING, 1},
        {"ok", "no_steady_state", "its level still changed in the last runs: run it again, longer",
         INT_MISSING, INT_MISSING, 1},
        {"failed", "slowdown", "", 8, INT_MISSING, 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        RowResult r;
        FieldTEXT warning;
        row_result_init(&r);
        text_set(r.status, cases[i].status);
        text_set(r.steady_class, cases[i].steady_class);
        r.steady_start = cases[i].start;
        r.warmups_needed = cases[i].needed;
        r.config.num_warmups = cases[i].warmups;
        cr_expect(row_warning(&r, warning) == (cases[i].warning[0] != '\0'));
        cr_expect(eq(str, warning, (char *)cases[i].warning));
    }
}

Test(row_run, outliers_that_change_nothing_are_no_warning)
{
    RowResult r;
    FieldTEXT warning;
    row_result_init(&r);
    text_set(r.status, STATUS_OK);
    text_set(r.steady_class, "warmup");
    text_set(r.noise, "trial 7: +2 ms, 1.9 ms waiting for a CPU");
    r.steady_start = 3;
    r.warmups_needed = 2;
    r.config.num_warmups = 1;
    r.median_ms = r.steady_mean_ms = 40;
    r.mean_time_ms = 40.7;
    cr_expect(not(row_warning(&r, warning)), "%s", warning);
    r.mean_time_ms = 41;
    cr_expect(row_warning(&r, warning));
    cr_expect(eq(str, warning,
                 "slow first runs are in the mean: it takes 2 warmups to leave them out; "
                 "trial 7: +2 ms, 1.9 ms waiting for a CPU"));
    r.steady_mean_ms = 41;
    cr_expect(row_warning(&r, warning));
    cr_expect(eq(str, warning, "trial 7: +2 ms, 1.9 ms waiting for a CPU"));
}

/* Of a row that nothing else disturbed, and only where it multiplied by that BLAS. */
Test(row_run, a_blas_far_below_is_a_warning)
{
    RowResult r;
    FieldTEXT warning, expected = "";
    row_result_init(&r);
    text_set(r.status, STATUS_OK);
    text_set(r.steady_class, "flat");
    text_set(r.config.gemm, "openblas");
    text_set(r.blas, "OpenBLAS 0.3.21 DYNAMIC_ARCH, core Prescott, threads by OpenMP");
    if (strcmp(best_isa(), "generic") != 0)
        snprintf(expected, sizeof expected,
                 "OpenBLAS runs Prescott kernels (SSE), far below this processor's %s: "
                 "set OPENBLAS_CORETYPE=Haswell (AVX2) or SkylakeX (AVX-512), or install a newer "
                 "OpenBLAS",
                 best_isa());
    row_warning(&r, warning);
    cr_expect(eq(str, warning, expected));
    text_set(r.blas, "OpenBLAS 0.3.21 DYNAMIC_ARCH, core Haswell, threads by OpenMP");
    cr_expect(not(row_warning(&r, warning)), "%s", warning);
    text_set(r.blas, "OpenBLAS 0.3.21 DYNAMIC_ARCH, core Prescott, threads by OpenMP");
    text_set(r.config.gemm, "packed");
    cr_expect(not(row_warning(&r, warning)), "%s", warning);
}

Test(row_run, missing_threads_are_a_warning)
{
    RowResult r;
    FieldTEXT warning;
    row_result_init(&r);
    text_set(r.status, STATUS_OK);
    r.config.threads = 2;
    r.threads_seen = 1;
    cr_expect(row_warning(&r, warning));
    cr_expect(eq(str, warning,
                 "only 1 of 2 threads can run at once: look at OMP_THREAD_LIMIT, OMP_PLACES, the "
                 "affinity mask and the CPU quota"));
    r.threads_seen = 2;
    cr_expect(not(row_warning(&r, warning)), "%s", warning);
}

/* Twice what the second-level caches of the threads hold, of at most 2 MiB each, whatever sysconf
 * tells. */
Test(row_run, the_probe_reads_from_beyond_the_second_level_cache)
{
    long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
    for (int threads = 1; threads <= 4; threads++) {
        size_t bytes = probe_read_bytes(threads);
        cr_expect(le(sz, bytes, (size_t)threads << 22));
        cr_expect(eq(sz, bytes, (size_t)threads * probe_read_bytes(1)));
        if (cache > 0 && cache <= 2 << 20)
            cr_expect(eq(sz, bytes, 2 * (size_t)threads * (size_t)cache));
    }
}

/* The cases of test_what_is_believed in test_analysis.py. */
Test(row_run, belief_needs_a_steady_undisturbed_row)
{
    static const struct {
        const char *status, *steady_class, *noise;
        double mean, cpu_wait;
        int64_t seen;
        bool believed;
    } cases[] = {
        {"ok", "flat", "", 100, 0, 2, true},
        {"implausible", "flat", "", 100, 0, 2, false},
        {"ok", "too_few", "", 100, 0, 2, false},
        {"ok", "no_steady_state", "", 100, 0, 2, false},
        {"ok", "slowdown", "", 100, 0, 2, false},
        {"ok", "flat", "", 100, 0.03, 2, false},
        {"ok", "flat", "", 100, 0, 1, false},
        {"ok", "flat", "", 100, 0, INT_MISSING, true},
        {"ok", "flat", "trial 7: +1 ms", 100, 0, 2, true},
        {"ok", "flat", "trial 1: +9 ms", 103, 0, 2, false},
        {"ok", "flat", "products ran at 61 to 100 % of their best", 103, 0, 2, true},
        {"ok", "flat", "reads ran at 61 to 100 % of their best; trial 1: +9 ms", 103, 0, 2, false},
        {"ok", "warmup", "trial 1: +9 ms", 103, 0, 2, true}, /* its warmup is in the mean */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        RowResult r;
        row_result_init(&r);
        text_set(r.status, cases[i].status);
        text_set(r.steady_class, cases[i].steady_class);
        text_set(r.noise, cases[i].noise);
        r.mean_time_ms = cases[i].mean;
        r.median_ms = 100;
        r.cpu_wait = cases[i].cpu_wait;
        r.threads_seen = cases[i].seen;
        r.config.threads = 2;
        r.config.num_warmups = 0;
        r.warmups_needed = 1;
        cr_expect(row_is_believed(&r) == cases[i].believed, "case %zu", i);
    }
}

/* ---- the guard ---- */

static RowResult row_with_rate(double gflops)
{
    RowResult r;
    row_result_init(&r);
    r.config = tiny_row();
    r.gflops_per_s = gflops;
    text_set(r.status, STATUS_OK);
    return r;
}

static Peaks known;

static int measure_known(int64_t threads, Peaks *p, Err *err)
{
    (void)threads;
    (void)err;
    *p = known;
    return 0;
}

static void judge_by(Peaks peaks, RowResult *r)
{
    Err err;
    Guard g;
    guard_init(&g);
    g.measure = measure_known;
    known = peaks;
    cr_assert(result_judge(r, &g, &err) == 0, "%s", err.msg);
    guard_release(&g);
}

Test(row_run, guard_believes_what_the_machine_can_do)
{
    Peaks p = {.threads = 1, .fma = 100, .gemm = 80, .bandwidth = 10, .theoretical = NAN};
    RowResult r = row_with_rate(104.9);
    judge_by(p, &r);
    cr_expect(eq(str, r.status, "ok"));
    cr_expect(eq(dbl, r.peak_gflops_per_s, 100.0));
    cr_expect(epsilon_eq(dbl, r.peak_fraction, 1.049, 1e-12));
    r = row_with_rate(105.1);
    judge_by(p, &r);
    cr_expect(eq(str, r.status, "implausible"));
    cr_expect(eq(str, r.status_reason,
                 "105.1 GFLOP/s on 1 threads is more than the 105 this machine can reach"));
    p.theoretical = 130;
    r = row_with_rate(136);
    judge_by(p, &r);
    cr_expect(eq(str, r.status, "ok"), "slow while the peaks were measured");
}

/* A clock at a tenth of its speed makes peaks and row ten times too fast alike; the scheduler's
 * count of CPU time does not follow it. */
Test(row_run, guard_sees_a_slow_clock_by_the_cpu_time)
{
    Peaks p = {.threads = 2, .fma = 1000, .gemm = 800, .bandwidth = 100, .theoretical = NAN};
    RowResult r = row_with_rate(600);
    r.config.threads = 2;
    r.config.num_trials = 10;
    r.mean_time_ms = 8;
    r.cpus_used = 19;
    judge_by(p, &r);
    cr_expect(eq(str, r.status, "implausible"));
    cr_expect(eq(str, r.status_reason,
                 "its CPU time is 19 times its time on 2 threads: the clock is "
                 "slow, or other threads ran"));
    r = row_with_rate(600);
    r.config.threads = 2;
    r.mean_time_ms = 8;
    r.cpus_used = 2.6; /* one tick of 10 ms too much on each thread, in 80 ms */
    judge_by(p, &r);
    cr_expect(eq(str, r.status, "ok"));
}

/* Peaks measured 30 % too low, and a row at full speed: the guard measures again before it
 * accuses. */
Test(row_run, peaks_are_raised_by_a_later_measurement)
{
    Peaks slow = {.threads = 1, .fma = 70, .gemm = 60, .bandwidth = 10, .theoretical = NAN};
    Peaks again = {.threads = 1, .fma = 100, .gemm = 50, .bandwidth = 12, .theoretical = NAN};
    peaks_raise(&slow, &again);
    cr_expect(eq(dbl, peaks_measured(&slow), 100.0));
    cr_expect(eq(dbl, slow.gemm, 60.0));
    cr_expect(eq(dbl, slow.bandwidth, 12.0));
    RowResult r = row_with_rate(95);
    judge_by(slow, &r);
    cr_expect(eq(str, r.status, "ok"));
}

/* A machine that was slow when its peaks were measured first, and is at full speed afterwards. */
static int measurements;

static int slow_at_first(int64_t threads, Peaks *p, Err *err)
{
    (void)err;
    double fma = measurements++ == 0 ? 97 : 100;
    *p = (Peaks){.threads = (double)threads, .fma = fma, .gemm = 80, .theoretical = NAN};
    return 0;
}

static RowResult judged_row(double gflops)
{
    Err err;
    Guard g;
    guard_init(&g);
    g.measure = slow_at_first;
    measurements = 0;
    RowResult r = row_with_rate(gflops);
    cr_assert(result_judge(&r, &g, &err) == 0, "%s", err.msg);
    guard_release(&g);
    return r;
}

Test(row_run, peaks_are_measured_again_below_a_faster_row)
{
    RowResult r = judged_row(96);
    cr_expect(eq(int, measurements, 1));
    r = judged_row(99);
    cr_expect(eq(int, measurements, 2));
    cr_expect(eq(str, r.status, "ok"));
    cr_expect(eq(dbl, r.peak_fraction, 0.99));
    r = judged_row(104);
    cr_expect(eq(int, measurements, 4), "three times more at most");
    cr_expect(eq(str, r.status, "ok"), "the limit stays");
    r = judged_row(106);
    cr_expect(eq(str, r.status, "implausible"));
}

/* A row of n trials of about 10 ms, the last quarter so much longer. */
static RowResult filled(size_t n, int64_t shift_ns, double resolution_ns)
{
    RowResult r;
    Samples s;
    row_result_init(&r);
    samples_init(&s);
    r.config = tiny_row();
    r.model_flops = 1e6;
    for (size_t i = 0; i < n; i++) {
        Sample one = sample_empty();
        one.trial = (int64_t)i + 1;
        one.is_warmup = false;
        one.wall_ns = 10000000 + 1000 * (int64_t)(i * 7 % 10) + (i < n * 3 / 4 ? 0 : shift_ns);
        one.runqueue_ns = one.cpu_ns = (int64_t)(i * 3 % 11);
        samples_add(&s, one);
    }
    result_fill(&r, &s, resolution_ns);
    samples_release(&s);
    return r;
}

/* As many trials as --trials takes: in seconds, or in ten minutes of a machine that does a hundred
 * other things. What takes their square would need hours. */
Test(row_run, many_trials, .timeout = 600)
{
    RowResult r = filled(1000000, 0, 1);
    cr_expect(eq(str, r.steady_class, "flat"));
    cr_expect(lt(dbl, r.mean_lo_ms, r.mean_hi_ms));
    cr_expect(le(dbl, r.p99_ms, r.p99_hi_ms));
}

Test(row_run, a_percentile_without_an_upper_bound_shows)
{
    RowResult few = filled(58, 0, 1), enough = filled(59, 0, 1), many = filled(299, 0, 1);
    cr_expect(isfinite(few.p95_ms) && isnan(few.p95_hi_ms));
    cr_expect(eq(dbl, enough.p95_hi_ms, enough.max_ms));
    cr_expect(isnan(enough.p99_hi_ms) && isfinite(many.p99_hi_ms));
    RowResult ten = filled(10, 0, 1);
    cr_expect(epsilon_eq(dbl, ten.median_coverage, 1 - 22 / 1024.0, 1e-12));
    cr_expect(isnan(filled(5, 0, 1).median_coverage));
}

/* A level 2 ms higher means nothing to a clock with steps of 10 ms. */
Test(row_run, a_coarse_clock_shows_no_levels)
{
    RowResult fine = filled(40, 2000000, 1), coarse = filled(40, 2000000, 10e6);
    cr_expect(eq(str, fine.steady_class, "slowdown"));
    cr_expect(eq(str, coarse.steady_class, "flat"));
}

Test(row_run, peaks_of_this_machine)
{
    Err err;
    Peaks p, back;
    peaks_measure(1, &p);
    cr_expect(gt(dbl, p.fma, 0));
    cr_expect(gt(dbl, p.gemm, 0));
    cr_expect(le(dbl, p.gemm, peaks_limit(&p)));
    json_t *json = schema_to_json(&peaks_schema, &p);
    cr_assert(schema_from_json(&peaks_schema, json, &back, &err) == 0);
    cr_expect(eq(dbl, back.fma, p.fma));
    json_object_del(json, "fma");
    cr_expect(schema_from_json(&peaks_schema, json, &back, &err) == -1);
    json_decref(json);
}
