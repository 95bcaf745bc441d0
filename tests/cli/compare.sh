#!/usr/bin/env bash
# `tare compare` beside workers of every kind: good ones, and ones that are missing, wrong, die, hang, print
# rubbish or claim the impossible. A shell script stands for Python, so no peer has to be installed. TARE names the program.
set -uo pipefail
. "$(dirname "$0")/lib/zeros.sh"
tare=${TARE:-build/tare}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

model=$work/model
distilbert_of_zeros "$model"
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
cat >"$work/model.toml" <<EOF
rounds = 8
threads = 1
max_wait = "60s"
peers = ["pytorch", "onnxruntime"]
[[model]]
name = "m"
dir = "$model"
[[cell]]
component = "model"
model = "m"
batch_size = 1
seq_len = 16
EOF

# It repeats our outputs, so parity holds, unless FAKE says what else to do. How our own threads wait is not to
# become a policy of the peers'.
unset GOMP_SPINCOUNT OMP_WAIT_POLICY
cat >"$work/python" <<'EOF'
#!/bin/bash
while read -r line; do
    case $line in
        *'"do":"hello"'*)
            [ -n "${GOMP_SPINCOUNT-}" ] && echo '{"error":"it inherits a GOMP_SPINCOUNT"}' && continue
            [ "$FAKE" = no_device ] && echo '{"unavailable":"no such GPU"}' && continue
            [ "$FAKE" = missing ] && echo '{"error":"No module named tokenizers"}' && continue
            [ "$FAKE" = deaf ] && sleep 600
            [ "$FAKE" = sigill ] && kill -ILL $$
            [ "$FAKE" = crash ] && echo 'Traceback: broken installation' >&2 && exit 1
            echo '{"versions":{"fake":"1.2"}}' ;;
        *'"do":"load"'*Zurich*) [ "$FAKE" = hangs_at_8 ] && sleep 600; echo '{}' ;;
        *'"do":"load"'*)
            [ "$FAKE" = late ] && echo '{"error":"No module named onnx"}' && continue
            echo '{}' ;;
        *'"do":"nothing"'*)
            [ "$FAKE" = negative ] && echo '{"ns":-50}' && continue
            echo '{"ns":50}' ;;
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
            [ "$FAKE" = impossible ] && echo '{"ns":1}' && continue
            [ "$FAKE" = many_threads ] && echo '{"ns":7000000,"cpu_ns":28000000}' && continue
            [ "$FAKE" = one_dies ] && [ "$2" = pytorch ] && exit 9
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
    FAKE=$fake TARE_PYTHON=${PYTHON:-$work/python} timeout 100 "$tare" compare "$work/${CONFIG:-config}.toml" \
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
header+=',status,gflops_per_s,peak_fraction,bytes_per_s,peak_rss_bytes,n_gen,tokens_per_s,start_ms,load_ms,first_call_ms'
has "$work/csv" "^$header\$"
number='[0-9.e+-]+'
has "$work/csv" "^tokenizer,m,1,,tare,$number,$number,$number,,,,,,$number,6,ok,,,$number,,,,$number,[^,]*,$number\$"
has "$work/csv" "^tokenizer,m,8,,tokenizers,7,7,7,$number,$number,$number,0,True,$number,6,ok,,,$number,,,,$number,[^,]*,$number\$"
[ "$(wc -l <"$work/csv")" = 5 ] || { echo "good: not 5 lines of CSV"; failed=1; }
has "$work/out" '^\| \*\*Tokenizer\*\* \| 8 \| - \| .*x Faster'
has "$work/out" '\*\*PASS\*\* \(ids equal\)'
cmp -s "$work/out" "$work"/results/*.md || { echo "good: stdout is not the Markdown file"; failed=1; }
has "$(echo "$work"/results/*.json)" '"fake": "1.2"'

# Turns that are processes of their own have a peak of memory.
sed '/^seq_len/a fresh_process = true' "$work/model.toml" >"$work/fresh.toml"
CONFIG=fresh compare fresh 0
csv
has "$work/csv" "^model,m,1,16,tare,.*,[0-9]{6,},,,$number,$number,\$"
has "$work/out" '^## 3. Peak Memory$'

compare missing 0
has "$work/err" 'tokenizers is left out \(tokenizers: No module named tokenizers\); to install it: python3 -m venv'
csv
has "$work/csv" '^tokenizer,m,1,,tare,'
has_not "$work/csv" 'tokenizers'

# A module that is missed later, and a Python without any: each peer's line and the maker's say how to install it.
compare late 1
has "$work/err" 'tokenizers failed: tokenizers: No module named onnx; to install it: python3 -m venv'
printf '#!/bin/sh\nexec python3 -E -s -S "$@"\n' >"$work/bare"
chmod +x "$work/bare"
all='"pytorch", "pytorch_compile", "onnxruntime", "tokenizers", "pytorch_gpu", "pytorch_mps", "pytorch_static", "llama_cpp", "openvino"'
PYTHON=$work/bare compare bare 0 --set "peers=[$all]"
for peer in $(tr -d '",' <<<"$all"); do
    has "$work/err" "^tare: $peer is left out \($peer: No module named .*\); to install it: .*pip install "
done
root=$(realpath "$(dirname "$0")/../..")
mkdir -p "$work/project/bench"
ln -s "$root/bench/peers" "$work/project/bench/peers"
sed "s/^dir = .*/make = 'distilbert-small'/" "$work/config.toml" >"$work/make.toml"
program=$(realpath "$tare")
pushd "$work/project" >/dev/null
tare=$program PYTHON=$work/bare CONFIG=make compare bare_maker 2
popd >/dev/null
has "$work/err" "^tare: model 'distilbert-small' could not be made: .*No module named 'torch'; to install it: python3 -m venv"

compare no_device 0
has "$work/err" '^tare: tokenizers is not available here: no such GPU$'
has "$work/out" '^\*\*tokenizers:\*\* left out: not available here: no such GPU$'
has "$(echo "$work"/results/*.json)" '"tokenizers": "not available here: no such GPU"'

# Of this program alone, far from the peers' script, nothing can be compared.
mkdir "$work/alone"
cp "$tare" "$work/alone/tare"
pushd "$work/alone" >/dev/null
tare=$work/alone/tare compare no_script 1
popd >/dev/null
has "$work/err" 'no bench/peers/worker.py, so tare is measured alone'

compare negative 1
has "$work/err" "tokenizers is left out: tokenizers answered 'nothing' without a time\$"

# Folders of killed runs go; those of a process that lives, or of another name, stay.
sleep 0 & wait $!
mkdir -p "$work"/tmp/tare-compare-{$!-aaaaaa,$$-aaaaaa,x-aaaaaa,$!h681p,$!-aaaaaaa}
touch "$work"/tmp/tare-compare-{$!,$$}-aaaaaa/inputs.safetensors
TMPDIR=$work/tmp compare good 0
[ "$(ls "$work/tmp" | xargs)" = "$(printf '%s\n' tare-compare-{{$$,x}-aaaaaa,$!h681p,$!-aaaaaaa} | sort | xargs)" ] ||
    { echo "stale folders: $(ls "$work/tmp")"; failed=1; }

PYTHON=/no/such/python compare no_python 0
has "$work/err" 'no Python, so tare is measured alone; to install the peers: python3 -m venv'

compare crash 1
has "$work/err" 'tokenizers is left out: tokenizers ended with exit code 1: Traceback: broken installation$'

compare sigill 1
has "$work/err" 'tokenizers is left out: tokenizers was killed by SIGILL$'
[ "$(grep -c tokenizers "$work/err")" = 1 ] || { echo "sigill: not one line"; failed=1; }

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
has "$work/csv" "^tokenizer,m,8,,tokenizers,{9}$number,,failed,,,,,,,$number,[^,]*,[^,]*\$"
has "$work/out" 'failed'

compare hangs 1 --set max_wait=1s
has "$work/err" 'tokenizers failed: tokenizers did not answer within 1 s and was stopped$'

compare rubbish 1
has "$work/err" "no JSON object and was stopped: 'Loading model\.\.\.'$"

compare no_time 1
has "$work/err" "tokenizers answered 'run' without a time$"

# Matrix work has a share of the peak, and a time that no machine reaches is not believed.
CONFIG=model compare good_model 0
csv
has "$work/csv" "^model,m,1,16,tare,$number,$number,$number,,,,,,$number,8,ok,$number,$number,,,,,$number,[^,]*,$number\$"
has "$work/csv" "^model,m,1,16,onnxruntime,7,7,7,$number,$number,$number,0,True,$number,8,ok,$number,$number,,,,,$number,[^,]*,$number\$"
has "$work/out" '^\| \*\*Model\*\* \| 1 \| 16 \|.*x Faster'
has "$(echo "$work"/results/*.json)" '"fma": [0-9]'
has_not "$work/out" 'Time Goes'

# Each cell by op: an encoder, one in processes of its own, a training step, a decoder. A tokenizer has no ops.
CONFIG=model compare profiled 0 --profile
has "$work/out" '^## 5. Where Tare.s Time Goes$'
has "$work/out" '^### m/model/b1s16$'
has "$work/out" '^\| linear \| forward \| [0-9]+ \| [0-9.]+ \| .* \| (vfmadd231ps|mulps and addps) \|$'
has "$work/out" '^\| layernorm \| forward \|'
has "$work/out" '^median of 8 trials without stamps .* of [0-9]+ runs with a stamp'
has_not "$work/out" '^\| adamw|backward'
has "$(echo "$work"/results/*.json)" '"op": "linear"'
CONFIG=fresh compare profiled_fresh 0 --profile
has "$work/out" '^median of 8 trials without stamps .* of 8 runs with a stamp'
compare profiled_tokenizer 0 --profile
has_not "$work/out" 'Time Goes'
CONFIG=model compare impossible 1
csv
has "$work/err" 'pytorch 1e-06 ms, implausible: [0-9.e+]+ GFLOP/s on 1 threads is more than the [0-9.e+]+ this machine can reach'
has "$work/csv" "^model,m,1,16,pytorch,1e-06,1e-06,1e-06,,,,0,True,$number,8,implausible,"
has "$work/out" '\*\*implausible\*\*'
has_not "$work/out" 'Faster|Slower'
has_not "$work/out" '\*\*1e-06\*\*'
has "$work/out" '^\| \*\*Model\*\* \| 1 \| 16 \| \*\*[0-9]'

# Nor one that took more CPU time than its threads have.
CONFIG=model compare many_threads 1
has "$work/err" 'pytorch 7 ms, implausible: its CPU time is 4 times its time on 1 threads'
has_not "$work/out" 'Faster|Slower'
has_not "$work/out" '\*\*7\*\*'

# One attention layer, which has no model directory.
cat >"$work/attention.toml" <<EOF
rounds = 6
threads = 1
peers = ["pytorch", "onnxruntime"]
[[model]]
name = "d8"
head_dim = 8
num_heads = 2
causal = true
[[cell]]
component = ["attention_forward", "attention"]
model = "d8"
batch_size = 2
seq_len = 37
EOF
CONFIG=attention compare attention 0
csv
has "$work/csv" "^attention,d8,2,37,pytorch,7,7,7,$number,$number,$number,0,True,$number,6,ok,$number,$number,,,,,$number,[^,]*,$number\$"
has_not "$work/csv" onnxruntime
has "$work/out" '^\| \*\*Attention, Forward \+ Backward\*\* \| 2 \| 37 \|.*x Faster'
sed -i 's/"attention_forward", //; s/"attention"/"gpt_forward"/' "$work/attention.toml"
CONFIG=attention compare attention_of_a_model 2
has "$work/err" "'gpt_forward' is for a model, not for an attention layer\$"

# A decoder reads prompts and writes tokens. Each peer has a line of its own that installs it.
decoder=$work/decoder
gpt2_of_zeros "$decoder"
cat >"$work/decoder.toml" <<EOF
rounds = 6
threads = 1
peers = ["pytorch", "pytorch_static", "llama_cpp", "openvino"]
[[model]]
name = "g"
dir = "$decoder"
[[cell]]
component = ["prefill", "decode", "decode_bf16"]
model = "g"
batch_size = 2
seq_len = 3
n_gen = 4
EOF
CONFIG=decoder compare decoder 0
csv
has "$work/csv" "^prefill,g,2,3,openvino,7,7,7,$number,.*,True,$number,6,ok,$number,$number,,,,857\.142857,$number,[^,]*,7\$"
has "$work/csv" "^decode,g,2,3,llama_cpp,7,7,7,$number,.*,True,$number,6,ok,$number,$number,,,4,1142\.85714,$number,[^,]*,7\$"
has_not "$work/csv" '^decode_bf16,g,2,3,openvino'
has "$work/out" '^## 4. Cold Start$'
sed 's/"prefill", "decode", "decode_bf16"/"decode", "gpt_step"/' "$work/decoder.toml" >"$work/step.toml"
CONFIG=step compare profiled_step 0 --profile
has "$work/out" '^### g/decode/b2s3$'
has "$work/out" '^\| adamw \| update \| 1 \| [0-9.]+ \|'
has "$work/out" '^\| linear \| backward \|'
CONFIG=decoder compare missing 0
has "$work/err" 'llama_cpp is left out .*; to install it: CMAKE_ARGS=-DGGML_NATIVE=ON .*pip install --no-binary llama-cpp-python '
has "$work/err" 'openvino is left out .*; to install it: [^ ]*pip install openvino-genai'
# A format without an instruction is not timed; the other cells are.
sed 's/"prefill", "decode", "decode_bf16"/"gpt_forward_backward_mixed", "gpt_forward"/' "$work/decoder.toml" >"$work/emulated.toml"
TARE_ISA=generic CONFIG=emulated compare emulated 0
has "$work/err" '^tare: \[1/2\] g/gpt_forward_backward_mixed/b2s3 is left out: mixed is emulated on this CPU, it lacks vdpbf16ps'
csv
has "$work/csv" '^gpt_forward,g,2,3,pytorch,7,'
has_not "$work/csv" '^gpt_forward_backward_mixed'

sed -i 's/^n_gen = 4/n_gen = 40000/' "$work/decoder.toml"
CONFIG=decoder compare decoder_too_long 2
has "$work/err" 'positions, seq_len = 3 and n_gen = 40000 need more$'
sed -i "s|^dir = .*|dir = \"$model\"|" "$work/decoder.toml"
CONFIG=decoder compare decoder_of_an_encoder 2
[ "$(wc -l <"$work/err")" = 1 ] || { echo "decoder_of_an_encoder: not one line"; cat "$work/err"; failed=1; }

# Of two peers one fails: the other goes on.
CONFIG=model compare one_dies 1
csv
has "$work/csv" '^model,m,1,16,pytorch,.*,failed,'
has "$work/csv" '^model,m,1,16,onnxruntime,7,.*,True,.*,ok,'

# A whole file of texts.
printf '{"text":"%s"}\n' 'the quick' 'in this' 'it is not' >"$work/texts.jsonl"
sed -e '/^\[\[cell/,$d' "$work/config.toml" >"$work/corpus.toml"
cat >>"$work/corpus.toml" <<EOF
[[cell]]
component = "corpus"
model = "m"
texts = "$work/texts.jsonl"
EOF
CONFIG=corpus compare corpus_good 0
csv
has "$work/csv" "^corpus,m,,,tokenizers,7,7,7,$number,$number,$number,0,True,$number,6,ok,,,3571.42857,,,,$number,[^,]*,$number\$"
has "$work/out" '^\| \*\*Tokenizer, Whole File\*\* \| - \| - \|.* MB/s \|$'
echo '{"text":3}' >>"$work/texts.jsonl"
CONFIG=corpus compare corpus_bad 2
has "$work/err" 'texts.jsonl:4: no JSON object with a "text"$'
rm "$work/texts.jsonl"
CONFIG=corpus compare corpus_missing 2
[ "$(wc -l <"$work/err")" = 1 ] || { echo "corpus_missing: not one line on stderr"; cat "$work/err"; failed=1; }

# Interrupted in the second cell: the first is on disk.
name=interrupt
rm -rf "$work/results"
got=0
FAKE=hangs_at_8 TARE_PYTHON=$work/python timeout --foreground --preserve-status -s INT 5 \
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
CONFIG=model compare "another kind of model" 2
has "$work/err" "cannot do 'model', which is for an encoder$"
exit $failed
