#!/usr/bin/env bash
# Comments in C files: no line of one is longer than 100 columns, and none behind a member is so long that
# clang-format tears the declaration before it over two lines: such a comment belongs above the member.
root=$(realpath "$(dirname "$0")/../..")
cd "$root" || exit 1
python3 - <<'PY'
import pathlib
import re
import sys

COLUMNS = 100
TYPE_ALONE = re.compile(r"\s+(?:\w+ )*\w+(?: \*+)?$")  # "    size_t"
NAME_AND_COMMENT = re.compile(r"\s+\**\w+(?:\[[^]]*\])*(?: = [^;]*)?[;,] /\*")  # "        count; /* ..."
COMMENT = re.compile(r"/\*|\*/|^\s*\* |//")

wrong = []
sources = [p for top in ("autograd", "model", "bench", "tests") for p in sorted(pathlib.Path(top).rglob("*"))
           if p.suffix in (".c", ".h", ".cpp") and "golden" not in p.parts]
for source in sources:
    before = ""
    for number, line in enumerate(source.read_text().splitlines(), 1):
        if len(line) > COLUMNS and COMMENT.search(line):
            wrong.append(f"{source}:{number}: a comment of {len(line)} columns")
        if NAME_AND_COMMENT.match(line) and TYPE_ALONE.match(before) and not before.strip() in ("else", "do"):
            wrong.append(f"{source}:{number}: the comment tears the declaration")
        before = line
if not sources:
    wrong.append("no source was read")
print("\n".join(wrong) if wrong else f"{len(sources)} files")
sys.exit(1 if wrong else 0)
PY
