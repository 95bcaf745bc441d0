/* Rounds: turns, failures, interruptions and the ratios that follow. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

#include "bench/compare/rounds.h"
#include "bench/util/interrupt.h"

enum { ENTRIES = 3, ROUNDS = 20 };
enum { SEED = 5, STREAM = 2 };

/* Entry i takes (i + 1) ms and a little more each round. */
typedef struct Script {
    Entry entries[ENTRIES];
    size_t order[ENTRIES * ROUNDS], turns;
    size_t fails, fails_in;   /* entry that fails in its turn of that round */
    size_t interrupted_after; /* so many turns */
} Script;

static double turn(void *ctx, size_t i, Err *err)
{
    Script *s = ctx;
    size_t round = s->entries[i].rounds;
    s->order[s->turns++] = i;
    if (s->turns > s->interrupted_after) {
        interrupt_note();
        err_set(err, "left");
        return NAN;
    }
    if (i == s->fails && round == s->fails_in) {
        err_set(err, "broken in round %zu", round);
        return NAN;
    }
    return (double)(i + 1) + 0.001 * (double)round;
}

static int run(Script *s)
{
    Entry *entries[ENTRIES];
    for (size_t i = 0; i < ENTRIES; i++)
        entries[i] = &s->entries[i];
    const RoundsPlan plan = {.seed = SEED, .stream = STREAM, .rounds = ROUNDS};
    return rounds_run(entries, ENTRIES, &plan, turn, s);
}

static void release(Script *s)
{
    for (size_t i = 0; i < ENTRIES; i++)
        entry_release(&s->entries[i]);
}

static Script script(void)
{
    return (Script){.fails = ENTRIES, .interrupted_after = SIZE_MAX};
}

Test(rounds, everybody_has_a_turn_in_each)
{
    Script s = script();
    cr_assert(eq(int, run(&s), 0));
    for (size_t turn = 0; turn < ENTRIES * ROUNDS; turn++)
        cr_expect(
            eq(sz, s.order[turn], turn_of(SEED, STREAM, turn / ENTRIES, turn % ENTRIES, ENTRIES)));
    for (size_t i = 0; i < ENTRIES; i++) {
        const Entry *e = &s.entries[i];
        Interval median = median_interval(e->ms, ROUNDS, 0.95);
        cr_expect(eq(sz, e->rounds, (size_t)ROUNDS));
        cr_expect(epsilon_eq(dbl, e->median_ms, (double)i + 1.0095, 1e-12));
        cr_expect(eq(dbl, e->interval.lo, median.lo));
        cr_expect(eq(dbl, e->interval.hi, median.hi));
    }
    release(&s);
}

/* Two comparisons with entry 0 hold together: each at 97.5 %. */
Test(rounds, ratios_are_paired_and_widened)
{
    Script s = script();
    run(&s);
    const Entry *first = &s.entries[0], *last = &s.entries[2];
    RatioTest expected = paired_ratio(last->ms, first->ms, ROUNDS, 0.975);
    cr_expect(isnan(first->ratio.ratio), "of entry 0 itself");
    cr_expect(epsilon_eq(dbl, last->ratio.ratio, 1.0095 / 3.0095, 1e-3), "entry 0's time over it");
    cr_expect(eq(dbl, last->ratio.ratio, expected.ratio));
    cr_expect(eq(dbl, last->ratio.interval.lo, expected.interval.lo));
    cr_expect(eq(dbl, last->ratio.interval.hi, expected.interval.hi));
    cr_expect(eq(dbl, bonferroni_level(0.95, 2), 0.975));
    cr_expect(epsilon_eq(dbl, bonferroni_level(0.95, 1), 0.95, 1e-15));
    s.entries[2].has_parity = true; /* and its outputs differ */
    cr_expect(isnan(entry_ratio(first, last, ENTRIES).ratio));
    release(&s);
}

Test(rounds, one_that_fails_has_no_figures)
{
    Script s = script();
    s.fails = 1;
    s.fails_in = 7;
    cr_assert(eq(int, run(&s), 0));
    cr_expect(eq(sz, s.turns, (size_t)(2 * ROUNDS + 8)), "it has no turn after that");
    cr_expect(eq(str, s.entries[1].failure.msg, "broken in round 7"));
    cr_expect(eq(sz, s.entries[1].rounds, 0u));
    cr_expect(isnan(s.entries[1].median_ms) && isnan(s.entries[1].ratio.ratio));
    cr_expect(eq(sz, s.entries[2].rounds, (size_t)ROUNDS));
    cr_expect(not(isnan(s.entries[2].ratio.ratio)));
    release(&s);
}

Test(rounds, an_interruption_keeps_complete_rounds)
{
    Script s = script();
    s.interrupted_after = 4 * ENTRIES + 1;
    cr_assert(eq(int, run(&s), 0));
    for (size_t i = 0; i < ENTRIES; i++) {
        cr_expect(eq(sz, s.entries[i].rounds, 4u));
        cr_expect(not(entry_failed(&s.entries[i])), "it was only left");
    }
    release(&s);
}

Test(rounds, an_interruption_in_the_first_round_leaves_nothing)
{
    Script s = script();
    s.interrupted_after = ENTRIES - 1;
    cr_expect(eq(int, run(&s), -1));
    release(&s);
}

Test(rounds, what_may_be_said_of_an_entry)
{
    Peaks p = {.threads = 1, .fma = 100, .gemm = 90, .theoretical = NAN};
    Entry e = {.claim = {.product = DT_F32, .gflops = 106, .cpus_used = NAN}};
    cr_expect(eq(int, (int)entry_state(&e, &p), ENTRY_IMPLAUSIBLE));
    cr_expect(eq(int, (int)entry_state(&e, NULL), ENTRY_OK), "peaks that are not known");
    cr_expect(epsilon_eq(dbl, entry_peak_fraction(&e, &p), 1.06, 1e-12));
    e.claim.gflops = 104;
    cr_expect(eq(int, (int)entry_state(&e, &p), ENTRY_OK));
    e.has_parity = true;
    cr_expect(eq(int, (int)entry_state(&e, &p), ENTRY_DIFFERS));
    err_set(&e.failure, "gone");
    cr_expect(eq(int, (int)entry_state(&e, &p), ENTRY_FAILED));
}
