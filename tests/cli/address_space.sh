#!/usr/bin/env bash
# Where address space is short the program still starts: a BLAS is loaded only where it is used, and refused
# in one line where its start would never end.
. "$(dirname "$0")/lib/begin.sh"
for mib in 60 100 200 300; do
    (ulimit -v $((mib * 1024)); exec timeout 20 "$tare" --version) >out 2>err || fail "--version in $mib MiB: exit $?"
    grep -q '^tare ' out || fail "--version in $mib MiB: $(cat out err)"
done
(ulimit -v $((400 * 1024)); TARE_GEMM=openblas exec timeout 20 "$tare" doctor) >out 2>err
[ $? = 2 ] || fail "a BLAS in 400 MiB did not exit with 2"
grep -q 'ulimit -v allows 400 MiB' err || fail "no reason for it: $(cat err)"
exit $failed
