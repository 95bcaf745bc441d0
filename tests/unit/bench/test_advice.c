/* The sentence on warmups: what most rows tell, and silence where they tell nothing. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "bench/sweep/advice.h"

static RowResult row(const char *steady_class, int64_t needed, double first_ms, double steady_ms)
{
    RowResult r;
    row_result_init(&r);
    text_set(r.config.model_size, "small");
    text_set(r.status, STATUS_OK);
    text_set(r.steady_class, steady_class);
    r.warmups_needed = needed;
    r.first_trial_ms = first_ms;
    r.first_over_steady = first_ms / steady_ms;
    return r;
}

static void expect_sentence(const RowResult *rows, size_t count, const char *expected)
{
    const RowResult *pointers[8];
    FieldTEXT sentence;
    for (size_t i = 0; i < count; i++)
        pointers[i] = &rows[i];
    WarmupAdvice a = warmup_advice_of(pointers, count, "small");
    warmup_advice_sentence(&a, "small", sentence);
    cr_expect(eq(str, sentence, (char *)expected));
}

Test(warmup_advice, what_three_quarters_of_the_rows_tell)
{
    RowResult rows[] = {row("warmup", 1, 920, 100), row("warmup", 1, 910, 100),
                        row("warmup", 1, 930, 100), row("flat", 0, 920, 100),
                        row("warmup", 4, 920, 100), row("too_few", INT_MISSING, 920, 100)};
    expect_sentence(rows, 6,
                    "small: 1 warmup is enough (in 4 of 5 rows); the cold trial costs 830 ms");
}

Test(warmup_advice, nothing_to_tell_and_too_noisy_to_tell)
{
    RowResult few[] = {row("too_few", INT_MISSING, 300, 100)};
    expect_sentence(few, 1, "small: no row had runs enough to tell how many warmups it needs");
    RowResult noisy[] = {row("no_steady_state", INT_MISSING, 90, 100), row("flat", 0, 90, 100)};
    expect_sentence(
        noisy, 2,
        "small: 1 of 2 rows cannot be believed (see the warnings), so warmups cannot be "
        "judged");
}

Test(warmup_advice, those_not_believed_are_counted_beside)
{
    RowResult rows[] = {row("warmup", 1, 300, 100), row("flat", 0, 300, 100),
                        row("flat", 0, 300, 100)};
    rows[1].cpu_wait = 0.1;
    expect_sentence(rows, 3,
                    "small: 1 warmup is enough (in 2 of 2 rows; 1 more cannot be believed); the "
                    "cold trial costs 200 ms");
}

/* On a busy machine flat rows once said that no warmup is needed. */
Test(warmup_advice, disturbed_rows_tell_nothing)
{
    RowResult rows[] = {row("flat", 0, 90, 100), row("flat", 0, 90, 100),
                        row("warmup", 1, 300, 100)};
    for (size_t i = 0; i < 3; i++)
        rows[i].cpu_wait = 0.1;
    expect_sentence(
        rows, 3,
        "small: 3 of 3 rows cannot be believed (see the warnings), so warmups cannot be "
        "judged");
}

Test(warmup_advice, cheapest_and_dearest_cold_trial)
{
    RowResult rows[] = {row("warmup", 1, 300, 100), row("warmup", 1, 1200, 500)};
    expect_sentence(rows, 2,
                    "small: 1 warmup is enough (in 2 of 2 rows); the cold trial costs 200 ms to "
                    "700 ms");
}

Test(warmup_advice, other_models_and_failed_rows_do_not_count)
{
    RowResult rows[] = {row("warmup", 1, 300, 100), row("warmup", 9, 900, 100),
                        row("warmup", 9, 900, 100)};
    text_set(rows[1].status, STATUS_FAILED);
    text_set(rows[2].config.model_size, "large");
    expect_sentence(rows, 3,
                    "small: 1 warmup is enough (in 1 of 1 rows); the cold trial costs 200 ms");
}
