#!/usr/bin/env bash
# Rows of several processes from outside: what the files have, that --resume loses nothing to a kill, shards,
# merging, the predicted time; and that one process, the default, is as it was.
. "$(dirname "$0")/lib/begin.sh"

# json NAME: the values of a key of `tare ... --format json` on standard input.
json() { sed -n "s/^ *\"$1\": \(.*[^,]\),*$/\1/p"; }

row=(run --model t --d-model 36 --layers 2 --heads 3 --vocab 101 --context 8 --threads 1 --trials 6)

cat >tiny.toml <<END
[defaults]
batch_size = 2
num_trials = 6
vocab_size = 101
threads = 1
num_processes = 3
$tiny_model
[sweep]
model_size = "tiny"
context_length = [8, 17]
num_warmups = [0, 2]
forward_only = [false, true]
END

# ---- the files ----
"$tare" sweep tiny.toml --out r.csv --format json >r.json 2>log || fail "sweep: exit $? $(cat log)"
expect "rows" "8 ok" "$(column r.csv status | sort | uniq -c | xargs)"
expect "num_processes" 3 "$(json num_processes <r.json | sort -u)"
expect "samples of every process" "56 1 56 2 56 3" "$(column r.samples.csv process | sort | uniq -c | xargs)"
expect "a column process" process "$(head -1 r.samples.csv | tr , '\n' | grep -x process)"
expect "trials count on" 18 "$(awk -F, -v id="$(column r.csv row_id | head -1)" '$1 == id { print $2 }' r.samples.csv | sort -u | wc -l)"
[ "$(json between_cv <r.json | grep -c null)" = 0 ] || fail "a row without between_cv: $(json between_cv <r.json)"
expect "no journal" "" "$(ls | grep jsonl)"
expect "the seed of the order" 1 "$(json order_seed <r.json | sort -u)"
# The first round has every row once before any runs again.
expect "rounds" 8 "$(grep -oE 'tiny/[^ ,]*, process 1 of 3: ok' log | head -8 | sort -u | wc -l)"
grep -qE '^ +tiny/8/fwd/w0: median .* of 3 processes' log || fail "no summary of a row" "$(cat log)"

# ---- one process ----
"$tare" sweep tiny.toml --out one.csv --set num_processes=1 --format json >one.json 2>log || fail "one: exit $?"
expect "one process has no shares" null "$(json between_cv <one.json | sort -u)"
expect "nor a seed" null "$(json order_seed <one.json | sort -u)"
sed '/num_processes/d' tiny.toml >plain.toml
expect "its row_id is that of a config without the key" "$(column one.csv row_id)" \
    "$("$tare" sweep plain.toml --dry-run --format json 2>/dev/null | json row_id | tr -d '"')"
"$tare" sweep plain.toml --out one.csv --resume >out 2>log || fail "resume without the key: exit $?"

# ---- predictions, shards, merge ----
seconds() { "$tare" sweep plain.toml --dry-run --format json --set num_processes="$1" 2>/dev/null | json predicted_time_s | head -1; }
awk -v one="$(seconds 1)" -v five="$(seconds 5)" 'BEGIN { exit !(five > 4.99 * one && five < 5.01 * one) }' ||
    fail "five processes are predicted to take $(seconds 5) s, one $(seconds 1) s"
expect "a row that would take too long" "8 skipped_time" \
    "$("$tare" sweep plain.toml --out late.csv --set num_processes=1000 --set max_row_time=20s >out 2>&1; column late.csv status | sort | uniq -c | xargs)"
for i in 1 2; do
    "$tare" sweep tiny.toml --shard $i/2 --out s$i.csv >out 2>log || fail "shard: exit $? $(cat log)"
done
"$tare" merge s2.csv s1.csv --out m.csv 2>log || fail "merge: exit $? $(cat log)"
expect "merged rows" "$(column r.csv row_id)" "$(column m.csv row_id)"
expect "merged samples" "$(wc -l <r.samples.csv)" "$(wc -l <m.samples.csv)"

# ---- the noise floor, the probe ----
"$tare" sweep plain.toml --noise on --filter /17/fwd/ --set num_trials=200 --out noise.csv --format json >noise.json 2>log || fail "noise: $(cat log)"
expect "processes of the noise floor" 9 "$(json noise_processes <noise.json | sort -u)"
[ "$(json noise_cv <noise.json | sort -u)" != null ] || fail "no noise_cv"
grep -q '^noise floor: 9 processes of a small row differ by' log || fail "the noise floor is not told" "$(cat log)"
expect "it is in the file" 9 "$("$tare" sweep plain.toml --resume --filter /17/fwd/ --set num_trials=200 --out noise.csv --format json 2>/dev/null | json noise_processes | sort -u)"
expect "short sweeps do without" null "$(json noise_cv <one.json | sort -u)"
looks() { awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "probe_product_ns") c = i } NR > 1 && $c > 0 { n++ } END { print n + 0 }' "$1"; }
[ "$(looks noise.samples.csv)" -ge 1 ] || fail "the probe never looked"
"$tare" sweep plain.toml --no-probe --filter /17/fwd/w2 --out quiet.csv >out 2>log || fail "--no-probe: $(cat log)"
expect "no looks" 0 "$(looks quiet.samples.csv)"

# ---- diff of files ----
for i in 1 2; do
    "$tare" sweep tiny.toml --set num_processes=5 --filter '/17/fwd/' --out d$i.csv >out 2>log || fail "sweep: $(cat log)"
done
"$tare" diff d1.csv d2.csv --format json >out 2>log
[ $? = 0 ] || [ $? = 3 ] || fail "diff of processes: $(cat log)"
grep -q '"unit": "process"' out || fail "the unit is not the process" "$(cat out)"
expect "five a side" "5 5" "$(grep -oE '"(old|new)_processes": 5' out | sort -u | sed 's/.*: //' | xargs)"
"$tare" diff one.csv one.csv >out 2>log || fail "one process a side: exit $?"
grep -qE '^one process a side tells nothing .*: run at least 5 a side, about [0-9.]+ m?s,' out || fail "no advice" "$(cat out)"

# ---- a BLAS far below the processor ----
if OPENBLAS_CORETYPE=Prescott "$tare" doctor --rounds 0 2>/dev/null >out && grep -q 'core Prescott\|Prescott kernels' out && ! grep -q generic out; then
    grep -A1 '^fix .*OpenBLAS runs Prescott kernels' out | grep -q 'OPENBLAS_CORETYPE=Haswell' || fail "doctor: no remedy" "$(cat out)"
    told='OpenBLAS runs Prescott kernels (SSE), far below .*: set OPENBLAS_CORETYPE=Haswell'
    OPENBLAS_CORETYPE=Prescott "$tare" "${row[@]}" --gemm openblas --format json 2>log | json noise | grep -q "$told" ||
        fail "a row does not tell of its BLAS"
    grep -q "^warning: .*$told" log || fail "run does not warn of its BLAS" "$(cat log)"
    TARE_GEMM=openblas OPENBLAS_CORETYPE=Prescott "$tare" sweep tiny.toml --set num_processes=1 --filter /8/fwd/w2 --out blas.csv >out 2>log
    grep -q "$told" blas.csv || fail "nor does a row of a sweep" "$(cat blas.csv)"
    grep -q "warning: .*$told" log || fail "a sweep does not warn of its BLAS" "$(cat log)"
    OPENBLAS_CORETYPE=Prescott "$tare" "${row[@]}" --format json 2>log | json noise | grep -q Prescott && fail "a row that uses no BLAS tells of it"
fi

# ---- kills ----
kept() { [ -e kill.processes.jsonl ] && grep -oE '"wall_ns":[0-9]+' kill.processes.jsonl | cut -d: -f2; column kill.samples.csv wall_ns; }
big=(--set num_trials=2000 --set num_processes=5 --set 'context_length=17' --out kill.csv)
"$tare" sweep tiny.toml "${big[@]}" >out 2>log &
sweep=$!
until [ "$(wc -l 2>/dev/null <kill.processes.jsonl || echo 0)" -ge 4 ]; do kill -0 $sweep 2>/dev/null || break; done
kill -KILL $sweep
wait $sweep 2>/dev/null
[ -e kill.processes.jsonl ] || fail "nothing was kept of a killed sweep"
kept | sort >before
lines=$(wc -l <kill.processes.jsonl)
"$tare" sweep tiny.toml "${big[@]}" --resume >out 2>log || fail "resume: exit $? $(cat log)"
expect "all ok after the kill" "4 ok" "$(column kill.csv status | sort | uniq -c | xargs)"
kept | sort >after
[ -s before ] && [ -z "$(comm -23 before after)" ] || fail "runs were lost: $(comm -23 before after | wc -l)"
expect "only what was missing ran" $((20 - lines)) "$(grep -c 'process . of 5: ok' log)"
expect "no journal after all" "" "$(ls | grep jsonl)"

# ---- tare run ----
"$tare" "${row[@]}" --processes 3 --format json >run.json 2>log || fail "run: exit $? $(cat log)"
expect "run --processes" 3 "$(json num_processes <run.json)"
[ "$(json within_cv <run.json)" != null ] || fail "run has no within_cv"
"$tare" "${row[@]}" --processes 2 --profile >out 2>log
expect "--profile of several processes" 2 $?
"$tare" "${row[@]}" --processes 0 >out 2>log
expect "no process at all" 2 $?

# ---- results of earlier versions ----
# before FILE: without the columns of several processes.
before() {
    awk -F, -v OFS=, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /^(num_processes|between_cv|within_cv|process)$/) gone[i] = 1 }
        { line = ""; for (i = 1; i <= NF; i++) if (!(i in gone)) line = line (line == "" ? "" : OFS) $i; print line }' "$1"
}
sed 's/"[^"]*"//g' one.csv >clean.csv
before clean.csv >old.csv
before one.samples.csv >old.samples.csv
"$tare" diff old.csv one.csv --force >out 2>log || fail "diff with an earlier result: exit $? $(cat log)"
expect "rows joined" 8 "$(grep -c '^tiny/' out)"
"$tare" merge old.csv --out again.csv 2>log || fail "merge of an earlier result: exit $? $(cat log)"
exit $failed
