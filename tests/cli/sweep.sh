#!/usr/bin/env bash
# `tare sweep` and `tare merge` from outside, on a model of 70,000 weights: results, exit codes, the one
# line of each error, and that nothing is lost when rows crash or the sweep is killed.
root=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$0")/lib/begin.sh"

# row_process SWEEP: the process that runs a row of it right now, not the one that measures peaks.
row_process() {
    local child
    for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
        grep -qz -- --trials "/proc/$child/cmdline" 2>/dev/null && echo "$child" && return
    done
    return 1
}

config() {
    cat >tiny.toml
}

config <<END
name = "tiny"
[defaults]
batch_size = 2
num_trials = 3
vocab_size = 101
threads = 1
$tiny_model
[sweep]
model_size = ["tiny"]
context_length = [8, 17]
num_warmups = [0, 5]
forward_only = [false, true]
END

# ---- planning ----
"$tare" sweep "$root/configs/gpt_sizes.toml" --dry-run --format csv --set max_memory=64GiB \
    >plan.csv || fail "dry run"
expect "rows of the reference" "$(cut -d, -f1-9 "$root/tests/golden/seed_sweep.csv")" \
    "$(cut -d, -f1-9 plan.csv)"
expect "parameters" "124439808 354823168 774030080 1557611200 2648931840" \
    "$(column plan.csv num_params | uniq | paste -sd' ')"
expect "all planned" planned "$(column plan.csv status | sort -u)"
expect "shards" 60 "$(for i in 1 2 3; do
    "$tare" sweep "$root/configs/gpt_sizes.toml" --dry-run --format csv --shard $i/3 | tail -n +2
done | cut -d, -f1-9 | sort -u | wc -l)"
# ids SETTING SHARD: the rows of that shard.
ids() {
    "$tare" sweep tiny.toml --dry-run --format csv --set "$1" --shard "$2" | column /dev/stdin row_id
}
expect "a shard keeps its rows when rows are added" "$(ids "context_length=[8, 17]" 2/3)" \
    "$(ids "context_length=[4, 8, 9, 17, 32]" 2/3 | grep -xF "$(ids "context_length=[8, 17]" 1/1)")"
expect "planning leaves nothing" "err plan.csv tiny.toml" "$(touch err; ls | paste -sd' ')"

# ---- decoders ----
cat >decoders.toml <<'END'
[[model]]
size = "tiny"
d_model = 36
num_layers = 2
num_heads = 6
num_kv_heads = 3
vocab_size = 101
[defaults]
batch_size = 2
num_trials = 2
context_length = 8
threads = 1
arch = "llama"
optimizer = "adamw"
[sweep]
model_size = "tiny"
rope_theta = [5e3, 1e6]
recompute = ["none", "block:2"]
END
# params SETTING...: the parameters of the planned rows.
params() {
    local settings=()
    for setting in "$@"; do settings+=(--set "$setting"); done
    "$tare" sweep decoders.toml --dry-run --format csv --set rope_theta=1e4 --set recompute=auto --set max_memory=64GiB \
        "${settings[@]}" >shapes.csv 2>err || fail "dry run: $*" "$(cat err)"
    column shapes.csv num_params | paste -sd' '
}
expect "the course's sizes" "128625408 423183360 969411840 1998235200 3406809600" \
    "$(params 'model_size=["small", "medium", "large", "xl", "2.7B"]' arch=cs336 vocab_size=10000)"
# course YEAR STUDY: sizes and parameters of a config of the course.
course() {
    "$tare" sweep "$root/configs/cs336/$1/$2.toml" --dry-run --format csv --filter 'fp32$' --set forward_only=true \
        --set max_memory=300GiB --set max_row_time=24h >shapes.csv 2>err || fail "configs/cs336/$1/$2.toml" "$(cat err)"
    paste -d' ' <(column shapes.csv model_size) <(column shapes.csv num_params) | uniq | xargs
}
expect "the course in 2025" "small 128625408 medium 423183360 large 969411840 xl 1998235200 2.7B 3406809600" \
    "$(course 2025 mixed_precision)"
expect "the course in 2026" "small 128625408 medium 423183360 large 969411840 xl 3406809600 10B 12832823808" \
    "$(course 2026 mixed_precision)"
for config in "$root"/configs/cs336/202?/{end_to_end,end_to_end_step,memory,checkpointing}.toml; do
    "$tare" sweep "$config" --dry-run --filter '^(small|medium|large)/(128|256|512)/' >table 2>err || fail "$config" "$(cat err)"
done
expect "published models" "134515008 1235814400 596049920" \
    "$(params 'model_size=["smollm2-135m", "llama-3.2-1b", "qwen3-0.6b"]')"
"$tare" sweep decoders.toml --out decoders.csv >table 2>err || fail "decoders: exit $?" "$(cat err)"
expect "decoders run" "4 ok" "$(column decoders.csv status | sort | uniq -c | xargs)"
expect "what recompute became" "none none block:2 block:2" "$(column decoders.csv recompute_used | xargs)"
"$tare" sweep decoders.toml --dry-run --format csv >plan.csv || fail "dry run: exit $?"
expect "planned as they ran" "$(column decoders.csv row_id)" "$(column plan.csv row_id)"
expect "their shape" "4 llama 144 3 6" "$(paste -d' ' <(column plan.csv arch) <(column plan.csv d_ff) \
    <(column plan.csv num_kv_heads) <(column plan.csv head_dim) | uniq -c | xargs)"
expect "recomputation changes no loss" 2 "$(column decoders.csv loss | sort -u | wc -l)"
cp decoders.csv before.csv
"$tare" sweep decoders.toml --out decoders.csv --resume >table 2>err || fail "resume: exit $?" "$(cat err)"
expect "resume runs no decoder again" "$(cat before.csv)" "$(cat decoders.csv)"
refuse "was run with d_ff 144, the config now has 150" sweep decoders.toml --out decoders.csv --resume --set d_ff=150
"$tare" sweep decoders.toml --dry-run >table || fail "dry run: exit $?"
grep -qE '^tiny/8/fwdbwd/w1 +2 +llama +3 +block:2 ' table || fail "the table" "$(cat table)"
refuse "decoders.toml:1: head_dim 5 is odd, but rotary embedding turns pairs" sweep decoders.toml --set head_dim=5
refuse "decoders.toml:1: num_kv_heads 4 does not divide num_heads 6" sweep decoders.toml --set num_kv_heads=4
refuse "model_size 'smollm2-135m' is a llama, but arch is 'gpt2'" run --model smollm2-135m --arch gpt2
"$tare" run --model tiny --d-model 36 --layers 1 --heads 6 --kv-heads 3 --arch cs336 --vocab 50 --batch 2 --context 8 --threads 1 \
    --trials 2 --tied-head --qk-norm --qkv-bias false --d-ff 40 --head-dim 4 --rope-theta 5e3 --norm-eps 1e-6 --format json \
    >row.json 2>err || fail "run: exit $?" "$(cat err)"
for line in '"arch": "cs336"' '"d_ff": 40' '"head_dim": 4' '"rope_theta": 5000.0' '"norm_eps": 9.9*5e-7' \
    '"tied_head": true' '"qk_norm": true' '"qkv_bias": false' '"num_params": 8828'; do
    grep -qE "$line" row.json || fail "no $line in the row" "$(cat row.json)"
done
rm -f decoders.* before.csv shapes.csv row.json table

# ---- running ----
"$tare" sweep tiny.toml >table 2>err || fail "sweep: exit $?" "$(cat err)"
expect "all ok" "8 ok" "$(column results/tiny.csv status | sort | uniq -c | xargs)"
expect "samples of every run" $((4 * 3 + 4 * 8)) "$(column results/tiny.samples.csv trial | wc -l)"
expect "table" 9 "$(wc -l <table)"
expect "time left with its error bar" 7 \
    "$(grep -cE '^\[./8\] .*, about [0-9.]+ m?s left \([0-9.]+ m?s to [0-9.]+ m?s\)$' err)"
cp results/tiny.csv first.csv
"$tare" sweep tiny.toml --resume --format csv >resumed 2>err || fail "resume: exit $?" "$(cat err)"
expect "resume runs nothing" "$(cat first.csv)" "$(cat results/tiny.csv)"
expect "standard output is the file" "$(cat first.csv)" "$(cat resumed)"
expect "json" 8 "$("$tare" sweep tiny.toml --resume --format json 2>err | grep -c '"row_id"')"
refuse "exists; continue it with --resume or replace it with --overwrite" sweep tiny.toml
refuse "was run with num_trials 3, the config now has 4" sweep tiny.toml --resume --set num_trials=4
"$tare" sweep tiny.toml --out small.csv --set max_memory=1MiB >table 2>err || fail "skipped is exit 0"
expect "skipped" skipped_memory "$(column small.csv status | sort -u)"
"$tare" sweep tiny.toml --out late.csv --set max_row_time=1ms >table 2>err || fail "skipped is exit 0"
expect "skipped" "8 skipped_time" "$(column late.csv status | sort | uniq -c | xargs)"
grep -q 'would take .* 1 ms allowed' late.csv || fail "no reason for skipped_time" "$(cat late.csv)"

# ---- random order ----
# json FILE KEY: the values of a key, in the order of the file. (A noise cell may have commas.)
json() {
    "$tare" sweep tiny.toml --resume --out "$1" --format json 2>/dev/null | sed -n "s/^ *\"$2\": \(.*\),$/\1/p"
}
"$tare" sweep tiny.toml --shuffle 7 --out random.csv >table 2>err || fail "random order: exit $?"
expect "rows stay in their order" "$(column first.csv row_id)" "$(column random.csv row_id)"
expect "each ran once" "$(seq 8)" "$(json random.csv run_order | sort -n)"
[ "$(json random.csv run_order)" != "$(seq 8)" ] || fail "seed 7 gave the order of the file"
expect "the seed is stored" 7 "$(json random.csv order_seed | sort -u)"
"$tare" sweep tiny.toml --shuffle 7 --out again.csv >table 2>err || fail "random order: exit $?"
expect "the seed decides the order" "$(json random.csv run_order)" "$(json again.csv run_order)"
expect "in file order there is no seed" null "$(json results/tiny.csv order_seed | sort -u)"

# ---- TARE_GEMM ----
# gemms ARGUMENT...: backend and id of the planned rows.
gemms() {
    "$tare" sweep tiny.toml --dry-run --format csv "$@" >gemms.csv || fail "dry run: exit $?"
    paste <(column gemms.csv gemm) <(column gemms.csv row_id)
}
expect "a config's gemm" openblas "$(gemms --set gemm=openblas | cut -f1 | sort -u)"
expect "TARE_GEMM stands for it" "$(gemms --set gemm=openblas)" "$(TARE_GEMM=openblas gemms)"
expect "a config wins over TARE_GEMM" "$(gemms)" "$(TARE_GEMM=openblas gemms --set gemm=packed)"
TARE_GEMM=openblas "$tare" sweep tiny.toml --out gemm.csv --filter /8/fwd/w0 >table 2>err ||
    fail "TARE_GEMM: exit $?" "$(cat err)"
expect "TARE_GEMM reaches the row" "ok openblas" \
    "$(paste -d' ' <(column gemm.csv status) <(column gemm.csv gemm))"
TARE_GEMM=openblas "$tare" sweep tiny.toml --out gemm.csv --filter /8/fwd/w0 --resume --format csv \
    >resumed 2>err || fail "resume: exit $?" "$(cat err)"
expect "resumed with the same TARE_GEMM, nothing runs" "$(cat gemm.csv)" "$(cat resumed)"
refuse "was run with gemm openblas, the config now has packed" \
    sweep tiny.toml --out gemm.csv --filter /8/fwd/w0 --resume

# ---- tare run, --profile ----
row=(run --model tiny --d-model 36 --layers 2 --heads 3 --vocab 101 --batch 2 --context 17 --threads 1)
run_gemm() {
    "$tare" "${row[@]}" --trials 2 --format json "$@" | sed -n 's/^ *"gemm": "\(.*\)",$/\1/p'
}
expect "tare run with TARE_GEMM" openblas "$(TARE_GEMM=openblas run_gemm)"
expect "--gemm wins" packed "$(TARE_GEMM=openblas run_gemm --gemm packed)"
"$tare" "${row[@]}" --trials 8 --optimizer adamw --profile >profile 2>err || fail "profile: exit $?" "$(cat err)"
for words in '^op +pass +steps +ms +% +GFLOP +GFLOP/s +% peak +MB +GB/s +instructions$' \
    '^linear +backward +8( +[0-9.]+){7} +[a-z]' '^layernorm +forward +5( +[0-9.]+){2}( +-){3}( +[0-9.]+){2} +-$' \
    '^embedding +forward +1( +[0-9.]+){2}( +-){6}$' '^adamw +update +1( +[0-9.]+){2}( +-){3}( +[0-9.]+){2} +-$' \
    '^total +[0-9]+ +[0-9.]+ +100\.0( +[0-9.]+){5} +[a-z]' '^% peak: of [0-9.]+ GFLOP/s, measured in fp32' \
    '^median of 8 trials without stamps .* of 8 runs .*: overhead of profiling -?[0-9.]+ %, '; do
    grep -qE -- "$words" profile || fail "no line $words in the profile" "$(cat profile)"
done
"$tare" "${row[@]}" --profile --max-memory 1MiB >profile 2>err || fail "skipped is exit 0"
grep -q skipped_memory profile || fail "a profile of a row that does not fit" "$(cat profile)"
expect "no profile of a skipped row" 0 "$(grep -c '^op ' profile)"
"$tare" "${row[@]}" --profile --trials 1000000 --max-row-time 1s >profile 2>err
expect "a profiled row that takes too long is exit 1" 1 $?
grep -q failed profile || fail "a profile of a row that takes too long" "$(cat profile)"
refuse "--profile prints a table to read, which --format csv cannot hold" \
    "${row[@]}" --profile --format csv

# ---- crashes and kills ----
rows=(--set num_trials=3000 --set forward_only=false)
"$tare" sweep tiny.toml "${rows[@]}" --out crash.csv >table 2>err &
sweep=$!
until child=$(row_process $sweep); do kill -0 $sweep || break; done
kill -SEGV "$child"
wait $sweep
expect "a crashed row is exit 1" 1 $?
expect "the sweep goes on" "failed ok ok ok" "$(column crash.csv status | sort | paste -sd' ')"
grep -q 'killed by SIGSEGV' crash.csv || fail "no reason for the crash"
"$tare" sweep tiny.toml "${rows[@]}" --out crash.csv --resume >table 2>err || fail "resume: exit $?"
expect "the failed row runs again, in its place" "$(cut -d, -f3,7 first.csv | uniq)" \
    "$(cut -d, -f3,7 crash.csv)"

for signal in INT HUP; do
    env --default-signal=$signal "$tare" sweep tiny.toml "${rows[@]}" --out int$signal.csv >table 2>err &
    sweep=$!
    until [ "$(wc -l 2>/dev/null <int$signal.csv || echo 0)" -ge 2 ]; do kill -0 $sweep || break; done
    kill -$signal $sweep
    wait $sweep
    expect "interrupted by SIG$signal" 130 $?
    [ "$(column int$signal.csv status | sort -u)" = ok ] || fail "unfinished rows in int$signal.csv"
done
nohup "$tare" sweep tiny.toml "${rows[@]}" --out ignored.csv >table 2>err &
sweep=$!
until [ -s ignored.csv ]; do kill -0 $sweep || break; done
kill -HUP $sweep
wait $sweep
expect "a signal that was ignored stays ignored" 0 $?
(ulimit -f 4; exec "$tare" sweep tiny.toml --out limited.csv >table 2>err)
expect "a file that may not grow" 2 $?
grep -q "cannot write '.*limited.*': File too large" err || fail "no reason for it: $(cat err)"

for pause in 0.2 0.9 1.1 1.3 1.5 1.7 1.9 2.1 2.3 2.5; do
    "$tare" sweep tiny.toml "${rows[@]}" --out kill.csv --resume >table 2>err &
    sweep=$!
    sleep $pause
    kill -KILL $sweep 2>/dev/null
    wait $sweep 2>/dev/null
    [ -f kill.csv ] && cut -d, -f10,14 kill.csv >>seen
done
"$tare" sweep tiny.toml "${rows[@]}" --out kill.csv --resume >table 2>err || fail "resume: exit $?"
expect "nothing ran twice" "$(cut -d, -f10,14 kill.csv | sort)" \
    "$(cut -d, -f10,14 kill.csv | cat - seen | grep -E ',(r[0-9a-f]{16}|row_id)$' | sort -u)"
expect "every row once" 4 "$(column kill.csv row_id | sort -u | wc -l)"

# ---- merging ----
for i in 1 2 3; do
    "$tare" sweep tiny.toml --shard $i/3 --out shard$i.csv >table 2>err || fail "shard: exit $?"
done
"$tare" merge shard3.csv shard1.csv shard2.csv --out merged.csv 2>err || fail "merge: exit $?"
expect "merged rows" "$(column first.csv row_id)" "$(column merged.csv row_id)"
expect "merged samples" 45 "$(wc -l <merged.samples.csv)"
refuse "already" merge merged.csv shard1.csv --out twice.csv
"$tare" sweep tiny.toml --set threads=2 --out two.csv >table 2>err || fail "two threads: exit $?"
"$tare" merge merged.csv two.csv --out mixed.csv 2>err || fail "merge of two threads: exit $?" "$(cat err)"
expect "merged threads" 16 "$(column mixed.csv row_id | sort -u | wc -l)"
for i in 1 2; do
    "$tare" sweep tiny.toml --set threads='[1, 2]' --shard $i/2 --out t$i.csv >table 2>err || fail "shard: exit $?"
done
"$tare" merge t1.csv t2.csv --out threads.csv 2>err || fail "merge of a threads sweep: exit $?" "$(cat err)"
expect "a threads sweep in shards" "$(column mixed.csv row_id | sort)" "$(column threads.csv row_id | sort)"
here=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
sed "s|,$here,|,another CPU,|" two.csv >other.csv
cp two.samples.csv other.samples.csv
refuse "and 'another CPU' in 'other.csv'; --force merges anyway" merge merged.csv other.csv --out forced.csv
# That the first file's machine has no quota is known of it, where this one has none.
list=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
sed "s|,$here,$list,,|,$here,$list,1.5,|" two.csv >quota.csv
cp two.samples.csv quota.samples.csv
if ! cmp -s two.csv quota.csv; then
    refuse "cpu_quota is '' in 'merged.csv' and '1.5' in 'quota.csv'; --force merges anyway" \
        merge merged.csv quota.csv --out forced.csv
fi
"$tare" merge merged.csv other.csv --out forced.csv --force 2>err || fail "forced merge: exit $?"
expect "forced merge" 16 "$(column forced.csv row_id | sort -u | wc -l)"
sum=$(cat shard1.csv shard1.samples.csv | cksum)
ln -s shard1.csv link.csv
for out in shard1.csv ./shard1.csv link.csv shard1.samples.csv shard1; do
    refuse "would overwrite the input 'shard1" merge shard1.csv shard2.csv --out $out --overwrite
done
expect "the inputs of a refused merge" "$sum" "$(cat shard1.csv shard1.samples.csv | cksum)"
refuse "cannot open 'none.csv'" merge none.csv --out x.csv
refuse "--out is missing" merge shard1.csv

# ---- formats ----
sed '/^name/!s/"tiny"/"a|b"/' tiny.toml >bar.toml
"$tare" sweep bar.toml --dry-run --format md | grep -qF '| a\|b/8/fwdbwd/w0 ' || fail "a bar ends a cell"
for i in $(seq 50); do
    [ -n "$("$tare" sweep tiny.toml --filter '/8/fwd/w0' --dry-run --format csv --shard $i/50 | tail -n +2)" ] && continue
    expect "an empty selection prints nothing" "" \
        "$("$tare" sweep tiny.toml --filter '/8/fwd/w0' --dry-run --format md --shard $i/50)"
    break
done

# ---- refusals ----
refuse "--out -: a result is two files" sweep tiny.toml --out -
refuse "--out -: a result is two files" merge shard1.csv --out -
[ ! -e - ] || fail "a file named -"
refuse "an expression of 60000 bytes" sweep tiny.toml --filter "$(printf '(%.0s' {1..30000})$(printf ')%.0s' {1..30000})"
mkfifo pipe
refuse "cannot read 'pipe': it is not a regular file" sweep pipe

# Names that pandas reads as something else are warned of; others are not.
for name in NA nan null 007 1e5 True; do
    sed "s/\"tiny\"/\"$name\"/" tiny.toml >odd.toml
    "$tare" sweep odd.toml --dry-run >/dev/null 2>err || fail "the name $name: $(cat err)"
    expect "the name $name" 1 "$(grep -c "pandas reads the model size '$name' as a number" err)"
done
"$tare" sweep tiny.toml --dry-run >/dev/null 2>err
[ ! -s err ] || fail "an ordinary name: $(cat err)"

# Two rows of milliseconds, with a second of rest between them.
begin=$(date +%s%N)
"$tare" sweep tiny.toml --filter '/8/fwd/w' --set num_trials=1 --set num_warmups='[0, 1]' --out rests.csv --delay 1.5 >/dev/null 2>err || fail "--delay: $(cat err)"
rows=$(column rests.csv status | grep -c ok)
took=$((($(date +%s%N) - begin) / 1000000))
[ $took -ge $((1500 * (rows - 1))) ] && [ "$rows" -ge 2 ] || fail "--delay: $rows rows took $took ms"
refuse "--delay" sweep tiny.toml --out none.csv --delay -1
refuse "cannot open 'none.toml'" sweep none.toml
refuse "it is a directory" sweep "$work"
refuse "CONFIG.toml is missing" sweep
expect "columns" "$(head -1 first.csv | tr , '\n')" \
    "$("$tare" sweep --columns | tail -n +3 | cut -d'`' -f2)"
refuse "not a regular file" sweep tiny.toml --out /dev/full
refuse "there is no folder 'none'" sweep tiny.toml --out none/x.csv
refuse "did you mean '--out'?" sweep tiny.toml --oot x.csv
refuse "--filter '('" sweep tiny.toml --filter '('
refuse "matches none of the 8 rows" sweep tiny.toml --filter large
refuse "--shard: '4/3' is not I/N" sweep tiny.toml --shard 4/3
refuse "did you mean 'num_trials'?" sweep tiny.toml --set num_trails=3
refuse "--set d_model=3: 'd_model' belongs in [[model]], which --set does not reach" sweep tiny.toml --set d_model=3
# A closed stream's number must not be a result's: progress would be printed into it.
for streams in '2>&-' '>&- 2>&- <&-'; do
    eval '"$tare" sweep tiny.toml --filter "/8/fwd/w0" --out closed.csv --overwrite >/dev/null 2>/dev/null' "$streams"
    grep -qv '^model_size,\|^tiny,' closed.csv && fail "with $streams the result has: $(cat closed.csv)"
    grep -q '^tiny,' closed.csv || fail "with $streams there is no row"
done

refuse "exclude each other" sweep tiny.toml --resume --overwrite
config <<<'[sweep]
model_size = "tiny"'
refuse "tiny.toml:2: model_size 'tiny' is neither built in nor a [[model]]" sweep tiny.toml
config <<<'[[model]]
size = "deep"
num_layers = 1099511627776'
refuse "tiny.toml:3: num_layers is 1099511627776, outside 1 to 16777216" sweep tiny.toml
config <<<'[sweep'
refuse "tiny.toml:1: " sweep tiny.toml
: >tiny.toml
refuse "tiny.toml: [sweep] has no model_size" sweep tiny.toml
expect "refusals leave nothing" "" "$(ls | grep -E '^(x|none|twice)' || true)"

exit $failed
