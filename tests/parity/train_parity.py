"""`tare train` beside PyTorch: with dropout off, the same data, order and initial weights give the same
losses; and what it writes, the transformers library loads and computes the same with.

    train_parity.py [--tare PROGRAM] [--only TEXT] [--verbose]

Models come from bench/peers/make_models.py, texts from a seed: no network is needed. The order is what `--dry-run`
prints. It measures no speed and no accuracy.
"""

import csv
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from torch_reference import arguments, make_model
from make_models import WORDS  # bench/peers, which torch_reference puts on the path

LOSS_RELATIVE = 3e-6    # observed: at most 6.3e-7; PyTorch itself drifts by 2e-7 with its threads
LOGITS_ABSOLUTE = 3e-6  # observed: at most 7.2e-7
UPDATES = 50

CASES = {
    "plain": dict(batch_size=8, accumulate=1, learning_rate=1e-3, warmup=0.1, weight_decay=0.01, max_grad_norm=1.0),
    "accumulated": dict(batch_size=4, accumulate=3, learning_rate=5e-4, warmup=0.0, weight_decay=0.1, max_grad_norm=0.0),
}


def write_samples(path, rng, count):
    """Texts of 1 to 40 words; a label that some of the words hint at."""
    samples = []
    for _ in range(count):
        words = rng.choices(WORDS, k=rng.choice([1, 3, 5, 8, 13, 21, 40]))
        label = "positive" if sum(map(len, words)) % 2 else "negative"
        samples.append({"text": " ".join(words), "expected_label": label, "category": "plain"})
    path.write_text("".join(json.dumps(s) + "\n" for s in samples))
    return samples


def toml(task, out, data, model, training):
    def table(name, values):
        return f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items())

    return f'task = "{task}"\nout = "{out}"\n' + table("data", data) + table("model", model) + table("training", training)


def tare(args, *command):
    result = subprocess.run([args.tare, *map(str, command)], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"tare {command[0]} failed: {result.stderr}")
    return result.stdout


def curve(out):
    with open(out / "loss.csv", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def updates_of(plan, accumulate):
    """The batches of --dry-run, as lists of batches an update: an update ends with its epoch."""
    epochs = {}
    for line in plan.splitlines():
        epoch, length, examples = line.split("\t")
        epochs.setdefault(epoch, []).append((int(length), [int(i) for i in examples.split()]))
    return [batches[i:i + accumulate] for batches in epochs.values() for i in range(0, len(batches), accumulate)]


def torch_losses(folder, samples, plan, case):
    import torch
    from transformers import AutoTokenizer, DistilBertForSequenceClassification, get_linear_schedule_with_warmup

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = DistilBertForSequenceClassification.from_pretrained(folder).eval()  # eval: no dropout
    params = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in params if p.ndim > 1], "weight_decay": case["weight_decay"]},
         {"params": [p for p in params if p.ndim == 1], "weight_decay": 0.0}], lr=case["learning_rate"])
    updates = updates_of(plan, case["accumulate"])
    schedule = get_linear_schedule_with_warmup(optimizer, round(case["warmup"] * len(updates)), len(updates))
    losses = []
    for batches in updates[:UPDATES]:
        total = sum(len(examples) for _, examples in batches)
        optimizer.zero_grad()
        mean = 0.0
        for length, examples in batches:
            inputs = tokenizer([samples[i]["text"] for i in examples], padding="max_length", max_length=length,
                               truncation=True, return_tensors="pt")
            labels = torch.tensor([samples[i]["expected_label"] == "positive" for i in examples]).long()
            loss = torch.nn.functional.cross_entropy(
                model(inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits, labels)
            (loss * len(examples) / total).backward()
            mean += loss.item() * len(examples) / total
        if case["max_grad_norm"]:
            torch.nn.utils.clip_grad_norm_(params, case["max_grad_norm"])
        optimizer.step()
        schedule.step()
        losses.append(mean)
    return losses


def logits_difference(args, out, samples, temporary):
    """Largest difference between the logits of `tare dump` and of the transformers library."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, DistilBertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(out)
    model = DistilBertForSequenceClassification.from_pretrained(out).eval()
    worst = 0.0
    for sample in samples[:10]:
        ids = tokenizer(sample["text"])["input_ids"]
        tare(args, "dump", "--overwrite", out, "--ids", " ".join(map(str, ids)), "--out", temporary)
        with torch.no_grad():
            expected = model(torch.tensor([ids])).logits
        worst = max(worst, (load_file(temporary)["logits"] - expected).abs().max().item())
    return worst


def check(name, worst, bound):
    ok = worst <= bound
    print(f"{name:40} {worst:.2e} (bound {bound:.0e}) {'ok' if ok else 'FAILED'}")
    return ok


def sentiment(args, folder, name, case):
    rng = random.Random(7)
    samples = write_samples(folder / "train.jsonl", rng, 240)
    model, out = make_model(folder, "distilbert-small"), folder / f"out-{name}"
    config = folder / f"{name}.toml"
    config.write_text(toml("sentiment", out, {"train": str(folder / "train.jsonl"), "labels": ["NEGATIVE", "POSITIVE"]},
                           {"checkpoint": str(model)}, {"epochs": 3, "dropout": 0.0, **case}))
    plan = tare(args, "train", config, "--dry-run")
    tare(args, "train", config)
    ours, theirs = curve(out)[:UPDATES], torch_losses(model, samples, plan, case)
    if len(ours) != len(theirs) or len(ours) < UPDATES:
        sys.exit(f"{name}: {len(ours)} losses of ours, {len(theirs)} of PyTorch's, {UPDATES} wanted")
    relative = [abs(a - b) / b for a, b in zip(ours, theirs)]
    if args.verbose:
        for step, (a, b, r) in enumerate(zip(ours, theirs, relative), 1):
            print(f"  {step:3} {a:.9f} {b:.9f} {r:.1e}")
    ok = check(f"{name}: {UPDATES} losses, relative", max(relative), LOSS_RELATIVE)
    worst = logits_difference(args, out, samples, folder / "dump.safetensors")
    return check(f"{name}: logits in transformers", worst, LOGITS_ABSOLUTE) and ok


def gpt(args, folder):
    """The held-out loss that the last line of the curve has, computed by the transformers library."""
    import torch
    from transformers import GPT2LMHeadModel

    context, windows, held = 32, 40, 4
    text = " ".join(random.Random(3).choices(WORDS, k=2000)).encode()[:context * windows + 1]
    (folder / "text.txt").write_bytes(text)
    out, config = folder / "out-gpt", folder / "gpt.toml"
    config.write_text(toml("gpt", out, {"text": str(folder / "text.txt"), "held_out": held / windows},
                           dict(d_model=36, num_layers=2, num_heads=3, context=context),
                           dict(epochs=3, batch_size=5, learning_rate=3e-3, dropout=0.1)))
    tare(args, "train", config)
    with open(out / "loss.csv", newline="") as file:
        ours = float(list(csv.DictReader(file))[-1]["development_loss"])
    model = GPT2LMHeadModel.from_pretrained(out).eval()
    ids = torch.tensor(list(text))
    starts = range((windows - held) * context, windows * context, context)
    tokens = torch.stack([ids[s:s + context] for s in starts])
    targets = torch.stack([ids[s + 1:s + context + 1] for s in starts])
    with torch.no_grad():
        theirs = torch.nn.functional.cross_entropy(model(tokens).logits.flatten(0, 1), targets.flatten()).item()
    return check("gpt: held-out loss, relative", abs(ours - theirs) / theirs, LOSS_RELATIVE)


def main():
    args = arguments(__doc__.split("\n")[0])
    args.tare = args.tare.resolve()
    ok = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, case in CASES.items():
            if args.only in name:
                ok = sentiment(args, folder, name, case) and ok
        if args.only in "gpt":
            ok = gpt(args, folder) and ok
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
