#!/usr/bin/env python3
"""The CSV of `tare precision` as one picture: speed-up, size, accuracy and perplexity by format.

    precision_plot.py results/benchmark_DATE_TIME.csv [OUT.png]

Its one idea: the picture shows what the report's tables hold, with the same intervals, and computes nothing.
Formats that the CPU has are filled, converted ones hollow, emulated ones crossed out and never ranked: shape
says what colour says.
"""

import argparse
import os

from plots import MARKERS, STYLE, plt
from svg import LIGHT
from table import Problem, add_overwrite, check_new, run_main, write_figure

import pandas as pd

FORMATS = ["fp32", "fp16", "bf16", "mixed", "int8", "q8_0", "q4_0"]
WITH_INTERVAL = ["speedup", "accuracy", "perplexity_change"]
NEEDED = {"model", "work", "batch_size", "seq_len", "format", "support", "status", "disk_bytes", *WITH_INTERVAL,
          *(f"{column}_{end}" for column in WITH_INTERVAL for end in ("lo", "hi"))}
MIB = 2**20


def load(path):
    try:
        table = pd.read_csv(path, keep_default_na=True)
    except (OSError, ValueError) as e:
        raise Problem(f"cannot read {path}: {e}") from None
    missing = NEEDED - set(table.columns)
    if missing:
        raise Problem(f"{path} is no result of tare precision: it has no column {min(missing)}")
    strange = set(table["format"]) - set(FORMATS)
    if strange:
        raise Problem(f"{path} has a format '{min(map(str, strange))}', not one of {', '.join(FORMATS)}")
    table = table[table["status"] == "ok"]
    if table.empty:
        raise Problem(f"{path}: nothing to draw, no format was measured")
    return table


def style(row):
    """Colour, marker and fill of a format in this row."""
    i = FORMATS.index(row["format"])
    colour = LIGHT[i % len(LIGHT)]
    face = colour if row["support"] == "native" else "none"
    marker = "x" if row["support"] == "emulated" else MARKERS[i]
    return {"color": colour, "marker": marker, "markerfacecolor": face, "linestyle": "none"}


def label(row):
    return row["format"].upper() + ("" if row["support"] == "native" else f" ({row['support']})")


def dots(axes, rows, names, value, low=None, high=None, scale=1.0):
    """One line of the axes a name, one dot with its interval a format."""
    places = {name: i for i, name in enumerate(dict.fromkeys(names))}
    shown = set()
    for (_, row), name in zip(rows.iterrows(), names, strict=True):
        if pd.isna(row[value]):
            continue
        y = places[name] + 0.1 * (FORMATS.index(row["format"]) - len(FORMATS) // 2)
        error = None
        if low and not pd.isna(row[low]):
            error = [[scale * (row[value] - row[low])], [scale * (row[high] - row[value])]]
        axes.errorbar(scale * row[value], y, xerr=error, capsize=2,
                      label=None if row["format"] in shown else label(row), **style(row))
        shown.add(row["format"])
    axes.set_yticks(list(places.values()), list(places))
    axes.invert_yaxis()


def cells(rows):
    return [f"{m} b{b:g} s{s:g}"
            for m, b, s in zip(rows["model"], rows["batch_size"], rows["seq_len"], strict=True)]


def draw_speed(axes, table):
    rows = table[table["work"] == "time"].copy()
    rows.loc[rows["format"] == "fp32", "speedup"] = 1.0
    axes.set_title("How much faster than FP32? (95 % intervals, paired)")
    dots(axes, rows, cells(rows), "speedup", "speedup_lo", "speedup_hi")
    axes.axvline(1, color="#888888", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}x")


def draw_size(axes, table):
    rows = table.drop_duplicates(["model", "format"])
    axes.set_title("How large is the model on disk? (MiB)")
    dots(axes, rows, list(rows["model"]), "disk_bytes", scale=1 / MIB)
    axes.set_xlim(left=0)


def draw_accuracy(axes, table):
    rows = table[table["work"] == "accuracy"]
    axes.set_title("What does accuracy lose? (%, Wilson 95 %)")
    dots(axes, rows, list(rows["model"]), "accuracy", "accuracy_lo", "accuracy_hi", 100)


def draw_perplexity(axes, table):
    rows = table[table["work"] == "perplexity"].copy()
    columns = ["perplexity_change", "perplexity_change_lo", "perplexity_change_hi"]
    rows.loc[rows["format"] == "fp32", columns] = 0.0
    axes.set_title("How much does perplexity change? (%, 95 %)")
    dots(axes, rows, list(rows["model"]), *columns, 100)


def draw(table, path):
    work = set(table["work"])
    panels = [("time", draw_speed), (None, draw_size), ("accuracy", draw_accuracy),
              ("perplexity", draw_perplexity)]
    panels = [function for name, function in panels if name is None or name in work]
    lines = max(len(set(cells(table[table["work"] == "time"]))), 3)
    with plt.rc_context(STYLE):
        rows = (len(panels) + 1) // 2
        figure, axes = plt.subplots(rows, 2, figsize=(12, rows * (1.5 + 0.45 * lines)), squeeze=False)
        for function, place in zip(panels, axes.flat, strict=False):
            function(place, table)
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(labels))
        for spare in axes.flat[len(panels):]:
            spare.remove()
        write_figure(path, figure)
    print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", metavar="FILE.csv")
    parser.add_argument("png", metavar="OUT.png", nargs="?", help="FILE.png by default")
    add_overwrite(parser)
    args = parser.parse_args()
    path = args.png or os.path.splitext(args.csv)[0] + ".png"
    check_new(path, args.overwrite)
    draw(load(args.csv), path)


if __name__ == "__main__":
    run_main(main)
