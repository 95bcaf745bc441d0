"""Studies of CS336 over several ranks: data parallel training, the sharded optimizer with fully sharded training, and
all-reduce. For cs336.py, which says how a study looks.

Its one idea: each returns tables and the sentences that their rows support. The closed forms are those of
matrix products of B tokens by a D x F weight in fp32, with rates that the rows themselves measured.
"""

from cs336_files import absent, percent, span
from table import Problem, count, digits

import pandas as pd

TRAFFIC = ["median_ms", "comm_ms", "comm_exposed_ms", "comm_share", "overlap_fraction", "predicted_comm_ms",
           "predicted_exposed_ms", "backward_slowdown_ms", "scaling_efficiency", "wire_bytes", "gflops_per_s",
           "link_latency_us", "link_gb_per_s"]
BYTES = ["param_bytes", "grad_bytes", "moment_bytes", "activation_bytes", "peak_rss_bytes"]
RATES = ["median_ms", "algbw_gb_per_s", "busbw_gb_per_s", "wrong", "predicted_peak_bytes"]


def numbers(rows, columns, what):
    lacking = [c for c in columns if c not in rows]
    if lacking:
        raise Problem(f"a result of {what} without the columns {', '.join(lacking)}")
    rows = rows.copy()
    rows[columns] = rows[columns].apply(pd.to_numeric, errors="coerce")
    return rows


def shown(value, of=4):
    return "" if pd.isna(value) else digits(value, of)


def mib(value):
    return "" if pd.isna(value) else f"{digits(value / 2**20, 4)} MiB"


def strategy(row):
    if row["parallel"] == "ddp-bucket":
        return f"ddp-bucket, {digits(float(row['bucket_mb']))} MiB"
    if row["parallel"] == "fsdp":
        return f"fsdp, {digits(float(row['prefetch_layers']))} ahead"
    return row["parallel"] if int(row["ranks"]) > 1 else "one rank"


def time_of(row):
    """Median and whether it is believed; why there is none."""
    if not row["ran"]:
        return absent(row)
    return digits(row["median_ms"], 4) + ("" if row["believed"] else " *")


# ---- data parallel ----


def data_parallel(study):
    rows = numbers(study.rows, TRAFFIC, "configs/cs336/data_parallel.toml")
    body = [[r["model_size"], r["ranks"], strategy(r), time_of(r), shown(r["comm_ms"]), shown(r["comm_exposed_ms"]),
             "" if pd.isna(r["comm_share"]) else percent(r["comm_share"], 1), shown(r["predicted_exposed_ms"]),
             shown(r["backward_slowdown_ms"], 3), shown(r["scaling_efficiency"], 3)] for _, r in rows.iterrows()]
    head = ["size", "ranks", "strategy", "step ms", "communication ms", "exposed ms", "of the step", "predicted exposed ms",
            "backward slower by ms", "scaling efficiency"]
    several = rows[rows["ran"] & (rows["ranks"].astype(int) > 1)]
    sentences = [s for key, group in several.groupby(["model_size", "ranks"], sort=False) for s in _strategies(key, group)]
    tables = [("data parallel: medians", head, body)]
    forms, said = closed_forms(several)
    if forms:
        tables.append(("ranks from which on communication takes longer than computing, by closed forms",
                       ["size", "tokens", "D", "F", "GFLOP/s of a rank", "GB/s", "data parallel", "fully sharded", "tensor parallel",
                        "both, two-dimensional"], forms))
    return tables, sentences + said


def _strategies(key, rows):
    believed = rows[rows["believed"]]
    of = {p: g for p, g in believed.groupby("parallel", sort=False)}
    where = f"{key[0]}, {key[1]} ranks"
    naive = of.get("ddp-naive")
    if naive is None or len(believed) < 2:
        return [f"{where}: no conclusion: not enough rows are believed."]
    naive, said = naive.iloc[0], []
    for _, r in believed[believed["parallel"] != "ddp-naive"].iterrows():
        exposed = f", {digits(r['comm_exposed_ms'] / naive['comm_exposed_ms'])} of it exposed" if naive["comm_exposed_ms"] > 0 else ""
        said.append(f"{strategy(r)} {digits(r['median_ms'] / naive['median_ms'])}{exposed}")
    sentences = [f"{where}: against ddp-naive's step of {digits(naive['median_ms'], 4)} ms: {'; '.join(said)}."]
    buckets = of.get("ddp-bucket")
    if buckets is not None and len(buckets) > 1:
        times = buckets["median_ms"]
        best = buckets.loc[times.idxmin()]
        sentences.append(f"{where}: buckets of {span(buckets['bucket_mb'].astype(float))} MiB differ by "
                         f"{percent(times.max() / times.min() - 1, 1)} of a step; the fastest is {digits(float(best['bucket_mb']))} MiB, "
                         f"the model says {_model_bucket(best)}.")
    return sentences


def _model_bucket(row):
    """Of n buckets of s bytes in all, each with latency o, what is left exposed is the last one, s / n at w bytes/s, and
    n o: least at s / n = sqrt(s w o)."""
    size = (float(row["wire_bytes"]) * row["link_gb_per_s"] * 1e9 * row["link_latency_us"] * 1e-6) ** 0.5
    return f"{digits(size / 2**20)} MiB ({digits(row['link_latency_us'])} us and {digits(row['link_gb_per_s'])} GB/s)"


# ---- closed forms ----


def bounds(tokens, width, flops, rate):
    """Ranks (data parallel, fully sharded, tensor parallel, both) at which communication takes as long as computing,
    of matrix products of `tokens` by two D x F weights in fp32, F = width, at `flops` FLOP/s of a rank and `rate` bytes/s.

    Data parallel: backward takes 8 B D F / X FLOPs, the all-reduce 2 x 8 D F bytes: X = B rate / (2 flops). Fully sharded:
    forward 4 B D F / X and a gather of 8 D F bytes: the same. Tensor parallel: forward 4 B D F / Y, a gather and a
    reduce-scatter of 4 B D bytes: Y = F rate / (2 flops). Both over one link, at the best X = sqrt(B N / F):
    2 sqrt(F B N) <= B F rate / (2 flops), so N = B F (rate / (4 flops))^2.
    """
    ratio = rate / flops
    return tokens * ratio / 2, tokens * ratio / 2, width * ratio / 2, tokens * width * (ratio / 4) ** 2


def closed_forms(rows):
    body, sentences = [], []
    for size, group in rows[rows["believed"]].groupby("model_size", sort=False):
        r = group.loc[group["median_ms"].idxmin()]
        computing = r["median_ms"] - r["comm_exposed_ms"]
        if not (computing > 0 and r["link_gb_per_s"] > 0):
            continue
        gflops = r["gflops_per_s"] / int(r["ranks"]) * r["median_ms"] / computing
        tokens = float(r["batch_size"]) * float(r["context_length"])
        width = float(r["d_ff"]) if str(r.get("d_ff", "")) not in ("", "nan") else 4 * float(r["d_model"])
        forms = bounds(tokens, width, gflops * 1e9, r["link_gb_per_s"] * 1e9)
        body.append([size, f"{tokens:.0f}", f"{float(r['d_model']):.0f}", f"{width:.0f}", digits(gflops), digits(r["link_gb_per_s"]),
                     *(digits(x) if x > 1 else "always" for x in forms)])
        binds = "at any number of ranks" if forms[0] <= 2 else f"from {digits(forms[0])} ranks on"
        sentences.append(f"{size}: at {digits(gflops)} GFLOP/s a rank and {digits(r['link_gb_per_s'])} GB/s, {tokens:.0f} tokens a step are "
                         f"bound by communication {binds} in data parallel; a rank needs {digits(2 * gflops / r['link_gb_per_s'])} "
                         "tokens of its own to hide it.")
    return body, sentences


# ---- sharded optimizer, fully sharded ----


def sharded_optimizer(study):
    rows = numbers(study.rows, [*TRAFFIC, *BYTES], "configs/cs336/sharded_optimizer.toml")
    body, points = [], []
    for _, r in rows.iterrows():
        name = [r["model_size"], r["ranks"], strategy(r)]
        body.append([*name, time_of(r), shown(r["comm_exposed_ms"]), mib(r["wire_bytes"])])
        if r["ran"]:
            start, before, after = points_of(r)
            points.append([*name, *(mib(r[c]) for c in BYTES[:4]), mib(start), mib(before), mib(after), mib(r["peak_rss_bytes"])])
        else:
            points.append([*name, *[""] * 7, absent(r)])
    tables = [("training steps: medians", ["size", "ranks", "strategy", "step ms", "exposed ms", "sent by a rank"], body),
              ("memory of a rank, planned; the peak measured",
               ["size", "ranks", "strategy", "weights", "gradients", "moments", "activations", "after start", "before the update",
                "after the update", "peak"], points)]
    several = rows[rows["ran"] & (rows["ranks"].astype(int) > 1)]
    sentences = [s for key, group in several.groupby(["model_size", "ranks"], sort=False) for s in _shares(key, group)]
    return tables, sentences


def points_of(row):
    """What is there after the start, at the end of backward, and once moments are: the course's three points."""
    start = row["param_bytes"]
    return start, start + row["grad_bytes"] + row["activation_bytes"], start + row["grad_bytes"] + row["moment_bytes"]


def _shares(key, rows):
    of = {p: g.iloc[0] for p, g in rows.groupby("parallel", sort=False)}
    where, said = f"{key[0]}, {key[1]} ranks", []
    whole = of.get("ddp-flat")
    for name in ("sharded-optimizer", "zero1", "fsdp"):
        if whole is not None and name in of:
            held = sum(of[name][c] for c in BYTES[:3]) / sum(whole[c] for c in BYTES[:3])
            said.append(f"{name} {digits(held)}")
    sentences = [f"{where}: of ddp-flat's weights, gradients and moments a rank holds: {'; '.join(said)}."] if said else []
    broadcast, zero1 = of.get("sharded-optimizer"), of.get("zero1")
    if broadcast is None or zero1 is None:
        return sentences
    bytes_ratio = f"it sends {digits(broadcast['wire_bytes'] / zero1['wire_bytes'])} times the bytes"
    if broadcast["believed"] and zero1["believed"]:
        sentences.append(f"{where}: sharing by broadcast takes {digits(broadcast['median_ms'] / zero1['median_ms'])} times a step of ZeRO "
                         f"stage 1; {bytes_ratio}.")
    else:
        sentences.append(f"{where}: sharing by broadcast beside ZeRO stage 1: no conclusion on time; {bytes_ratio}.")
    return sentences


# ---- tare comm ----


def all_reduce_rows(path):
    try:
        rows = pd.read_csv(path, keep_default_na=False, dtype=str)
        rows = numbers(rows, RATES, path)
        rows["ran"] = rows["status"] == "ok"
        rows["believed"] = rows["ran"] & (rows["wrong"] == 0)
        rows[["operation", "bytes", "ranks", "algorithm"]]
    except (OSError, ValueError, KeyError, pd.errors.EmptyDataError):
        raise Problem(f"{path} is no result of `tare comm`") from None
    return rows


def all_reduce(rows):
    body, ratios = [], []
    algorithms = list(dict.fromkeys(rows["algorithm"]))
    for (operation, ranks, size), group in rows.groupby(["operation", "ranks", "bytes"], sort=False):
        of = {r["algorithm"]: r for _, r in group.iterrows()}
        cells = [time_of(of[a]) if a in of else "" for a in algorithms]
        rates = [shown(of[a]["busbw_gb_per_s"], 3) if a in of else "" for a in algorithms]
        body.append([operation, ranks, f"{int(size) / 1e6:g} MB", *cells, *rates])
        if {"mpi", "ring"} <= {*of} and of["mpi"]["believed"] and of["ring"]["believed"]:
            ratios.append(of["ring"]["median_ms"] / of["mpi"]["median_ms"])
    head = ["operation", "ranks", "size", *(f"{a} ms" for a in algorithms), *(f"{a} busbw GB/s" for a in algorithms)]
    sentence = f"Our ring takes {span(ratios)} of the time of MPI's own ({count(len(ratios), 'row')})." if ratios else ""
    return [("collective operations: medians", head, body)], [sentence] if sentence else []
