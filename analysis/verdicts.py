#!/usr/bin/env python3
"""Stage 3 of the analysis: which rows of a result file may be believed, and why not.

Its one idea: mean, standard deviation and number of trials are enough to recognise one slow first
trial, provided that a warmed-up row of the same configuration stands beside it as a yardstick.
Where the file carries a steady-state class (made from every trial), that class decides instead.
It does not compare two files; `tare diff` does.

The one-outlier model. Of n trials, n - 1 take u and one takes c. Then the mean is
m = u + (c - u) / n, and the sample variance is s^2 = (c - u)^2 / n, so that

    u = m - s / sqrt(n)        the steady time: the mean less its standard error
    c = u + s * sqrt(n)        the odd trial

Assumption: the spread comes from that one trial; the noise of the others is neglected. A noise of
standard deviation v adds about v^2 to s^2, so with v below s / 3 the cost c - u is at most 6 % too
large. In the reference table u of all twenty rows without warmup lies within 5.1 % of their
yardstick. A cold trial that costs less than QUIET * sqrt(n) (16 % at n = 10) of the steady time
drowns in QUIET and cannot be seen in a summary.

The two-level model. Of n trials, k ran at v, the others at the yardstick's u. With d = m - u:
k = n / (1 + (s / d)^2 * (n - 1) / n) and v = u + d * n / k.
"""

import argparse
import math
import re
import typing

from table import count, load, print_text, run_main, show_ms

# A row whose standard deviation is at most this share of its mean is quiet. In the reference table
# 34 of the 40 warmed-up rows are; five others lie between 5 % and 7.2 %, the unsettled one at 19 %.
QUIET = 0.05
# Two times of one configuration agree within this. Twice what the reference table shows: the means
# of its settled pairs differ by at most 5.3 %; the unsettled row is 14 % off its twin.
AGREE = 0.10

# The share of their time that threads may wait for a CPU; CPU_WAIT_LIMIT of `tare`.
WAIT = 0.02
# Outliers that move the mean this far from the median spoil a row; mean_is_off of bench/row/warning.c.
MOVED = 0.02
# A sentence of `noise` about an outlier; outlier_is_described of bench/stats/outliers.h.
OUTLIER = re.compile(r"(^|; )trial ")

SETTLED, COLD, NOISY, BUSY = "settled", "cold", "noisy", "busy"
NOT_SETTLED, DISAGREES, UNKNOWN = "not settled", "disagrees", "unknown"
MEANING = {
    SETTLED: "quiet, and in agreement with its twins",
    COLD: "the average contains a cold first trial",
    NOISY: "a wide spread around a level that its twins confirm, or that nothing can confirm",
    BUSY: "its threads waited for a CPU: the times are those of a machine with other work",
    NOT_SETTLED: "the trials did not stay at one level; do not quote this row",
    DISAGREES: "quiet, but at another level than its quietest twin",
    UNKNOWN: "too few trials to say",
}
UNSTEADY = {
    "slowdown": "the trials became slower and stayed slower",
    "no_steady_state": "the level still changed in the last trials",
    "bad_inconsistent": "its processes behaved differently",
}


class Verdict(typing.NamedTuple):
    verdict: str
    why: str
    steady_ms: float = math.nan  # the level of the steady trials, where it is known
    cold_ms: float = math.nan  # the slow first run, where there was one


def judge(ran):
    """The rows that ran with their Verdict as four more columns.

    The yardstick of a row is the quietest row with warmups of the same series, context and mode; if
    not even that one is quiet, there is none. The rule, with m, s, n, u, c as above:

        steady_class there, not too_few      that class decides
        one trial, so no s                   cold if unwarmed and above the yardstick, else unknown
        s <= QUIET * m, m agrees             settled (also where there is no yardstick)
        s <= QUIET * m, m does not agree     disagrees
        s >  QUIET * m, no yardstick         noisy
        s >  QUIET * m, u agrees, unwarmed   cold
        s >  QUIET * m, m or u agrees        noisy
        s >  QUIET * m, neither agrees       not settled

    What would be settled or noisy is busy where cpu_wait says that threads waited for a CPU.
    """
    judged = ran.copy()
    found = {}
    for _, group in ran.groupby(["series", "context_length", "forward_only"], sort=False):
        yardstick = _yardstick(group)
        for index, row in group.iterrows():
            verdict = _from_class(row) or _from_summary(row, yardstick)
            if verdict.verdict in (SETTLED, NOISY) and row.get("cpu_wait", 0) > WAIT:
                verdict = verdict._replace(verdict=BUSY)
            if row.get("noise"):  # what the kernel says about the outliers
                verdict = verdict._replace(why=f"{verdict.why}; {row['noise']}")
            found[index] = verdict
    for column in Verdict._fields:
        judged[column] = [getattr(found[index], column) for index in ran.index]
    return judged


def one_outlier(mean, std, n):
    """(u, c): the steady time and the odd trial's time that n, mean and std would come from."""
    steady = mean - std / math.sqrt(n)
    return steady, steady + std * math.sqrt(n)


def two_levels(mean, std, n, level):
    """(k, v): as if k of n trials ran at v and the others at `level`, which is not the mean."""
    shift = mean - level
    k = n / (1 + (std / shift) ** 2 * (n - 1) / n)
    return k, level + shift * n / k


def row_is_believed(row):
    """Whether conclusions may be drawn from a judged row, or from one with a class alone.

    The rule of row_is_believed in bench/row/warning.c, for rows that ended ok: it reached a steady
    state, in runs enough to tell; its threads did not wait for a CPU, and all could run; outliers
    did not move its mean. A slow start in the mean is no reason: it tells how many warmups it takes.
    Rows without a class have their verdict instead.
    """
    kind = row.get("steady_class", "")
    verdict = row["verdict"] if "verdict" in row else getattr(_from_class(row), "verdict", UNKNOWN)
    if verdict in (NOT_SETTLED, DISAGREES, UNKNOWN) or kind in UNSTEADY or kind == "too_few":
        return False
    if row.get("cpu_wait", 0) > WAIT:
        return False
    if row.get("threads_seen", math.nan) < float(row.get("threads") or math.nan):
        return False
    moved = abs(row["mean_time_ms"] / row.get("median_ms", math.nan) - 1) > MOVED
    return not (OUTLIER.search(row.get("noise") or "") and moved and verdict != COLD)


def believed_rows(judged):
    return judged.loc[[index for index, row in judged.iterrows() if row_is_believed(row)]]


def best_rows(judged):
    """One row for each series, context and mode that has a believed row: the settled one with the
    most warmups, else a noisy one, else a cold one."""
    judged = believed_rows(judged)
    rank = judged.assign(rank=judged["verdict"].map({SETTLED: 2, NOISY: 1}).fillna(0))
    rank = rank.sort_values(["rank", "num_warmups"], ascending=False, kind="stable")
    best = rank.groupby(["series", "context_length", "forward_only"], sort=False).head(1)
    return judged.loc[sorted(best.index)]


def warmup_answers(judged):
    """One sentence for each series: how many warmups are enough, and what the cold trial costs."""
    return [
        f"{series}: {_warmup_answer(group)}"
        for series, group in judged.groupby("series", sort=False)
    ]


def _warmup_answer(group):
    believed = believed_rows(group)
    cost = (believed["cold_ms"] - believed["steady_ms"]).dropna()
    cost = cost[cost > 0]
    if cost.empty:
        price = ""
    elif cost.max() < 1.05 * cost.min():
        price = f"; the cold trial costs {show_ms(cost.max())}"
    else:
        price = f"; the cold trial costs {show_ms(cost.min())} to {show_ms(cost.max())}"
    if "steady_class" in group and (group["steady_class"] != "").any():
        return _from_every_run(group, believed, price)
    if believed.empty:
        return _not_believed(len(group), len(group))
    bad = group["verdict"].isin([COLD, NOT_SETTLED, DISAGREES])
    good = sorted(set(believed["num_warmups"]) - set(group.loc[bad, "num_warmups"]))
    if not good:
        return f"no warmup count of this file is enough{price}"
    return _enough(good[0]) + price


def _from_every_run(group, believed, price):
    """The answer of `tare sweep`: what three quarters of the believed rows tell."""
    needed = believed["warmups_needed"].dropna()
    judged = (group["steady_class"] != "too_few").sum()
    if judged == 0:
        return "no row had runs enough to tell how many warmups it needs"
    if judged >= 2 * len(needed):
        return _not_believed(judged - len(needed), judged)
    enough, doubted = math.ceil(needed.quantile(0.75)), judged - len(needed)
    more = f"; {doubted} more cannot be believed" if doubted else ""
    return f"{_enough(enough)} (in {(needed <= enough).sum()} of {len(needed)} rows{more}){price}"


def _not_believed(doubted, judged):
    return (
        f"{doubted} of {judged} rows cannot be believed (see the warnings), so warmups cannot be judged"
    )


def _enough(warmups):
    return f"{count(warmups, 'warmup')} {'is' if warmups == 1 else 'are'} enough"


def _cv(row):
    return row["std_time_ms"] / row["mean_time_ms"]


def _yardstick(group):
    warm = group[group["num_warmups"] > 0]
    quiet = warm[_cv(warm) <= QUIET]
    return None if quiet.empty else quiet.loc[_cv(quiet).idxmin()]


def _from_class(row):
    """The verdict of a row whose every run was classified by change points, or None."""
    kind = row.get("steady_class", "")
    first, ratio = row.get("first_trial_ms", math.nan), row.get("first_over_steady", math.nan)
    steady = first / ratio if ratio > 0 else math.nan
    times = f"; the first run took {ratio:.3g} times the steady median" if ratio > 0 else ""
    calm, but = SETTLED, ""
    if _cv(row) > QUIET:
        calm, but = NOISY, f", but a spread of {_cv(row):.0%}"
    if kind in ("flat", "good_inconsistent"):
        return Verdict(calm, f"every run at one level{but}{times}", steady)
    if kind == "warmup":
        needed = row.get("warmups_needed", math.nan)
        if row["num_warmups"] >= (1 if math.isnan(needed) else needed):
            return Verdict(calm, f"the warmups took the slow start{but}{times}", steady, first)
        return Verdict(COLD, f"the slow start is in the average{times}", steady, first)
    if kind in UNSTEADY:
        return Verdict(NOT_SETTLED, UNSTEADY[kind])
    return None


def _from_summary(row, yardstick):
    if row["num_trials"] < 2 or math.isnan(_cv(row)):
        return _from_one_trial(row, yardstick)
    if yardstick is None:
        return _alone(row)
    mean, cv, level = row["mean_time_ms"], _cv(row), yardstick["mean_time_ms"]
    steady, odd = one_outlier(mean, row["std_time_ms"], row["num_trials"])
    mean_agrees, steady_agrees = _agree(mean, level), _agree(steady, level)
    if cv <= QUIET and mean_agrees:
        return Verdict(SETTLED, f"spread {cv:.1%}", mean)
    if cv <= QUIET:
        return Verdict(DISAGREES, f"quiet, but {mean / level - 1:+.0%} off {_twin(yardstick)}")
    if row["num_warmups"] == 0 and steady_agrees:
        why = f"as if one trial took {show_ms(odd)} and the others {show_ms(steady)}"
        return Verdict(COLD, f"{why}; {_twin(yardstick)} says {show_ms(level)}", steady, odd)
    if mean_agrees or steady_agrees:
        return Verdict(NOISY, f"spread {cv:.1%}, the level agrees with {_twin(yardstick)}", mean)
    return Verdict(NOT_SETTLED, _unsettled(row, yardstick))


def _from_one_trial(row, yardstick):
    if row["num_warmups"] == 0 and yardstick is not None:
        mean, level = row["mean_time_ms"], yardstick["mean_time_ms"]
        if mean > (1 + AGREE) * level:
            return Verdict(COLD, f"{mean / level:.2g} times {_twin(yardstick)}", level, mean)
    return Verdict(UNKNOWN, "one trial has no spread to judge by")


def _alone(row):
    """The verdict where no quiet row with warmups can serve as yardstick."""
    if _cv(row) <= QUIET:
        why = f"spread {_cv(row):.1%}, no quiet twin to check the level"
        return Verdict(SETTLED, why, row["mean_time_ms"])
    why = f"spread {_cv(row):.0%}, no quiet twin to compare with"
    steady, odd = one_outlier(row["mean_time_ms"], row["std_time_ms"], row["num_trials"])
    if steady > 0:
        why += f"; read as one slow trial: {show_ms(odd)}, the others {show_ms(steady)}"
    return Verdict(NOISY, why)


def _unsettled(row, yardstick):
    mean, n, level = row["mean_time_ms"], row["num_trials"], yardstick["mean_time_ms"]
    why = (
        f"spread {_cv(row):.0%} against {_cv(yardstick):.1%} of {_twin(yardstick)}, mean "
        f"{mean / level - 1:+.0%}, and no single slow trial explains both"
    )
    k, other = two_levels(mean, row["std_time_ms"], n, level)
    if other > 0 and 0.5 < k < n - 0.5:
        why += f"; as if about {k:.0f} of {n} trials ran at {show_ms(other)}"
        why += f", the others at {show_ms(level)}"
    return why


def _agree(ms, level):
    return abs(ms / level - 1) <= AGREE


def _twin(yardstick):
    return f"the row with {count(yardstick['num_warmups'], 'warmup')}"


def _text(judged, everything):
    width = max(map(len, judged["name"]))
    shown = judged if everything else judged[judged["verdict"] != SETTLED]
    lines = [
        f"{row['name']:<{width}}  {row['verdict']:<11}  {row['why']}" for _, row in shown.iterrows()
    ]
    counts = judged["verdict"].value_counts()
    lines += [
        "",
        f"{len(judged)} rows: " + ", ".join(f"{counts[v]} {v}" for v in MEANING if v in counts),
    ]
    return "\n".join(lines + warmup_answers(judged)) + "\n"


def main():
    parser = argparse.ArgumentParser(description="Say which rows of a result file may be believed.")
    parser.add_argument("file", metavar="FILE.csv", help="what `tare sweep` wrote")
    parser.add_argument("--all", action="store_true", help="list settled rows too")
    args = parser.parse_args()
    table = load(args.file)
    if table.ran.empty:
        print_text("no row of this file has a time\n")
    else:
        print_text(_text(judge(table.ran), args.all))


if __name__ == "__main__":
    run_main(main)
