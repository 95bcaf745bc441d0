"""Walks the pages of the project and runs every command they show, in their order, in a fresh clone: what a
page says works from top to bottom, and installs or names what it needs.

    walk_pages.py [--keep] [--only TEXT] [--light]

A command is a line of a block without a language, or code inside a sentence, that begins like one of STARTS.
What is run otherwise than it stands is listed in OTHERWISE with the reason. The clone is of the last commit;
its .venv, .cache and results are its own. Takes an hour or two, downloads PyTorch, and as root installs
Debian packages. --light, for a machine that has other work, makes models and sweeps small (LIGHT) and leaves
out the instrumented builds. Exit 1 when a command failed.
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

PAGES = ["README.md", ".github/CONTRIBUTING.md", "bench/README.md", "autograd/README.md", "model/README.md",
         "configs/README.md", "analysis/README.md", "tests/README.md", "analysis/SPEED.md", "analysis/RESULTS.md",
         "analysis/CHANGELOG.md", "bench/COLUMNS.md"]

STARTS = r"bash |build[\w-]*/|cmake |ctest |python3 |\.venv/|apt-get |echo |TARE=|\./"

# As a page has it -> what is run, None for nothing; why.
OTHERWISE = {
    "bash tests/run.sh": ("bash tests/run.sh --quick", "parity has an hour of its own"),
    "build/tare VERB --help": ("build/tare sweep --help", "a pattern"),
    "apt-get install clang libclang-rt-dev libomp-dev": ("apt-get install -y clang libclang-rt-dev libomp-dev", "nobody answers here"),
    "cmake -DBLA_VENDOR=...": (None, "a pattern"),
    "cmake --install build --prefix DIR": ("cmake --install build --prefix installed", "a pattern"),
    "cmake --install": (None, "a word of the list of changes"),
    "build/bench_kernels [threads] [rounds] [filter]": ("build/bench_kernels 1 1 norm", "a pattern"),
    "build/tare train configs/sentiment_train.toml":
        ("build/tare train configs/sentiment_train.toml --set epochs=1", "three epochs take five minutes on quiet cores"),
    "build/tare compare configs/sentiment.toml":
        ("build/tare compare configs/sentiment.toml --set rounds=1 --set cold_starts=1", "20 rounds"),
    "build/tare precision configs/precision.toml":
        ("build/tare precision configs/precision.toml --set rounds=1", "20 rounds"),
    "build-fuzz/fuzz_safetensors -max_total_time=60 tests/fuzz/corpus_safetensors":
        ("build-fuzz/fuzz_safetensors -max_total_time=5 tests/fuzz/corpus_safetensors", "a minute finds no more"),
}

# What --light runs instead.
LIGHT = {
    "bash tests/run.sh": (None, "the tests by themselves"),
    "build/tare train configs/gpt_train.toml":
        ("build/tare train configs/gpt_train.toml --set epochs=1 --set d_model=32", "light"),
    "build/tare precision configs/precision.toml":
        ("build/tare precision configs/precision.toml --set rounds=1 --filter gpt-bytes", "light"),
    "build/tare train configs/sentiment_train.toml":
        ("build/tare train configs/sentiment_train.toml --set epochs=1 --set 'train=\".cache/data/movie_development.jsonl\"'",
         "light"),
    "build/tare compare configs/sentiment.toml":
        ("build/tare compare configs/sentiment.toml --set rounds=1 --set cold_starts=1 --set warmups=1", "light"),
    "cmake -S . -B build-sanitize -DSANITIZE=ON && cmake --build build-sanitize -j 2 && ctest --test-dir build-sanitize":
        ("cmake -S . -B build-sanitize -DSANITIZE=ON", "light"),
    "cmake --build build-fuzz -j 2": ("cmake --build build-fuzz -j 2 --target fuzz_safetensors", "light"),
    "build/tare run --model small --profile":
        ("build/tare run --model small --profile --context 16 --batch 1 --trials 1", "light"),
    "ctest --test-dir build": ("ctest --test-dir build -E '^unit$'", "light"),
}
SMALL_MODEL = '\n[[model]]\nsize = "small"\nd_model = 64\nnum_layers = 2\nnum_heads = 4\n'


def commands_of(page):
    """The commands of a page, in order, without the comments behind them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in re.finditer(r"^```(\w*)\n(.*?)^```|`([^`\n]+)`", text, re.M | re.S):
        language, block, inline = match.groups()
        lines = [inline] if inline else block.splitlines() if not language else []
        for line in lines:
            command = re.sub(r"\s{2,}#.*", "", line).strip()
            if re.match(STARTS, command) and " " in command:
                yield command


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
    parser.add_argument("--light", action="store_true", help="small models and sweeps, see LIGHT")
    args = parser.parse_args()
    changes = {**OTHERWISE, **(LIGHT if args.light else {})}
    folder = Path(tempfile.mkdtemp(prefix="tare-pages-"))
    clone = folder / "tare"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    if args.light:
        quick = clone / "configs" / "quick.toml"
        quick.write_text(quick.read_text() + SMALL_MODEL)
    unused, failed, done = set(changes), 0, set()
    try:
        for page in (p for p in PAGES if args.only in p):
            for command in commands_of(page):
                instead, reason = changes.get(command, (command, ""))
                unused.discard(command)
                if instead is None or instead in done:
                    continue
                done.add(instead)
                seconds, failure = run(instead, clone)
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
