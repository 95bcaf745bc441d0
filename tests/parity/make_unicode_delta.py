"""Generates model/tokenizer/unicode_delta.inc and tests/golden/bert_normalize.txt.

Hugging Face `tokenizers` links several Unicode tables of different ages. This script asks the installed
library about every code point, one property at a time, compares the answer with what utf8proc says, and
writes down the differences. It also writes a hash of the normalised form of all code points for every
combination of options, against which the C code is tested without Python.

usage: make_unicode_delta.py [--check]     (--check: exit 1 when the files in the tree would change)
"""

import ctypes
import ctypes.util
import itertools
import pathlib
import string
import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALL = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
CATEGORIES = (
    "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co".split()
)


class Utf8proc:
    """The few functions of the C library that the tokenizer uses."""

    DECOMPOSE = 1 << 4

    class Property(ctypes.Structure):
        _fields_ = [("category", ctypes.c_int16), ("combining_class", ctypes.c_int16)]

    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
        self.lib.utf8proc_get_property.restype = ctypes.POINTER(self.Property)
        self.lib.utf8proc_version.restype = ctypes.c_char_p
        self.lib.utf8proc_unicode_version.restype = ctypes.c_char_p
        self.buffer, self.boundary = (ctypes.c_int32 * 64)(), ctypes.c_int(0)

    def version(self):
        lib = self.lib
        return f"{lib.utf8proc_version().decode()} (Unicode {lib.utf8proc_unicode_version().decode()})"

    def category(self, c):
        return CATEGORIES[self.lib.utf8proc_get_property(c).contents.category]

    def combining_class(self, c):
        return self.lib.utf8proc_get_property(c).contents.combining_class

    def nfd(self, c):
        self.boundary.value = 0
        n = self.lib.utf8proc_decompose_char(c, self.buffer, 64, self.DECOMPOSE, ctypes.byref(self.boundary))
        return "".join(map(chr, self.buffer[:n]))

    def lower(self, c):
        return chr(self.lib.utf8proc_tolower(c))


def bert(clean=False, cjk=False, strip=False, lower=False):
    return normalizers.BertNormalizer(
        clean_text=clean, handle_chinese_chars=cjk, strip_accents=strip, lowercase=lower
    ).normalize_str


class HuggingFace:
    """One property at a time, as the library shows it from outside."""

    def __init__(self):
        self.clean, self.strip, self.lower = bert(clean=True), bert(strip=True), bert(lower=True)
        self.nfd = normalizers.NFD().normalize_str
        self.words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
        # what a byte-level pre-tokenizer's regular expression takes for a letter, a number, white space
        self.removed = {name: pre_tokenizers.Split(Regex(rf"\{name}"), "removed").pre_tokenize_str
                        for name in ("p{L}", "p{N}", "s")}
        self.digits = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str
        self.single = Tokenizer(models.WordPiece({"[UNK]": 0, "zz": 1}, unk_token="[UNK]"))
        self.single.add_tokens([AddedToken("zz", single_word=True, normalized=False)])
        # one code point for every combining class, to find the class of another by how the two are ordered
        self.class_of = {}

    def is_punct(self, ch):
        return len(self.words("a" + ch + "b")) == 3

    def is_word(self, ch):
        return len(self.single.encode("zz" + ch).tokens) == 1

    def matches(self, name, ch):
        return not self.removed[name](ch)

    def is_numeric(self, ch):
        return len(self.digits("a" + ch)) == 2

    def is_mark(self, ch):
        return self.strip(ch) == ""

    def combining_class(self, ch, representatives):
        if self.nfd("\u0345" + ch) == "\u0345" + ch and self.nfd(ch + "\u0334") == ch + "\u0334":
            return 0  # neither moves before a mark of class 240 nor lets one of class 1 move before it
        for value, other in representatives.items():
            if self.nfd(ch + other) == ch + other and self.nfd(other + ch) == other + ch:
                return value
        raise SystemExit(f"U+{ord(ch):04X} has a combining class that utf8proc does not know")


def ranges(pairs):
    """[(code point, value)] -> [[first, last, value]] with equal neighbours joined."""
    joined = []
    for c, value in pairs:
        if joined and joined[-1][1] == c - 1 and joined[-1][2] == value:
            joined[-1][1] = c
        else:
            joined.append([c, c, value])
    return joined


def lower_ranges(pairs):
    """[(code point, lower-case string)] -> [[first, last, first's lower, what follows it]]."""
    joined = []
    for c, text in pairs:
        to, then = ord(text[0]), ord(text[1]) if len(text) == 2 else 0
        if len(text) > 2:
            raise SystemExit(f"U+{c:04X} has more than two lower-case characters")
        if joined and not then and joined[-1][1] == c - 1 and joined[-1][2] + c - joined[-1][0] == to:
            joined[-1][1] = c
        else:
            joined.append([c, c, to, then])
    return joined


def differences(hf, u8):
    control, mark, punct, word, ccc, nfd, lower, letter, number, numeric = ([] for _ in range(10))
    representatives = {}
    for c in (0x0334, 0x0345, *ALL):
        value = u8.combining_class(c)
        if value and hf.nfd("\u0345" + chr(c)) != "\u0345" + chr(c) or c == 0x0345:
            representatives.setdefault(value, chr(c))
    for c in ALL:
        ch, category = chr(c), u8.category(c)
        cleaned = hf.clean(ch)
        if (cleaned == "") != (category in ("Cc", "Cf", "Co") and ch not in "\t\n\r" or c == 0xFFFD):
            control.append((c, int(cleaned == "")))
        if cleaned not in ("", " ", ch) or (cleaned == " ") != (category[0] == "Z" or ch in "\t\n\r"):
            raise SystemExit(f"U+{c:04X} is cleaned to {cleaned!r}: white space differs")
        if hf.is_punct(ch) != (category[0] == "P" or ch in string.punctuation):
            punct.append((c, int(hf.is_punct(ch))))
        if hf.is_word(ch) != (category[0] in "LM" or category in ("Nd", "Nl", "Pc") or c in (0x200C, 0x200D)):
            word.append((c, int(hf.is_word(ch))))
        if hf.matches("p{L}", ch) != (category[0] == "L"):
            letter.append((c, int(hf.matches("p{L}", ch))))
        if hf.matches("p{N}", ch) != (category[0] == "N"):
            number.append((c, int(hf.matches("p{N}", ch))))
        if hf.is_numeric(ch) != (category[0] == "N"):
            numeric.append((c, int(hf.is_numeric(ch))))
        if hf.matches("s", ch) != (category[0] == "Z" or "\t" <= ch <= "\r" or ch == "\x85"):
            raise SystemExit(f"U+{c:04X}: \\s differs")
        if hf.lower(ch) != u8.lower(c):
            lower.append((c, hf.lower(ch)))
        if hf.nfd(ch) != ch:
            if hf.nfd(ch) != u8.nfd(c):
                raise SystemExit(f"U+{c:04X} decomposes differently")
            continue  # never seen after decomposition, so neither a mark nor in need of a class
        if u8.nfd(c) != ch:
            nfd.append((c, 0))
        if hf.is_mark(ch) != (category == "Mn"):
            mark.append((c, int(hf.is_mark(ch))))
        if hf.combining_class(ch, representatives) != u8.combining_class(c):
            ccc.append((c, hf.combining_class(ch, representatives)))
    return control, mark, punct, word, ccc, nfd, lower, letter, number, numeric


def table(comment, kind, name, rows):
    def number(v):
        return f"0x{v:04x}" if v and kind == "LowerDelta" else str(v)

    cells = ["{" + ", ".join([f"0x{a:04x}", f"0x{b:04x}", *map(number, rest)]) + "}" for a, b, *rest in rows]
    lines, line = [], "   "
    for cell in cells:
        if len(line) + len(cell) + 2 > 100:
            lines.append(line)
            line = "   "
        line += " " + cell + ","
    return f"/* {comment} */\nstatic const {kind} {name}[] = {{\n" + "\n".join([*lines, line]) + "\n};\n"


def delta_text(hf, u8):
    control, mark, punct, word, ccc, nfd, lower, letter, number, numeric = differences(hf, u8)
    counts = ", ".join(f"{len(v)} {k}" for k, v in dict(
        control=control, mark=mark, punctuation=punct, word=word, combining_class=ccc,
        decomposition=nfd, lower_case=lower, letter=letter, number=number, numeric=numeric).items())
    return "\n".join([
        "/* Generated by tests/parity/make_unicode_delta.py; do not edit.",
        f" * Where tokenizers {tokenizers.__version__} differs from utf8proc {u8.version()}, in code points:",
        f" * {counts}.",
        " * Rows are first, last, value. */\n",
        table("Removed by clean_text (1) or kept (0).", "UnicodeDelta", "control_delta", ranges(control)),
        table("Removed by strip_accents (1) or kept (0).", "UnicodeDelta", "mark_delta", ranges(mark)),
        table("A word of its own (1) or a letter like others (0).", "UnicodeDelta", "punct_delta", ranges(punct)),
        table("Matched by \\w, which single_word looks at (1), or not (0).", "UnicodeDelta", "word_delta",
              ranges(word)),
        table("Matched by \\p{L} (1) or not (0).", "UnicodeDelta", "letter_delta", ranges(letter)),
        table("Matched by \\p{N} (1) or not (0).", "UnicodeDelta", "number_delta", ranges(number)),
        table("A digit to Digits (1) or not (0).", "UnicodeDelta", "numeric_delta", ranges(numeric)),
        table("Canonical combining class.", "UnicodeDelta", "combining_delta", ranges(ccc)),
        table("Not decomposed (0).", "UnicodeDelta", "decomposes_delta", ranges(nfd)),
        table("Lower case of the first, and what follows it.", "LowerDelta", "lower_delta", lower_ranges(lower)),
    ])


def fnv1a(hash_, data):
    for byte in data:
        hash_ = (hash_ ^ byte) * 0x100000001B3 % 2**64
    return hash_


def golden_text(hf):
    """One line a combination of options: FNV-1a of every code point's normalised UTF-8 and a newline."""
    lines = []
    for lower, strip, cjk in itertools.product((0, 1), repeat=3):
        normalize = bert(True, bool(cjk), bool(strip), bool(lower))
        text = "".join(normalize(chr(c)) + "\n" for c in ALL)
        lines.append(f"lowercase {lower} strip_accents {strip} tokenize_chinese_chars {cjk} "
                     f"{fnv1a(0xCBF29CE484222325, text.encode()):016x}\n")
    return "".join(lines)


def main():
    hf, u8 = HuggingFace(), Utf8proc()
    files = {
        ROOT / "model/tokenizer/unicode_delta.inc": delta_text(hf, u8),
        ROOT / "tests/golden/bert_normalize.txt": golden_text(hf),
    }
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print("changed:", path.relative_to(ROOT))
        if "--check" not in sys.argv[1:]:
            path.write_text(files[path])
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
