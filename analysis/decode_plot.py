#!/usr/bin/env python3
"""Draws rows of prefill and decode: tokens a second over the depth and over the batch, beside their bound.

    decode_plot.py RESULT.csv -o FOLDER

    FOLDER/NAME.over_depth.png    decode: a line for each batch, over the positions in the cache before
    FOLDER/NAME.over_batch.png    decode and prefill: a line for each depth or prompt

Its one idea: a line is what was measured, the dashed line above it what read bandwidth and arithmetic allow
(predicted_tokens_per_s), both of the same rows. A row that is not `ok`, or that verdicts.py does not believe, is a
cross, joins no line and is in no sentence.
"""

import argparse
import csv
import os
from collections import defaultdict
from pathlib import Path

from table import Problem, missing_module, run_main
from verdicts import UNKNOWN, row_is_believed

try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
except ImportError:
    missing_module("matplotlib")

LINE_KEYS = ("model_size", "model_dir", "arch", "precision", "kv_type", "threads")
NUMBERS = ("batch_size", "depth", "context_length", "tokens_per_s", "predicted_tokens_per_s", "mean_time_ms", "median_ms",
           "cpu_wait", "threads_seen")


def number(row, column):
    try:
        return float(row.get(column) or "nan")
    except ValueError:
        raise Problem(f"{column} is '{row[column]}', not a number") from None


def read(path):
    """Rows of the two tasks that have a time, as dicts whose numbers are floats."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            table = [row for row in csv.DictReader(file) if row.get("task") in ("prefill", "decode")]
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise Problem(f"cannot read '{path}': {e}") from None
    rows = [{**row, **{c: number(row, c) for c in NUMBERS}} for row in table]
    rows = [row for row in rows if row["tokens_per_s"] > 0]
    if not rows:
        raise Problem(f"'{path}' has no row of prefill or decode with a time")
    return rows


def is_believed(row):
    verdict = "" if row.get("steady_class") else UNKNOWN
    return row["status"] == "ok" and row_is_believed({**row, "verdict": verdict})


def believed(rows):
    return [row for row in rows if is_believed(row)]


def name_of(row, keys):
    return ", ".join(f"{row[k]}" for k in keys if row.get(k))


def lines(rows, x, apart):
    """{what a line is of: its rows by x}: only what varies is in its name."""
    varied = [k for k in LINE_KEYS if len({row.get(k) for row in rows}) > 1]
    groups = defaultdict(list)
    for row in rows:
        label = f"{apart.replace('_', ' ')} {row[apart]:g}"
        groups[", ".join(filter(None, [name_of(row, varied), label]))].append(row)
    return {name: sorted(group, key=lambda row: row[x]) for name, group in groups.items()}


def sentence(rows):
    """What the picture says; of rows that are believed alone."""
    good = [r for r in believed(rows) if r["predicted_tokens_per_s"] > 0]
    doubted = len(rows) - len(believed(rows))
    left_out = f"; {doubted} not believed: crosses" if doubted else ""
    if not good:
        return f"No conclusion: no row is believed{left_out}" if doubted else "No row has a bound"
    shares = sorted(r["tokens_per_s"] / r["predicted_tokens_per_s"] for r in good)
    return f"{shares[0]:.0%} to {shares[-1]:.0%} of what the machine allows{left_out}"


def draw(rows, x, apart, question, path):
    figure, axis = plt.subplots(figsize=(7, 4.4), dpi=120, constrained_layout=True)
    for i, (name, group) in enumerate(lines(rows, x, apart).items()):
        colour, good = f"C{i % 10}", believed(group)
        at = [row[x] for row in good]
        axis.plot(at, [row["tokens_per_s"] for row in good], color=colour, marker="os^DvPX"[i % 7], label=name)
        axis.plot(at, [row["predicted_tokens_per_s"] for row in good], color=colour, ls="--", lw=1)
        bad = [row for row in group if not is_believed(row)]
        axis.plot([row[x] for row in bad], [row["tokens_per_s"] for row in bad], color=colour, marker="x", ls="")
    axis.plot([], [], color="#555555", ls="--", lw=1, label="bound")
    axis.set_yscale("log")
    if x == "batch_size":
        axis.set_xscale("log", base=2)
    axis.set_xlabel(x.replace("_", " "))
    axis.set_ylabel("tokens a second (log scale)")
    axis.grid(color="#e4e4e4")
    axis.set_title(f"{question}\n{sentence(rows)}", loc="left", fontsize=10, parse_math=False)
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(path)
    plt.close(figure)
    print(f"{path}: {sentence(rows)}")


def varies(rows, column):
    return len({row[column] for row in rows}) > 1


def draw_all(path, folder):
    rows = read(path)
    decode = [row for row in rows if row["task"] == "decode"]
    prefill = [row for row in rows if row["task"] == "prefill"]
    stem = Path(path).stem
    pictures = [
        (decode, "depth", "batch_size", "Does decoding slow down as the cache fills?", "over_depth"),
        (decode, "batch_size", "depth", "What does a larger batch bring?", "over_batch"),
        (prefill, "batch_size", "context_length", "What do more prompts at once bring?", "prefill_over_batch"),
    ]
    drawn = [p for p in pictures if p[0] and varies(p[0], p[1])]
    if not drawn:
        raise Problem(f"'{path}' has one depth and one batch: there is no line to draw")
    try:
        os.makedirs(folder, exist_ok=True)
        for chosen, x, apart, question, name in drawn:
            draw(chosen, x, apart, question, folder / f"{stem}.{name}.png")
    except OSError as e:
        raise Problem(f"cannot write plots to {folder}: {e.strerror}") from None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("result", metavar="RESULT.csv", help="of tare sweep")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args()
    draw_all(args.result, args.out)


if __name__ == "__main__":
    run_main(main)
