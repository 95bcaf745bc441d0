#!/usr/bin/env python3
"""tokenizer_train: learns a byte-level BPE by `tare tokenizer-train` and by Hugging Face's trainer, in turns.

    tests/slow/tokenizer_train.py TARE TEXT [--vocab 10000] [--rounds 5] [--threads 2]

Both read TEXT, a UTF-8 file of some 20 to 100 MB, and write vocab.json and merges.txt; each turn is a process
of its own, in an order drawn for each round. Prints the median ratio of their times over the rounds and how
many merges are the same from the first on: where two pairs are equally frequent, the trainers may choose
differently. Exit 1 where tare is slower.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

TRAINER = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.train([sys.argv[1]], trainers.BpeTrainer(
    vocab_size=int(sys.argv[2]), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
tokenizer.model.save(sys.argv[3])
"""


def seconds(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), RAYON_NUM_THREADS=str(threads))
    begin = time.monotonic()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begin


def merges(folder):
    with open(os.path.join(folder, "merges.txt"), encoding="utf-8") as file:
        return [line for line in file.read().split("\n") if line and not line.startswith("#version")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tare")
    parser.add_argument("text")
    parser.add_argument("--vocab", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        ours, theirs = os.path.join(work, "tare"), os.path.join(work, "tokenizers")
        os.mkdir(theirs)
        commands = {
            "tare": [a.tare, "tokenizer-train", a.text, "--vocab", str(a.vocab), "--out", ours, "--overwrite"],
            "tokenizers": [sys.executable, "-c", TRAINER, a.text, str(a.vocab), theirs],
        }
        times = {name: [] for name in commands}
        for round_ in range(a.rounds):
            for name in random.sample(sorted(commands), 2):
                times[name].append(seconds(commands[name], a.threads))
            print(f"round {round_ + 1}: " + ", ".join(f"{n} {t[-1]:.2f} s" for n, t in times.items()), flush=True)
        left, right = merges(ours), merges(theirs)
        same = next((i for i, pair in enumerate(zip(left, right)) if pair[0] != pair[1]), min(len(left), len(right)))
        ratio = statistics.median(x / y for x, y in zip(times["tare"], times["tokenizers"]))
        print(f"{os.path.getsize(a.text) / 1e6:.1f} MB, {a.vocab} tokens, {a.threads} threads: ratio of times "
              f"{ratio:.2f}; {len(left)} and {len(right)} merges, the first {same} the same, "
              f"{len(set(left) & set(right))} in both")
        return ratio > 1


if __name__ == "__main__":
    sys.exit(main())
