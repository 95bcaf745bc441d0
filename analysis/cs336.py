#!/usr/bin/env python3
"""The tables that Stanford's course CS336 asks for, from the results of configs/cs336/ in one folder.

Its one idea: a file's name says which study it is of (cs336-2025-end-to-end.csv), a study is a table
and the sentence that its rows support. Files of `tare attention` and `tare run` are
cs336_files.py's, rows of several ranks cs336_ranks.py's. Rows that are not believed (verdicts.py) are shown, marked, and
draw no conclusion; rows that do not fit are shown with the memory that they would need.
It runs nothing, and draws nothing.
"""

import argparse
import glob
import os
import re

import cs336_files
import cs336_ranks
from cs336_files import absent, gib, span
from table import OPTIONAL_NUMBERS, TIMES, WHOLE, Problem, count, digits, load
from table import missing_module, print_text, run_main
from verdicts import judge, row_is_believed

try:
    import pandas as pd
    from tabulate import tabulate
except ImportError:
    missing_module("pandas and tabulate")


def no_conclusion(rows):
    return "No conclusion: " + ("not enough rows are believed." if rows["ran"].any() else "no row ran.")


class Study:
    """The rows of one file: those that ran with their verdict and whether they are believed, then the
    others, in one frame with `ran`, `believed` and `mode`."""

    def __init__(self, path):
        table = load(path)
        ran = judge(table.ran) if not table.ran.empty else table.ran
        ran = ran.assign(ran=True, believed=[row_is_believed(row) for _, row in ran.iterrows()])
        rest = table.rest.assign(ran=False, believed=False)
        rest["forward_only"] = rest["forward_only"] == "True"
        for column in {*WHOLE, *TIMES, *OPTIONAL_NUMBERS} & {*rest}:
            rest[column] = pd.to_numeric(rest[column], errors="coerce")
        rows = pd.concat([frame for frame in (ran, rest) if len(frame)]).sort_values("line")
        rows["mode"] = [mode_of(row) for _, row in rows.iterrows()]
        self.rows, self.name = rows, table.name


def mode_of(row):
    if row["forward_only"]:
        return "forward"
    return "training step" if row.get("optimizer") == "adamw" else "forward and backward"


def time_cell(row):
    if not row["ran"]:
        return absent(row)
    spread = "" if pd.isna(row["std_time_ms"]) else f" ± {digits(row['std_time_ms'], 2)}"
    return f"{digits(row['mean_time_ms'], 4)}{spread}{'' if row['believed'] else ' *'}"


def cells(rows, index, column, cell):
    """A table of `index` by the values of `column`, in the order of the file."""
    names = list(dict.fromkeys(rows[column]))
    table = []
    for key, group in rows.groupby(index, sort=False):
        found = {row[column]: cell(row) for _, row in group.iterrows()}
        table.append([*(key if isinstance(key, tuple) else (key,)), *(found.get(n, "") for n in names)])
    return names, table


def pairs(rows, keys, column, low, high):
    """(row, row) for each value of keys where both values of `column` have a believed row."""
    for _, group in rows[rows["believed"]].groupby(keys, sort=False):
        one, other = (group[group[column] == value] for value in (low, high))
        if len(one) and len(other):
            yield one.iloc[0], other.iloc[0]


# ---- the studies: each returns (title, head, rows of cells) tables, and sentences ----


def end_to_end(study):
    tables, sentences = [], []
    for mode, rows in study.rows.groupby("mode", sort=False):
        warmups, body = cells(rows, "model_size", "num_warmups", time_cell)
        head = ["size", *(f"{w:g} warmups" if w != 1 else "1 warmup" for w in warmups)]
        tables.append((f"{mode}: mean ± standard deviation in ms", head, body))
        sentences.append(_warmups(mode, rows, warmups))
    return tables, sentences


def _warmups(mode, rows, warmups):
    most = max(warmups)
    said = []
    for few in sorted(w for w in warmups if w < most):
        ratios = [a["mean_time_ms"] / b["mean_time_ms"] for a, b in pairs(rows, ["model_size"], "num_warmups", few, most)]
        if ratios:
            said.append(f"with {few:g} the mean is {span(ratios)} times that with {most:g} ({count(len(ratios), 'size')})")
    return f"{mode.capitalize()}: " + ("; ".join(said) + "." if said else no_conclusion(rows).lower())


def mixed_precision(study):
    body, ratios = [], []
    for size, rows in study.rows.groupby("model_size", sort=False):
        for _, row in rows.iterrows():
            parts = [digits(row[c], 4) if row["ran"] else "" for c in ("forward_ms", "backward_ms")]
            body.append([size, row["precision"], *parts, time_cell(row)])
    for single, mixed in pairs(study.rows, ["model_size"], "precision", "fp32", "mixed"):
        ratios.append([mixed[c] / single[c] for c in ("forward_ms", "backward_ms")])
    sentence = no_conclusion(study.rows)
    if ratios:
        forward, backward = zip(*ratios)
        sentence = (f"Mixed precision takes {span(forward)} of the time of fp32 forward and {span(backward)} "
                    f"backward ({count(len(ratios), 'size')}).")
    head = ["size", "precision", "forward ms (median)", "backward ms (median)", "both ms (mean ± std)"]
    return [("fp32 and bf16 mixed", head, body)], [sentence]


def memory(study):
    def peak(row):
        return gib(row["peak_rss_bytes"]) if row["ran"] else absent(row)

    index = ["model_size", "mode", "precision"]
    contexts, body = cells(study.rows, index, "context_length", peak)
    head = ["size", "mode", "precision", *(f"context {c:g}" for c in contexts)]
    sentences = []
    for (mode, context), rows in study.rows.groupby(["mode", "context_length"], sort=False):
        fits = rows.loc[rows["ran"] | (rows["status"] == "skipped_time"), "model_size"]
        judged = len(fits) or (rows["status"] == "skipped_memory").any()
        nothing = "no size fits" if judged else "no row ran"
        largest = f"the largest that fits is {fits.iloc[-1]}" if len(fits) else nothing
        sentences.append(f"{mode.capitalize()} at context {context:g}: {largest}.")
    off = study.rows["peak_rss_bytes"] / study.rows["predicted_peak_bytes"]
    off = off[study.rows["ran"]].dropna()
    if len(off):
        sentences.append(f"Measured peaks are {span(off)} of what was predicted.")
    return [("peak memory of the process", head, body)], sentences


def checkpointing(study):
    rows = study.rows
    body = [[r["model_size"], r["recompute"], gib(r["peak_rss_bytes"]) if r["ran"] else absent(r), time_cell(r)]
            for _, r in rows.iterrows()]
    sentences = [s for size, group in rows.groupby("model_size", sort=False) for s in _best_block(size, group)]
    return [("activation checkpointing", ["size", "recompute", "peak", "ms (mean ± std)"], body)], sentences


def _best_block(size, rows):
    ran = rows[rows["ran"]].reset_index(drop=True)
    blocks = ran[ran["recompute"].str.startswith("block")].reset_index(drop=True)
    if blocks.empty:
        return [f"{size}: no row with blocks ran."]
    at = int(blocks["peak_rss_bytes"].idxmin())
    near = [blocks.iloc[i] for i in (at - 1, at + 1) if 0 <= i < len(blocks)]
    best = blocks.iloc[at]
    sentence = f"{size}: {best['recompute']} needs least, {gib(best['peak_rss_bytes'])}"
    sentence += "".join(f"; {r['recompute']} {gib(r['peak_rss_bytes'])}" for r in near) + "."
    kept = ran[(ran["recompute"] == "none") & ran["believed"]]
    if len(kept) and best["believed"]:
        ratio = best["mean_time_ms"] / kept.iloc[0]["mean_time_ms"]
        return [sentence, f"{size}: it takes {digits(ratio)} times as long as keeping everything."]
    return [sentence, f"{size}: what it costs in time: " + no_conclusion(rows).lower()]


STUDIES = {  # in the order of the course
    "end-to-end": ("End to end", end_to_end),
    "end-to-end-step": ("End to end: the training step", end_to_end),
    "profile": ("Profile", cs336_files.profile),
    "mixed-precision": ("Mixed precision", mixed_precision),
    "memory": ("Memory", memory),
    "timeline": ("Memory over the steps", cs336_files.timeline),
    "checkpointing": ("Activation checkpointing", checkpointing),
    "attention": ("Attention", cs336_files.attention),
    "flash": ("Flash attention", cs336_files.attention),
    "all-reduce": ("All-reduce", cs336_ranks.all_reduce),
    "data-parallel": ("Data parallel", cs336_ranks.data_parallel),
    "sharded-optimizer": ("Sharded optimizer and fully sharded training", cs336_ranks.sharded_optimizer),
}
ROWS = {cs336_files.attention: cs336_files.attention_rows, cs336_ranks.all_reduce: cs336_ranks.all_reduce_rows}  # of no sweep
TOGETHER = ("profile", "timeline")  # a run a file, all in one table
SUFFIXES = {"profile": ".json"}


def study_of(path):
    stem, suffix = os.path.splitext(os.path.basename(path))
    names = [name for name in STUDIES if name in stem and SUFFIXES.get(name, ".csv") == suffix]
    return max(names, key=len, default=None)


# ---- pages ----


class Markdown:
    suffix = "Rows marked * are not believed and draw no conclusion."

    def heading(self, text):
        return f"## {text}"

    def table(self, title, head, body):
        return f"**{title}**\n\n" + tabulate(body, head, tablefmt="pipe", disable_numparse=True)

    def text(self, sentence):
        return sentence


class Latex(Markdown):
    def heading(self, text):
        return f"\\section*{{{self.text(text)}}}"

    def table(self, title, head, body):
        return f"\\paragraph{{{self.text(title)}}}\n\n" + tabulate(
            body, head, tablefmt="latex_booktabs", disable_numparse=True
        ).replace("±", "$\\pm$")

    def text(self, sentence):
        for character in "&%#_":
            sentence = sentence.replace(character, "\\" + character)
        return sentence.replace("±", "$\\pm$")


def by_numbers(path):
    """256 before 1024."""
    return [(word.isdigit(), int(word) if word.isdigit() else word) for word in re.split(r"(\d+)", path)]


def page(folder, style):
    paths = [p for p in glob.glob(os.path.join(folder, "*.*")) if study_of(p)]
    paths = [p for p in paths if not p.endswith((".samples.csv", ".tokens.csv"))]
    if not paths:
        raise Problem(f"{folder} has no result of configs/cs336: no {', '.join(STUDIES)} in a name of a .csv or .json file")
    parts = []
    for name, (title, make) in STUDIES.items():
        found = sorted((p for p in paths if study_of(p) == name), key=by_numbers)
        for group in [found] if name in TOGETHER and found else [[path] for path in found]:
            parts += section(style, name, title, make, group)
    return "\n\n".join(parts) + "\n"


def section(style, name, title, make, paths):
    """Of one file; or of several whose study takes them together."""
    of, doubted = None, False
    if name in TOGETHER:
        tables, sentences = make(paths)
    else:
        of = os.path.splitext(os.path.basename(paths[0]))[0]
        study = ROWS.get(make, Study)(paths[0])
        rows = study if make in ROWS else study.rows
        tables, sentences = make(study)
        doubted = (rows["ran"] & ~rows["believed"]).any()
    parts = [style.heading(f"{title} ({of})" if of else title)]
    parts += [style.table(*table) for table in tables if table[2]]
    parts += [style.text(sentence) for sentence in sentences]
    return [*parts, style.text(style.suffix)] if doubted else parts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", metavar="DIR", help="where the results of configs/cs336 lie")
    parser.add_argument("--latex", action="store_true", help="LaTeX (booktabs) in the place of Markdown")
    args = parser.parse_args()
    print_text(page(args.folder, Latex() if args.latex else Markdown()))


if __name__ == "__main__":
    run_main(main)
