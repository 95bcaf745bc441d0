#!/usr/bin/env bash
# clang-tidy finds nothing, by the checks of .clang-tidy. All of autograd, model and bench but kernels/simd and the MPI plug-in,
# which is compiled several times; under a minute on two processors.
root=$(realpath "$(dirname "$0")/../..")
build=$(dirname "$(realpath "${TARE:-build/tare}")")
cd "$root" || exit 1
command -v clang-tidy >/dev/null || { echo "clang-tidy is not installed"; exit 77; }
[ -f "$build/compile_commands.json" ] || { echo "$build has no compile_commands.json"; exit 77; }
find autograd model bench -name '*.c' -not -path '*/kernels/simd/*' -not -path bench/ranks/mpi.c -print0 |
    nice xargs -0 -P2 -n8 clang-tidy -p "$build" --quiet 2>/dev/null
