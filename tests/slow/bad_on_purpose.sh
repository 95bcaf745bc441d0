#!/usr/bin/env bash
# bad_on_purpose: real rows that are made to go wrong in every known way; does the right warning come?
#
# Faults inside the program come from tests/faults/faults.c, those outside are made here. Prints what was
# expected and what was seen; exit 1 if a warning did not come. About two minutes. What stands out on a quiet
# machine may drown in the noise of a busy one, so it wants a quiet one too.
. "$(dirname "$0")/common.sh"
build_tare tare_faults
cpus=$(nproc)
cd "$work" || exit 1
failed=0

# judge NAME REGEX WANTED_EXIT EXIT FILE: REGEX is looked for in each line of FILE.
judge() {
    local seen word=ok
    seen=$(grep -oE -- "$2" "$5" | head -n 1)
    if [ -z "$seen" ] || [ "$3" != "$4" ]; then
        word=MISSING
        failed=1
        seen="exit $4; $(grep -E '"(status|status_reason|steady_class|noise)"|^(fix|warning)' "$5" | tr -s ' \n' ' ')"
    fi
    printf '%-30s %-8s expected  %s (exit %s)\n%39s seen      %s\n' "$1" $word "$2" "$3" "" "$seen"
}

# bad_row NAME FAULT REGEX EXIT [OPTION...]: a row of 21 runs with that fault, started by ${start[@]}.
start=(env)
bad_row() {
    local name=$1 fault=$2 regex=$3 wanted=$4 code=0
    shift 4
    TARE_FAULT=$fault "${start[@]}" "$tare" run "${row[@]}" --warmups 1 --trials 20 --format json "$@" \
        >out 2>&1 || code=$?
    judge "$name" "$regex" "$wanted" $code out
}

# bad_doctor NAME REGEX COMMAND...: what the doctor says when started by that command.
bad_doctor() {
    local name=$1 regex=$2 code=0
    shift 2
    "$@" "$tare" doctor --rounds 0 --threads "$cpus" >out 2>&1 || code=$?
    judge "$name" "$regex" 0 $code out
}

# row_process RUN: waits for the process in which that `tare run` runs its row.
row_process() {
    local child
    while kill -0 "$1" 2>/dev/null; do
        for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
            grep -qz -- --trials "/proc/$child/cmdline" 2>/dev/null && return
        done
    done
}

# ---- one trial ----
bad_row "a sleep in run 7" "sleep=7:2000" 'trial 7: \+[12][0-9]{3} ms.*[12][0-9]{3} ms asleep' 0
"$tare" run "${row[@]}" --trials 60 --format json >out 2>&1 &
run=$!
row_process $run
sleep 1
start_hogs $((4 * cpus))
sleep 0.5
stop_hogs
wait $run
judge "CPU hogs for half a second" 'trial [0-9]+: \+[0-9.]+ ms, [0-9.]+ ms waiting for a CPU' 0 $? out

# ---- every trial ----
start_hogs $((2 * cpus))
bad_row "CPU hogs all the time" "" '^warning: .*waited for a CPU [0-9]+ % of the time .stop other' 0
bad_doctor "doctor beside the hogs" '^fix +load +other programs kept [0-9.]+ CPUs busy' env
stop_hogs
bad_row "twice as many threads as CPUs" "" '"noise": "threads waited for a CPU [0-9]+ % of the time' 0 \
    --threads $((2 * cpus))
if [ "$cpus" -gt 1 ]; then
    start=(taskset -c 0)
    bad_row "two threads on one CPU" "" '"noise": "threads waited for a CPU [0-9]+ % of the time' 0 \
        --threads 2
    start=(env)
    bad_doctor "doctor on one CPU" '^fix +threads +[0-9]+ threads on 1 CPUs take turns' taskset -c 0
fi
bad_doctor "doctor with old kernels" '^fix +kernels +generic, though' env TARE_ISA=generic

# ---- levels ----
bad_row "slow from run 11 on" "slow=11-999:3" '"steady_class": "slowdown"' 0
bad_row "  and its warning" "slow=11-999:3" '^warning: slower from run 1[0-2] on' 0
bad_row "slow from run 19 on" "slow=19-999:3" '"steady_class": "no_steady_state"' 0
bad_row "slow up to run 6" "slow=1-6:3" '^warning: .*slow first runs are in the mean: it takes [5-7] warmups' 0
bad_row "slow up to run 6, 6 warmups" "slow=1-6:3" '"steady_class": "warmup"' 0 --warmups 6

# ---- the clock ----
bad_row "a slow clock in every process" "clock=0.1" '"status_reason": "its CPU time is .*the clock is slow' 1
bad_row "a slow clock in rows only" "row_clock=0.01" '"status_reason": ".*GFLOP/s on .* more than the' 1
cat >tiny.toml <<END
[defaults]
vocab_size = 5000
$model
[sweep]
model_size = "tiny"
context_length = [64, 128]
END
TARE_FAULT="row_clock=0.01" "$tare" sweep tiny.toml --out lies.csv >out 2>&1
judge "a sweep of such rows" 'tiny/128.*: implausible.*more than' 1 $? out

exit $failed
