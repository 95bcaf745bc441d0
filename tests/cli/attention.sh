#!/usr/bin/env bash
# `tare attention` from outside, on layers of a few tokens: results, formats, exit codes, the one line of
# each error, and that a kill loses the running row alone. TARE names the program.
. "$(dirname "$0")/lib/begin.sh"
root=$(realpath "$OLDPWD")

given=(attention)

# column FILE NAME: the cells of a column as they are, by Python's csv.
column() {
    python3 -c 'import csv, sys
for row in csv.DictReader(open(sys.argv[1])): print(row[sys.argv[2]])' "$1" "$2"
}

cat >small.toml <<'END'
name = "small"
[defaults]
batch_size = 2
num_trials = 3
threads = 1
[sweep]
impl = ["flash", "plain"]
context_length = [8, 33]
head_dim = [16]
causal = [true, false]
precision = ["fp32", "bf16"]
END

# ---- running ----
"$tare" attention small.toml >table 2>err || fail "exit $?: $(cat err)"
expect "columns" impl,batch_size,num_heads,context_length,head_dim,causal,precision,forward_ms,backward_ms,both_ms,saved_bytes,peak_rss_bytes,gflops_per_s,status \
    "$(head -n 1 results/small.csv | cut -d, -f1-14)"
expect "all ok" "16 ok" "$(column results/small.csv status | sort | uniq -c | xargs)"
expect "order" "flash plain" "$(column results/small.csv impl | uniq | xargs)"
expect "samples of every run" 64 "$(tail -n +2 results/small.samples.csv | wc -l)"
expect "parity at this shape" "flash and plain, this shape" "$(column results/small.csv parity | sort -u)"
expect "parity was computed" 0 "$(column results/small.csv parity_error | grep -cvE '^[0-9.]+(e-[0-9]+)?$')"
python3 - <<'END' || fail "a row of results/small.csv"
import csv
for r in csv.DictReader(open("results/small.csv")):
    t, d, size = int(r["context_length"]), int(r["head_dim"]), {"fp32": 4, "bf16": 2}[r["precision"]]
    kept = 2 * t * t * size if r["impl"] == "plain" else 2 * t * 4
    assert int(r["saved_bytes"]) == 2 * t * 3 * d * size + kept, r
    pairs = t * (t + 1) / 2 if r["causal"] == "True" else t * t
    assert float(r["model_flops"]) == 12 * 2 * d * pairs, r
    rate = float(r["model_flops"]) / float(r["both_ms"]) / 1e6
    assert abs(rate / float(r["gflops_per_s"]) - 1) < 1e-9, r
    assert 0 < float(r["forward_ms"]) <= float(r["both_ms"]) <= float(r["both_hi_ms"] or "inf"), r
    assert 0 < int(r["peak_rss_bytes"]) and r["git_commit"] and r["cpu_model"] and r["threads"] == "1", r
END
refuse "'results/small.csv' exists; replace it with --overwrite" small.toml
"$tare" attention small.toml --overwrite --filter '^plain/.*/t8/.*full' --format json >rows 2>err || fail "exit $?: $(cat err)"
expect "--filter" "plain/b2/h1/t8/d16/full/bf16 plain/b2/h1/t8/d16/full/fp32" \
    "$(python3 -c 'import json; print(*sorted(r["row_id"] for r in json.load(open("rows"))))')"
"$tare" attention small.toml --out one.csv --set impl=flash --set context_length=5 --set precision=fp32 --set causal=false \
    --format csv >rows 2>err || fail "exit $?: $(cat err)"
expect "--format csv is the file" "$(cat one.csv)" "$(cat rows)"
"$tare" attention one.toml 2>/dev/null && fail "a config that is not there"
"$tare" attention small.toml --overwrite --filter t33/d16/full/bf16 --format md >rows 2>err || fail "exit $?: $(cat err)"
grep -q '^| plain/b2/h1/t33/d16/full/bf16 | ok |' rows || fail "markdown: $(cat rows)"
expect "/dev/null is an empty config" 1 "$("$tare" attention /dev/null --set context_length=4 --out none.csv --format csv 2>err |
    grep -c '^flash,1,1,4,64,True,fp32,')"

# ---- what does not fit ----
"$tare" attention small.toml --out big.csv --set 'context_length=[16, 1000000]' --set max_memory=1GiB --filter 'plain.*causal/fp32' \
    >table 2>err || fail "skipped is exit 0: $?: $(cat err)"
expect "too large is a result" "ok skipped_memory" "$(column big.csv status | xargs)"
expect "with its bytes" 1 "$(column big.csv predicted_peak_bytes | awk '$1 > 1.2e13' | wc -l)"
grep -q 'needs [0-9.]* TiB, 1 GiB allowed' big.csv || fail "no reason: $(cat big.csv)"
grep -q skipped_memory table || fail "the table: $(cat table)"
"$tare" attention small.toml --out late.csv --set max_row_time=1ms >table 2>err || fail "skipped is exit 0"
expect "too long is a result" "16 skipped_time" "$(column late.csv status | sort | uniq -c | xargs)"
"$tare" attention /dev/null --out short.csv --set context_length=2048 --set max_memory=40MiB --set threads=1 >table 2>err ||
    fail "exit $?: $(cat err)"
expect "parity where both fit" "flash and plain, a shorter context 1024" \
    "$(column short.csv parity) $(column short.csv parity_context)"

# ---- refused ----
refuse "cannot create 'no/such.csv': there is no folder 'no'" small.toml --out no/such.csv
refuse "unknown option '--resume'" small.toml --resume
refuse "--filter 'nothing' matches none of the 16 rows" small.toml --filter nothing
refuse "--set head_dims=3: unknown key 'head_dims'; did you mean 'head_dim'?" small.toml --set head_dims=3
sed 's/head_dim/head_dims/' small.toml >wrong.toml
refuse "wrong.toml:9: unknown key 'head_dims'; did you mean 'head_dim'?" wrong.toml
refuse "--parity needs --result-fd" small.toml --parity
refuse "for a config of one row" small.toml --result-fd 1
ln -s /dev/full full.csv
refuse "cannot keep results in '/dev/full': it is not a regular file" small.toml --out full.csv
expect "a refused result leaves nothing" "" "$(ls no full.samples.csv 2>/dev/null)"

# ---- a kill ----
"$tare" attention small.toml --out killed.csv --set num_trials=3000 --set 'context_length=[8, 777]' >table 2>err &
study=$!
for _ in $(seq 600); do
    [ -f killed.csv ] && [ "$(wc -l <killed.csv)" -ge 2 ] && break
    sleep 0.1
done
kill -KILL $study
wait $study 2>/dev/null
[ "$(column killed.csv status | sort -u)" = ok ] || fail "finished rows of a killed study: $(cat killed.csv)"
"$tare" attention small.toml --out stopped.csv --set num_trials=3000 --set context_length=777 >table 2>err &
study=$!
sleep 2
kill -TERM $study
wait $study
expect "interrupted" 130 $?
for name in attention flash; do
    config=$root/configs/cs336/$name.toml
    "$tare" attention "$config" --set max_memory=1 --out "$name.csv" >table 2>err || fail "$config: $(cat err)"
    expect "$config" skipped_memory "$(column "$name.csv" status | sort -u)"
done
expect "rows of configs/cs336/attention.toml" 40 "$(column attention.csv status | wc -l)"
expect "rows of configs/cs336/flash.toml" 160 "$(column flash.csv status | wc -l)"

exit $failed
