"""Compares byte-level BPE, `tare tokenize` and its --decode, with the tokenizers library, id by id and byte by
byte: the pre-tokenizers of GPT-2, SmolLM2, Llama 3 and Qwen2 with tables trained here, added tokens of every
kind, vocab.json with merges.txt, and GPT-2's real tables where a folder is given.

usage: bpe_parity.py [--tare PROGRAM] [--gpt2 FOLDER] [--text FILE]... [--seed N] [--lines N]

FOLDER is .cache/models/gpt2-tokenizer of analysis/fetch_decoder.py. Prints a line a check and the first
differences; exit 1 if there was any.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from tokenizer_parity import INVALID, Hostile, every_code_point, traps
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

ROOT = Path(__file__).resolve().parents[2]
AFTER = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BEFORE = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
LLAMA3, QWEN2 = BEFORE + r"{1,3}|" + AFTER, BEFORE + "|" + AFTER


def byte_level(**settings):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, **settings})


def split(regex):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), byte_level(use_regex=False)])


# name, pre-tokenizer, what else is set
KINDS = {
    "gpt2": (byte_level(), {}),
    "gpt2 prefix": (byte_level(add_prefix_space=True), {}),
    "smollm2": (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()]), {}),
    "smollm2 prefix": (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                byte_level(add_prefix_space=True)]), {}),
    "llama3": (split(LLAMA3), {"ignore_merges": True, "begin": "<|begin|>"}),
    "qwen2": (split(QWEN2), {"normalizer": normalizers.NFC()}),
}

ADDED = [
    AddedToken("<|im_start|>", special=True), AddedToken("<|im_end|>", special=True),
    AddedToken("<a>", lstrip=True, normalized=False), AddedToken("<b>", rstrip=True, normalized=False),
    AddedToken("<both>", lstrip=True, rstrip=True, special=True), AddedToken("word", single_word=True, normalized=False),
    AddedToken("<|im", normalized=False), AddedToken("e\u0301t\u00e9", normalized=True), AddedToken("  ", normalized=False),
    AddedToken("\u00e9 x", normalized=False), AddedToken("norm", normalized=True), AddedToken("\u4e2d", normalized=True),
]


def training_text():
    files = [ROOT / "README.md", ROOT / "configs/data/measuring.txt", *sorted((ROOT / "autograd").glob("*.c"))]
    return [line for path in files for line in path.read_text().splitlines(keepends=True)]


def train(kind, vocab_size, text):
    pre, extra = KINDS[kind]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer.train_from_iterator(text, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    if extra.get("ignore_merges"):  # tokens that no merge gives
        for token in ("\u0120the\u0120film", "xyzzy", "\u0120\u0120\u0120\u0120\u0120\u0120\u0120", "!!!???", "123"):
            model["vocab"].setdefault(token, len(model["vocab"]))
    tokenizer = Tokenizer(models.BPE(model["vocab"], [tuple(m) for m in model["merges"]],
                                     ignore_merges=extra.get("ignore_merges", False)))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre, decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if "normalizer" in extra:
        tokenizer.normalizer = extra["normalizer"]
    tokenizer.add_tokens(ADDED)
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", special=True)])
    if "begin" in extra:
        tokenizer.add_special_tokens([extra["begin"]])
        template = processors.TemplateProcessing(single=extra["begin"] + " $A", special_tokens=[
            (extra["begin"], tokenizer.token_to_id(extra["begin"]))])
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def texts(args, rng):
    """Movie-like prose, code, digits, white space, every code point, random hostility; bytes without LF."""
    lines = [line.rstrip("\n").encode() for line in training_text()] + traps()
    for path in args.text:
        lines += path.read_bytes().split(b"\n")
    words = [w for line in lines[:2000] for w in line.decode("utf-8", "replace").split()][:5000]
    hostile = Hostile(rng, words)
    lines += [hostile.line() for _ in range(args.lines)]
    spaces = [" ", "  ", "\t", "\r", "\u00a0", "\u3000", "\x85", "\u2028", "\x0b", "\x1c", "'", "'S", "'\u017f", "'LL", "'Re", "x",
              "\u00e9", "1", "12345", "\u0663", "\u00bd", "!", "...", "\r\r", " \r ", "<a>", "<b>", "<both>", "word", "<|im_start|>",
              "<|im", "norm", "e\u0301t\u00e9", "\u4e2d", "<|endoftext|>", "<|begin|>", "\u00e9 x", "e\u0301", "\U00011935\U00011930",
              "a\u0898\u0301", "\u1112\u1161\u11ab", "\u0344", "\u212b", "xyzzy", " the film"]
    lines += ["".join(rng.choice(spaces) for _ in range(rng.randint(1, 12))).encode() for _ in range(args.lines)]
    lines += [rng.choice(INVALID) + rng.choice(lines)[:20] for _ in range(500)]
    lines += ["'".encode() + chr(c).encode() for c in range(0x20, 0x250)]
    return [line.replace(b"\n", b" ") for line in lines]


def long_texts():
    return [b"a" * 1000000, b"ab" * 500000, "\u4e2d\u6587".encode() * 170000, b" " * 1000000 + b"x", b"1" * 300000,
            bytes(random.Random(1).choices(b"abcdefgh", k=1000000)), b"\xff" * 100000, b"!" * 300000]


def candidate(tare, directory, lines, *options):
    run = subprocess.run([tare, "tokenize", str(directory), *options], input=b"".join(line + b"\n" for line in lines),
                         capture_output=True, check=False)
    if run.returncode != 0:
        raise SystemExit(f"{directory}: {run.stderr.decode(errors='replace').strip() or run.returncode}")
    return run.stdout


def token_bytes(tokenizer):
    """{id: (bytes, special)}: what the library's decoder puts together, before it mends what is not UTF-8."""
    back = {chr(b) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174 else None: b for b in range(256)}
    back.pop(None, None)
    others = [b for b in range(256) if not (33 <= b <= 126 or 161 <= b <= 172 or b >= 174)]
    back.update({chr(256 + i): b for i, b in enumerate(others)})
    special = {t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special}
    return {i: (bytes(back[c] for c in t) if all(c in back for c in t) else t.encode(), t in special)
            for t, i in tokenizer.get_vocab(with_added_tokens=True).items()}


def bytes_of(table, rows, keep_special):
    """Of each row of ids."""
    parts = {i: t if keep_special or not special else b"" for i, (t, special) in table.items()}
    return [b"".join(map(parts.__getitem__, ids)) for ids in rows]


def lines_of(rows):
    """As `tare tokenize` prints them."""
    words = {i: str(i) for i in set().union(*rows)}
    return [" ".join(map(words.__getitem__, ids)).encode() for ids in rows]


class Report:
    def __init__(self, tare):
        self.tare, self.failed = tare, 0

    def line(self, name, count, different):
        print(f"{'ok' if not different else 'DIFFERENT'}: {name}, {count} lines", flush=True)
        self.failed += bool(different)
        for what in different[:5]:
            print("  " + what[:1500])

    def check(self, name, directory, tokenizer, lines):
        decoded = [line.decode("utf-8", "replace") for line in lines]
        want = [e.ids for e in tokenizer.encode_batch(decoded)]
        expected, rows = lines_of(want), candidate(self.tare, directory, lines).split(b"\n")[:-1]
        different = [f"{line[:300]!r}\n    library {w[:1000]}\n    tare    {g[:1000]}"
                     for line, w, g in zip(lines, expected, rows) if w != g]
        if len(want) != len(rows):
            different.append(f"{len(want)} lines became {len(rows)}")
        self.line(name, len(lines), different)
        table = token_bytes(tokenizer)
        for options in ([], ["--special"]):
            back = candidate(self.tare, directory, rows, "--decode", *options)
            whole = b"".join(text + b"\n" for text in bytes_of(table, want, bool(options)))
            self.line(f"{name}, --decode {' '.join(options)}", len(rows), [] if back == whole else ["other bytes"])
        few = want[:300]
        library = tokenizer.decode_batch(few)
        mended = [text.decode("utf-8", "replace") for text in bytes_of(table, few, False)]
        self.line(f"{name}, the library's own decode", len(few), [] if library == mended else ["the reference is wrong"])


def save(tokenizer, directory):
    directory.mkdir(exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))


def check_classes(report, folder, text, lines):
    """vocab.json and merges.txt alone, as transformers reads them."""
    import transformers

    for name, kind in ("GPT2Tokenizer", "gpt2"), ("Qwen2Tokenizer", "qwen2"):
        directory = folder / name
        directory.mkdir()
        tokenizer = train(kind, 1000, text)
        tokenizer.model.save(str(directory))
        (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
        loaded = getattr(transformers, name).from_pretrained(directory)
        want = lines_of(loaded([line.decode("utf-8", "replace") for line in lines])["input_ids"])
        got = candidate(report.tare, directory, lines).split(b"\n")[:-1]
        report.line(f"{name} of vocab.json", len(lines),
                    [f"{line!r}\n    library {w}\n    tare    {g}" for line, w, g in zip(lines, want, got) if w != g])


def check_training(report, folder, files):
    """The merges that `tare tokenizer-train` makes, and its files as the library reads them."""
    path = folder / "training.txt"
    for name, part in ("source", files[::2]), ("all", files), ("hostile", [line + "\n" for line in hostile_lines()]):
        path.write_text("".join(part))
        for size in (300, 2000, 100000):
            tokenizer = Tokenizer(models.BPE())
            tokenizer.pre_tokenizer, tokenizer.decoder = byte_level(), decoders.ByteLevel()
            tokenizer.train([str(path)], trainers.BpeTrainer(
                vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
            model = json.loads(tokenizer.to_str())["model"]
            out = folder / f"trained-{name}-{size}"
            subprocess.run([report.tare, "tokenizer-train", path, "--vocab", str(size), "--out", out], check=True,
                           stderr=subprocess.DEVNULL)
            merges = [line.split(" ") for line in (out / "merges.txt").read_text().split("\n")[1:-1]]
            vocab = json.loads((out / "vocab.json").read_text())
            different = [f"merge {i}: {w}, tare {g}" for i, (w, g) in enumerate(zip(model["merges"], merges)) if w != g]
            different += [f"{len(model['merges'])} merges, tare {len(merges)}"] * (len(model["merges"]) != len(merges))
            different += ["another vocabulary"] * (vocab != model["vocab"])
            read = Tokenizer.from_file(str(out / "tokenizer.json"))
            different += ["other ids"] * (read.encode("the film, at last").ids != tokenizer.encode("the film, at last").ids)
            report.line(f"training on {name} to {size}", len(part), different)


def hostile_lines():
    rng = random.Random(5)
    hostile = Hostile(rng, ["film", "movie", "aaaa", "abab"])
    return [hostile.line().decode("utf-8", "replace").replace("\0", " ").replace("\r", " ") for _ in range(3000)]


def gpt2_tokenizer(folder):
    merges = [tuple(line.split(" ")) for line in (folder / "merges.txt").read_text().split("\n")[1:] if line]
    tokenizer = Tokenizer(models.BPE(json.loads((folder / "vocab.json").read_text()), merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = byte_level(), decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tare", default="build/tare")
    parser.add_argument("--gpt2", type=Path)
    parser.add_argument("--text", type=Path, action="append", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--only", default="", help="kinds whose name contains it")
    args = parser.parse_args()
    args.tare = str(Path(args.tare).resolve())
    report, text = Report(args.tare), training_text()
    lines = texts(args, random.Random(args.seed))
    with tempfile.TemporaryDirectory(prefix="tare-parity-") as folder:
        folder = Path(folder)
        for kind in [kind for kind in KINDS if args.only in kind]:
            tokenizer = train(kind, 3000, text)
            save(tokenizer, folder / kind)
            report.check(kind, folder / kind, tokenizer, lines)
            report.check(f"{kind}, every code point", folder / kind, tokenizer, list(every_code_point()))
            report.check(f"{kind}, long", folder / kind, tokenizer, long_texts())
        check_training(report, folder, text)
        check_classes(report, folder, text, lines[::3])
        if args.gpt2:
            tokenizer, directory = gpt2_tokenizer(args.gpt2), folder / "real"
            directory.mkdir()
            shutil.copy(args.gpt2 / "vocab.json", directory)
            shutil.copy(args.gpt2 / "merges.txt", directory)
            report.check("GPT-2's tables", directory, tokenizer, lines)
            save(tokenizer, folder / "real.json")
            report.check("GPT-2's tables in tokenizer.json", folder / "real.json", tokenizer, lines + long_texts())
    print(f"{report.failed} failures")
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    main()
