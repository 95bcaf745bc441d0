"""Stage 4a of the analysis: a table becomes PNG files.

Its one idea: every picture answers one question, and its title is that question. Colour never
carries a meaning alone: marker, hatch or label says the same. matplotlib is imported here only, so
the report on stdout needs none. It computes nothing that the table or the verdicts do not hold.
"""

import math
import os
import sys

from svg import LIGHT, beside, run_ticks
from table import (
    EXTRA_KEYS,
    SHAPE_KEYS,
    Problem,
    check_new,
    count,
    digits,
    make_folder,
    missing_module,
    mode_name,
    warn,
    write_figure,
)
from verdicts import believed_rows, best_rows, judge

try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
except ImportError:
    missing_module("matplotlib")

MARKERS = "os^DvPX"
HATCHES = ["", "///", "xx", "...", "\\\\", "++"]
LOG_SPAN = 8  # an axis whose values span more than this is logarithmic

STYLE = {
    "figure.dpi": 120,
    "savefig.bbox": "tight",
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.edgecolor": "#888888",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "text.parse_math": False,  # a model's name may hold a dollar sign
}


def draw_all(table, folder, overwrite):
    """Draws every picture the table has data for; says on stderr what was written and what not."""
    if table.ran.empty:
        raise Problem(f"{table.path}: nothing to draw, no row has a time")
    judged = judge(table.ran)
    pictures = [("warmup_curves", _warmup_curves), ("recompute", _by_recompute)]
    if believed_rows(judged).empty:
        warn(f"{table.path}: no row is believed, so only the runs are drawn and nothing is compared")
    else:
        pictures += [
            ("mean_by_warmups", _by_warmups),
            ("forward_backward", _forward_backward),
            ("time_by_context", _by_context),
            ("growth", _growth),
        ]
    make_folder(folder)
    with plt.rc_context(STYLE):
        figures = {
            os.path.join(folder, f"{table.name}.{name}.png"): draw(table, judged)
            for name, draw in pictures
        }
        figures = {path: figure for path, figure in figures.items() if figure is not None}
        for path in figures:
            check_new(path, overwrite)
        for path, figure in figures.items():
            write_figure(path, figure)
            plt.close(figure)
            print(f"wrote {path}", file=sys.stderr)


def _grid(number, columns, width, height):
    """`number` axes in rows of at most `columns`; the rest of the last row is removed."""
    columns = min(columns, number)
    rows = math.ceil(number / columns)
    size = (width * columns, height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for spare in axes.flat[number:]:
        spare.remove()
    return figure, list(axes.flat[:number])


def _time_axis(axis, what, values, log_span=LOG_SPAN):
    """Logarithmic where the span of the times (ms) demands it, from zero otherwise."""
    low, high = min(values), max(values)
    log = low > 0 and high / low > log_span
    if log:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(
            FixedLocator([m * 10.0**e for e in range(-5, 9) for m in (1, 2, 5)])
        )
        axis.yaxis.set_minor_locator(NullLocator())
        axis.set_ylim(low / 1.25, high * 1.25)
    else:
        axis.set_ylim(0, high * 1.12 or 1)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axis.set_ylabel(f"{what} (ms, log scale)" if log else f"{what} (ms)")


def _warmup_curves(table, judged):
    if table.samples is None:
        warn(f"no trials beside {table.path}: time against trial index is not drawn")
        return None
    groups = list(judged.groupby(["series", "context_length", "forward_only"], sort=False))
    counts = sorted(set(judged["num_warmups"]))
    columns = judged["forward_only"].nunique() * min(2, judged["context_length"].nunique())
    figure, axes = _grid(len(groups), columns, 14 / max(columns, 3), 2.6)
    for axis, ((series, context, forward_only), group) in zip(axes, groups):
        for _, row in group.iterrows():
            which = counts.index(row["num_warmups"])
            _curve(
                axis,
                table.samples[table.samples["row_id"] == row["row_id"]],
                which,
                beside(which, len(counts)),
            )
        drawn = table.samples[table.samples["row_id"].isin(group["row_id"])]
        if not drawn.empty:
            _time_axis(axis, "time", drawn["ms"])
            axis.set_xticks(run_ticks(drawn["run"].max()))
        axis.set_title(f"{series}, {context}, {mode_name(forward_only)}")
        axis.set_xlabel("run of the process")
    _question(
        figure, "Is the first run slower? Every line is one row's process, every mark one run"
    )
    keys = [
        plt.Line2D([], [], color=_colour(i), marker=_marker(i), label=count(c, "warmup"))
        for i, c in enumerate(counts)
    ]
    keys += [
        plt.Line2D([], [], color="#555555", marker="o", ls="", label="filled: timed"),
        plt.Line2D([], [], color="#555555", marker="o", ls="", mfc="white", label="hollow: warmup"),
    ]
    figure.legend(handles=keys, loc="outside lower left", ncols=6)
    return figure


def _curve(axis, runs, which, shift):
    """One process; `shift` sets the marks of a run beside those of its twins, not over them."""
    size = 4 if len(runs) <= 40 else 2.5
    axis.plot(runs["run"] + shift, runs["ms"], color=_colour(which), lw=1, alpha=0.6)
    for is_warmup, face in ((False, _colour(which)), (True, "white")):
        part = runs[runs["is_warmup"] == is_warmup]
        axis.plot(
            part["run"] + shift,
            part["ms"],
            ls="",
            marker=_marker(which),
            ms=size,
            mfc=face,
            mec=_colour(which),
        )


def _by_warmups(table, judged):
    judged = believed_rows(judged)
    mean = judged.pivot_table(
        values="mean_time_ms", index="series", sort=False, columns=["forward_only", "num_warmups"]
    )
    modes = sorted(set(judged["forward_only"]), reverse=True)
    counts = sorted(set(judged["num_warmups"]))
    width = 0.8 / len(counts)
    figure, axes = _grid(len(modes), 1, max(6, 1.6 * len(mean) + 2), 3)
    for axis, forward_only in zip(axes, modes):
        bars = mean[forward_only]
        for i, warmups in enumerate(counts):
            if warmups in bars:
                x = [at + (i - (len(counts) - 1) / 2) * width for at in range(len(mean))]
                _bars(axis, x, bars[warmups], width * 0.94, i, count(warmups, "warmup"))
        _time_axis(axis, "mean time", bars.stack().dropna(), log_span=100)
        axis.set_xticks(range(len(mean)), [_folded(series) for series in mean.index])
        axis.grid(False, axis="x")
        axis.set_title(mode_name(forward_only))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=6)
    contexts = ", ".join(map(str, sorted(set(judged["context_length"]))))
    _question(figure, f"What does a missing warmup cost? Mean over context {contexts}")
    return figure


def _forward_backward(table, judged):
    """Bars of the most believable row of each series, context and mode."""
    best = best_rows(judged)
    if best["forward_only"].nunique() < 2:
        warn("the rows that are believed have one mode only: forward against forward + backward is not drawn")
        return None
    time = best.pivot_table(
        values="mean_time_ms",
        index=["series", "context_length"],
        sort=False,
        columns="forward_only",
    ).dropna()
    if time.empty:
        warn("no configuration is believed in both modes: they are not drawn")
        return None
    figure, (axis,) = _grid(1, 1, max(6, 0.85 * len(time) + 2), 3.6)
    for i, forward_only in enumerate((True, False)):
        x = [at + (i - 0.5) * 0.4 for at in range(len(time))]
        _bars(axis, x, time[forward_only], 0.38, i, mode_name(forward_only))
    _time_axis(axis, "mean time", time.stack(), log_span=100)
    ratio = time[False] / time[True]
    axis.set_xticks(
        range(len(time)),
        [f"{_folded(series)}\n{context}\n{r:.1f}x" for (series, context), r in ratio.items()],
    )
    axis.set_xlabel("model, context, ratio")
    axis.grid(False, axis="x")
    figure.legend(loc="outside lower left", ncols=2)
    _question(figure, "How much does the backward pass add?")
    return figure


def _by_context(table, judged):
    best = best_rows(judged)
    contexts = sorted(set(best["context_length"]))
    if len(contexts) < 2:
        warn("the rows that are believed have one context length only: time against context is not drawn")
        return None
    names = list(dict.fromkeys(best["series"]))
    groups = list(best.groupby("forward_only", sort=True))[::-1]
    figure, axes = _grid(len(groups), 2, 4.2, 4)
    for axis, (forward_only, group) in zip(axes, groups):
        ends = []
        for series, line in group.sort_values("context_length").groupby("series", sort=False):
            x, y, i = line["context_length"], line["mean_time_ms"], names.index(series)
            axis.plot(x, y, color=_colour(i), marker=_marker(i), ms=6)
            ends.append((series, x.iloc[-1], y.iloc[-1]))
        _time_axis(axis, "mean time", group["mean_time_ms"], log_span=3)
        axis.set_xscale("log", base=2)
        axis.set_xticks(contexts, contexts)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlim(contexts[0] / 1.1, contexts[-1] * (contexts[-1] / contexts[0]) ** 0.3)
        axis.set_xlabel("context (tokens, log scale)")
        axis.set_title(mode_name(forward_only))
        _end_labels(axis, ends)
    _question(figure, "How does time grow with context?")
    return figure


GROWTH = {
    "context_length": "context (tokens, log scale)",
    "batch_size": "batch (sequences, log scale)",
}
LEAST_STEPS = 3  # two points are no curve


def _growth(table, judged):
    """Time and peak memory against context and against batch, where one of them grows alone."""
    best = best_rows(judged)
    curves = [curve for key in GROWTH for curve in _curves_of(best, key)]
    if not curves:
        warn(
            f"neither context nor batch has {LEAST_STEPS} values among the rows that are believed: "
            "how cost grows is not drawn"
        )
        return None
    figure, axes = _grid(2 * len(curves), 2, 5, 3.2)
    for i, (key, title, rows) in enumerate(curves):
        time, memory = axes[2 * i], axes[2 * i + 1]
        _growth_of_time(time, rows, key)
        _growth_of_memory(memory, rows, key)
        for axis in (time, memory):
            axis.set_xscale("log", base=2)
            axis.set_xticks(rows[key], rows[key])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set_xlabel(GROWTH[key])
            axis.set_title(title)
            axis.legend(loc="upper left")
    _question(figure, "How do time and memory grow?")
    return figure


def _curves_of(best, key):
    """(key, title, rows by ascending key) of rows that differ in that key alone."""
    fixed = ["model_size", "forward_only", "context_length", *EXTRA_KEYS, *SHAPE_KEYS]
    fixed = [column for column in fixed if column in best and column != key]
    for _, rows in best.groupby(fixed, sort=False, dropna=False):
        if rows[key].nunique() >= LEAST_STEPS:
            first = rows.iloc[0]
            other = "batch_size" if key == "context_length" else "context_length"
            at = f"{other.split('_')[0]} {first[other]}"
            title = f"{first['model_size']}, {mode_name(first['forward_only'])}, {at}"
            yield key, title, rows.sort_values(key)


def _growth_of_time(axis, rows, key):
    """Beside it the time if it grew as the FLOPs do: above that line is overhead that grows."""
    axis.plot(rows[key], rows["mean_time_ms"], color=_colour(0), marker=_marker(0), label="time")
    shown = list(rows["mean_time_ms"])
    if "model_flops" in rows:
        flops = rows["model_flops"].astype(float)
        as_flops = flops / flops.iloc[0] * rows["mean_time_ms"].iloc[0]
        axis.plot(rows[key], as_flops, color=_colour(1), ls="--", label="as the FLOPs grow")
        shown += list(as_flops)
    _time_axis(axis, "mean time", shown, log_span=3)


def _growth_of_memory(axis, rows, key):
    """From zero, beside the straight line through both ends, which is a curve on this x axis."""
    if "peak_rss_bytes" not in rows or rows["peak_rss_bytes"].isna().any():
        axis.text(0.5, 0.5, "no peak_rss_bytes", transform=axis.transAxes, ha="center")
        return
    x, mib = rows[key].astype(float), rows["peak_rss_bytes"] / 2**20
    axis.plot(x, mib, color=_colour(0), marker=_marker(0), label="peak memory")
    slope = (mib.iloc[-1] - mib.iloc[0]) / (x.iloc[-1] - x.iloc[0])
    steps = [x.iloc[0] * (x.iloc[-1] / x.iloc[0]) ** (i / 50) for i in range(51)]
    linear = [mib.iloc[0] + slope * (step - x.iloc[0]) for step in steps]
    axis.plot(steps, linear, color=_colour(1), ls="--", label=f"linear in the {key.split('_')[0]}")
    axis.set_ylim(0, 1.15 * max(mib.max(), max(linear)))
    axis.set_ylabel("peak memory (MiB)")


def _end_labels(axis, ends, gap=11):
    """Names right of the lines' ends, pushed apart (in points) where they would overlap."""
    below = -math.inf
    for name, x, y in sorted(ends, key=lambda end: end[2]):
        at = axis.transData.transform((x, y))[1] * 72 / axis.figure.dpi
        below = max(at, below + gap)
        offset = {"xytext": (8, below - at), "textcoords": "offset points", "va": "center"}
        axis.annotate(name, (x, y), fontsize=9, **offset)


def _bars(axis, x, heights, width, i, label):
    drawn = axis.bar(
        x,
        heights,
        width,
        color=_colour(i),
        hatch=HATCHES[i % len(HATCHES)],
        edgecolor="white",
        lw=0.5,
        label=label,
    )
    axis.bar_label(drawn, fmt=lambda v: "" if math.isnan(v) else digits(v), fontsize=7.5, padding=1)


def _folded(series):
    return series.replace(", ", "\n")


def _by_recompute(table, judged):
    """Peak memory and time over the blocks that recompute = "block:K" makes again at a time; "none" is a line."""
    groups = [
        (name, group) for name, group in judged[judged["forward_only"].eq(False)].groupby(
            ["model_size", "context_length", "batch_size"], sort=False)
        if {"recompute", "peak_rss_bytes"} <= set(group) and group["recompute"].str.startswith("block").sum() >= LEAST_STEPS
    ]
    if not groups:
        return None
    figure, axes = _grid(2 * len(groups), 2, 5, 3.2)
    for i, ((size, context, batch), group) in enumerate(groups):
        blocks = group[group["recompute"].str.startswith("block")]
        at = blocks["recompute"].str.removeprefix("block").str.removeprefix(":").replace("", "1").astype(int)
        blocks = blocks.assign(every=at).sort_values("every")
        kept = group[group["recompute"] == "none"]
        believed = set(believed_rows(group).index)
        for axis, column, unit, what in (
            (axes[2 * i], "peak_rss_bytes", 2**20, "peak memory (MiB)"),
            (axes[2 * i + 1], "mean_time_ms", 1, "mean time (ms)"),
        ):
            sure = blocks.index.isin(believed) | (column == "peak_rss_bytes")
            axis.plot(blocks["every"][sure], blocks[column][sure] / unit, color=_colour(0))
            for rows, face in ((blocks[sure], _colour(0)), (blocks[~sure], "white")):
                axis.plot(rows["every"], rows[column] / unit, _marker(0), color=_colour(0), mfc=face)
            top = blocks[column].max() / unit
            if not kept.empty and (kept.index[0] in believed or column == "peak_rss_bytes"):
                whole = kept[column].iloc[0] / unit
                axis.axhline(whole, color=_colour(1), ls="--")
                axis.annotate("none", (1, whole), xycoords=("axes fraction", "data"), ha="right", va="bottom")
                top = max(top, whole)
            axis.set_xscale("log", base=2)
            axis.set_xticks(blocks["every"], blocks["every"])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set_ylim(0, top * 1.15)
            axis.set_xlabel("blocks made again at a time (K)")
            axis.set_ylabel(what)
            axis.set_title(f"{size}, context {context}, batch {batch}")
    _question(figure, "What does recomputing blocks save, and what does it cost? Hollow: not believed, in no line")
    return figure


def _question(figure, text):
    figure.suptitle(text, x=0.01, ha="left", weight="bold", fontsize=11)


def _colour(i):
    return LIGHT[i % len(LIGHT)]


def _marker(i):
    return MARKERS[i % len(MARKERS)]
