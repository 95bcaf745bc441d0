"""The recipe of `tare train` on PyTorch: the same texts, batches in the same order, optimizer, schedule, clipping
and dropout. For accuracy, or for the time of an epoch beside tare's, in turns.

    train_sentiment.py CONFIG.toml [--seed N]                 trains and evaluates as the config says
    train_sentiment.py CONFIG.toml --turns N [--examples N]   N epochs of each, over the first examples

The order is what `tare train --dry-run` prints. The head begins with its own random weights, and dropout with its
own masks. The time of an epoch has neither loading nor saving in it; tare's is from the rate that it reports.
"""

import argparse
import json
import re
import statistics
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path

import torch
from transformers import AutoTokenizer, DistilBertForSequenceClassification, get_linear_schedule_with_warmup


def read_samples(path, labels):
    """Texts and label numbers of a JSONL file."""
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [line["text"] for line in lines], [labels.index(line["expected_label"]) for line in lines]


def read_plan(tare, config):
    """[(epoch, length, examples)], a batch each."""
    plan = subprocess.run([tare, "train", config, "--dry-run"], check=True, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in plan.splitlines()]
    return [(int(epoch), int(length), [int(i) for i in examples.split()]) for epoch, length, examples in rows]


class Training:
    def __init__(self, config, seed):
        torch.manual_seed(seed)
        t, self.data = config["training"], config["data"]
        self.clip = t["max_grad_norm"]
        checkpoint = config["model"]["checkpoint"]
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = DistilBertForSequenceClassification.from_pretrained(
            checkpoint, num_labels=len(self.data["labels"]), dropout=t["dropout"], attention_dropout=0.0,
            seq_classif_dropout=t["dropout"])
        params = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(
            [{"params": [p for p in params if p.ndim > 1], "weight_decay": t["weight_decay"]},
             {"params": [p for p in params if p.ndim == 1], "weight_decay": 0.0}], lr=t["learning_rate"], fused=True)
        self.warmup = t["warmup"]

    def logits(self, texts, length):
        inputs = self.tokenizer(texts, padding="longest", max_length=length, truncation=True, return_tensors="pt")
        return self.model(inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits

    def schedule(self, updates):
        return get_linear_schedule_with_warmup(self.optimizer, round(self.warmup * updates), updates)

    def train(self, batches, samples, schedule):
        texts, labels = samples
        self.model.train()
        for length, examples in batches:
            self.optimizer.zero_grad()
            logits = self.logits([texts[i] for i in examples], length)
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor([labels[i] for i in examples]))
            loss.backward()
            if self.clip:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            schedule.step()

    @torch.no_grad()
    def accuracy(self, samples):
        self.model.eval()
        texts, labels = samples
        right = 0
        for start in range(0, len(texts), 50):
            some = self.logits(texts[start:start + 50], self.data["max_length"]).argmax(1).tolist()
            right += sum(a == b for a, b in zip(some, labels[start:start + 50]))
        return right / len(texts)


def train_whole(args, config):
    seed = config["training"]["seed"] if args.seed is None else args.seed
    samples = read_samples(config["data"]["train"], config["data"]["labels"])
    plan = read_plan(args.tare, args.config)
    training = Training(config, seed)
    schedule = training.schedule(len(plan))
    for epoch in range(config["training"]["epochs"]):
        start = time.perf_counter()
        training.train([(length, some) for e, length, some in plan if e == epoch], samples, schedule)
        line = f"seed {seed}, epoch {epoch + 1}: {time.perf_counter() - start:.1f} s"
        for name in ("development", "test"):
            if name in config["data"]:
                accuracy = training.accuracy(read_samples(config["data"][name], config["data"]["labels"]))
                line += f", {name} accuracy {accuracy:.4f}"
        print(line, flush=True)


def write_epoch(folder, config, examples):
    """The config of one epoch over the first examples, nothing evaluated."""
    lines = Path(config["data"]["train"]).read_text().splitlines(keepends=True)[:examples]
    (folder / "train.jsonl").write_text("".join(lines))
    tables = {"data": {"train": str(folder / "train.jsonl"), "labels": config["data"]["labels"],
                       "max_length": config["data"]["max_length"]},
              "model": config["model"], "training": {**config["training"], "epochs": 1}}
    text = f'task = "sentiment"\nout = "{folder / "out"}"\n'
    for name, table in tables.items():
        text += f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
    (folder / "epoch.toml").write_text(text)
    return folder / "epoch.toml"


def tare_rate(tare, config):
    """Examples a second of `tare train`, as its last line says."""
    done = subprocess.run([tare, "train", config, "--overwrite"], check=True, capture_output=True, text=True)
    return float(re.findall(r"([\d.]+) examples/s", done.stdout + done.stderr)[-1])


def take_turns(args, config):
    with tempfile.TemporaryDirectory() as name:
        path = write_epoch(Path(name), config, args.examples)
        samples = read_samples(Path(name) / "train.jsonl", config["data"]["labels"])
        plan = [(length, some) for _, length, some in read_plan(args.tare, path)]
        training, ratios = Training(config, 1), []
        for turn in range(args.turns):
            ours = args.examples / tare_rate(args.tare, path)
            start = time.perf_counter()
            training.train(plan, samples, training.schedule(len(plan)))
            theirs = time.perf_counter() - start
            ratios.append(ours / theirs)
            print(f"turn {turn + 1}: tare {ours:.2f} s, pytorch {theirs:.2f} s, ratio {ratios[-1]:.3f}", flush=True)
        print(f"median ratio of {args.turns}: {statistics.median(ratios):.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--tare", type=Path, default=Path("build/tare"), metavar="PROGRAM")
    parser.add_argument("--seed", type=int, help="instead of the config's")
    parser.add_argument("--turns", type=int, default=0, metavar="N", help="measure N epochs of each side")
    parser.add_argument("--examples", type=int, default=1600, metavar="N", help="in such an epoch")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = tomllib.loads(args.config.read_text())
    if config["training"].get("accumulate", 1) != 1:
        parser.error("batches are not accumulated here")
    take_turns(args, config) if args.turns else train_whole(args, config)


if __name__ == "__main__":
    main()
