#!/usr/bin/env bash
# What the pages say of the project is true: bench/COLUMNS.md is what `tare sweep --columns` prints (`--update`
# writes it), the README lists every verb, links lead somewhere, and files that are named exist. TARE names
# the program. Figures are nobody's to check here.
root=$(realpath "$(dirname "$0")/../..")
tare=$(realpath "${TARE:-$root/build/tare}")
cd "$root" || exit 1

columns() {
    cat <<'TEXT'
# Columns of a result

Made by `bash tests/cli/pages.sh --update` from `bench/row/fields.def`: edit that file, not this one. Times are milliseconds on the
monotonic raw clock; missing is empty. Beside `NAME.csv`, `NAME.samples.csv` has every run with its counters (CPU time, faults,
switches, run-queue wait, steal). *Option* is what `tare run` calls a column that it is told.

TEXT
    "$tare" sweep --columns
}
[ "${1:-}" != --update ] || columns >bench/COLUMNS.md
diff bench/COLUMNS.md <(columns) || { echo "bench/COLUMNS.md: run tests/cli/pages.sh --update"; exit 1; }

"$tare" --help | python3 -c '
import pathlib
import re
import sys

HISTORY = {"analysis/CHANGELOG.md", "analysis/SPEED.md"}  # may name files that are gone
TOPS = ["autograd", "model", "bench", "configs", "analysis", "tests", ".github", ".ci"]
root = pathlib.Path(".")
pages = sorted(root.glob("*.md")) + sorted(p for top in TOPS for p in (root / top).rglob("*.md"))
pages = [p for p in pages if "golden" not in p.parts]
wrong = []


def exists(name, *bases):
    return any((base / name).exists() for base in bases)


for page in pages:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not exists(target, page.parent):
            wrong.append(f"{page}: the link to {target} leads nowhere")
    if page.as_posix() in HISTORY:
        continue
    # a path in a folder, of plain letters; NAME and the like stand for something
    for name in re.findall(r"(?<![\w/.-])((?:[\w.-]+/)+[\w.-]+\.(?:c|h|cpp|def|py|sh|toml|jsonl|txt|csv|md))\b", text):
        if re.match(r"(\./)?(results|build[\w-]*|\.venv|\.cache)/", name) or re.search(r"\b(NAME|FILE|CONFIG)\.", name):
            continue
        if not exists(name, root, page.parent, *(root / top for top in TOPS)):
            wrong.append(f"{page}: there is no {name}")

verbs = [v for v in re.findall(r"(?m)^  ([a-z]\S*) ", sys.stdin.read()) if v != "tare"]
table = re.search(r"(?ms)^## Verbs$(.*?)^## ", (root / "README.md").read_text())[1]
listed = [v for v in re.findall(r"(?m)^\| `([a-z-]+)", table) if v != "tare"]
wrong += [f"README.md: no line for the verb {v}" for v in verbs if v not in listed]
wrong += [f"README.md: there is no verb {v}" for v in listed if v not in verbs]
if not pages or not verbs or not listed:
    wrong.append("nothing was read")
print("\n".join(wrong) if wrong else f"{len(pages)} pages, {len(verbs)} verbs: links and names hold")
sys.exit(1 if wrong else 0)
'
