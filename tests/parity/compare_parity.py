"""`tare compare` with the real peers on small models: every component, every peer, parity proven and the
result files complete. It says nothing about speed: the rounds are few.

    compare_parity.py [--tare PROGRAM] [--only TEXT] [--verbose]
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from torch_reference import PEERS, arguments, make_model

CONFIG = """
name = "parity"
rounds = 6
threads = 2
peers = ["pytorch", "pytorch_compile", "onnxruntime", "tokenizers"]
{models}
[[cell]]
component = "tokenizer"
model = "distilbert"
batch_size = [1, 8]
[[cell]]
component = ["embeddings", "model", "end_to_end"]
model = ["distilbert", "bert"]
batch_size = 3
seq_len = 37
[[cell]]
component = ["gpt_forward", "gpt_forward_backward", "gpt_step"]
model = "gpt-tied"
batch_size = 3
seq_len = 29
[[cell]]
component = "gpt_step"
model = "gpt-untied"
batch_size = 2
seq_len = 17
fresh_process = true
rounds = 2
"""
MODELS = {"distilbert": "distilbert-small", "bert": "bert-headless", "gpt-tied": "gpt2-odd",
          "gpt-untied": "gpt2-untied"}
COMPILED = "^(distilbert|gpt-tied)/(model|gpt_step)/b3"  # few, for each takes seconds to compile

ENCODER = {"pytorch", "onnxruntime"}
PEERS_OF = {"tokenizer": {"tokenizers"}, "embeddings": ENCODER, "model": ENCODER, "end_to_end": ENCODER,
            "gpt_forward": {"pytorch"}, "gpt_forward_backward": {"pytorch"}, "gpt_step": {"pytorch"}}


def run(tare, config, out, *options):
    """The records of one run, as CSV rows, and its JSON."""
    done = subprocess.run([str(tare), "compare", str(config), "--out", str(out), *options], cwd=PEERS.parents[1],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"tare compare ended with {done.returncode}\n{done.stderr}")
    (table,), (report,) = out.glob("benchmark_*.csv"), out.glob("benchmark_*.json")
    with open(table, newline="") as lines:
        return list(csv.DictReader(lines)), json.loads(report.read_text())


def faults_of(rows):
    """What is wrong with the rows of a run: a sentence each."""
    cells = {}
    for row in rows:
        key = tuple(row[c] for c in ("component", "model", "batch_size", "seq_len"))
        cells.setdefault(key, {})[row["implementation"]] = row
    for key, by_name in cells.items():
        expected = {"tare"} | PEERS_OF[key[0]]
        if set(by_name) != expected:
            yield f"{key} has records of {sorted(by_name)}, not {sorted(expected)}"
        for name, row in by_name.items():
            if not float(row["median_ms"]) > 0:
                yield f"{key} {name}: no median"
            if name != "tare" and (row["parity_ok"] != "True" or not row["ratio"]):
                yield f"{key} {name}: parity {row['parity_ok']}, ratio '{row['ratio']}'"
            if int(row["rounds"]) >= 6 and not float(row["median_lo_ms"]) <= float(row["median_ms"]):
                yield f"{key} {name}: the median is outside its interval"


def main():
    args = arguments(__doc__.splitlines()[0])
    tare = args.tare.resolve()
    with tempfile.TemporaryDirectory(prefix="tare-compare-") as folder:
        folder = Path(folder)
        models = "".join(f'[[model]]\nname = "{name}"\ndir = "{make_model(folder, made)}"\n'
                         for name, made in MODELS.items())
        config = folder / "config.toml"
        config.write_text(CONFIG.format(models=models))
        eager = 'peers=["pytorch", "onnxruntime", "tokenizers"]'
        rows, report = run(tare, config, folder / "eager", "--set", eager)
        faults = list(faults_of(rows))
        compiled, _ = run(tare, config, folder / "compiled", "--set", "rounds=2", "--set",
                          "peers=pytorch_compile", "--filter", COMPILED)
        faults += [f"pytorch_compile: {row}" for row in compiled
                   if row["implementation"] == "pytorch_compile" and row["parity_ok"] != "True"]
        for name, model in report["models"].items():
            weights = Path(model["dir"]) / "model.safetensors"
            done = subprocess.run(["sha256sum", weights], capture_output=True, text=True, check=True)
            if model["sha256"] != done.stdout.split()[0]:
                faults.append(f"model {name}: sha256 {model['sha256']}")
        if set(report["implementations"]) != {"tare", "pytorch", "onnxruntime", "tokenizers"}:
            faults.append(f"implementations {sorted(report['implementations'])}")
    if args.verbose:
        for row in rows + compiled:
            print(*row.values())
    print(*faults, f"{len(rows) + len(compiled)} records, {len(faults)} faults", sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
