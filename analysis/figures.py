"""Stage 4d of the analysis: the report's sections that are charts, as HTML.

Its one idea: one function, one question. Where the file lacks the columns to answer it, the section
is the empty string. Nothing is judged here, and the drawing itself is svg.py's.
"""

import svg
from table import count, digits, mode_name, show_ms
from verdicts import SETTLED

FORWARD, BACKWARD = 0, 1  # the colours of the two modes; the second is hatched as well
BEST = "Mean of the most believable row"


def section(title, note, content):
    return f'<section><h2>{title}</h2><p class="note">{note}</p>{content}</section>'


def _grid(charts):
    return f'<div class="charts">{"".join(charts)}</div>'


def curves(table, judged):
    if table.samples is None or table.samples.empty:
        return ""
    counts = sorted(set(judged["num_warmups"]))
    by_row = dict(list(table.samples.groupby("row_id", sort=False)))
    charts = []
    for key, group in judged.groupby(["series", "context_length", "forward_only"], sort=False):
        curves = [
            (counts.index(row["num_warmups"]), "", _points(row, by_row[row["row_id"]], counts))
            for _, row in group.iterrows()
            if row["row_id"] in by_row
        ]
        if curves:
            last = max(
                by_row[row_id]["run"].max() for row_id in group["row_id"] if row_id in by_row
            )
            charts.append(
                svg.lines(
                    f"{key[0]}, {key[1]}, {mode_name(key[2])}",
                    curves,
                    "run of the process",
                    "time (ms)",
                    height=200,
                    x_ticks=svg.run_ticks(last),
                )
            )
    if not charts:
        return ""
    keys = [(count(c, "warmup"), i, False) for i, c in enumerate(counts)]
    hollow = "a warmup, not in the average"
    return section(
        "Warmup curves",
        "Time of every run, the cold first one included. A line is the "
        "process of one row; filled marks are its timed trials.",
        svg.legend([*keys, (hollow, len(counts) - 1, True)]) + _grid(charts),
    )


def _points(row, runs, counts):
    """The marks of one row, a little beside those of its twins with other warmup counts."""
    shift = svg.beside(counts.index(row["num_warmups"]), len(counts))
    return [
        (
            run + shift,
            ms,
            warmup,
            f"{row['name']}: run {run}{', warmup' if warmup else ''}, {show_ms(ms)}",
        )
        for run, ms, warmup in zip(runs["run"], runs["ms"], runs["is_warmup"])
    ]


def by_warmups(judged):
    if judged["num_warmups"].nunique() < 2:
        return ""
    counts = sorted(set(judged["num_warmups"]))
    charts = []
    for series, group in judged.groupby("series", sort=False):
        mean = group.groupby(["forward_only", "num_warmups"])["mean_time_ms"].mean()
        bars = [
            (
                f"{mode_name(mode)}, {count(warmups, 'warmup')}",
                show_ms(ms),
                [(ms, counts.index(warmups), False)],
                None,
            )
            for (mode, warmups), ms in mean.sort_index(ascending=[False, True]).items()
        ]
        charts.append(svg.bars(series, bars))
    return section(
        "Mean time by warmup count",
        "The average over contexts, as the row reports it: a "
        "cold first trial is in the average where there was no warmup.",
        _grid(charts),
    )


def forward_backward(best):
    if best["forward_only"].nunique() < 2:
        return ""
    charts = []
    for series, group in best.groupby("series", sort=False):
        bars = []
        for context, pair in group.groupby("context_length"):
            rows = {row["forward_only"]: row for _, row in pair.iterrows()}
            if len(rows) < 2:
                continue
            forward, both = rows[True], rows[False]
            ratio = both["mean_time_ms"] / forward["mean_time_ms"]
            bars += [
                (
                    f"{context}, forward",
                    show_ms(forward["mean_time_ms"]),
                    _mode_bar(forward["mean_time_ms"], True),
                    None,
                ),
                (
                    f"{context}, forward + backward",
                    f"{show_ms(both['mean_time_ms'])}, {ratio:.1f}×",
                    _parts(both),
                    None,
                ),
            ]
        if bars:
            charts.append(svg.bars(series, bars))
    if not charts:
        return ""
    return section(
        "Forward against forward + backward",
        BEST + " of each configuration, by context. Hatched: the backward pass, or the whole where "
        "the file does not split it.",
        _grid(charts),
    )


def _parts(row):
    """The bar of a forward + backward row, split by the stamps inside the trial where known."""
    forward, backward = row.get("forward_ms", 0), row.get("backward_ms", 0)
    if not forward > 0 or not backward > 0:
        return _mode_bar(row["mean_time_ms"], False)
    share = row["mean_time_ms"] / (forward + backward)
    return [(forward * share, FORWARD, False), (backward * share, BACKWARD, True)]


def by_context(best):
    contexts = sorted(set(best["context_length"]))
    if len(contexts) < 2:
        return ""
    names = list(dict.fromkeys(best["series"]))
    charts = _mode_charts(
        best, "series", "context_length", names, "context (tokens)", x_ticks=contexts
    )
    return section(
        "Time against context",
        f"{BEST}.{_hollow(best)}",
        svg.legend([(name, i, False) for i, name in enumerate(names)]) + _grid(charts),
    )


def by_size(best):
    """Against num_params where the file has it, else 12 L d^2, the weights of the blocks alone."""
    known = "num_params" in best and (best["num_params"] > 0).all()
    size = best["num_params"] if known else 12.0 * best["num_layers"] * best["d_model"] ** 2.0
    best = best.assign(size=size / 1e6)
    if best["size"].nunique() < 2:
        return ""
    contexts = sorted(set(best["context_length"]))
    label = "parameters (millions)" if known else "weights of the blocks, 12 L d² (millions)"
    charts = _mode_charts(best, "context_length", "size", contexts, label)
    return section(
        "Time against size",
        f"{BEST}, by context.{_hollow(best)}",
        svg.legend([(f"context {c}", i, False) for i, c in enumerate(contexts)]) + _grid(charts),
    )


def _hollow(best):
    doubtful = (best["verdict"] != SETTLED).any()
    return " A hollow mark: even that one is not settled, see the verdicts." if doubtful else ""


def _mode_charts(best, line_column, x_column, order, x_label, x_ticks=None):
    """One chart for each mode: time over x_column, a line for each value of line_column."""
    charts = []
    for forward_only, group in sorted(best.groupby("forward_only"), key=lambda each: not each[0]):
        lines = []
        for name, line in group.groupby(line_column, sort=False):
            points = [
                (
                    row[x_column],
                    row["mean_time_ms"],
                    row["verdict"] != SETTLED,
                    f"{row['name']}: {show_ms(row['mean_time_ms'])}, {row['verdict']}",
                )
                for _, row in line.sort_values(x_column).iterrows()
            ]
            lines.append((order.index(name), str(name), points))
        charts.append(
            svg.lines(
                mode_name(forward_only),
                lines,
                x_label,
                "time (ms)",
                x_ticks=x_ticks,
                x_log_span=1,
                y_log_span=3,
            )
        )
    return charts


def _mode_bar(value, forward_only):
    return [(value, FORWARD if forward_only else BACKWARD, not forward_only)]


def _in_order(group):
    return group.sort_values(["context_length", "forward_only"], ascending=[True, False])


def peak(best):
    if "peak_fraction" not in best or best["peak_fraction"].isna().all():
        return ""
    charts = []
    for series, group in best.dropna(subset="peak_fraction").groupby("series", sort=False):
        bars = [
            (
                f"{row['context_length']}, {mode_name(row['forward_only'])}",
                f"{row['peak_fraction']:.0%}",
                _mode_bar(row["peak_fraction"], row["forward_only"]),
                1,
            )
            for _, row in _in_order(group).iterrows()
        ]
        charts.append(svg.bars(series, bars))
    return section(
        "Share of peak",
        "Model FLOPs over time and the peak measured on the same threads "
        "(recompute not counted). The upright line is 100 %.",
        _grid(charts),
    )


def memory(best):
    if "peak_rss_bytes" not in best or best["peak_rss_bytes"].isna().all():
        return ""
    charts = []
    for series, group in best.dropna(subset="peak_rss_bytes").groupby("series", sort=False):
        charts.append(
            svg.bars(series, [_memory_bar(row) for _, row in _in_order(group).iterrows()])
        )
    return section(
        "Memory",
        "Bar: the measured peak of the row's process. Upright line: the peak "
        "predicted before anything was allocated.",
        _grid(charts),
    )


def _memory_bar(row):
    measured, predicted = row["peak_rss_bytes"] / 2**20, row.get("predicted_peak_bytes", 0) / 2**20
    predicted = predicted if predicted > 0 else None
    off = f", {measured / predicted - 1:+.0%} of predicted" if predicted else ""
    return (
        f"{row['context_length']}, {'fwd' if row['forward_only'] else 'fwd + bwd'}",
        f"{digits(measured)} MiB{off}",
        _mode_bar(measured, row["forward_only"]),
        predicted,
    )
