"""Compares `tare tokenize` with the transformers library's BertTokenizer, id by id.

usage: tokenizer_parity.py [--tare PROGRAM] [--model DIR]... [--text FILE]... [--seed N] [--lines N] [--full]

Builds vocabularies and hostile text from a seed, and adds any model directories and text files given.
Prints a line a check and the first differences; exit 1 if there was any, 0 if there was none.
--full takes every code point through every combination of options instead of the four that differ most.
"""

import argparse
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

os.environ.update(HF_HUB_OFFLINE="1", RUST_BACKTRACE="0", TOKENIZERS_PARALLELISM="true", TRANSFORMERS_VERBOSITY="error")
from transformers import BertTokenizerFast  # noqa: E402  (the environment must be set first)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ALL = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
SPACES = [chr(c) for c in ALL if chr(c).isspace() or unicodedata.category(chr(c))[0] == "Z"]

TRAPS = """
Hello, World!|unaffable|UNAFFABLE|don't you're it's|naïve café résumé Ångström|e\u0301 = é|\u1e9b\u0323
İstanbul I\u0307 ı|ΑΣ ας ΣΑΣ|ﬀ ﬁ ﬃ|ŉ ǰ ΐ ẖ|ǅ ǆ Ǆ|ẞ ß|K \u212a Å \u212b|Ω \u2126|ﾊﾝｶｸ ＦＵＬＬ|½ ² ①
[CLS] [SEP] [MASK] [UNK] [PAD]|[cls][MASK]|x[MASK]y|[[MASK]]|[MASK|MASK]|[ MASK ]|[MA SK]|[Mask]|##ing|# #ing|[UNK]s
中文字符|漢字kanji漢字|\uf900\ufa6a\U0002f800|\u3400\u4dbf\u4dc0|\U00020000\U0002a6df\U0002a6e0|\U0002b81f\U0002b820\U0002b91f\U0002b920\U0002ceaf\U0002ceb0
日本語のテキスト ｶﾞ が か\u3099|한국어 각 \u1100\u1161\u11a8 가\u11a8|ไทย ภาษา|हिन्दी नमस्ते|தமிழ்|বাংলা|ক\u09be\u09cb
👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇩🇪 1️⃣ ☺︎ ❤️|a\u200db\u200cc\u200bd\ufeffe\u00adf\u2060g|\u202eabc\u202c|\u061c\u180e\u2066x\u2069
a\x00b\x01c\x7fd\x80e\x85f\x9fg|a\tb\rc\x0bd\x0ce|a\u00a0b\u1680c\u2003d\u2028e\u2029f\u202fg\u205fh\u3000i
$100 + 5% = ^x^ `y` ~z~ <a> |b| {c} @d #e|“quotes” ‘single’ — – … «» ¡¿ § ¶ · • ‰ ′ ″|\u166d \U000111c9 \u2e43 \u061d \u055a
\ue000\uf8ff\U000f0000\U0010ffff|\u0378\u0379 \U0001ffff \U000e0001 \U000e01ef \ufdd0 \uffff|\ufffd\ufffc\ufff9
\u0f73\u302e \u0f71\u0f72\u0f74 \u0f81|\U0001d15e\u302e \U0001d160\U0001d165\U0001d16d|a\u302e\U0001d165\u1b44 b\u1b44\u302f\u0301\U0001d16d|\u0344\u0345\u0301|\u08d4\u1baa\U0001e000\u302e\u1bf2
""".strip()


def traps():
    lines = [part for line in TRAPS.split("\n") for part in line.split("|")] + TRAPS.split("\n") + ["", " "]
    for n in (99, 100, 101, 200):
        for unit in ("a", "é", "e\u0301", "中", "ж", "\U0001f600", "\u0301", "\u200d"):
            lines += [unit * n, unit * n + "b", "x " + unit * n + "!"]
    lines += ["a" * 100 + "\u0301" * 10, "a" * 101 + " b", "unaffable" * 11, "unaffable" * 12, "\u0301" * 500]
    return [line.encode() for line in lines]


def every_code_point():
    """All of them, alone between letters, and in groups, where neighbours meet."""
    for i in range(0, len(ALL), 32):
        group = [chr(c) for c in ALL[i : i + 32] if c != 0x0A]
        yield ("a" + "b a".join(group) + "b").encode()
        yield "".join(group).encode()


INVALID = [b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xe0\x80\x80", b"\xe0\xa0", b"\xe1\x80", b"\xed\xa0\x80",
           b"\xed\xbf\xbf", b"\xef\xbf", b"\xf0\x80\x80\x80", b"\xf0\x90", b"\xf0\x90\x80", b"\xf1\x80\x80\x41",
           b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xfe", b"\xff", b"\xf8\x88\x80\x80\x80", b"\xe4\xb8", b"\xf0\x9f\x98"]


class Hostile:
    """Random text of everything that is special to some stage."""

    def __init__(self, rng, words):
        by_category = {}
        for c in ALL:
            by_category.setdefault(unicodedata.category(chr(c)), []).append(c)
        self.rng, self.words = rng, words
        self.categories = {k: v for k, v in by_category.items() if k != "Cs"}
        self.marks = by_category["Mn"] + by_category["Mc"] * 3 + by_category["Me"]
        # marks of several combining classes that survive accent stripping, and what may stand between them
        self.ordered = [0x302E, 0x302F, 0x1B44, 0x1BAA, 0x1D165, 0x1D16D, 0x1D16E, 0x8D4, 0x1E000, 0x1E94A, 0x11446,
                        0x1D15E, 0x1D160, 0x1D1BB, 0x34F, 0x0F73, 0x0344, 0x0301, 0x0323, 0x200D, 0x00AD, 0x41]
        self.emoji = by_category["So"] + by_category["Sk"] + [0x200D, 0xFE0F, 0x20E3] * 50

    def code_points(self, pool, most):
        return "".join(chr(self.rng.choice(pool)) for _ in range(self.rng.randint(1, most)))

    def part(self):
        rng = self.rng
        kind = rng.randrange(14)
        if kind < 3:
            word = rng.choice(self.words)
            return rng.choice([word, word.upper(), word.title(), word + rng.choice(self.words)])
        if kind < 5:
            return self.code_points(self.categories[rng.choice(list(self.categories))], 4)
        if kind == 5:
            return chr(rng.choice(ALL))
        if kind == 6:
            return rng.choice("aeouçñÅ가각क") + self.code_points(self.marks, 5)
        if kind == 7:
            return self.code_points(self.ordered, 8)
        if kind == 8:
            return self.code_points(self.emoji, 5)
        if kind == 9:
            return rng.choice(SPACES) * rng.randint(1, 3)
        if kind == 10:
            return rng.choice(SPECIAL + ["[mask]", "[MASK", "MASK]", "[", "##"])
        if kind == 11:
            return rng.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
        if kind == 12:
            return chr(rng.randrange(0x20, 0x7F)) * rng.choice([1, 2, 99, 101])
        return " "

    def line(self):
        rng = self.rng
        text = "".join(self.part() for _ in range(rng.randint(1, 30))).replace("\n", " ").encode()
        if rng.random() < 0.2:
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(text) + 1)
                text = text[:at] + rng.choice(INVALID) + text[at + rng.randrange(3) :]
        if rng.random() < 0.03:
            text = rng.randbytes(rng.randrange(200))
        return text.replace(b"\n", b"\t")


def alphabet_vocab():
    """Every code point as a word and as a continuation, so that nothing hides behind [UNK]."""
    trimmed = {c for c in ALL if chr(c) in SPACES}
    return SPECIAL + [p + chr(c) for p in ("", "##") for c in ALL if c not in trimmed or p and c == 0x0130]


def seeded_vocab(rng, size, cased):
    letters = "abcdefghijklmnopqrstuvwxyz" + ("ABCDEFGHIJKLMNOPQRSTUVWXYZé" if cased else "")
    others = "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~中文漢字あいうカ한글абвгдαβγ\u0e44\u0928\u064e\U0001f600€—“”"
    tokens = SPECIAL + [f"[unused{i}]" for i in range(20)]
    tokens += [p + c for c in letters + others for p in ("", "##")]
    seen = set(tokens)
    while len(tokens) < size:
        token = rng.choice(["", "##"]) + "".join(rng.choice(letters) for _ in range(rng.randint(2, 7)))
        if token not in seen:
            seen.add(token)
            tokens.append(token)
    return tokens


def write_model(root, name, vocab, **files):
    path = pathlib.Path(root, name)
    path.mkdir(exist_ok=True)
    if vocab is not None:
        (path / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8", newline="")
    for stem, content in files.items():
        (path / f"{stem}.json").write_text(json.dumps(content))
    return path


def attempt(call, *args, **kwargs):
    """The call's result, or None where it fails; a panic of the library's Rust part is no Exception."""
    saved = os.dup(2)
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)
    try:
        return call(*args, **kwargs)
    except BaseException as e:  # noqa: BLE001
        if isinstance(e, KeyboardInterrupt):
            raise
        return None
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def reference(model, lines, max_length):
    """What the library gives: a list of ids for each line, or None where it refuses line or model."""
    tokenizer = attempt(BertTokenizerFast.from_pretrained, model)
    if tokenizer is None:
        return [None] * len(lines)
    cut = dict(truncation=True, max_length=max_length) if max_length else {}
    texts = [line.decode("utf-8", "replace") for line in lines]
    every = attempt(tokenizer, texts, **cut)
    if every is not None:
        return every["input_ids"]
    each = [attempt(tokenizer, text, **cut) for text in texts]
    return [one and one["input_ids"] for one in each]


def candidate(tare, model, lines, max_length):
    """What tare gives: ids, or the sentence of its refusal."""
    command = [tare, "tokenize", str(model)] + (["--max-length", str(max_length)] if max_length else [])
    run = subprocess.run(command, input=b"".join(line + b"\n" for line in lines), capture_output=True, check=False)
    if run.returncode != 0:
        return run.stderr.decode(errors="replace").strip() or f"exit {run.returncode}"
    return [[int(i) for i in row.split()] for row in run.stdout.split(b"\n")[:-1]]


class Report:
    def __init__(self, tare):
        self.tare, self.failed, self.ids, self.points, self.refused = tare, 0, 0, 0, 0

    def compare(self, name, model, lines, max_length=0):
        want, got = reference(model, lines, max_length), candidate(self.tare, model, lines, max_length)
        both = [(line, w, g) for line, w, g in zip(lines, want, got) if w is not None]
        different = [f"{line!r}\n    library {w}\n    tare    {g}" for line, w, g in both if w != g]
        if isinstance(got, str):
            different = [f"tare alone refuses: {got}"] if both else []
        elif len(want) != len(got):
            different.append(f"{len(want)} lines became {len(got)}")
        if name or different:
            print(f"{len(different):6} different of {len(lines):7} lines  {name} {model if different else ''}", flush=True)
        for text in different[:3]:
            print("  ", text[:1500])
        self.failed += len(different)
        self.refused += len(lines) - len(both)
        self.ids += sum(len(w) for _, w, _ in both)
        self.points += sum(len(line.decode("utf-8", "replace")) for line, _, _ in both)


OPTIONS = [dict(do_lower_case=lower, strip_accents=strip, tokenize_chinese_chars=cjk)
           for lower, strip, cjk in itertools.product((True, False), (None, True, False), (True, False))]
MOST_DIFFERENT = [o for o in OPTIONS if o["strip_accents"] is not o["do_lower_case"] and o["tokenize_chinese_chars"]]


def show(options):
    return " ".join(f"{k}={v}" for k, v in options.items())


def random_added(rng, i):
    """A random set-up of added tokens, in one of the places the library reads them from."""
    contents = rng.sample(["<e>", "New", "new york", "[MASK]", "ab", "[", "b", "é", "E\u0301x", "中", " lead", "zz ", "<e><f>", "A1",
                           "##b", "foo.bar", "_", "[CLS]", "x\u200dy"], rng.randint(1, 6))
    flag = lambda: rng.random() < 0.4  # noqa: E731
    token = lambda c: dict(content=c, single_word=flag(), lstrip=flag(), rstrip=flag(), normalized=flag(), special=flag())  # noqa: E731
    config = dict(do_lower_case=flag(), split_special_tokens=rng.random() < 0.2, never_split=["foo"],
                  truncation_side=rng.choice(["left", "right"]))
    files = {"tokenizer_config": config}
    place = rng.randrange(5)
    if place == 0:
        config["added_tokens_decoder"] = {str(rng.randrange(3000)): token(c) for c in contents}
    elif place == 1:
        config["extra_special_tokens"] = contents
        config["mask_token"] = dict(token("[MASK]"), __type="AddedToken")
    elif place == 2:
        files["added_tokens"] = {c: 5000 + j for j, c in enumerate(contents)}
    elif place == 3:
        files["special_tokens_map"] = {"additional_special_tokens": contents, "mask_token": token("[MASK]"), "cls_token": "[CLS]"}
    else:
        config["extra_special_tokens"] = {f"t{j}_token": c for j, c in enumerate(contents)}
        config["image_token"] = "<img>"
    pieces = contents + SPECIAL + ["new", "YORK", "a", "B", " ", "  ", "\t", "\u00a0", ".", "_", "e\u0301x", "<img>", "foo", "zz", "Ⅷ", "\u0301", "中"]
    lines = ["".join(rng.choice(pieces) for _ in range(rng.randint(1, 12))).encode() for _ in range(60)]
    return f"added tokens {i}", files, lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tare", default=os.environ.get("TARE", "build/tare"), help="the program")
    parser.add_argument("--model", action="append", default=[], help="a directory with a vocab.txt")
    parser.add_argument("--text", action="append", default=[], help="a text file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines", type=int, default=1000, help="random lines for each set of options")
    parser.add_argument("--full", action="store_true", help="every code point with every set of options")
    args = parser.parse_args()
    rng, report = random.Random(args.seed), Report(args.tare)
    with tempfile.TemporaryDirectory() as root:
        uncased, cased = seeded_vocab(rng, 1124, False), seeded_vocab(rng, 4000, True)
        hostile = Hostile(rng, [w.removeprefix("##") for w in uncased[200:]] + ["unaffable", "playing"])
        points = list(every_code_point())
        alphabet = write_model(root, "alphabet", alphabet_vocab())
        for options in OPTIONS:
            lines = traps() + [hostile.line() for _ in range(args.lines)]
            for vocab, name in ((uncased, "uncased"), (cased, "cased")):
                model = write_model(root, name, vocab, tokenizer_config=options)
                report.compare(f"{name}: traps and random, {show(options)}", model, lines)
            if args.full or options in MOST_DIFFERENT:
                write_model(root, "alphabet", None, tokenizer_config=options)
                report.compare(f"alphabet: traps and random, {show(options)}", alphabet, lines)
                report.compare(f"alphabet: every code point, {show(options)}", alphabet, points)
        lines = traps() + [hostile.line() for _ in range(2000)]
        for side, length in itertools.product(("left", "right"), (2, 3, 8, 100)):
            model = write_model(root, "truncated", uncased, tokenizer_config=dict(truncation_side=side))
            report.compare(f"truncation {side} to {length}", model, lines, length)
        before = report.failed
        for i in range(300):
            name, files, lines = random_added(rng, i)
            model = write_model(root, f"added{i}", uncased, **files)
            report.compare("", model, lines, rng.choice([0, 0, 7]))
        print(f"{report.failed - before:6} different in 300 random sets of added tokens")
        for directory in args.model:
            model = write_model(root, "given", None)
            (model / "vocab.txt").write_bytes(pathlib.Path(directory, "vocab.txt").read_bytes())
            config = pathlib.Path(directory, "tokenizer_config.json")
            given = json.loads(config.read_text()) if config.exists() else {}
            for options in [{}, *OPTIONS]:
                write_model(root, "given", None, tokenizer_config=given | options)
                lines = traps() + [hostile.line() for _ in range(args.lines)]
                report.compare(f"{directory}: traps and random, {show(options)}", model, lines)
                for text in args.text:
                    lines = pathlib.Path(text).read_bytes().removesuffix(b"\n").split(b"\n")
                    report.compare(f"{directory}: {text}, {show(options)}", model, lines)
    print(f"{report.failed} differences in {report.ids} ids from {report.points} code points; the library refuses or"
          f" crashes on {report.refused} lines, which are not compared")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
