#!/usr/bin/env bash
# `tare compare` with task = "sentiment" beside workers of every kind. A shell script stands for Python, and
# the classifier's weights are zeros, so that every text is negative. TARE names the program.
set -uo pipefail
. "$(dirname "$0")/lib/zeros.sh"
tare=$(realpath "${TARE:-build/tare}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

distilbert_of_zeros "$work/model" classifier
line() { printf '{"text":"%s","expected_label":"%s","category":"%s"}\n' "$@"; }
{ line 'it is the quick' negative plain; line 'this is it' positive plain; line 'not' Negative short; } \
    >"$work/benchmark.jsonl"
{ line 'in this' negative plain; line 'is it' negative short; } >"$work/validation.jsonl"
cat >"$work/config.toml" <<EOF
task = "sentiment"
name = "tiny"
model = "$work/model"
rounds = 40
warmups = 5
cold_starts = 2
threads = 1
max_length = 16
[data]
benchmark = "$work/benchmark.jsonl"
validation = "$work/validation.jsonl"
test = "$work/test.jsonl"
[implementations]
pytorch = true
onnxruntime = false
pytorch_gpu = true
EOF

# It repeats our logits, so parity holds, and takes 7 ms a request, 1 ms of it for the tokenizer, unless FAKE
# says what else to do.
cat >"$work/python" <<'EOF'
#!/bin/bash
while read -r line; do
    case $line in
        *'"do":"hello"'*)
            [ "$2" = pytorch_gpu ] && echo '{"unavailable":"no such GPU"}' && continue
            echo '{"versions":{"fake":"1.2"}}' ;;
        *'"do":"load"'*) echo '{"ns":30000000}' ;;
        *'"do":"nothing"'*) echo '{"ns":50}' ;;
        *'"do":"outputs"'*)
            path=${line#*\"path\":\"} path=${path%%\"*} ours=${path%/*}/tare.safetensors
            case $FAKE in
                wrong) { head -c -4 "$ours"; printf '\x63\0\0\0'; } >"$path" ;;
                short) head -c 100 "$ours" >"$path" ;;
                *) cp "$ours" "$path" ;;
            esac
            echo '{}' ;;
        *'"do":"requests"'*)
            [ "$FAKE" = dies ] && echo 'out of luck' >&2 && exit 9
            [ "$FAKE" = hangs ] && sleep 600
            [ "$FAKE" = rubbish ] && echo 'Loading model...' && continue
            turns=$((${turns:-0} + 1))
            [ "$FAKE" = hangs_late ] && [ $turns -gt 10 ] && : >"${0%/*}/hanging" && sleep 600
            [ "$FAKE" = no_times ] && echo '{"ns":[1],"tokenizer_ns":[]}' && continue
            ns=7000000 tokenizer=1000000
            [ "$FAKE" = impossible ] && ns=1 tokenizer=1
            commas=${line//[^,]/}
            count=$((${#commas})) # one behind "do", one less than there are texts
            [[ $line == *'[]'* ]] && count=0
            printf '{"ns":[%s],"tokenizer_ns":[%s]}\n' \
                "$(yes $ns | head -n $count | paste -sd, -)" "$(yes $tokenizer | head -n $count | paste -sd, -)" ;;
    esac
done
EOF
chmod +x "$work/python"

# compare FAKE CODE [OPTION...]: runs it; leaves stdout in out, stderr in err, results in results/.
compare() {
    local code=$2 got=0
    name=$1
    shift 2
    rm -rf "$work/results"
    FAKE=$name TARE_PYTHON=${PYTHON:-$work/python} timeout 100 "$tare" compare "$work/config.toml" \
        --out "$work/results" "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
    [ "$got" = "$code" ] || { printf '%s: exit %s, wanted %s\n' "$name" "$got" "$code"; cat "$work/err"; failed=1; }
    cat "$work"/results/benchmark_????????_??????.csv >"$work/csv" 2>/dev/null
    cat "$work"/results/benchmark_????????_??????.json >"$work/json" 2>/dev/null
}

# has FILE PATTERN: a line of it matches the extended regular expression.
has() {
    grep -Eq -- "$2" "$work/$1" || { printf '%s: no line of %s matches %s\n' "$name" "$1" "$2"; head -n 30 "$work/$1"; failed=1; }
}
has_not() {
    ! grep -Eq -- "$2" "$work/$1" || { printf '%s: a line of %s matches %s\n' "$name" "$1" "$2"; failed=1; }
}
# refused CODE-2-SENTENCE [OPTION...]: exit 2, that one line, and nothing written.
refused() {
    local sentence=$1
    shift
    compare "$sentence" 2 "$@"
    [ "$(wc -l <"$work/err")" = 1 ] || { echo "$name: not one line on stderr"; cat "$work/err"; failed=1; }
    grep -qF -- "$sentence" "$work/err" || { echo "$name: got $(cat "$work/err")"; failed=1; }
    [ ! -e "$work/results" ] || { echo "$name: results/ was made"; failed=1; }
}

# ---- what a good run leaves ----

compare good 0
number='[0-9.e+-]+'
header='component,model,batch_size,seq_len,implementation,median_ms,median_lo_ms,median_hi_ms'
header+=',ratio,ratio_lo,ratio_hi,parity_max_abs,parity_ok,empty_call_ms,rounds,status,gflops_per_s,peak_fraction'
has csv "^$header,requests,mean_ms,"
has csv "^classify,tiny,1,,tare,$number,$number,$number,,,,,,$number,40,ok,$number,$number,120,"
has csv "^classify,tiny,1,,pytorch,7,7,7,$number,$number,$number,0,True,$number,40,ok,$number,$number,120,7,0,0,7,7,7,7,1,142.857143,0.142857143,"
[ "$(wc -l <"$work/csv")" = 3 ] || { echo "good: not 3 lines of CSV"; failed=1; }
has err "no '.*/test.jsonl', so there is no test set"
has err '^tare: pytorch_gpu is not available here: no such GPU$'
has out '^\*\*pytorch_gpu:\*\* left out: not available here: no such GPU$'
has out '^\| \*\*pytorch\*\* \| 7 ms \| 7 \[7, 7\] \| 7 ms \| 7 ms \| 142.9 req/s \| 0.00 \| 100.0% \| 14% \|'
has out '^- tare takes 0\.[0-9]+ of the time of pytorch'
has out '^- All 2 implementations give the same label to each of the 5 texts\.$'
has out '^- tare has 2 of 3 benchmark texts right: 66.7 % \[20.8, 93.9\]\.$'
has out '^- Weakest category of the benchmark samples: plain, 1 of 2 right \[9, 91 %\]\.$'
has out '^\| plain \| 2 \| 50.0 % \(1 of 2\) \[9.5, 90.5\] \|'
has_not out 'Per category: test'
cmp -s "$work/out" "$work"/results/*.md || { echo "good: stdout is not the Markdown file"; failed=1; }
has json '"architecture": "'
has json '"memory_bytes": [0-9]'
has json '"fake": "1.2"'
has json '"pytorch_gpu": "not available here: no such GPU"'

line 'quick' positive plain >"$work/test.jsonl"
compare many_warmups 0 --set rounds=2 --set warmups=100000
has csv '^classify,tiny,1,,tare,.*,ok,'
compare few 0 --rounds 2 --set warmups=0
has csv '^classify,tiny,1,,pytorch,7,,,[0-9.e-]+,,,0,True,'
has csv ',2,ok,[^,]*,[^,]*,6,7,0,0,7,7,,,,142'   # no P95, no P99
has out '^- Too few rounds to tell tare'
has out '^- tare has 0 of 1 test texts right'
has out 'Per category: test'
rm "$work/test.jsonl"

PYTHON=/no/such/python compare no_python 0
has err 'no Python, so tare is measured alone'
has out '^\*\*pytorch:\*\* left out: no Python$'
has_not csv pytorch

# A bias that is NaN: there are no labels, and none are counted.
cp "$work/model/model.safetensors" "$work/whole"
printf '\0\0\xc0\x7f' | dd of="$work/model/model.safetensors" bs=1 conv=notrunc \
    seek=$(($(stat -c %s "$work/whole") - 4)) 2>/dev/null
PYTHON=/no/such/python compare not_finite 1
has err "tare failed: tare: the model's output for text 1 is not finite$"
has out "^- tare was not measured: tare: the model's output for text 1 is not finite\.$"
has csv '^classify,tiny,1,,tare,,.*,failed,'
mv "$work/whole" "$work/model/model.safetensors"

# ---- peers that fail; tare goes on ----

compare wrong 1
has err 'parity FAILED: lengths differs$'
has csv "^classify,tiny,1,,pytorch,7,7,7,,,,$number,False,$number,40,differs,"
has out '^- pytorch computes something else than tare \(lengths differs\), so its speed is not compared\.$'
has_not out 'of the time of pytorch'
compare dies 1
has err '^tare: pytorch failed: pytorch ended with exit code 9: out of luck$'
has csv "^classify,tiny,1,,tare,$number,"
has csv '^classify,tiny,1,,pytorch,,,,,,,,,[0-9.e-]+,,failed,'
has out '^- pytorch was not measured: pytorch ended with exit code 9: out of luck\.$'
compare hangs 1 --set max_wait=1s
has err '^tare: pytorch failed: pytorch did not answer within 1 s and was stopped$'
compare rubbish 1
has err "no JSON object and was stopped: 'Loading model\.\.\.'\$"
compare no_times 1
has err "pytorch answered 'requests' without 1 times 'tokenizer_ns'\$"
compare short 1
has err '^tare: pytorch failed: '
compare impossible 1
has csv ',implausible,'
has out "^- pytorch's time is not believed: "
has_not out 'of the time of pytorch'
has_not out '^- (P99|Tokenizer.s share|From nothing).*pytorch'
has out '^\| \*\*pytorch\*\* .* ms \| +- +\|$'

# Interrupted in a later round: the complete ones are on disk.
name=hangs_late
rm -rf "$work/results"
got=0
FAKE=$name TARE_PYTHON=$work/python \
    "$tare" compare "$work/config.toml" --out "$work/results" >"$work/out" 2>"$work/err" &
for ((i = 0; i < 400; i++)); do
    [ -e "$work/hanging" ] && break
    sleep 0.2
done
kill -INT $!
wait $! || got=$?
[ $got = 130 ] || { echo "interrupt: exit $got, wanted 130"; cat "$work/err"; failed=1; }
cat "$work"/results/benchmark_????????_??????.csv >"$work/csv"
has csv "^classify,tiny,1,,tare,$number,$number,$number,,,,,,$number,8,ok,"
has csv "^classify,tiny,1,,pytorch,7,7,7,.*,8,ok,"

# ---- bad input ----

refused "there is no model in '$work/none'; to make it: tare train configs/sentiment_train.toml" \
    --set "model=$work/none"
refused "--set round=3: unknown key 'round'; did you mean 'rounds'?" --set round=3
refused '--set rounds=0: rounds is 0, outside 1 to 10000' --set rounds=0
refused '--filter chooses cells' --filter x
refused '--profile is of cells' --profile
cp "$work/config.toml" "$work/good.toml"
# broken SENTENCE SED: the config changed by a sed command is refused.
broken() {
    sed "$2" "$work/good.toml" >"$work/config.toml"
    refused "$1"
}
broken "task is 'sentimnet'; did you mean 'sentiment'? It may be sentiment" 's/^task.*/task = "sentimnet"/'
broken "unknown key 'pytorhc'; did you mean 'pytorch'?" 's/^pytorch = /pytorhc = /'
broken "unknown key 'tokenizers'" 's/^pytorch_gpu/tokenizers/'
broken 'tare cannot be switched off' 's/^pytorch_gpu = true/tare = false/'
broken 'onnxruntime is an integer, not true or false' 's/^onnxruntime = false/onnxruntime = 1/'
broken "there is no 'benchmark' in [data]" '/^benchmark/d'
broken "there is no 'model'" '/^model/d'
broken "unknown key 'training'" 's/^validation/training/'
cp "$work/good.toml" "$work/config.toml"
line 'it is' neutral plain >>"$work/benchmark.jsonl"
refused 'benchmark.jsonl:4: '
exit $failed
