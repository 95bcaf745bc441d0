#!/usr/bin/env python3
"""The planned memory of a row as one picture: a stacked area over its steps, and what one block saves.

    tare run --model small --memory M.csv --tensors T.csv ...
    memory_plot.py M.csv --tensors T.csv --plots DIR

Its one idea: both files are exact, so the picture computes sums and shares only. It prints the same figures as
text: the peak and its step, the bytes that each block saves for backward, the five largest tensors of a block
in percent, and the size of the residual stream, which is the last tensor of a block.
"""

import argparse
import os
import sys

from table import Problem, add_overwrite, check_new, count, make_folder, run_main, write_figure

import pandas as pd

KINDS = ["weights", "gradients", "moments", "scratch", "activations"]
STEPS = ["step", "phase", "op", "layer", *KINDS, "total"]
TENSORS = ["op", "layer", "kind", "weight", "shape", "bytes", "first", "last", "saved"]
MIB = 2**20


def load(path, columns, what):
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values={"layer": [""]})
    except (OSError, ValueError) as e:
        raise Problem(f"cannot read {path}: {e}") from None
    missing = set(columns) - set(table.columns)
    if missing or table.empty:
        raise Problem(f"{path} is no {what} of tare run: " + (f"it has no column {min(missing)}" if missing else "it is empty"))
    return table


def name_of(tensor):
    """"linear h.0.mlp.c_fc.weight [512x3072]", or the log-sum-exp that an attention keeps: "attention (aux)"."""
    name = " ".join(word for word in (tensor["op"], tensor["weight"]) if word)
    return f"{name} [{tensor['shape']}]" if tensor["shape"] else f"{name} ({tensor['kind']})"


def mib(size):
    return f"{size / MIB:,.1f} MiB"


def block_report(tensors, forward_steps):
    """Lines of text, and the note beside the picture."""
    saved = tensors[tensors["saved"] & tensors["layer"].notna()]
    if saved.empty:
        return ["no block saves anything for backward"], ""
    blocks = saved.groupby("layer")["bytes"].sum()
    layer = blocks.idxmax()
    block = saved[saved["layer"] == layer].sort_values("bytes", ascending=False, kind="stable")
    data = tensors[(tensors["layer"] == layer) & (tensors["kind"] == "data") & (tensors["first"] <= forward_steps)]
    residual = data.loc[data["first"].idxmax()]
    largest = [(name_of(t), t["bytes"] / block["bytes"].sum()) for _, t in block.head(5).iterrows()]
    lines = [f"saved by block {int(layer)}: {mib(blocks.max())} in {count(len(block), 'tensor')}; "
             f"all {len(blocks)} blocks that save any: {mib(blocks.sum())}",
             "its five largest:"]
    lines += [f"  {100 * share:5.1f} %  {name}" for name, share in largest]
    stream = f"residual stream: {mib(residual['bytes'])} [{residual['shape']}]"
    note = "\n".join([f"saved by one block, {mib(blocks.max())}:", *(f"{100 * s:.0f} % {n}" for n, s in largest), stream])
    return [*lines, stream], note


def report(steps, tensors):
    peak = steps.loc[steps["total"].idxmax()]
    where = peak["op"] + ("" if pd.isna(peak["layer"]) else f" of layer {int(peak['layer'])}")
    lines = [f"peak: {mib(peak['total'])} at step {peak['step']} of {len(steps)} ({peak['phase']}, {where}): "
             + ", ".join(f"{kind} {mib(peak[kind])}" for kind in KINDS)]
    note = ""
    if tensors is not None:
        more, note = block_report(tensors, (steps["phase"] == "forward").sum())
        lines += more
    return lines, note


def draw(steps, note, path, name):
    from plots import STYLE, plt
    from svg import LIGHT

    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(10, 4.6))
        layers = [steps[kind] / MIB for kind in KINDS]
        axis.stackplot(steps["step"], layers, labels=KINDS, colors=LIGHT[: len(KINDS)], step="mid", lw=0)
        peak = steps.loc[steps["total"].idxmax()]
        top = peak["total"] / MIB
        axis.plot([peak["step"]], [top], "k^", ms=8)
        axis.annotate(f"peak {top:,.0f} MiB, step {peak['step']}: {peak['phase']} of {peak['op']}",
                      (peak["step"], top), xytext=(8, 6), textcoords="offset points", ha="left")
        turns = steps.index[steps["phase"].ne("forward")]
        if len(turns):
            axis.axvline(steps.loc[turns[0], "step"] - 0.5, color="#555555", lw=1, ls="--")
            axis.text(steps.loc[turns[0], "step"], 0.02 * top, " backward", color="black", va="bottom")
        axis.set_ylim(0, top * 1.15)
        axis.set_xlim(steps["step"].min() - 0.5, steps["step"].max() + 0.5)
        axis.set_xlabel("step")
        axis.set_ylabel("planned memory (MiB)")
        axis.set_title(f"{name}: what takes memory at which step?")
        handles, labels = axis.get_legend_handles_labels()
        axis.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1, 1))
        if note:
            axis.text(1.02, 0.5, note, fontsize=7, va="top", ha="left", transform=axis.transAxes)
        write_figure(path, figure)
        plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("memory", help="the CSV of tare run --memory")
    parser.add_argument("--tensors", help="the CSV of tare run --tensors, of the same row")
    parser.add_argument("--plots", metavar="DIR", help="draw into this folder, which is made")
    add_overwrite(parser)
    args = parser.parse_args()
    steps = load(args.memory, STEPS, "timeline")
    tensors = load(args.tensors, TENSORS, "list of tensors") if args.tensors else None
    lines, note = report(steps, tensors)
    print("\n".join(lines))
    if args.plots:
        name = os.path.splitext(os.path.basename(args.memory))[0]
        path = os.path.join(args.plots, f"{name}.memory.png")
        check_new(path, args.overwrite)
        make_folder(args.plots)
        draw(steps, note, path, name)
        print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    run_main(main)
