"""Studies of CS336 whose files are not those of a sweep: the trace and the planned memory of one run, and the
rows of `tare attention`. For cs336.py, which says how a study looks.

Its one idea: each returns tables and the sentences that their rows support, as the studies of sweeps do.
"""

import glob
import json
import os
import re

from table import Problem, count, digits
from verdicts import row_is_believed

import pandas as pd

MIB, GIB = 2**20, 2**30
PRODUCTS = ("linear", "linear_cross_entropy")
PARTS = ("scores", "softmax", "values")
SOFTMAX_FLOPS = 5  # a score: the largest, subtract, exp, sum, divide


def span(values):
    """"1.2" or "1.2 to 3.4"."""
    low, high = digits(min(values)), digits(max(values))
    return low if low == high else f"{low} to {high}"


def percent(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else ""


def gib(size):
    return f"{digits(size / GIB)} GiB"


def absent(row):
    """The cell of a row without a time."""
    if row["status"] == "skipped_memory":
        ranks = row.get("ranks", "1")
        who = "" if str(ranks) in ("", "1") else f"each of {ranks} ranks "
        return f"out of memory, {who}needs {gib(row['predicted_peak_bytes'])}"
    if row["status"] == "planned" and row["predicted_peak_bytes"] > 0:  # by --dry-run
        return f"planned, needs {gib(row['predicted_peak_bytes'])}"
    return str(row["status"]).replace("_", " ")


def name_of(path):
    """small-256-step of cs336-profile-small-256-step.json and of its timeline."""
    return re.sub(r".*?(profile|timeline)-", "", os.path.splitext(os.path.basename(path))[0], count=1)


# ---- tare run --trace ----


class Trace:
    """Times in ms by (op, pass), and of attention by (part, pass)."""

    def __init__(self, path):
        self.name = name_of(path)
        try:
            with open(path, encoding="utf-8") as file:
                whole = json.load(file)
            self.about = whole["otherData"]
            steps = [e for e in whole["traceEvents"] if e.get("ph") == "X" and "step" in e.get("args", {})]
            self.ops, self.parts = {}, {}
            for step in steps:
                self.add(step)
            for event in whole["traceEvents"]:
                if event.get("cat") == "run" and event["name"] == "update":
                    self.ops["optimizer", "update"] = event["dur"] / 1e3
            if not steps or not int(self.about["head_dim"]) > 0:
                raise KeyError("steps")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise Problem(f"{path} is no trace of `tare run --trace`") from None
        self.total = sum(self.ops.values())

    def add(self, step):
        args, key = step["args"], (step["name"], step["args"]["phase"])
        self.ops[key] = self.ops.get(key, 0) + step["dur"] / 1e3
        inside = sum(args.get(f"{part}_us", 0) for part in PARTS)
        for part in PARTS if inside else ():  # summed over threads, so only their shares count
            share = step["dur"] / 1e3 * args[f"{part}_us"] / inside
            self.parts[part, args["phase"]] = self.parts.get((part, args["phase"]), 0) + share

    def of_part(self, *names):
        return sum(ms for (part, _), ms in self.parts.items() if part in names)

    def products(self):
        linear = sum(ms for (op, _), ms in self.ops.items() if op in PRODUCTS)
        return linear + self.of_part("scores", "values")

    def mode(self):
        updates = any(phase == "update" for _, phase in self.ops)
        return "training step" if updates else "forward and backward" if self.about["backward"] else "inference"


def _without_run(paths, traces):
    """A row of "share of the time" for each run beside these that has only a timeline."""
    ran = {t.name for t in traces}
    beside = sorted(glob.glob(os.path.join(glob.escape(os.path.dirname(paths[0])), "*timeline-*.csv")))
    return [[name_of(p), "", f"did not run, needs {gib(plan(p)['total'].max())}", "", "", ""]
            for p in beside if name_of(p) not in ran]


def profile(paths):
    traces = [Trace(path) for path in paths]
    by_op = [[t.name, op, phase, digits(ms, 4), percent(ms, t.total)]
             for t in traces for (op, phase), ms in sorted(t.ops.items(), key=lambda item: -item[1])[:8]]
    shares = [[t.name, t.mode(), digits(t.total, 4), percent(t.products(), t.total),
               percent(t.of_part("softmax"), t.total), percent(t.total - t.products() - t.of_part("softmax"), t.total)]
              for t in traces] + _without_run(paths, traces)
    inside, ratios = [], []
    for t in traces:
        values = [t.of_part(part) for part in PARTS]
        if not sum(values):
            continue
        time, flops = values[1] / (values[0] + values[2]), SOFTMAX_FLOPS / (4 * t.about["head_dim"])
        inside.append([t.name, *(digits(v, 4) for v in values), percent(values[1], sum(values)), digits(time), digits(flops)])
        ratios.append((time, flops))
    tables = [("time by op, the eight longest: ms of one run", ["run", "op", "pass", "ms", "share"], by_op),
              ("share of the time", ["run", "mode", "ms", "matrix products", "softmax", "the rest"], shares),
              ("inside attention", ["run", "scores ms", "softmax ms", "values ms", "softmax", "softmax / products, time",
                                    "softmax / products, FLOPs"], inside)]
    sentences = [f"Matrix products are {span([100 * t.products() / t.total for t in traces if t.mode() == mode])} % of "
                 f"the time of {'' if mode in ('inference', 'forward and backward') else 'a '}{mode}."
                 for mode in dict.fromkeys(t.mode() for t in traces)]
    if ratios:
        time, flops = zip(*ratios)
        sentences.append(f"Inside attention the softmax takes {span(time)} of the time of the two products, for "
                         f"{span(flops)} of their FLOPs (5 a score against 4 times the head's width).")
    sentences.append("Each run was timed once with a stamp after every step, so these are shares, not measurements.")
    return tables, sentences


# ---- tare run --memory ----

CATEGORIES = ["weights", "gradients", "moments", "activations", "scratch", "total"]


def plan(path):
    try:
        steps = pd.read_csv(path, keep_default_na=False)
        steps[CATEGORIES] = steps[CATEGORIES].astype("int64")
        steps[["step", "phase", "op"]]
        if steps.empty:
            raise KeyError("step")
        return steps
    except (OSError, ValueError, KeyError, pd.errors.EmptyDataError):
        raise Problem(f"{path} is no planned memory of `tare run --memory`") from None


def timeline(paths):
    body, shares = [], []
    for path in paths:
        steps = plan(path)
        at = steps.loc[steps["total"].idxmax()]
        shares.append(100 * at["activations"] / at["total"])
        body.append([name_of(path), *(gib(steps[c].max()) for c in CATEGORIES), f"{at['step']}, {at['phase']} {at['op']}"])
    head = ["run", *(c if c != "total" else "peak" for c in CATEGORIES), "step of the peak"]
    sentence = f"At the peak activations are {span(shares)} % of what is planned."
    return [("planned memory: the largest value of each kind over the steps", head, body)], [sentence]


# ---- tare attention ----

SHAPE = ["batch_size", "num_heads", "head_dim", "context_length", "causal", "precision"]
NUMBERS = ["forward_ms", "backward_ms", "both_ms", "saved_bytes", "predicted_peak_bytes", "mean_time_ms", "std_time_ms",
           "num_warmups", "warmups_needed", "first_trial_ms", "first_over_steady", "cpu_wait", "threads_seen"]


def attention_rows(path):
    try:
        rows = pd.read_csv(path, keep_default_na=False, dtype=str)
        rows[NUMBERS] = rows[NUMBERS].apply(pd.to_numeric, errors="coerce")
        rows["median_ms"] = rows["both_ms"]
        rows["ran"] = rows["status"] == "ok"
        rows["believed"] = [row["ran"] and row_is_believed(row) for _, row in rows.iterrows()]
        rows[[*SHAPE, "impl"]]
    except (OSError, ValueError, KeyError, pd.errors.EmptyDataError):
        raise Problem(f"{path} is no result of `tare attention`") from None
    return rows


def time_of(row, column):
    if row is None:
        return ""
    if not row["ran"]:
        return absent(row)
    return digits(row[column], 4) + ("" if row["believed"] else " *")


def attention(rows):
    impls, body, ratios, saved, lost = list(dict.fromkeys(rows["impl"])), [], [], [], []
    for shape, group in rows.groupby(SHAPE, sort=False):
        of = {row["impl"]: row for _, row in group.iterrows()}
        found = [of.get(impl) for impl in impls]
        body.append([*shape[2:], *(time_of(r, c) for r in found for c in ("forward_ms", "backward_ms")),
                     *("" if r is None else f"{digits(r['saved_bytes'] / MIB)} MiB" for r in found)])
        plain, flash = of.get("plain"), of.get("flash")
        if plain is not None and plain["status"] == "skipped_memory":
            lost.append(plain)
        if plain is None or flash is None:
            continue
        saved.append(plain["saved_bytes"] / flash["saved_bytes"])
        if plain["believed"] and flash["believed"]:
            ratios.append(flash["both_ms"] / plain["both_ms"])
    head = ["head_dim", "context", "causal", "precision", *(f"{i} {p} ms" for i in impls for p in ("forward", "backward")),
            *(f"{i} saves" for i in impls)]
    sentences = []
    if "plain" in impls and "flash" in impls:
        sentences.append(f"Flash takes {span(ratios)} of the time of plain, forward and backward ({count(len(ratios), 'shape')})."
                         if ratios else "Flash beside plain: no conclusion: not enough rows are believed.")
    if saved:
        sentences.append(f"Before backward plain keeps {span(saved)} times the bytes of flash.")
    if lost:
        least = min(lost, key=lambda r: int(r["context_length"]))
        sentences.append(f"Plain is out of memory from context {least['context_length']} on "
                         f"({gib(least['predicted_peak_bytes'])}).")
    title = f"one attention layer, batch {rows['batch_size'].iloc[0]}, heads {rows['num_heads'].iloc[0]}: medians"
    return [(title, head, body)], sentences
