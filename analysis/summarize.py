#!/usr/bin/env python3
"""Stage 2 of the analysis: a table of results becomes a Markdown report on stdout.

Its one idea: the report is made from the eleven reference columns alone, so that a sweep of ten
years ago and one of today read the same. Where a sweep varied something else too, a model is named
with it (its series), so that no two rows look alike and no mean mixes them. Rows that did not run
are listed and not averaged.
Rows that verdicts.py does not believe are named at the end. It draws only when asked (plots.py).
"""

import argparse

from table import REFERENCE, TIMES, add_overwrite, load, missing_module, print_text, row_name, run_main
from verdicts import believed_rows, judge

try:
    from tabulate import tabulate
except ImportError:
    missing_module("tabulate")


def report(table):
    """The whole report as one string, ending in a newline."""
    parts = ["# Benchmark Results Summary"]
    doubted = _doubted(table.ran)
    if table.ran.empty:
        parts.append("No row of this file has a time.")
    else:
        parts += _sections(table.ran, table.ran.drop(doubted.index), _decimals(table.ran))
    if not doubted.empty:
        parts += [
            "## Rows Not Believed",
            "No conclusion can be drawn from these rows. The means by warmup count and the summary "
            "statistics leave them out.",
            _markdown(doubted),
        ]
    if not table.rest.empty:
        parts += [
            "## Rows Not Averaged",
            "These rows did not run, or their times cannot be believed. "
            "No figure above includes them.",
            _markdown(_excluded(table.rest)),
        ]
    return "\n\n".join(parts) + "\n"


def _sections(ran, believed, decimals):
    complete = ran[REFERENCE].round({column: decimals for column in TIMES})
    ran = ran[REFERENCE].assign(model_size=ran["series"])
    rows = complete.assign(model_size=ran["model_size"])
    models = list(dict.fromkeys(rows["model_size"]))
    short = ["context_length", "num_warmups", "forward_only", *TIMES]
    by_warmups = ["model_size", "context_length", "num_warmups", *TIMES]
    parts = ["## Complete Results", _markdown(complete), "## Results by Model Size"]
    for model in models:
        parts += [
            f"### Model: {_cell(model)}",
            _markdown(rows.loc[rows["model_size"] == model, short]),
        ]
    parts += [
        "## Forward-Only vs Forward+Backward Comparison",
        _markdown(rows[["model_size", *short]]),
    ]
    parts += [
        "## Effect of Number of Warmup Runs",
        _markdown(rows.sort_values(by_warmups[:3], kind="stable")[by_warmups]),
    ]
    return parts + _averages(believed, decimals)


def _averages(believed, decimals):
    if believed.empty:
        return ["No row is believed, so nothing is averaged."]
    by_warmups = believed.assign(model_size=believed["series"]).pivot_table(
        values="mean_time_ms", index="model_size", columns="num_warmups"
    )
    return [
        "### Mean Time by Warmup Count",
        _markdown(by_warmups.round(decimals), index=True),
        "## Summary Statistics",
        _markdown(believed[TIMES].describe().round(decimals), index=True),
    ]


def _doubted(ran):
    """Rows that cannot be believed, with why; none of a file without classes, such as the reference."""
    if ran.empty or "steady_class" not in ran or not (ran["steady_class"] != "").any():
        return ran.head(0)
    judged = judge(ran)
    others = judged.loc[~judged.index.isin(believed_rows(judged).index)]
    return others[["name", "verdict", "why"]].rename(columns={"name": "row"})


def _decimals(ran):
    """Two, as in the reference; more only where times under 1 ms would lose their third digit."""
    shortest = ran.loc[ran["mean_time_ms"] > 0, "mean_time_ms"].min()
    decimals = 2
    while shortest < 10 ** (2 - decimals) and decimals < 9:
        decimals += 1
    return decimals


def _excluded(rest):
    rows = rest.assign(row=[row_name(row) for _, row in rest.iterrows()])
    return rows[["row", "status", "status_reason"]]


def _cell(text):
    """Text that cannot break out of a Markdown table cell."""
    return " ".join(str(text).split()).replace("|", "\\|")


def _markdown(frame, index=False):
    frame = frame.astype(object).where(frame.notna(), None)
    text = [c for c in frame if frame[c].map(lambda v: isinstance(v, str)).any()]
    for column in text:
        frame[column] = frame[column].map(_cell)
    as_text = [0] if index else [list(frame).index(c) for c in text]
    return tabulate(
        frame,
        headers="keys",
        tablefmt="pipe",
        showindex=index,
        missingval="",
        floatfmt=".12g",
        disable_numparse=as_text,
    )


def main():
    parser = argparse.ArgumentParser(
        description="Write the Markdown report of a result file to stdout."
    )
    parser.add_argument("file", metavar="FILE.csv", help="what `tare sweep` wrote")
    parser.add_argument("--plots", metavar="DIR", help="also draw PNG files into this folder")
    add_overwrite(parser)
    args = parser.parse_args()
    table = load(args.file, with_samples=args.plots is not None)
    print_text(report(table))
    if args.plots is not None:
        import plots

        plots.draw_all(table, args.plots, args.overwrite)


if __name__ == "__main__":
    run_main(main)
