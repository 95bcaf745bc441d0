#!/usr/bin/env bash
# Rows of prefill and decode from outside: `tare run --task`, their names in a sweep, NAME.tokens.csv, and that
# resuming and merging keep it. TARE names the program.
. "$(dirname "$0")/lib/begin.sh"

tiny=(--model tiny --d-model 32 --layers 2 --heads 2 --vocab 101 --batch 1)
"$tare" run "${tiny[@]}" --task prefill,decode --context 24 --gen 5 --depth 7 --ubatch 10 --trials 2 --format csv \
    >run.csv 2>err || fail "two tasks: $(cat err)"
expect "their tasks" "prefill decode" "$(column run.csv task | xargs)"
expect "their contexts" "24 " "$(column run.csv context_length | tr '\n' ' ' | sed 's/ *$/ /')"
expect "their depths" " 7" "$(column run.csv depth | tr '\n' ' ' | sed 's/ $//')"
expect "forward only" "True True" "$(column run.csv forward_only | xargs)"
expect "no loss" "" "$(column run.csv loss | xargs)"
expect "their caches" "f32 f32" "$(column run.csv kv_type | xargs)"
[ "$(column run.csv peak_gb_per_s | grep -c .)" = 2 ] && [ "$(column run.csv ids_md5 | grep -cE '^[0-9a-f]{32}$')" = 2 ] ||
    fail "a bandwidth and ids: $(cat run.csv)"
"$tare" run "${tiny[@]}" --task prefill,decode --context 8 --gen 3 --trials 2 --profile >out 2>err || fail "a profile: $(cat err)"
expect "profiles" "2 2" "$(grep -c '^linear ' out) $(grep -c '^attention: scores ' out)"
err=$("$tare" run "${tiny[@]}" --task decoding 2>&1)
[ $? = 2 ] && [[ $err == *"task"*"decode"* ]] || fail "no such task: $err"

# Keys and values in groups of 32 channels: their exact bytes, and a head that has none.
"$tare" run --model tiny --d-model 64 --layers 2 --heads 1 --vocab 101 --batch 3 --task decode --gen 5 --depth 7 --trials 2 \
    --kv-type q8_0 --format csv >run.csv 2>err || fail "a cache of q8_0: $(cat err)"
expect "bytes of a position" $((2 * 2 * 2 * 34)) "$(column run.csv kv_bytes_per_token)"
expect "bytes of the cache" $((3 * 12 * 2 * 2 * 2 * 34)) "$(column run.csv kv_cache_bytes)"
expect "a row with it" ok "$(column run.csv status)"
"$tare" run "${tiny[@]}" --task decode --kv-type q8_0 --format csv >run.csv 2>err || fail "heads of 16: $(cat err)"
expect "heads of 16" "unsupported quoted" "$(column run.csv status) $(column run.csv status_reason)"
grep -q 'a cache of q8_0 is in groups of 32 channels, but head_dim is 16' run.csv || fail "no reason: $(cat run.csv)"

cat >rows.toml <<'TOML'
name = "rows"
[defaults]
batch_size = 1
num_trials = 2
num_warmups = 0
vocab_size = 101
[[model]]
size = "tiny"
d_model = 32
num_layers = 2
num_heads = 2
[sweep]
model_size = ["tiny"]
task = ["loss", "prefill", "decode"]
context_length = [8, 16]
forward_only = [false, true]
n_gen = [3, 4]
depth = [0, 6]
batch_size = [1, 2]
TOML
# 8 of loss, 4 of prefill, 8 of decode: what a task does not have multiplies nothing.
"$tare" sweep rows.toml --dry-run --format csv >plan.csv 2>err || fail "a plan: $(cat err)"
for wanted in "8 loss" "4 prefill" "8 decode"; do
    expect "the rows" "${wanted% *}" "$(column plan.csv task | grep -cx "${wanted#* }")"
done
[ "$(column plan.csv bytes_per_token | grep -c .)" = 12 ] && [ "$(column plan.csv predicted_peak_bytes | grep -c .)" = 20 ] ||
    fail "predictions: $(cat plan.csv)"

"$tare" sweep rows.toml --filter 'tg4@d6|pp16$' --out a.csv >table 2>err || fail "a sweep: $(cat err)"
expect "names" "tiny/tg4@d6 tiny/tg4@d6/b2 tiny/pp16" "$(awk '/tiny/ {print $1}' table | xargs)"
head -n 3 a.tokens.csv | cut -d, -f2- | cut -d, -f1-3 | diff - <(printf 'trial,token,depth\n1,0,6\n1,1,7\n') ||
    fail "the tokens: $(head -n 3 a.tokens.csv)"
expect "lines of tokens" 17 "$(wc -l <a.tokens.csv)"
"$tare" sweep rows.toml --filter 'tg' --out a.csv --resume >/dev/null 2>err || fail "resuming: $(cat err)"
expect "tokens after resuming" $((1 + 2 * 4 * (3 + 4))) "$(wc -l <a.tokens.csv)"
expect "rows after resuming" 9 "$(tail -n +2 a.csv | wc -l)"
"$tare" sweep rows.toml --filter '/16/fwd' --out b.csv >/dev/null 2>err || fail "rows of loss: $(cat err)"
[ ! -e b.tokens.csv ] || fail "rows of loss have tokens"
"$tare" merge a.csv b.csv --out all.csv 2>err || fail "merging: $(cat err)"
expect "tokens after merging" "$(sort a.tokens.csv | md5sum)" "$(sort all.tokens.csv | md5sum)"
"$tare" sweep rows.toml --filter '/16/fwd' --out a.csv --overwrite >/dev/null 2>err || fail "overwriting: $(cat err)"
[ ! -e a.tokens.csv ] || fail "tokens of rows that are gone"
exit $failed
