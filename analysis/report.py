#!/usr/bin/env python3
"""Stage 4c of the analysis: result files become one self-contained HTML page.

Its one idea: the page opens with what may be believed, then shows why. It needs no network and no
script, follows the reader's light or dark setting, and says nothing by colour alone.
It judges nothing itself: the verdicts come from verdicts.py, the drawing from svg.py.
"""

import argparse
import os
from html import escape

import figures
import svg
from table import (
    DESCRIBES_MACHINE,
    add_overwrite,
    check_new,
    count,
    digits,
    load,
    row_name,
    run_main,
    write_file,
)
from verdicts import BUSY, MEANING, NOT_SETTLED, SETTLED, believed_rows, best_rows, judge, warmup_answers

MARKS = {
    "settled": "✓",
    "cold": "❄",
    "noisy": "≈",
    "busy": "‖",
    "not settled": "⚠",
    "disagrees": "≠",
    "unknown": "?",
}
# What a machine may have several of without being several machines.
MAY_VARY = ("threads", "timestamp_utc", "peak")


def page(tables):
    chapters = "<hr>".join(_chapter(table) for table in tables)
    title = "Tare: " + ", ".join(table.name for table in tables)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_style()}</style></head>\n"
        f"<body>{svg.definitions()}\n{chapters}\n</body></html>\n"
    )


def _style():
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "report.css")
    with open(beside, encoding="utf-8") as file:
        return file.read() + svg.css()


def _chapter(table):
    parts = [f"<h1>{escape(table.name)}</h1>"]
    if table.ran.empty:
        return "\n".join([*parts, "<p>No row of this file has a time.</p>", _excluded(table)])
    judged = judge(table.ran)
    best = best_rows(judged)
    parts += [
        _key_points(table, judged),
        _machine(table),
        _warnings(judged),
        _excluded(table),
        figures.curves(table, judged),
        figures.by_warmups(believed_rows(judged)),
        figures.forward_backward(best),
        figures.by_context(best),
        figures.by_size(best),
        figures.peak(best),
        figures.memory(best),
        _all_rows(judged),
    ]
    return "\n".join(part for part in parts if part)


def _key_points(table, judged):
    total = len(judged) + len(table.rest)
    verdicts = judged["verdict"].value_counts()
    points = [
        f"{len(judged)} of {count(total, 'row')} ran: "
        + ", ".join(f"{verdicts[v]} {v}" for v in MEANING if v in verdicts)
    ]
    for verdict, what in ((NOT_SETTLED, "did not settle"), (BUSY, "waited for a CPU")):
        doubtful = list(judged.loc[judged["verdict"] == verdict, "name"])
        if doubtful:
            points.append(f"Do not quote, {what}: {_some(doubtful)}")
    others = judged[~judged["verdict"].isin([NOT_SETTLED, BUSY])]
    others = others[~others.index.isin(believed_rows(others).index)]
    if not others.empty:
        points.append(f"Do not quote, see noise and steady class: {_some(list(others['name']))}")
    if believed_rows(judged).empty:
        points.append("No row is believed, so nothing is compared below.")
    points += warmup_answers(judged)  # last: they are drawn from the rows that are left
    implausible = [
        row_name(row) for _, row in table.rest.iterrows() if row["status"] == "implausible"
    ]
    if implausible:
        points.append("Faster than the machine can be: " + ", ".join(implausible))
    items = "".join(f"<li>{escape(point)}</li>" for point in points)
    return f'<div class="key-point"><strong>What to believe</strong><ul>{items}</ul></div>'


def _some(names, most=6):
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _machine(table):
    facts = [
        (c, sorted(set(table.ran[c].astype(str)) - {""}))
        for c in [*DESCRIBES_MACHINE, "timestamp_utc"]
        if c in table.ran
    ]
    facts = [(column, values) for column, values in facts if values] + _measured_peak(table)
    if not facts:
        return figures.section("Machine", "This file does not say where it was measured.", "")
    mixed = [c for c, values in facts if len(values) > 1 and c not in MAY_VARY]
    note = (
        "⚠ Rows differ in " + ", ".join(mixed) + ": do not compare them with each other."
        if mixed
        else "The same for every row."
    )
    return figures.section(
        "Machine", note, "<dl>" + "".join(_fact(*fact) for fact in facts) + "</dl>"
    )


def _measured_peak(table):
    if "peak_gflops_per_s" not in table.ran or table.ran["peak_gflops_per_s"].isna().all():
        return []
    peaks = table.ran["peak_gflops_per_s"].dropna()
    return [("peak", list(dict.fromkeys(f"{digits(p)} GFLOP/s" for p in (peaks.min(), peaks.max()))))]


def _fact(column, values):
    label = {
        "cpu_model": "CPU",
        "blas": "BLAS",
        "git_commit": "commit",
        "timestamp_utc": "measured",
        "peak": "measured peak",
    }
    shown = ", ".join(values)
    if column in ("timestamp_utc", "peak") and len(values) > 1:
        shown = f"{values[0]} to {values[-1]}"
    return f"<dt>{label.get(column, column)}</dt><dd>{escape(shown)}</dd>"


def _table(head, rows, stack=False):
    """rows: lists of (text, class)."""
    body = "".join(
        "<tr>" + "".join(f'<td class="{c}">{escape(text)}</td>' for text, c in row) + "</tr>"
        for row in rows
    )
    columns = "".join(f'<th class="{c}">{escape(text)}</th>' for text, c in head)
    return (
        f'<div class="wide"><table class="{"stack" if stack else ""}"><thead><tr>{columns}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def _warnings(judged):
    noise = judged["noise"] != "" if "noise" in judged else False
    shown = judged[(judged["verdict"] != SETTLED) | noise]
    if shown.empty:
        return figures.section(
            "Verdicts", "Every row that ran is settled: its trials stayed at one level.", ""
        )
    order = list(MEANING)[::-1]
    shown = shown.sort_values("verdict", key=lambda v: v.map(order.index), kind="stable")
    rows = [
        [(row["name"], ""), (f"{MARKS[row['verdict']]} {row['verdict']}", "v"), (row["why"], "")]
        for _, row in shown.iterrows()
    ]
    words = "; ".join(
        f"{MARKS[v]} {v}: {MEANING[v]}" for v in MEANING if v in set(shown["verdict"])
    )
    return figures.section(
        "Verdicts and warnings",
        escape(words) + ".",
        _table([("row", ""), ("verdict", ""), ("why", "")], rows, stack=True),
    )


def _excluded(table):
    if table.rest.empty:
        return ""
    rows = [
        [(row_name(row), ""), (row["status"], "v"), (row["status_reason"], "")]
        for _, row in table.rest.iterrows()
    ]
    return figures.section(
        "Rows not counted",
        "They did not run, or cannot be believed; no figure or picture includes them.",
        _table([("row", ""), ("status", ""), ("reason", "")], rows, stack=True),
    )


def _all_rows(judged):
    columns = [
        ("row", "name", ""),
        ("mean ms", "mean_time_ms", "n"),
        ("std ms", "std_time_ms", "n"),
        ("median ms", "median_ms", "n"),
        ("first / steady", "first_over_steady", "n"),
        ("steady class", "steady_class", ""),
        ("of peak", "peak_fraction", "n"),
        ("verdict", "verdict", "v"),
    ]
    columns = [c for c in columns if c[1] in judged]
    rows = [[(_shown(row[column]), c) for _, column, c in columns] for _, row in judged.iterrows()]
    return (
        "<section><h2>All rows that ran</h2><details><summary>Show the "
        f"{count(len(judged), 'row')}</summary>"
        + _table([(title, c) for title, _, c in columns], rows)
        + "</details></section>"
    )


def _shown(value):
    if isinstance(value, str):
        return value
    return "" if value != value else digits(value, 5)


def main():
    parser = argparse.ArgumentParser(description="Make one HTML page of result files.")
    parser.add_argument("results", metavar="RESULT.csv", nargs="+", help="what `tare sweep` wrote")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.html",
        default="report.html",
        help="where to write it (default %(default)s)",
    )
    add_overwrite(parser)
    args = parser.parse_args()
    check_new(args.output, args.overwrite)
    made = page([load(path, with_samples=True) for path in args.results])
    write_file(args.output, made.encode("utf-8"))


if __name__ == "__main__":
    run_main(main)
