"""Walks the pages of the project and runs every command they show, in their order, in a fresh clone: what a
page says works from top to bottom, and installs or names what it needs.

    walk_pages.py [--keep] [--only TEXT]

A command is a line of a block without a language, or code inside a sentence, that begins like one of STARTS; and
each file of the table in configs/README.md with the verb beside it. What is run otherwise than it stands is
listed in OTHERWISE and SMALLER with the reason. The clone is of the last commit; its .venv, .cache and results
are its own. Takes about an hour on two busy cores, downloads PyTorch, and as root installs Debian packages. Exit 1
when a command failed.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# analysis/README.md makes the models and data that configs/README.md needs.
PAGES = ["README.md", ".github/CONTRIBUTING.md", "bench/README.md", "autograd/README.md", "model/README.md",
         "analysis/README.md", "configs/README.md", "tests/README.md", "analysis/SPEED.md", "analysis/RESULTS.md",
         "analysis/CHANGELOG.md", "bench/COLUMNS.md"]

STARTS = (r"bash |build[\w-]*/|cmake |ctest |python3 |\.venv/|apt-get |echo |TARE=|\./|[A-Z]+=\S+$|configs/\S+\.sh"
          r"|tare \w+ .*(configs/|--model )")

# As a page has it -> what is run, None for nothing; why.
OTHERWISE = {
    "bash tests/run.sh": ("bash tests/run.sh --quick", "parity has an hour of its own"),
    "build/tare VERB --help": ("build/tare sweep --help", "a pattern"),
    "build/tare sweep configs/quick.toml --overwrite": ("build/tare sweep configs/quick.toml --overwrite", "plots are of it"),
    "apt-get install clang libclang-rt-dev libomp-dev": ("apt-get install -y clang libclang-rt-dev libomp-dev", "nobody answers here"),
    "cmake -DBLA_VENDOR=...": (None, "a pattern"),
    "cmake --install build --prefix DIR": ("cmake --install build --prefix installed", "a pattern"),
    "cmake --install": (None, "a word of the list of changes"),
    "build/bench_kernels [threads] [rounds] [filter]": ("build/bench_kernels 1 1 norm", "a pattern"),
    "build/tare train configs/sentiment_train.toml":
        ("build/tare train configs/sentiment_train.toml --set epochs=1 --set 'train=\".cache/data/movie_development.jsonl\"'",
         "three epochs of all take five minutes on quiet cores"),
    "cmake --build build-fuzz -j 2":
        ("cmake --build build-fuzz -j 2 --target fuzz_safetensors", "the next line needs one of them"),
    "build-fuzz/fuzz_safetensors -max_total_time=60 tests/fuzz/corpus_safetensors":
        ("build-fuzz/fuzz_safetensors -max_total_time=5 tests/fuzz/corpus_safetensors", "a minute finds no more"),
    "bash tests/slow/calibrate.sh": ("PAIRS=1 TRIES=1 SIMULATE=no bash tests/slow/calibrate.sh", "40 pairs are for a figure"),
    "build/tare compare configs/gpt_peers.toml --filter '^(small|medium)/' --set 'peers=[\"pytorch\", \"pytorch_compile\"]'":
        ("build/tare compare configs/gpt_peers.toml --filter '^small/gpt_forward/.*s128' --set rounds=1 "
         "--set 'peers=[\"pytorch\", \"pytorch_compile\"]'", "one cell, once"),
    "build/tare train configs/cs336/train.toml":
        ("build/tare tokenizer-train configs/data/measuring.txt --vocab 1000 --out results/cs336-tokenizer && "
         "build/tare train configs/cs336/train.toml --set text=configs/data/measuring.txt --set d_model=64", "a text, and a small model"),
    "configs/cs336/profile.sh": ("BATCH=1 bash configs/cs336/profile.sh --overwrite small", "two sizes take ten minutes"),
}

# A command that matches -> what is put behind it; why. The first that matches.
ROWS = "--overwrite --out results/walk.csv --set num_trials=1 --set num_warmups=0 --set max_row_time=30s"
SOME_OK = " || grep -q 'exceeded the time limit' results/walk.csv; grep -q ',ok,' results/walk.csv" # on a busy machine
CELL = "build/tare compare configs/"
SMALLER = [
    (r"build/tare sweep .*(batch_growth|data_parallel|sharded)", f" {ROWS} --filter ^small/{SOME_OK}", "small's rows of seconds"),
    (r"build/tare sweep .*/checkpointing", f" --set batch_size=1 --set context_length=128 {ROWS}{SOME_OK}", "rows of seconds"),
    (r"build/tare sweep ", f" --set batch_size=1 {ROWS}{SOME_OK}", "rows of seconds"),
    (r"build/tare attention ", f" {ROWS} --filter '/t(256|1024)/d64'{SOME_OK}", "rows of seconds"),
    (r"build/tare comm ", f" {ROWS} --filter /r2/{SOME_OK}", "rows of two processes"),
    (CELL + "sentiment", " --set rounds=1 --set cold_starts=1 --set warmups=1", "20 rounds"),
    (CELL + "distilbert.toml$", " --set rounds=1 --filter small/", "the small model, once"),
    (CELL + "(gpt|llama)_peers.toml$", " --set rounds=1 --filter '^small/gpt_forward/.*s128'", "one cell, once"),
    (CELL + "attention_peers", " --set rounds=1 --filter 's(256|1024)$'", "short contexts, once"),
    (CELL + "llm_peers", " --set rounds=1 --set 'peers=[\"pytorch\"]' --filter '/(prefill|decode)/b1s128'",
     "peers of the requirements alone, once"),
    (CELL, " --set rounds=1", "once"),
    (r"build/tare precision ", " --set rounds=1", "20 rounds"),
    (r"build/tare run .*--model (small|large)\b", " --trials 1 --warmups 0", "one trial"),
]


def commands_of(page):
    """The commands of a page, in order, without the comments behind them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in re.finditer(r"^\| (`[^|\n]+`) \| `tare (\w+)` \||^```(\w*)\n(.*?)^```|`([^`\n]+)`", text, re.M | re.S):
        names, verb, language, block, inline = match.groups()
        if names:
            for name in re.findall("`(.*?)`", names):
                path = ROOT / "configs" / name
                for file in sorted(path.glob("*.toml")) if name.endswith("/") else [path]:
                    yield f"build/tare {verb} {file.relative_to(ROOT)}"
            continue
        lines = [inline] if inline else block.splitlines() if not language else []
        for line in lines:
            command = re.sub(r"\s{2,}#.*", "", line).strip()
            if re.match(STARTS, command) and (" " in command or block or command.endswith(".sh")):
                yield re.sub("^tare ", "build/tare ", command)


def run_as(command):
    """What is run for a command, None for nothing, and why it is not the same."""
    if command in OTHERWISE:
        return OTHERWISE[command]
    for begins, behind, reason in SMALLER:
        if re.match(begins, command):
            return command + behind, reason
    return command, ""


def run(command, clone):
    """Seconds it took, and its last lines where it failed, else None."""
    start = time.monotonic()
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=clone, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    failure = None if done.returncode == 0 else f"exit {done.returncode}\n" + "\n".join(done.stdout.splitlines()[-25:])
    return time.monotonic() - start, failure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave the clone where it is, and say where")
    parser.add_argument("--only", default="", metavar="TEXT", help="pages whose name has TEXT")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tare-pages-"))
    clone = folder / "tare"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    unused, failed, done = set(OTHERWISE), 0, set()
    try:
        for page in (p for p in PAGES if args.only in p):
            variables = ""  # those that the page sets
            for command in commands_of(page):
                instead, reason = run_as(command)
                unused.discard(command)
                if instead is None or instead in done:
                    continue
                if re.fullmatch(r"[A-Z]+=\S+", instead):
                    variables += instead + "; "
                    continue
                done.add(instead)
                seconds, failure = run(variables + instead, clone)
                failed += failure is not None
                print(f"{page}: {'FAILED' if failure else 'ok'} {seconds:5.0f} s  {instead}"
                      + (f"  ({reason})" if reason else ""), flush=True)
                if failure:
                    print(f"    {failure}".replace("\n", "\n    "), flush=True)
        if unused and not args.only:
            print("no page shows:", *sorted(unused), sep="\n    ")
        print(f"{len(done)} commands, {failed} failed")
    finally:
        if args.keep:
            print(clone)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(failed > 0 or bool(unused and not args.only))


if __name__ == "__main__":
    main()
