#!/usr/bin/env bash
# calibrate: how often is `tare diff` wrong on this machine, as it is now? Pairs of one build, by files and by
# --run; programs 20 % and 5 % slower (tests/faults/faults.c), by --run; what explains that processes differ; and
# the simulation. Prints one line a figure: those of tests/README.md. PAIRS=40 of one build and TRIES=10 of each
# slower program should take 15 to 20 minutes on 2 quiet CPUs; SIMULATE=no leaves the simulation out.
. "$(dirname "$0")/common.sh"
pairs=${PAIRS:-40} tries=${TRIES:-10}
build_tare simulate_processes
simulate=$tare
build_tare tare_faults
cd "$work" || exit 1
cat >rows.toml <<END
name = "rows"
[[model]]
size = "tiny"
d_model = 128
num_layers = 2
num_heads = 4
[defaults]
num_trials = 10
num_warmups = 2
num_processes = 5
threads = 1
batch_size = 4
vocab_size = 2000
[sweep]
model_size = "tiny"
context_length = [64, 96]
END
for factor in 1.2 1.05; do
    printf '#!/bin/sh\nTARE_FAULT=slow=1-999999:%s exec "%s" "$@"\n' "$factor" "$tare" >"slower$factor"
    chmod +x "slower$factor"
done

# counts NAME: the verdicts in the file verdicts, counted.
counts() {
    local word line=
    for word in regression improvement equivalent inconclusive; do
        line+=", $(grep -cx "verdict: $word" verdicts) $word"
    done
    printf '%-58s %s\n' "$1" "$(wc -l <verdicts) pairs: ${line#, }"
}
# diff_run ARGUMENT...: appends the verdict to verdicts; leaves what it printed in out.
diff_run() {
    "$tare" diff --run "$@" rows.toml >out 2>log
    grep '^verdict: ' out >>verdicts || { echo "no verdict: $(tail -n 1 log)"; exit 1; }
}
sweep() { "$tare" sweep rows.toml --out "$1.csv" --overwrite >/dev/null 2>log || { cat log; exit 1; }; }

date -u '+%F %T UTC'
sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1
echo "load average: $(cut -d' ' -f1-3 /proc/loadavg) on $(nproc) CPUs"

: >verdicts
: >spreads
for ((i = 0; i < pairs; i++)); do
    sweep old
    sweep new
    "$tare" diff old.csv new.csv >out 2>log
    grep '^verdict: ' out >>verdicts || { cat log; exit 1; }
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "between_cv") b = i; else if ($i == "within_cv") w = i; next }
        { print $b, $w }' <(sed 's/"[^"]*"//g' old.csv) >>spreads
done
counts "one build, by files, 5 processes a side, 2 rows"
awk '{ b += $1; w += $2 } END { printf "%-58s between processes %.1f %%, within %.1f %% (means)\n", "their spread", 100 * b / NR, 100 * w / NR }' spreads

: >verdicts
for ((i = 0; i < pairs; i++)); do
    diff_run "$tare" "$tare" --shuffle "$i"
done
counts "one build, by --run, 5 processes a side, 2 rows"

for factor in 1.2 1.05; do
    for processes in 30 5; do
        : >verdicts
        for ((i = 0; i < tries; i++)); do
            diff_run "$tare" "./slower$factor" --threshold 0 --processes "$processes" --filter /64/ --shuffle "$i"
        done
        counts "$factor times the time, by --run --threshold 0, $processes a side, 1 row"
    done
    grep -h ' needs --processes ' out | sed 's/^/  it says: /'
done

"$tare" sweep rows.toml --filter /64/ --set num_processes=40 --set num_trials=40 --out forty.csv >/dev/null 2>log
python=$root/.venv/bin/python
"${TARE_PYTHON:-$([ -x "$python" ] && echo "$python" || echo python3)}" "$root/tests/slow/explain_processes.py" forty.samples.csv
echo "load average: $(cut -d' ' -f1-3 /proc/loadavg)"
[ "${SIMULATE:-yes}" = no ] || "$simulate"
