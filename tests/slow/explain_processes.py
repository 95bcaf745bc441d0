#!/usr/bin/env python3
"""What explains that processes of one row differ? R squared for the samples of `tare sweep` with num_processes.

    explain_processes.py results/NAME.samples.csv

Its one idea: the process is the unit, so each is one point: the logarithm of its median time against what was
seen beside it, by least squares. A share of 1 explains all of the variance between processes. Needs numpy.
"""

import csv
import sys

import numpy as np


def processes(path):
    """{process: {column: values of the timed trials}}"""
    found = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["is_warmup"] == "False":
                columns = found.setdefault(int(row["process"]), {})
                for name in ("wall_ns", "cpu_ns", "runqueue_ns", "steal_ns", "probe_product_ns", "probe_read_ns"):
                    columns.setdefault(name, []).extend([float(row[name])] if row[name] else [])
    return found


def seen(of):
    """The time of a process, and what may explain it, as logarithms of factors."""
    wall, cpu, wait, steal, product, read = (
        np.median(of[name]) if of[name] else np.nan
        for name in ("wall_ns", "cpu_ns", "runqueue_ns", "steal_ns", "probe_product_ns", "probe_read_ns")
    )
    mean_wait = np.mean(of["runqueue_ns"]) / np.mean(of["wall_ns"]) if of["runqueue_ns"] else np.nan
    return np.log(wall), {
        "product": np.log(product),
        "read": np.log(read),
        "wait": -np.log1p(-min(mean_wait, 0.99)),
        "steal": steal / wall,
        "cpu": np.log(cpu),
        "cpu and wait": np.log(cpu + wait),
    }


QUESTIONS = {
    "the probe's product": ["product"],
    "the probe's read": ["read"],
    "the probe, both": ["product", "read"],
    "share of waiting for a CPU (run queue)": ["wait"],
    "the probe and that share": ["product", "read", "wait"],
    "stolen time": ["steal"],
    "CPU time of the trials": ["cpu"],
    "CPU time + run-queue wait, summed": ["cpu and wait"],
}


def r_squared(y, columns):
    """NaN where a column is not known of every process; 0 where it never differs."""
    x = np.column_stack([np.ones(len(y)), *columns])
    if np.isnan(x).any():
        return np.nan
    rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return 1 - (rest @ rest) / ((y - y.mean()) @ (y - y.mean()))


def main():
    found = processes(sys.argv[1])
    points = [seen(of) for _, of in sorted(found.items())]
    y = np.array([time for time, _ in points])
    print(f"{len(y)} processes; medians {np.exp(y.min()) / 1e6:.4g} to {np.exp(y.max()) / 1e6:.4g} ms, "
          f"standard deviation of their logarithms {y.std(ddof=1):.3f}")
    for name, columns in QUESTIONS.items():
        value = r_squared(y, [np.array([x[column] for _, x in points]) for column in columns])
        print(f"  R squared {value:5.2f}  {name}")


if __name__ == "__main__":
    main()
