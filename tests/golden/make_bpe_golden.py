"""Writes bpe_golden.json: small byte-level tokenizers of every kind that is built, trained by the tokenizers
library on the README, hostile lines, and the ids that the library gives them.

    .venv/bin/python tests/golden/make_bpe_golden.py
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "parity"))
from bpe_parity import KINDS, train  # noqa: E402

LINES = [
    "", " ", "  ", "a", "It was the best film that I've ever seen, and I'LL say so!", "don't DON'T we're WE'RE 'tis 'S'\u017fx",
    "for (int i = 0; i < 1234567; i++) {\tx[i] += 0.5; }", "   leading, trailing   ", "a\t\tb \t c\r\nd\r\n\r\n  e\u2028f\u00a0g\u3000h",
    "\r\n \n\n  x\n", "tabs\t\t\t", "na\u00efve caf\u00e9 e\u0301 \u00c5 \u212b", "\u0633\u0644\u0627\u0645 \u0663\u0664 \u0939\u093f\u0928\u094d\u0926\u0940",
    "\u4e2d\u6587\u5b57\u7b26, \u65e5\u672c\u8a9e; \ud55c\uad6d\uc5b4 \u1112\u1161\u11ab", "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd!",
    "\u00bd \u00b2 \u2460 \u2167 12\u066034", "<|im_start|>user\nhi<|im_end|>\n", "x <a> y <b> z <both> w", "word words sword word.", "<|im<|im_start",
    "<|endoftext|><|begin|>", "e\u0301t\u00e9 \u00e9t\u00e9 \u00e9 x norm", "\U00011935\U00011930 a\u0898\u0301 \U0001e4ec \u0344", "\x01\x1c\x1d\x7f\x85\u00ad\u200b\ufeff\ufffd",
    "\U000e0001\U0010ffff\ue000\u0378\ufffe", "xyzzy the film !!!??? 123 1234", "a" * 100, "ab" * 60 + " " * 60 + "!" * 60, "\u4e2d" * 40,
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbb", "......----====____", "1" * 70, "\n" * 5 + " " * 5 + "\n",
]


def main():
    text = (HERE.parents[1] / "configs/data/measuring.txt").read_text().splitlines(keepends=True)
    def compact(value):
        return json.dumps(value, separators=(",", ":"))

    kinds = []
    for kind in KINDS:
        tokenizer = train(kind, 400, text)
        ids = [tokenizer.encode(line).ids for line in LINES]
        kinds.append(f'"{kind}":{{"tokenizer":{compact(json.loads(tokenizer.to_str()))},\n"ids":{compact(ids)}}}')
    (HERE / "bpe_golden.json").write_text(f'{{"lines":{compact(LINES)},\n"kinds":{{\n' + ",\n".join(kinds) + "}}\n")


main()
