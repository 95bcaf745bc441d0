"""Writes tiny_llama.gguf: a random Llama of two layers in Q4_1, with a tokenizer as SmolLM2's, as llama.cpp's
converter would write it. Needs the packages of bench/peers/requirements.txt.

    .venv/bin/python tests/golden/make_gguf_golden.py
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "parity"))
from bpe_parity import train  # noqa: E402
from gguf_parity import make_model, write_gguf  # noqa: E402

text = (HERE.parents[1] / "configs/data/measuring.txt").read_text().splitlines(keepends=True)
write_gguf(HERE / "tiny_llama.gguf", "llama", make_model("llama", True), "Q4_1", train("smollm2", 400, text), "smollm")
