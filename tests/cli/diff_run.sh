#!/usr/bin/env bash
# `tare diff --run` from outside, on a model of 70,000 weights: a program against itself, against one that
# computes more, against one that fails, and interrupted. The threshold of 50 % is for busy machines.
. "$(dirname "$0")/lib/begin.sh"

cat >tiny.toml <<END
name = "tiny"
[defaults]
batch_size = 2
num_trials = 3
num_warmups = 1
vocab_size = 101
threads = 1
$tiny_model
[sweep]
model_size = "tiny"
context_length = [16, 32]
forward_only = true
END

# program NAME LINE: a script in tare's place.
program() {
    printf '#!/bin/bash\n%s\n' "$2" >"$1"
    chmod +x "$1"
}
program slower "exec '$tare' \"\$@\" --batch 32"
program broken 'echo "no such luck" >&2; exit 7'
program half "[[ \"\$*\" = *'--context 32'* ]] && exit 7; exec '$tare' \"\$@\""

# run WANTED ARGUMENT...: its exit code; out and err are what it prints.
run() {
    local wanted=$1 got=0
    shift
    "$tare" diff --run "$@" >out 2>err </dev/null || got=$?
    [ $got = "$wanted" ] || fail "diff --run $*: exit $got, wanted $wanted" "$(cat out err)"
}

# The same program is no regression, and each row has as many processes as were asked for.
run 0 "$tare" "$tare" tiny.toml --threshold 50 --format csv
[ "$(grep -c ',5,5,' out)" = 2 ] || fail "not two rows of 5 processes a side" "$(cat out)"
has err '^verdict: (equivalent|inconclusive)$'
[ "$(grep -c '^\[ *[0-9]*/20\] tiny/.* \(old\|new\): ok' err)" = 20 ] || fail "not 20 processes" "$(cat err)"
grep -m20 '^\[' err | grep -o 'old\|new' | paste - - | sort -u | grep -q '^new' || fail "old is always first" "$(cat err)"
! grep '^\[' err | grep -o 'old\|new' | paste - - | grep -qE 'old.old|new.new' || fail "not in turns" "$(cat err)"

# More work is a regression, less an improvement.
run 3 "$tare" ./slower tiny.toml --threshold 50
has out '^verdict: regression$'
run 0 ./slower "$tare" tiny.toml --threshold 50 --filter /16/ --set num_trials=2 --format json
has out '"verdict": "improvement"'
has out '"unit": "process"'

# Too few processes: what would do.
run 0 "$tare" ./slower tiny.toml --processes 2
has out '^verdict: inconclusive$'
has out '2 and 2 processes are too few to test'
has out '^a change of 5 % needs --processes [0-9]+, about [0-9]'
run 0 "$tare" "$tare" tiny.toml --processes 1000 --max-time 1s
has out '^verdict: '

# A program that fails a row, or cannot be started.
run 1 "$tare" ./broken tiny.toml
has out '^not compared: tiny/16/fwd/w1: the new program failed: exit code 7: no such luck$'
has out '^verdict: inconclusive$'
run 1 ./half "$tare" tiny.toml --threshold 50
has out '^not compared: tiny/32/fwd/w1: the old program failed: exit code 7$'
has out '^1 rows: '
run 2 "$tare" ./absent tiny.toml
has err "^tare: cannot execute './absent': No such file or directory$"
run 2 . "$tare" tiny.toml
has err "^tare: cannot execute '.': it is a folder$"
run 2 "$tare" "$tare"
has err 'diff takes OLD NEW CONFIG.toml after --run'
run 2 "$tare" "$tare" tiny.toml --paired
has err 'are for result files, not for --run'
got=0
"$tare" diff a.csv b.csv --processes 3 >out 2>err || got=$?
[ $got = 2 ] && has err 'need --run' || fail "--processes without --run: exit $got"

# An interruption keeps the rounds that are done.
"$tare" diff --run "$tare" "$tare" tiny.toml --processes 1000 >out 2>err &
child=$!
for ((i = 0; i < 600; i++)); do
    [ "$(grep -c '^\[' err)" -ge 8 ] && break
    sleep 0.1
done
kill -INT $child
got=0
wait $child || got=$?
[ $got = 130 ] || fail "interrupted: exit $got" "$(cat out err)"
has out '^verdict: '
has out '^2 rows: '

exit $failed
