"""`tare compare` with the real peers on small models: every component, every peer, sentiment classifiers,
parity proven and the result files complete. It says nothing about speed: the rounds are few.

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
component = ["prefill", "decode", "prefill_bf16", "decode_bf16", "prefill_q8_0", "decode_q8_0", "first_token_bf16"]
model = "llama-small"
batch_size = [1, 3]
seq_len = 21
n_gen = 9
[[cell]]
component = ["prefill", "decode"]
model = "gpt-tied"
batch_size = 2
seq_len = 20
n_gen = 9
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
component = ["model_bf16", "model_int8"]
model = "distilbert"
batch_size = 3
seq_len = 37
[[cell]]
component = ["gpt_forward", "gpt_forward_backward", "gpt_step", "gpt_forward_bf16", "gpt_forward_backward_mixed",
             "gpt_step_mixed"]
model = "gpt-tied"
batch_size = 3
seq_len = 29
[[model]]
name = "layer"
head_dim = 24
num_heads = 3
[[model]]
name = "causal-layer"
head_dim = 32
causal = true
[[cell]]
component = ["attention_forward", "attention"]
model = ["layer", "causal-layer"]
batch_size = 2
seq_len = [2, 131]
[[cell]]
component = ["gpt_forward", "gpt_forward_backward", "gpt_step", "gpt_forward_bf16", "gpt_forward_backward_mixed",
             "gpt_step_mixed"]
model = ["llama", "qwen3"]
batch_size = 2
seq_len = 23
[[cell]]
component = ["gpt_step", "gpt_step_mixed"]
model = "gpt-untied"
batch_size = 2
seq_len = 17
fresh_process = true
rounds = 2
"""
MODELS = {"distilbert": "distilbert-small", "bert": "bert-headless", "gpt-tied": "gpt2-odd",
          "gpt-untied": "gpt2-untied", "llama": "llama-grouped", "llama-small": "llama-rounded", "qwen3": "qwen3-small"}
SENTIMENT = """
task = "sentiment"
model = "{model}"
rounds = 6
warmups = 3
cold_starts = 1
threads = 2
max_length = 24
[data]
benchmark = "{folder}/benchmark.jsonl"
validation = "{folder}/validation.jsonl"
[implementations]
pytorch = true
onnxruntime = true
pytorch_gpu = true
"""
CLASSIFIERS = {"distilbert-small": ["NEGATIVE", "POSITIVE"], "bert-small": ["LABEL_0", "LABEL_1", "LABEL_2"]}
COMPILED = "^(distilbert|gpt-tied)/(model|gpt_step|gpt_step_mixed)/b3"  # few, for each takes seconds to compile

# Of a decoder, where they are installed: llama.cpp's GPT-2 takes its GELU from a table of fp16, 4e-4 of a logit
# away, so the others are compared on a Llama.
# OpenVINO shows ids alone, and of random weights rounded its own way those may be others.
DECODERS = {("pytorch_static", "llama_cpp"): "^llama-small/(prefill|decode|first_token)",
            ("openvino",): "^llama-small/(prefill|decode)/"}
ENCODER = {"pytorch", "onnxruntime"}
PEERS_OF = {"tokenizer": {"tokenizers"}, "embeddings": ENCODER, "model": ENCODER, "end_to_end": ENCODER,
            "prefill": {"pytorch"}, "decode": {"pytorch"}, "prefill_bf16": {"pytorch"}, "decode_bf16": {"pytorch"},
            "prefill_q8_0": {"pytorch"}, "decode_q8_0": {"pytorch"}, "first_token_bf16": {"pytorch"},
            "attention_forward": {"pytorch"}, "attention": {"pytorch"},
            "model_bf16": {"pytorch"}, "model_int8": {"onnxruntime"},
            "gpt_forward": {"pytorch"}, "gpt_forward_backward": {"pytorch"}, "gpt_step": {"pytorch"},
            "gpt_forward_bf16": {"pytorch"}, "gpt_forward_backward_mixed": {"pytorch"}, "gpt_step_mixed": {"pytorch"}}


def run(tare, config, out, *options):
    """The records of one run, as CSV rows, and its JSON."""
    done = subprocess.run([str(tare), "compare", str(config), "--out", str(out), *options], cwd=PEERS.parents[1],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"tare compare ended with {done.returncode}\n{done.stderr}")
    (table,), (report,) = out.glob("benchmark_*.csv"), out.glob("benchmark_*.json")
    with open(table, newline="") as lines:
        return list(csv.DictReader(lines)), json.loads(report.read_text())


def faults_of(rows, peers_of=PEERS_OF):
    """What is wrong with the rows of a run: a sentence each."""
    cells = {}
    for row in rows:
        key = tuple(row[c] for c in ("component", "model", "batch_size", "seq_len"))
        cells.setdefault(key, {})[row["implementation"]] = row
    for key, by_name in cells.items():
        expected = {"tare"} | peers_of[key[0]]
        if set(by_name) != expected:
            yield f"{key} has records of {sorted(by_name)}, not {sorted(expected)}"
        for name, row in by_name.items():
            if not float(row["median_ms"]) > 0:
                yield f"{key} {name}: no median"
            if name != "tare" and (row["parity_ok"] != "True" or not row["ratio"]):
                yield f"{key} {name}: parity {row['parity_ok']}, ratio '{row['ratio']}'"
            matrix_work = key[0] not in ("tokenizer", "embeddings")
            if matrix_work != bool(row["peak_fraction"]) or row["status"] != "ok":
                yield f"{key} {name}: peak_fraction '{row['peak_fraction']}', {row['status']}"
            if int(row["rounds"]) >= 6 and not float(row["median_lo_ms"]) <= float(row["median_ms"]):
                yield f"{key} {name}: the median is outside its interval"


def decoder_faults(tare, config, out):
    """Of the peers of decoders but eager PyTorch; one that is not installed is named."""
    for peers, cells in DECODERS.items():
        rows, report = run(tare, config, out.with_name(peers[0]), "--set", f"peers={json.dumps(peers)}", "--filter", cells)
        for name, why in report["left_out"].items():
            print(f"skipped {name}: {why}")
        there = set(peers) - set(report["left_out"])
        fewer = {"first_token_bf16": there - {"pytorch_static"}}
        yield from faults_of(rows, {name: fewer.get(name, there) for name in PEERS_OF})


def write_samples(folder, labels):
    """Texts of many lengths, one of them longer than max_length, in every category and with every label."""
    texts = [" ".join(["The film", "is not", "a bad one, but", "long!"][i % 4] for i in range(start, start + length))
             for start, length in enumerate([1, 2, 3, 5, 8, 20, 1, 6])]
    for name, part in (("benchmark", texts[:6]), ("validation", texts[6:])):
        lines = [json.dumps({"text": text, "expected_label": labels[i % len(labels)], "category": f"c{i % 2}"})
                 for i, text in enumerate(part)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def right_by_transformers(model, path):
    """How many labels of the file transformers gets right, by its own pipeline."""
    import torch
    from transformers import AutoModelForSequenceClassification, BertTokenizerFast

    classifier = AutoModelForSequenceClassification.from_pretrained(model).eval()
    tokenizer = BertTokenizerFast.from_pretrained(model)
    right = 0
    for sample in map(json.loads, path.read_text().splitlines()):
        inputs = tokenizer(sample["text"], truncation=True, max_length=24, return_tensors="pt",
                           return_token_type_ids=False)
        with torch.no_grad():
            label = int(classifier(**inputs).logits.argmax())
        right += classifier.config.id2label[label] == sample["expected_label"]
    return right


def sentiment_faults(tare, folder, made):
    folder = folder / f"sentiment-{made}"
    folder.mkdir()
    model = make_model(folder, made)
    write_samples(folder, CLASSIFIERS[made])
    config = folder / "sentiment.toml"
    config.write_text(SENTIMENT.format(model=model, folder=folder))
    rows, report = run(tare, config, folder / "results")
    names = [row["implementation"] for row in rows]
    if names not in (["tare", "pytorch", "onnxruntime"], ["tare", "pytorch", "onnxruntime", "pytorch_gpu"]):
        yield f"{made}: records of {names}"
    if ("pytorch_gpu" in names) == ("pytorch_gpu" in report["left_out"]):
        yield f"{made}: left out {report['left_out']}"
    for row in rows:
        where = f"{made} {row['implementation']}"
        if row["implementation"] != "tare" and (row["parity_ok"] != "True" or not row["ratio"]):
            yield f"{where}: parity {row['parity_ok']}, ratio '{row['ratio']}'"
        if int(row["requests"]) != 36 or not 0 < float(row["tokenizer_share"]) < 1:
            yield f"{where}: {row['requests']} requests, tokenizer's share {row['tokenizer_share']}"
        for key in ("mean_ms", "p95_ms", "load_ms", "first_request_ms", "start_ms"):
            if not float(row[key] or 0) > 0:
                yield f"{where}: {key} is '{row[key]}'"
        for name in ("benchmark", "validation"):
            right = right_by_transformers(model, folder / f"{name}.jsonl")
            if float(row[f"{name}_right"]) != right:
                yield f"{where}: {name} has {row[f'{name}_right']} right, transformers {right}"


def main():
    args = arguments(__doc__.splitlines()[0])
    tare = args.tare.resolve()
    with tempfile.TemporaryDirectory(prefix="compare-parity-") as folder:
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
        faults += decoder_faults(tare, config, folder / "decoders")
        for name, model in report["models"].items():
            weights = Path(model["dir"]) / "model.safetensors"
            done = subprocess.run(["sha256sum", weights], capture_output=True, text=True, check=True)
            if model["sha256"] != done.stdout.split()[0]:
                faults.append(f"model {name}: sha256 {model['sha256']}")
        if set(report["implementations"]) != {"tare", "pytorch", "onnxruntime", "tokenizers"}:
            faults.append(f"implementations {sorted(report['implementations'])}")
        for made in CLASSIFIERS:
            faults += sentiment_faults(tare, folder, made)
    if args.verbose:
        for row in rows + compiled:
            print(*row.values())
    print(*faults, f"{len(rows) + len(compiled)} records, {len(faults)} faults", sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
