#!/usr/bin/env bash
# `tare compare` beside workers of every kind: good ones, and ones that are missing, wrong, die, hang or
# print rubbish. A shell script stands for Python, so no peer has to be installed. TARE names the program.
set -uo pipefail
tare=${TARE:-build/tare}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

model=$work/model
mkdir "$model"
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' the quick in this not it is >"$model/vocab.txt"
echo '{"model_type":"distilbert","vocab_size":11,"dim":8,"n_heads":2,"n_layers":1,"hidden_dim":16}' \
    >"$model/config.json"
cat >"$work/config.toml" <<EOF
rounds = 6
threads = 1
peers = "tokenizers"
max_wait = "60s"
[[model]]
name = "m"
dir = "$model"
[[cell]]
component = "tokenizer"
model = "m"
batch_size = [1, 8]
EOF

# It repeats our outputs, so parity holds, unless FAKE says what else to do.
cat >"$work/python" <<'EOF'
#!/bin/bash
while read -r line; do
    case $line in
        *'"do":"hello"'*)
            [ "$FAKE" = missing ] && echo '{"error":"No module named tokenizers"}' && continue
            [ "$FAKE" = deaf ] && sleep 600
            [ "$FAKE" = crash ] && echo 'Traceback: broken installation' >&2 && exit 1
            echo '{"versions":{"fake":"1.2"}}' ;;
        *'"do":"load"'*Zurich*) [ "$FAKE" = hangs_at_8 ] && sleep 600; echo '{}' ;;
        *'"do":"load"'*) echo '{}' ;;
        *'"do":"nothing"'*) echo '{"ns":50}' ;;
        *'"do":"outputs"'*)
            path=${line#*\"path\":\"} path=${path%%\"*} ours=${path%/*}/tare.safetensors
            if [ "$FAKE" = wrong ]; then
                { head -c -4 "$ours"; printf '\x63\0\0\0'; } >"$path"
            else
                cp "$ours" "$path"
            fi
            echo '{}' ;;
        *'"do":"run"'*)
            [ "$FAKE" = dies ] && echo 'out of luck' >&2 && exit 9
            [ "$FAKE" = hangs ] && sleep 600
            [ "$FAKE" = rubbish ] && echo 'Loading model...' && continue
            [ "$FAKE" = no_time ] && echo '{"time":5}' && continue
            echo '{"ns":7000000}' ;;
    esac
done
EOF
chmod +x "$work/python"

# compare FAKE CODE [OPTION...]: runs it; leaves stdout in out, stderr in err, results in results/.
compare() {
    local fake=$1 code=$2 got=0
    shift 2
    name=$fake
    rm -rf "$work/results"
    FAKE=$fake TARE_PYTHON=${PYTHON:-$work/python} timeout 100 "$tare" compare "$work/config.toml" \
        --out "$work/results" "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
    if [ "$got" != "$code" ]; then
        printf '%s: exit %s, wanted %s\n' "$name" "$got" "$code"
        cat "$work/err"
        failed=1
    fi
}

# has FILE PATTERN: a line of it matches the extended regular expression.
has() {
    grep -Eq -- "$2" "$1" || { printf '%s: no line of %s matches %s\n' "$name" "$1" "$2"; cat "$1"; failed=1; }
}
has_not() {
    ! grep -Eq -- "$2" "$1" || { printf '%s: a line of %s matches %s\n' "$name" "$1" "$2"; cat "$1"; failed=1; }
}
csv() {
    cat "$work"/results/benchmark_????????_??????.csv >"$work/csv"
}

compare good 0
csv
header='component,model,batch_size,seq_len,implementation,median_ms,median_lo_ms,median_hi_ms'
header+=',ratio,ratio_lo,ratio_hi,parity_max_abs,parity_ok,empty_call_ms,rounds'
has "$work/csv" "^$header\$"
has "$work/csv" '^tokenizer,m,1,,tare,[0-9.e-]+,[0-9.e-]+,[0-9.e-]+,,,,,,[0-9.e-]+,6$'
has "$work/csv" '^tokenizer,m,8,,tokenizers,7,7,7,[0-9.e-]+,[0-9.e-]+,[0-9.e-]+,0,True,[0-9.e-]+,6$'
[ "$(wc -l <"$work/csv")" = 5 ] || { echo "good: not 5 lines of CSV"; failed=1; }
has "$work/out" '^\| \*\*Tokenizer\*\* \| 8 \| - \| .*x Faster'
has "$work/out" '\*\*PASS\*\* \(ids equal\)'
cmp -s "$work/out" "$work"/results/*.md || { echo "good: stdout is not the Markdown file"; failed=1; }
has "$(echo "$work"/results/*.json)" '"fake": "1.2"'

compare missing 0
has "$work/err" 'tokenizers is left out \(tokenizers: No module named tokenizers\); to install it: python3 -m venv'
csv
has "$work/csv" '^tokenizer,m,1,,tare,'
has_not "$work/csv" 'tokenizers'

PYTHON=/no/such/python compare no_python 0
has "$work/err" 'no Python, so tare is measured alone; to install the peers: python3 -m venv'

compare crash 1
has "$work/err" 'tokenizers is left out: tokenizers ended with exit code 1: Traceback: broken installation$'

compare deaf 1 --set max_wait=1s
has "$work/err" 'tokenizers is left out: tokenizers did not answer within 1 s and was stopped$'

compare wrong 1
csv
has "$work/err" 'parity FAILED: lengths differs'
has "$work/csv" '^tokenizer,m,1,,tokenizers,7,7,7,,,,[0-9]+,False,'
has "$work/out" '\*\*FAILED\*\*: lengths differs'
has_not "$work/out" 'Faster|Slower'

compare dies 1
has "$work/err" '\[2/2\] .* tokenizers failed: tokenizers ended with exit code 9: out of luck$'
csv
has "$work/csv" '^tokenizer,m,8,,tokenizers,{9}[0-9.e-]+,$'
has "$work/out" 'failed'

compare hangs 1 --set max_wait=1s
has "$work/err" 'tokenizers failed: tokenizers did not answer within 1 s and was stopped$'

compare rubbish 1
has "$work/err" "no JSON object and was stopped: 'Loading model\.\.\.'$"

compare no_time 1
has "$work/err" "tokenizers answered 'run' without a time$"

# Interrupted in the second cell: the first is on disk.
name=interrupt
rm -rf "$work/results"
got=0
FAKE=hangs_at_8 TARE_PYTHON=$work/python timeout --preserve-status -s INT 5 \
    "$tare" compare "$work/config.toml" --out "$work/results" >"$work/out" 2>"$work/err" || got=$?
[ $got = 130 ] || { echo "interrupt: exit $got, wanted 130"; cat "$work/err"; failed=1; }
csv
has "$work/csv" '^tokenizer,m,1,,tokenizers,7,'
has_not "$work/csv" '^tokenizer,m,8,'

# One line, exit 2.
for wrong in 'rounds=0' 'rouns=3' 'peers=torch'; do
    compare "--set $wrong" 2 --set "$wrong"
    [ "$(wc -l <"$work/err")" = 1 ] || { echo "$wrong: not one line on stderr"; failed=1; }
done
compare "no folder" 2 --out "$work/none/results"
echo '{"model_type":"gpt2"}' >"$model/config.json"
compare "another kind of model" 2
has "$work/err" "cannot do 'tokenizer', which is for an encoder$"
exit $failed
