#!/usr/bin/env bash
# The folders use each other one way only: an #include from a lower level to a higher one, or between two
# rooms of one level, is an error. The order is that of the data: autograd, model, then the rooms of bench
# from util to verbs. tests/ may use everything. Only bench/commands.h, the list of verbs, is for all of bench.
# Inside autograd the same holds for files. What kernels/ keeps to itself nobody else includes.
root=$(realpath "$(dirname "$0")/../..")
cd "$root" || exit 1
python3 - <<'PY'
import pathlib
import re
import sys

LEVELS = [  # lowest first; rooms of one line do not know each other
    ["autograd"],
    ["model/json", "model/config", "model/params"],
    ["model/json_edit"],
    ["model/tokenizer", "model/precision", "model/recording"],
    ["model/families"],
    ["model/files", "model/model", "model/bucketed", "model/decoder"],
    ["bench/util", "bench/stats", "bench/text"],
    ["bench/machine", "bench/ranks"],
    ["bench/row", "bench/train"],
    ["bench/result"],
    ["bench/sweep"],
    ["bench/attention", "bench/comm"],
    ["bench/compare"],
    ["bench/doctor", "bench/serving", "bench/precision"],
    ["bench/verbs"],
    ["bench"],
]
AUTOGRAD = [  # a file without its suffix, or a folder
    ["base", "dtype"],
    ["tensor", "kernels/kernels", "kernels/cpu", "kernels/placement"],
    ["kernels/isa"],
    ["kernels/simd", "kernels/select", "kernels/gemm/low_kernel_testing"],
    ["kernels/gemm/partition", "kernels/gemm/low_kernel", "kernels/gemm/blas"],
    ["kernels/gemm/fp32_pack"],
    ["kernels/gemm/packed"],
    ["kernels/gemm/low_pack"],
    ["kernels/gemm/fp32", "kernels/gemm/low"],
    ["kernels/gemm/gemm"],
    ["kernels/attention", "kernels/peak"],
    ["op"],
    ["graph"],
    ["schedule"],
    ["slices"],
    ["plan"],
    ["exec"],
    ["ops"],
    ["optim"],
]
PRIVATE = ("autograd/kernels/isa.h", "autograd/kernels/simd/", "autograd/kernels/gemm/")
level = {room: i for i, rooms in enumerate(LEVELS) for room in rooms}


autograd_level = {name: i for i, names in enumerate(AUTOGRAD) for name in names}


def autograd_room(path):
    """The entry of AUTOGRAD that a file belongs to, or None."""
    parts = path.rsplit(".", 1)[0].split("/")[1:]
    names = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in names if name in autograd_level), None)


def room_of(path):
    parts = path.split("/")
    if parts[0] == "model":  # a file of the folder itself is a room of its own
        return "/".join(parts[:2]).split(".")[0]
    return "/".join(parts[:2]) if parts[0] == "bench" and len(parts) > 2 else parts[0]


def goes_down(source, included):
    here, there = autograd_room(source), autograd_room(included)
    return here and there and (here == there or autograd_level[there] < autograd_level[here])


SUFFIXES = (".c", ".h", ".cpp", ".def", ".inc")
wrong = []
sources = [p for top in ("autograd", "model", "bench") for p in sorted(pathlib.Path(top).rglob("*")) if p.suffix in SUFFIXES]
for source in sources:
    here = room_of(source.as_posix())
    if here not in level:
        wrong.append(f"{source}: the folder {here} has no level in tests/cli/levels.sh")
        continue
    for number, line in enumerate(source.read_text().splitlines(), 1):
        found = re.match(r'\s*#\s*include "((?:autograd|model|bench)/[^"]+)"', line)
        if not found or found[1] == "bench/commands.h":
            continue
        there = room_of(found[1])
        if here == there == "autograd" and not goes_down(source.as_posix(), found[1]):
            wrong.append(f"{source}:{number}: may not use {found[1]}")
        if found[1].startswith(PRIVATE) and not source.as_posix().startswith("autograd/kernels/"):
            wrong.append(f"{source}:{number}: {found[1]} is private to autograd/kernels")
        if found[1].endswith("_testing.h") and source.stem not in found[1]:
            wrong.append(f"{source}:{number}: {found[1]} is for tests")
        if there != here and level.get(there, len(LEVELS)) >= level[here]:
            wrong.append(f"{source}:{number}: {here} may not use {found[1]}")
flat = [p.name for p in pathlib.Path("bench").iterdir() if p.suffix in SUFFIXES]
for name in sorted(set(flat) - {"main.c", "commands.h"}):
    wrong.append(f"bench/{name}: belongs into a room")
if not sources:
    wrong.append("no source was read")
print("\n".join(wrong) if wrong else f"{len(sources)} files, every include goes down")
sys.exit(1 if wrong else 0)
PY
