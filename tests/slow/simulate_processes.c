/* simulate_processes: how often does `tare diff` call a pair of one build changed on a busy host,
 * and how often does it miss a slower program? tests/support/noisy_host.h has the host: processes
 * of one build 15 % apart, trials 5 %, a level that drifts and shifts.
 *
 * Promised: of pairs of one build at most 5 % are called a regression or an improvement, by files
 * and by --run, also on a host that drifts and shifts if the probe saw it; a program 20 % slower
 * (at 15 %) and one 5 % slower (at 5 %) are found by --run --threshold 0 with 30 processes a side
 * in 9 of 10. Exit 1 if a rate is beyond its promise by more than 3 standard errors. */
#include <math.h>
#include <stdio.h>

#include "tests/support/noisy_host.h"

static int failures;

static void check(const char *what, size_t found, size_t of, double promised, bool at_least)
{
    double rate = (double)found / (double)of;
    double slack = 3 * sqrt(promised * (1 - promised) / (double)of);
    bool wrong = at_least ? rate < promised - slack : rate > promised + slack;
    printf("%-62s %s %3.0f %%  found %5.1f %% of %zu%s\n", what, at_least ? "at least" : "at most ",
           100 * promised, 100 * rate, of, wrong ? "  WRONG" : "");
    failures += wrong;
}

static NoisyVerdicts pairs(double between, bool moody, NoisyPairs p, size_t count)
{
    NoisyHost host = {.random = xoshiro_from_seed(5), .between = between, .within = 0.05};
    if (moody) {
        host.drift = 0.01;
        host.shift = between;
        host.shift_every = 40;
    }
    return noisy_verdicts(&host, &p, count);
}

static size_t called(NoisyVerdicts v)
{
    return v.seen[VERDICT_REGRESSION] + v.seen[VERDICT_IMPROVEMENT];
}

int main(void)
{
    const size_t some = 400, many = 4000;
    for (size_t rows = 1; rows <= 6; rows += 5)
        for (size_t processes = 5; processes <= 20; processes += 5) {
            char what[128];
            NoisyPairs p = {.rows = rows, .processes = processes, .trials = 5, .factor = 1};
            snprintf(what, sizeof what, "files, %zu rows, %zu processes, steady host", rows,
                     processes);
            check(what, called(pairs(0.15, false, p, some)), some, 0.05, false);
            p.probed = true;
            snprintf(what, sizeof what, "files, %zu rows, %zu processes, moody host, probed", rows,
                     processes);
            check(what, called(pairs(0.15, true, p, some)), some, 0.05, false);
            p.run = true;
            snprintf(what, sizeof what, "--run, %zu rows, %zu processes, moody host", rows,
                     processes);
            check(what, called(pairs(0.15, true, p, many)), many, 0.05, false);
        }
    NoisyPairs p = {.rows = 1, .processes = 30, .trials = 10, .factor = 1.2, .run = true};
    check("--run, 20 % slower, processes 15 % apart, moody host: found",
          pairs(0.15, true, p, many).seen[VERDICT_REGRESSION], many, 0.9, true);
    p.factor = 1.05;
    check("--run, 5 % slower, processes 5 % apart, moody host: found",
          pairs(0.05, true, p, many).seen[VERDICT_REGRESSION], many, 0.9, true);
    p.run = false;
    p.processes = 10;
    NoisyVerdicts alone = pairs(0.15, true, p, some);
    printf("files, 10 processes, moody host, not probed: %zu of %zu called changed (no promise)\n",
           called(alone), some);
    return failures > 0;
}
