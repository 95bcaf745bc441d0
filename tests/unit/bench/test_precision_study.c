/* The precision study without its models: what two formats changed, what was expected against what
 * was seen, configs, records, turns. Numbers beside a formula were computed once with Python's math
 * module. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/compare/output.h"
#include "bench/doctor/doctor.h"
#include "bench/precision/accuracy.h"
#include "bench/precision/study.h"
#include "bench/train/train.h"
#include "bench/compare/rounds.h"
#include "tests/support/temp_dir.h"

TestSuite(precision_study);

/* ---- two classifiers ---- */

Test(precision_study, mcnemar_exact_vectors)
{
    static const struct {
        size_t only_a, only_b;
        double p;
    } vectors[] = {{2, 5, 0.453125},    {0, 6, 0.03125}, {10, 25, 0.01667384780012071},
                   {1, 9, 0.021484375}, {3, 3, 1},       {0, 0, 1}};
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        cr_expect(epsilon_eq(dbl, mcnemar_exact(vectors[i].only_a, vectors[i].only_b), vectors[i].p,
                             1e-14));
        cr_expect(epsilon_eq(dbl, mcnemar_exact(vectors[i].only_b, vectors[i].only_a), vectors[i].p,
                             1e-14));
    }
}

Test(precision_study, intervals_of_paired_proportions)
{
    static const struct {
        size_t only_a, only_b, n;
        double lo, hi;
    } vectors[] = {{1, 0, 1000, -0.004385421648422526, 0.00238941366439059},
                   {9, 21, 100, 0.011373522958637791, 0.22392059468842107},
                   {0, 0, 30, -0.08661898902185484, 0.08661898902185484},
                   {0, 3, 3, -0.10121803246126493, 1}}; /* cut at 1 */
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        Interval seen =
            paired_proportion_interval(vectors[i].only_a, vectors[i].only_b, vectors[i].n, 0.95);
        cr_expect(epsilon_eq(dbl, seen.lo, vectors[i].lo, 1e-12));
        cr_expect(epsilon_eq(dbl, seen.hi, vectors[i].hi, 1e-12));
    }
}

Test(precision_study, a_classifier_in_another_format)
{
    const float before[] = {2, 0, 0, 1, 1, 0.5f, 0.2f, 0.1f};
    const float after[] = {1.9f, 0.1f, 1.2f, 1, 0.4f, 0.6f, 0.2f, 0.1f};
    const int32_t right[] = {0, 0, 0, 1};
    Scored a = {4, 2, before, right}, b = {4, 2, after, right};
    StudyRecord r;
    study_record_init(&r, "m", "accuracy", PRECISION_INT8, true);
    record_accuracy(&r, &a, &b);
    cr_expect(eq(i64, r.total, 4));
    cr_expect(eq(i64, r.correct, 2));
    cr_expect(eq(dbl, r.accuracy, 0.5));
    cr_expect(eq(i64, r.only_fp32_right, 1)); /* text 2 */
    cr_expect(eq(i64, r.only_this_right, 1)); /* text 1 */
    cr_expect(eq(dbl, r.accuracy_change, 0));
    cr_expect(eq(dbl, r.mcnemar_p, 1));
    cr_expect(epsilon_eq(dbl, r.logit_mean_drift, 0.2625, 1e-7));
    cr_expect(epsilon_eq(dbl, r.logit_max_drift, 1.2, 1e-7));
    cr_expect(epsilon_eq(dbl, r.mean_kl, 0.05603497708520903, 1e-7));
    cr_assert(eq(i64, r.flips, 2));
    const Flip *flips = r.flip_list.at;
    cr_expect(eq(sz, flips[0].text, 1));
    cr_expect(eq(int, flips[0].before, 1));
    cr_expect(eq(int, flips[0].after, 0));
    cr_expect(epsilon_eq(dbl, flips[0].margin, 1, 1e-7));
    cr_expect(eq(sz, flips[1].text, 2));
    study_record_release(&r);
}

Test(precision_study, a_classifier_beside_itself)
{
    const float logits[] = {0.5f, 0.5f, 3, -1}, same[] = {0.5f, 0.5f, 3, -1};
    const int32_t right[] = {1, 0};
    Scored a = {2, 2, logits, right}, b = {2, 2, same, right};
    StudyRecord r;
    study_record_init(&r, "m", "accuracy", PRECISION_FP32, true);
    record_accuracy(&r, &a, &a);
    cr_expect(eq(i64, r.correct, 1), "of equal logits the first is the label");
    cr_expect(eq(i64, r.flips, INT_MISSING), "its own change is none");
    cr_expect(isnan(r.accuracy_change) && isnan(r.mean_kl) && isnan(r.logit_max_drift));
    record_accuracy(&r, &a, &b);
    cr_expect(eq(i64, r.flips, 0));
    cr_expect(eq(dbl, r.logit_max_drift, 0));
    cr_expect(eq(dbl, r.mean_kl, 0));
}

static double divergence_of(const float *a, const float *b, size_t n)
{
    Scores before = scores_of(a, n), after = scores_of(b, n);
    return scores_divergence(&before, &after, n);
}

/* scipy.stats.entropy of the two softmaxes, and numpy.percentile. */
Test(precision_study, divergence_of_positions)
{
    enum { N = 1000 };
    const float a[] = {0.5f, -1, 2}, b[] = {0.4f, -0.7f, 1.9f}, c[] = {2, -1, 1.5f};
    StudyRecord r;
    cr_expect(epsilon_eq(dbl, divergence_of(a, b, 3), 0.0034088178037240367, 1e-9));
    cr_expect(epsilon_eq(dbl, divergence_of(a, a, 3), 0, 1e-15));
    cr_expect(eq(int, scores_of(a, 3).top, 2));
    cr_expect(eq(int, scores_of(b, 3).top, 2));
    cr_expect(eq(int, scores_of(c, 3).top, 0));
    Scores scores = scores_of(a, 3);
    cr_expect(epsilon_eq(dbl, scores_loss(&scores, 0), 1.7413112966571571, 1e-12));
    double kl[N];
    for (size_t i = 0; i < N; i++)
        kl[i] = (double)(i * 7 % N); /* 0 to 999, in another order */
    study_record_init(&r, "m", "perplexity", PRECISION_Q4_0, true);
    cr_expect(isnan(r.kl_p999) && isnan(r.same_top_share) && r.positions == INT_MISSING);
    record_divergence(&r, kl, N, 990);
    cr_expect(eq(i64, r.positions, N));
    cr_expect(epsilon_eq(dbl, r.mean_kl, 499.5, 1e-9));
    cr_expect(epsilon_eq(dbl, r.kl_p999, 998.001, 1e-9));
    cr_expect(epsilon_eq(dbl, r.same_top_share, 0.99, 1e-12));
    cr_expect(epsilon_eq(dbl, r.same_top_lo, 0.98168, 1e-4));
    cr_expect(epsilon_eq(dbl, r.same_top_hi, 0.99456, 1e-4));
    study_record_init(&r, "m", "perplexity", PRECISION_Q4_0, true);
    record_divergence(&r, kl, N - 1, 3);
    cr_expect(isnan(r.kl_p999), "too few for a 99.9th percentile");
}

Test(precision_study, perplexity_and_its_change)
{
    const double a[] = {1.0, 1.2, 0.8, 1.4}, b[] = {1.01, 1.21, 0.81, 1.41};
    StudyRecord r;
    study_record_init(&r, "m", "perplexity", PRECISION_INT8, true);
    record_perplexity(&r, b, b, 4, 1);
    cr_expect(isnan(r.perplexity_change), "its own change is none");
    record_perplexity(&r, a, b, 4, 3);
    cr_expect(eq(i64, r.total, 4));
    cr_expect(epsilon_eq(dbl, r.perplexity, exp(1.11), 1e-12));
    cr_expect(epsilon_eq(dbl, r.bits_per_byte, 1.11 / log(2) / 3, 1e-12));
    cr_expect(epsilon_eq(dbl, r.perplexity_change, expm1(0.01), 1e-12));
    /* Every window changed alike: the interval is the change itself. */
    cr_expect(epsilon_eq(dbl, r.perplexity_change_lo, expm1(0.01), 1e-9));
    cr_expect(epsilon_eq(dbl, r.perplexity_change_hi, expm1(0.01), 1e-9));
    record_perplexity(&r, a, b, 1, 1);
    cr_expect(isnan(r.perplexity_change_lo), "one window has no interval");
}

/* ---- agreement ---- */

Test(precision_study, regions_and_intervals)
{
    const Region above = {1, INFINITY}, near = {-0.005, 0.005};
    cr_expect(eq(int, agreement_of((Interval){1.01, 1.2, 0.95}, above), AGREES));
    cr_expect(eq(int, agreement_of((Interval){0.7, 0.9, 0.95}, above), CONTRADICTS));
    cr_expect(eq(int, agreement_of((Interval){0.99, 1.2, 0.95}, above), WITHIN_NOISE));
    cr_expect(eq(int, agreement_of((Interval){1, 1, 1}, above), CONTRADICTS), "exactly equal");
    cr_expect(eq(int, agreement_of(interval_missing(), above), NOT_JUDGED));
    cr_expect(eq(int, agreement_of((Interval){-0.004, 0.002, 0.95}, near), AGREES));
    cr_expect(eq(int, agreement_of((Interval){-0.02, -0.006, 0.95}, near), CONTRADICTS));
    cr_expect(eq(int, agreement_of((Interval){-0.02, 0.001, 0.95}, near), WITHIN_NOISE));
    cr_expect(eq(int, agreement_of_all((Agreement[]){AGREES, AGREES}, 2), AGREES));
    cr_expect(eq(int, agreement_of_all((Agreement[]){AGREES, WITHIN_NOISE}, 2), WITHIN_NOISE));
    cr_expect(eq(int, agreement_of_all((Agreement[]){WITHIN_NOISE, CONTRADICTS}, 2), CONTRADICTS));
    cr_expect(eq(int, agreement_of_all((Agreement[]){AGREES, NOT_JUDGED}, 2), NOT_JUDGED));
    cr_expect(eq(int, agreement_of_all(NULL, 0), NOT_JUDGED));
}

enum { ROUNDS = 20 };

/* Samples about `center`: the noise of a round, which all formats share, and a smaller one of their
 * own. */
static Series made_up(Precision format, double center, double own_noise)
{
    Series s = {.format = format, .at = xcalloc(ROUNDS, sizeof(double)), .count = ROUNDS};
    for (size_t i = 0; i < ROUNDS; i++)
        s.at[i] = center * (1 + 0.5 * rng_uniform(1, 0, i)) *
                  (1 + own_noise * (rng_uniform(2, (uint64_t)format, i) - 0.5));
    s.center = center;
    return s;
}

static const Precision chain[] = {PRECISION_FP32, PRECISION_MIXED, PRECISION_FP16};

static Ordering order_of(double fp32, double mixed, double fp16, const char *relations)
{
    Ordering o = {.verdict = NOT_JUDGED};
    Series series[] = {made_up(PRECISION_FP32, fp32, 0.01), made_up(PRECISION_MIXED, mixed, 0.01),
                       made_up(PRECISION_FP16, fp16, 0.01)};
    ordering_of_series(&o, chain, relations, 3, series, 3, " ms");
    for (size_t i = 0; i < 3; i++)
        free(series[i].at);
    return o;
}

Test(precision_study, an_order_that_agrees)
{
    Ordering o = order_of(10, 7, 5, ">>");
    cr_expect(eq(int, o.verdict, AGREES));
    cr_expect(eq(str, o.expected, "FP32 > MIXED > FP16"));
    cr_expect(eq(str, o.observed, "FP32 10 ms > MIXED 7 ms > FP16 5 ms"));
    cr_expect(eq(str, o.note, ""));
}

Test(precision_study, an_order_that_contradicts)
{
    Ordering o = order_of(10, 7, 12, ">>");
    cr_expect(eq(int, o.verdict, CONTRADICTS));
    cr_expect(eq(str, o.observed, "FP16 12 ms > FP32 10 ms > MIXED 7 ms"));
}

Test(precision_study, an_order_within_noise)
{
    Ordering o = order_of(10, 7, 7, ">>");
    cr_expect(eq(int, o.verdict, WITHIN_NOISE));
    cr_expect(eq(str, o.observed, "FP32 10 ms > MIXED 7 ms ~ FP16 7 ms"));
}

Test(precision_study, a_rising_order)
{
    Ordering o = order_of(1, 2, 3, "<<");
    cr_expect(eq(int, o.verdict, AGREES));
    cr_expect(eq(str, o.observed, "FP32 1 ms < MIXED 2 ms < FP16 3 ms"));
    cr_expect(eq(int, order_of(3, 2, 1, "<<").verdict, CONTRADICTS));
}

Test(precision_study, exact_figures_are_equal_or_not)
{
    Ordering o;
    double big = 255.4, small = 127.7;
    Series sizes[] = {{PRECISION_FP32, &big, 1, big, true},
                      {PRECISION_MIXED, &big, 1, big, true},
                      {PRECISION_FP16, &small, 1, small, true}};
    ordering_of_series(&o, chain, "=>", 3, sizes, 3, " MiB");
    cr_expect(eq(int, o.verdict, AGREES));
    cr_expect(eq(str, o.observed, "FP32 255.4 MiB = MIXED 255.4 MiB > FP16 127.7 MiB"));
    sizes[1].at = &small;
    sizes[1].center = small;
    ordering_of_series(&o, chain, "=>", 3, sizes, 3, " MiB");
    cr_expect(eq(int, o.verdict, CONTRADICTS));
}

Test(precision_study, a_missing_format_is_passed_over)
{
    Ordering o;
    Series series[] = {made_up(PRECISION_FP32, 10, 0.01), made_up(PRECISION_FP16, 5, 0.01)};
    ordering_of_series(&o, chain, ">>", 3, series, 2, " ms");
    cr_expect(eq(int, o.verdict, AGREES));
    cr_expect(eq(str, o.note, "MIXED has no figure to rank"));
    cr_expect(eq(str, o.observed, "FP32 10 ms > FP16 5 ms"));
    ordering_of_series(&o, chain, ">>", 3, series, 1, " ms");
    cr_expect(eq(int, o.verdict, NOT_JUDGED), "one format alone has no order");
    series[0].count = series[1].count = 1;
    ordering_of_series(&o, chain, ">>", 3, series, 2, " ms");
    cr_expect(eq(int, o.verdict, NOT_JUDGED));
    cr_expect(strstr(o.note, "too few rounds") != NULL, "%s", o.note);
    free(series[0].at);
    free(series[1].at);
}

/* ---- records ---- */

/* One format's record of a cell whose rounds take `ms` each and 2 J above 10 W of idle power. */
static StudyRecord timed(Precision p, const char *support, double ms)
{
    StudyRecord r;
    study_record_init(&r, "m", "time", p, true);
    text_set(r.status, STATUS_OK);
    text_set(r.support, support);
    r.ranked = strcmp(support, "emulated") != 0;
    r.batch_size = 2;
    r.seq_len = 4;
    r.rounds = ROUNDS;
    r.calls = 5;
    r.disk_bytes = 1000;
    Series s = made_up(p, ms, 0.01);
    r.ms = s.at;
    r.joules = xcalloc(ROUNDS, sizeof *r.joules);
    r.seconds = xcalloc(ROUNDS, sizeof *r.seconds);
    for (size_t i = 0; i < ROUNDS; i++) {
        r.seconds[i] = 5e-3 * r.ms[i];
        r.joules[i] = 2 * ms + 10 * r.seconds[i];
    }
    return r;
}

static const Ordering *ordering_named(const Orderings *o, const char *measure)
{
    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->at[i].measure, measure) == 0)
            return &o->at[i];
    cr_assert(false, "no ordering of %s", measure);
    return NULL;
}

Test(precision_study, energy_is_above_idle_and_for_one_sample)
{
    StudyRecord r = timed(PRECISION_FP32, "native", 3);
    double *each = energy_per_sample(&r, 10);
    cr_assert(each != NULL);
    cr_expect(epsilon_eq(dbl, each[0], 0.6, 1e-12), "6 J, 5 calls of 2 samples");
    cr_expect(epsilon_eq(dbl, each[ROUNDS - 1], 0.6, 1e-12));
    free(each);
    r.joules[3] = NAN;
    cr_expect(energy_per_sample(&r, 10) == NULL, "one turn is not known");
    study_record_release(&r);
}

Test(precision_study, records_to_orderings)
{
    Orderings o;
    StudyRecord records[] = {timed(PRECISION_FP32, "native", 10),
                             timed(PRECISION_MIXED, "native", 4),
                             timed(PRECISION_FP16, "convert", 6)};
    orderings_build(&o, records, 3, 10);
    cr_expect(eq(int, ordering_named(&o, "latency")->verdict, CONTRADICTS));
    cr_expect(
        eq(str, (char *)ordering_named(&o, "latency")->note, "FP16 is converted, not native"));
    cr_expect(eq(str, (char *)ordering_named(&o, "latency")->where, "m b2 s4"));
    cr_expect(eq(int, ordering_named(&o, "throughput")->verdict, CONTRADICTS));
    cr_expect(eq(int, ordering_named(&o, "speed-up over FP32")->verdict, CONTRADICTS));
    cr_expect(eq(int, ordering_named(&o, "energy per sample")->verdict, CONTRADICTS));
    cr_expect(eq(int, ordering_named(&o, "model size")->verdict, CONTRADICTS), "all are 1000 B");
    orderings_release(&o);
    for (size_t i = 0; i < 3; i++)
        study_record_release(&records[i]);
}

Test(precision_study, what_is_emulated_is_never_ranked)
{
    Orderings o;
    StudyRecord records[] = {
        timed(PRECISION_FP32, "native", 10), timed(PRECISION_MIXED, "native", 4),
        timed(PRECISION_FP16, "emulated", 90), timed(PRECISION_BF16, "emulated", 95)};
    orderings_build(&o, records, 4, 10);
    const Ordering *latency = ordering_named(&o, "latency");
    cr_expect(eq(int, latency->verdict, AGREES));
    cr_expect(strstr(latency->observed, "FP16") == NULL, "%s", latency->observed);
    cr_expect(eq(str, (char *)latency->note, "FP16 has no figure to rank"));
    cr_expect(eq(int, ordering_named(&o, "emulation")->verdict, AGREES));
    orderings_release(&o);
    records[3].ranked = true;
    orderings_build(&o, records, 4, 10);
    cr_expect(eq(int, ordering_named(&o, "emulation")->verdict, CONTRADICTS));
    orderings_release(&o);
    for (size_t i = 0; i < 4; i++)
        study_record_release(&records[i]);
}

Test(precision_study, no_energy_is_said_once)
{
    Orderings o;
    StudyRecord r = timed(PRECISION_FP32, "native", 10);
    free(r.joules);
    r.joules = NULL;
    orderings_build(&o, &r, 1, NAN);
    cr_expect(eq(int, ordering_named(&o, "energy per sample")->verdict, NOT_JUDGED));
    cr_expect(eq(str, (char *)ordering_named(&o, "energy per sample")->where, "everywhere"));
    orderings_release(&o);
    study_record_release(&r);
}

Test(precision_study, accuracy_is_judged_by_the_paired_interval)
{
    Orderings o;
    StudyRecord records[2];
    for (size_t i = 0; i < 2; i++)
        study_record_init(&records[i], "m", "accuracy", i ? PRECISION_MIXED : PRECISION_FP32, true);
    records[1].ranked = true;
    records[1].accuracy_change = -0.001;
    records[1].accuracy_change_lo = -0.0044;
    records[1].accuracy_change_hi = 0.0024;
    orderings_build(&o, records, 2, NAN);
    bool seen = false;
    for (size_t i = 0; i < o.count; i++)
        if (strncmp(o.at[i].expected, "MIXED = FP32", 12) == 0) {
            seen = true;
            cr_expect(eq(int, o.at[i].verdict, AGREES));
            cr_expect(eq(str, o.at[i].observed, "-0.10 points [-0.44, +0.24]"));
        }
    cr_expect(seen);
    orderings_release(&o);
}

/* The rule, on a processor that lacks what is hidden. Where there is no AVX2 the kernels are
 * generic anyway. */
Test(precision_study, hidden_features_make_a_format_unsupported)
{
    Err err;
    StudyRecord r;
    cr_assert(eq(int, kernels_select("generic", &err), 0), "%s", err.msg);
    study_record_init(&r, "m", "time", PRECISION_INT8, false);
    cr_expect(eq(str, r.status, STATUS_UNSUPPORTED));
    cr_expect(eq(str, r.support, "emulated"));
    cr_expect(strstr(r.status_reason, "vpmaddwd") != NULL, "%s", r.status_reason);
    cr_expect(not(r.ranked));
    study_record_init(&r, "m", "time", PRECISION_INT8, true);
    cr_expect(eq(str, r.status, STATUS_OK));
    cr_expect(not(r.ranked), "measured on demand, and still no part of an order");
    study_record_init(&r, "m", "time", PRECISION_FP32, false);
    cr_expect(r.ranked);
}

Test(precision_study, doctor_lists_every_format)
{
    Err err;
    Findings f = {0};
    cr_assert(eq(int, kernels_select("generic", &err), 0), "%s", err.msg);
    doctor_formats(&f);
    cr_assert(eq(sz, f.count, NUM_PRECISIONS + 1));
    cr_expect(eq(str, f.at[NUM_PRECISIONS].fact, (char *)precision_ops()));
    for (size_t i = 0; i < NUM_PRECISIONS; i++) {
        bool emulated = precision_support((Precision)i) == SUPPORT_EMULATED;
        cr_expect(eq(str, f.at[i].topic, (char *)precision_name((Precision)i)));
        cr_expect(eq(int, f.at[i].level, emulated ? FINDING_NOTE : FINDING_OK));
        cr_expect(eq(int, f.at[i].advice[0] != '\0', emulated));
        cr_expect(strstr(f.at[i].fact, product_instruction(precision_product((Precision)i))) !=
                  NULL);
    }
    cr_expect(eq(int, f.at[PRECISION_INT8].level, FINDING_NOTE));
    findings_release(&f);
}

static void expect_other_cpus(double cpus, const char *text)
{
    char *line = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&line, &size);
    cr_assert(f != NULL);
    other_cpus_print(cpus, f);
    fclose(f);
    cr_expect(strstr(line, text) != NULL, "%s", line);
    free(line);
}

Test(precision_study, the_others_are_not_nan)
{
    expect_other_cpus(0.254, "**CPUs kept busy by others before:** 0.25\n");
    expect_other_cpus(NAN, "**CPUs kept busy by others before:** not known\n");
}

Test(precision_study, missing_fields_are_empty)
{
    StudyRecord r;
    study_record_init(&r, "m", "time", PRECISION_BF16, true);
    r.median_ms = 1.25;
    r.speedup = 4.0 / 3;
    r.flips = 0;
    json_t *object = schema_to_json(&study_schema, &r);
    for (size_t i = 0; i < study_schema.count; i++) {
        FieldTEXT cell;
        const Field *f = &study_schema.fields[i];
        const json_t *value = json_object_get(object, f->name);
        field_cell(f, &r, cell);
        cr_expect(eq(int, json_is_null(value), *cell == '\0'), "%s", f->name);
        if (strcmp(f->name, "median_ms") == 0)
            cr_expect(eq(str, cell, "1.25"));
        if (strcmp(f->name, "speedup") == 0)
            cr_expect(eq(str, cell, "1.33333333"));
        if (strcmp(f->name, "flips") == 0)
            cr_expect(eq(str, cell, "0"));
        if (strcmp(f->name, "accuracy") == 0)
            cr_expect(eq(str, cell, ""));
    }
    json_decref(object);
}

Test(precision_study, the_start_of_a_text)
{
    char out[16];
    text_start("short", 10, out);
    cr_expect(eq(str, out, "short"));
    text_start("a|b\nc`d and more", 8, out);
    cr_expect(eq(str, out, "a b c d ..."));
    text_start("caf\xc3\xa9s", 4, out); /* the fourth byte is half of a letter */
    cr_expect(eq(str, out, "caf..."));
    text_start("caf\xc3\xa9s", 5, out);
    cr_expect(eq(str, out, "caf\xc3\xa9..."));
}

/* ---- turns ---- */

Test(precision_study, every_round_gives_everyone_a_turn)
{
    size_t firsts[5] = {0};
    bool backwards = false, forwards = false;
    for (size_t round = 0; round < 200; round++) {
        bool had[5] = {false};
        size_t second = turn_of(1, 2, round, 1, 5), first = turn_of(1, 2, round, 0, 5);
        for (size_t i = 0; i < 5; i++) {
            size_t who = turn_of(1, 2, round, i, 5);
            cr_assert(lt(sz, who, 5));
            cr_expect(not(had[who]));
            had[who] = true;
        }
        firsts[first]++;
        forwards |= second == (first + 1) % 5;
        backwards |= second == (first + 4) % 5;
    }
    cr_expect(forwards && backwards);
    for (size_t i = 0; i < 5; i++)
        cr_expect(gt(sz, firsts[i], 20), "%zu began %zu of 200 rounds", i, firsts[i]);
    cr_expect(eq(i64, turn_calls(1e6, 5e6), 5));
    cr_expect(eq(i64, turn_calls(9e6, 5e6), 1));
    cr_expect(eq(i64, turn_calls(0, 5e6), 5000000));
}

/* ---- config ---- */

static int load_text(StudyConfig *c, const char *text, Err *err)
{
    return config_load_text(&study_config_file, c, text, strlen(text), "c", NULL, err);
}

Test(precision_study, a_config)
{
    StudyConfig c;
    Err err;
    int status =
        load_text(&c,
                  "rounds = 7\nformats = [\"int8\", \"fp32\", \"int8\"]\n"
                  "[[model]]\nname = \"a\"\ndir = \"x\"\nmade_by = \"y\"\n"
                  "batch_size = [1, 8]\nseq_len = 32\n"
                  "[[model]]\nname = \"b\"\nmake = \"gpt2-odd\"\ntext = \"t\"\nrounds = 3\n",
                  &err);
    cr_assert(eq(int, status, 0), "%s", err.msg);
    cr_expect(eq(sz, c.num_formats, 2));
    cr_expect(eq(int, c.formats[0], PRECISION_FP32), "it comes first and once");
    cr_expect(eq(int, c.formats[1], PRECISION_INT8));
    cr_expect(eq(i64, c.models[0].rounds, 7));
    cr_expect(eq(i64, c.models[1].rounds, 3));
    cr_expect(eq(sz, c.models[0].num_times, 2));
    cr_expect(eq(sz, c.models[0].times[1].batch, 8));
    cr_expect(eq(sz, c.models[0].times[1].seq_len, 32));
    cr_expect(eq(dbl, c.models[1].held_out, 0.1));
    config_release(&study_config_file, &c);
}

Test(precision_study, wrong_configs)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"rounds = 7\n", "c: no [[model]] table"},
        {"round = 7\n", "c:1: unknown key 'round'; did you mean 'rounds'?"},
        {"formats = [\"fp8\"]\n", "c:1: formats is 'fp8'; did you mean 'fp32'? It may be fp32, "
                                  "fp16, bf16, mixed, int8, q8_0 "
                                  "or q4_0"},
        {"rounds = 0\n", "c:1: rounds is 0, outside 1 to 100000"},
        {"[[model]]\nname = \"a\"\n", "c:1: a [[model]] has either make or dir"},
        {"[[model]]\nname = \"a\"\ndir = \"x\"\nmake = \"y\"\ntext = \"t\"\n",
         "c:1: a [[model]] has either make or dir"},
        {"[[model]]\nname = \"a\"\ndir = \"x\"\n",
         "c:1: nothing is asked of this model: batch_size and seq_len, test, or text"},
        {"[[model]]\nname = \"a\"\ndir = \"x\"\nbatch_size = 1\n",
         "c:1: batch_size and seq_len belong together"},
        {"[[model]]\nname = \"a\"\ndir = \"x\"\ncontext = 0\n",
         "c:4: context is 0, outside 1 to 1048576"},
        {"[[model]]\nname = \"a\"\ndir = \"x\"\nheld_out = 2\n",
         "c:4: held_out is 2, outside 1e-09 to 1"},
        {"[[model]]\nname = \"a\"\nmake = \"../x\"\n",
         "c:3: make = '../x' is no name of bench/peers/make_models.py"},
        {"[[model]]\nname = \"a\"\ndir = \"x\"\ntext = \"t\"\n"
         "[[model]]\nname = \"a\"\ndir = \"x\"\ntext = \"t\"\n",
         "c:5: model 'a' is defined twice"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        StudyConfig c;
        Err err;
        cr_assert(eq(int, load_text(&c, wrong[i].text, &err), -1), "%s", wrong[i].text);
        cr_expect(eq(str, err.msg, (char *)wrong[i].message));
    }
}

/* ---- what was held out ---- */

/* temp_dir/text: a line that begins as told, again and again. */
static void write_text(const char *begin)
{
    char text[500] = "";
    while (strlen(text) + 50 < sizeof text)
        snprintf(text + strlen(text), 50, "%s the mat.\n", begin);
    temp_write("text", text);
}

static void train_gpt(void)
{
    Trainer t;
    TrainConfig c;
    TrainOptions o = {.threads = 1};
    Err err = {""};
    char *toml = xasprintf("task = \"gpt\"\nout = \"%s/gpt\"\n[data]\ntext = \"%s/text\"\n"
                           "held_out = 0.2\n[model]\nd_model = 8\nnum_layers = 1\nnum_heads = 1\n"
                           "context = 8\n[training]\nepochs = 1\nbatch_size = 8\n"
                           "learning_rate = 1e-3\n",
                           temp_dir, temp_dir);
    cr_assert(
        eq(int, config_load_text(&train_config_file, &c, toml, strlen(toml), "c", NULL, &err), 0),
        "%s", err.msg);
    cr_assert(eq(int, train_init(&t, &c, &o, &err), 0), "%s", err.msg);
    FILE *chatter = fopen("/dev/null", "w");
    cr_assert(eq(int, train_run(&t, &o, chatter, &err), TRAIN_DONE), "%s", err.msg);
    fclose(chatter);
    train_release(&t);
    free(toml);
}

/* A study of that GPT. `why`: of being left out, or NULL where it is not. */
static void expect_left_out(double held_out, const char *why)
{
    Study s;
    StudyConfig c;
    Err err = {""};
    char *toml = xasprintf("[[model]]\nname = \"bytes\"\ndir = \"%s/gpt\"\ntext = \"%s/text\"\n"
                           "made_by = \"tare train x\"\nheld_out = %g\n",
                           temp_dir, temp_dir, held_out);
    cr_assert(eq(int, load_text(&c, toml, &err), 0), "%s", err.msg);
    int status = study_open(&s, &c, &(StudyOptions){0}, &err);
    const StudySubject *gpt = &s.subjects[0];
    cr_expect(eq(int, gpt->there, !why), "%s%s", gpt->left_out.msg, err.msg);
    cr_expect(eq(int, status, why ? -1 : 0), "%s", err.msg);
    if (why)
        cr_expect(strstr(gpt->left_out.msg, why) != NULL, "%s", gpt->left_out.msg);
    study_release(&s);
    config_release(&study_config_file, &c);
    free(toml);
}

Test(precision_study, only_what_the_training_held_out_is_held_out, .init = temp_dir_make,
     .fini = temp_dir_remove)
{
    static const char *const edited = "trained on, so no part of it is known to be held out; train "
                                      "again, with --overwrite: tare train x";
    write_text("the cat sat on");
    train_gpt();
    expect_left_out(0.2, NULL);
    expect_left_out(0.1, NULL);
    expect_left_out(0.3, "held_out = 0.3, but its training held out only 0.2");
    write_text("the cat lay on");
    expect_left_out(0.2, edited);
    cr_assert(eq(int, unlink(temp_path("gpt/training.safetensors")), 0));
    expect_left_out(0.2, NULL);
    expect_left_out(1, NULL);
}

/* ---- windows ---- */

/* The GPT's perplexity in two formats with so many bytes of fp32's logits kept. */
static void measure_perplexity(Study *s, size_t kept_bytes)
{
    Err err = {""};
    s->kept_bytes = kept_bytes;
    cr_assert(eq(int, study_perplexity(s, &s->subjects[0], &err), 0), "%s", err.msg);
}

Test(precision_study, how_many_logits_are_kept_changes_nothing, .init = temp_dir_make,
     .fini = temp_dir_remove)
{
    Study s;
    StudyConfig c;
    Err err = {""};
    write_text("the cat sat on");
    train_gpt();
    char *toml = xasprintf("formats = [\"bf16\"]\nthreads = 2\n[[model]]\nname = \"bytes\"\n"
                           "dir = \"%s/gpt\"\ntext = \"%s/text\"\nheld_out = 0.2\n",
                           temp_dir, temp_dir);
    cr_assert(eq(int, load_text(&c, toml, &err), 0), "%s", err.msg);
    cr_assert(eq(int, study_open(&s, &c, &(StudyOptions){0}, &err), 0), "%s", err.msg);
    const size_t window = 8 * 256 * sizeof(float);
    measure_perplexity(&s, 100 * window);
    measure_perplexity(&s, 5 * window); /* of 12 */
    measure_perplexity(&s, 0);
    cr_assert(eq(sz, s.num_records, 6));
    cr_expect(eq(i64, s.records[1].total, 12));
    cr_expect(eq(i64, s.records[1].positions, 12 * 8));
    cr_expect(gt(dbl, s.records[1].mean_kl, 0));
    for (size_t i = 2; i < 6; i++) {
        const StudyRecord *r = &s.records[i], *first = &s.records[i % 2];
        cr_expect(eq(dbl, r->perplexity, first->perplexity));
        cr_expect(eq(i64, r->same_top, first->same_top));
        if (i % 2)
            cr_expect(eq(dbl, r->mean_kl, first->mean_kl));
    }
    Model m;
    StudyRecord *r = &s.records[0];
    const ModelOptions options = {.wants = {.batch = 1, .context = 8, .logits = true}};
    bool loaded = study_load(&s, &s.subjects[0], &options, (size_t)1 << 60, r, &m);
    cr_expect(eq(int, loaded, false));
    cr_expect(eq(str, r->status, STATUS_SKIPPED_MEMORY));
    study_release(&s);
    config_release(&study_config_file, &c);
    free(toml);
}

/* ---- times above the machine's peak ---- */

static double peak;

static int machine_of_that_peak(int64_t threads, Peaks *p, Err *err)
{
    (void)err;
    *p = (Peaks){.threads = (double)threads, .fma = peak, .gemm = peak, .theoretical = NAN};
    return 0;
}

/* The times of that GPT in two formats, on a machine of this peak. */
static void expect_time(double gflops, const char *status)
{
    Study s;
    StudyConfig c;
    Err err = {""};
    char *toml = xasprintf("rounds = 6\nthreads = 1\nformats = [\"int8\"]\n[[model]]\n"
                           "name = \"bytes\"\ndir = \"%s/gpt\"\nbatch_size = 1\nseq_len = 8\n",
                           temp_dir);
    cr_assert(eq(int, load_text(&c, toml, &err), 0), "%s", err.msg);
    cr_assert(eq(int, study_open(&s, &c, &(StudyOptions){.include_emulated = true}, &err), 0));
    s.guard.measure = machine_of_that_peak;
    peak = gflops;
    cr_assert(eq(int, study_time(&s, &s.subjects[0], 1, 8, &err), 0), "%s", err.msg);
    bool ok = strcmp(status, STATUS_OK) == 0;
    cr_assert(eq(sz, s.num_records, 2));
    for (size_t i = 0; i < 2; i++) {
        const StudyRecord *r = &s.records[i];
        cr_expect_str_eq(r->status, status, "%s: %s", r->status, r->status_reason);
        cr_expect(eq(i64, r->rounds, 6));
        cr_expect(r->median_ms > 0, "it is shown all the same");
        cr_expect(eq(int, isnan(r->speedup) != 0, i == 0 || !ok),
                  "only what is believed is compared");
        cr_expect(ok || !r->ranked);
    }
    char text[1 << 16] = "";
    FILE *f = fmemopen(text, sizeof text, "w");
    study_judge(&s);
    study_report.markdown(&s, 0, f);
    fclose(f);
    cr_expect(eq(int, strstr(text, "| implausible: ") != NULL, !ok), "%s", text);
    cr_expect(eq(int, strstr(text, "| 1.00 ") != NULL, ok), "FP32 is one time itself: %s", text);
    study_release(&s);
    config_release(&study_config_file, &c);
    free(toml);
}

Test(precision_study, a_time_above_the_peak_is_implausible, .init = temp_dir_make,
     .fini = temp_dir_remove)
{
    write_text("the cat sat on");
    train_gpt();
    expect_time(1e6, STATUS_OK);
    expect_time(1e-9, STATUS_IMPLAUSIBLE);
}
