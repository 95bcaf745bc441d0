#!/usr/bin/env bash
# diff_run: does `tare diff --run` find a program that takes twice the time, and does it leave one alone that
# is the same? tests/faults/faults.c makes the one slower. Processes of one build differ by 15 % on a busy
# host, so a factor that 8 processes a side show there too. Exit 1 if either verdict is wrong.
. "$(dirname "$0")/common.sh"
build_tare tare_faults
cd "$work" || exit 1
cat >rows.toml <<END
name = "rows"
[defaults]
num_trials = 7
num_warmups = 2
threads = 1
vocab_size = 5000
$model
[sweep]
model_size = "tiny"
context_length = [64, 128]
forward_only = [false, true]
END
printf '#!/bin/sh\nTARE_FAULT=slow=1-999999:2 exec "%s" "$@"\n' "$tare" >slower
chmod +x slower
wrong=0

# verdict WANTED ARGUMENT...: an extended regular expression for the word.
verdict() {
    local wanted=$1
    shift
    "$tare" diff --run "$@" rows.toml --processes 8 >out 2>log
    cat out
    grep -qE "^verdict: ($wanted)\$" out || { echo "WRONG: wanted $wanted"; wrong=1; }
}
verdict regression "$tare" ./slower --threshold 0
verdict improvement ./slower "$tare" --threshold 0
verdict 'equivalent|inconclusive' "$tare" "$tare"
exit $wrong
