#!/usr/bin/env bash
# `tare tokenize` from outside: ids, exit codes and the one line of each error. TARE names the program.
set -uo pipefail
tare=${TARE:-build/tare}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# expect NAME CODE OUTPUT COMMAND...: standard output and error together must be OUTPUT.
expect() {
    local name=$1 code=$2 want=$3 got=0 out
    shift 3
    out=$("$@" 2>&1 </dev/null) || got=$?
    if [ "$got" != "$code" ] || [ "$out" != "$want" ]; then
        printf '%s: exit %s, wanted %s\n  got    %s\n  wanted %s\n' "$name" "$got" "$code" "$out" "$want"
        failed=1
    fi
}

model=$work/model
mkdir "$model"
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' un '##aff' '##able' hello , world '!' >"$model/vocab.txt"
printf 'Hello, World!\n\nunaffable [MASK]\r\nx\0\xff hello' >"$work/text"
ids='2 8 9 10 11 3
2 3
2 5 6 7 4 3
2 1 8 3'

expect "a file" 0 "$ids" "$tare" tokenize "$model" "$work/text"
expect "standard input" 0 "$ids" bash -c '"$0" tokenize "$1" <"$2"' "$tare" "$model" "$work/text"
expect "no text" 0 "" "$tare" tokenize "$model"
expect "truncation" 0 "$(cut -d' ' -f1-3 <<<"$ids" | sed '2!s/$/ 3/')" \
    "$tare" tokenize --max-length=4 "$model" "$work/text"
expect "no model" 2 "tare: cannot open '$work/none/vocab.txt': No such file or directory" \
    "$tare" tokenize "$work/none"
expect "no file" 2 "tare: cannot open '$work/none': No such file or directory" \
    "$tare" tokenize "$model" "$work/none"
expect "a directory" 2 "tare: cannot read '$work': Is a directory" "$tare" tokenize "$model" "$work"
expect "a full disk" 2 "tare: cannot write to standard output: No space left on device" \
    bash -c '"$0" tokenize "$1" "$2" >/dev/full' "$tare" "$model" "$work/text"
yes "the quick" | head -n 200000 >"$work/long"
{ "$tare" tokenize "$model" "$work/long" 2>"$work/err"; echo $? >"$work/code"; } | head -n 1 >/dev/null
[ "$(cat "$work/code")" = 0 ] && [ ! -s "$work/err" ] ||
    { echo "a reader that leaves: exit $(cat "$work/code"): $(cat "$work/err")"; failed=1; }
expect "too short" 2 "tare: --max-length is 1, outside 2 to 2147483647" \
    "$tare" tokenize "$model" --max-length 1
expect "a misspelt option" 2 "tare: unknown option '--max-lenght'; did you mean '--max-length'?" \
    "$tare" tokenize "$model" --max-lenght 3
grep -v UNK "$model/vocab.txt" >"$work/vocab.txt"
expect "no [UNK]" 2 "tare: $work/vocab.txt: '[UNK]', the unknown token, is missing" "$tare" tokenize "$work"

# ---- byte-level BPE ----

bpe=$work/bpe
mkdir "$bpe"
echo '{"a":0,"b":1,"ab":2,"\u0120":3,"\u0120ab":4,"\u00ff":5,"<|endoftext|>":6}' >"$bpe/vocab.json"
printf '#version: 0.2\na b\n\xc4\xa0 ab\n' >"$bpe/merges.txt"
printf 'ab ab\n\nb a<|endoftext|>' >"$work/text"
expect "tables of GPT-2" 0 $'2 4\n\n1 3 0 6' "$tare" tokenize "$bpe" "$work/text"
expect "truncation" 0 $'2 4\n\n1 3' "$tare" tokenize "$bpe" "$work/text" --max-length 2
printf '2 4\n\n 1  3 0 6\r\n5\n' >"$work/ids"
expect "decoding" 0 $'ab ab\n\nb a\n\xff' "$tare" tokenize "$bpe" "$work/ids" --decode
expect "special tokens" 0 $'ab ab\n\nb a<|endoftext|>\n\xff' "$tare" tokenize "$bpe" "$work/ids" --decode --special
for id in 7 -1 x 1x 99999999999999999999; do
    printf '1\n2 %s\n' "$id" >"$work/ids"
    expect "no id" 2 "b"$'\n'"tare: $work/ids:2: '$id' is no id of a token" "$tare" tokenize "$bpe" "$work/ids" --decode
done
expect "decoding WordPiece" 2 "tare: --decode is for byte-level BPE, '$model' has a WordPiece" \
    "$tare" tokenize "$model" --decode
expect "decoding and truncation" 2 "tare: --decode takes no --max-length" \
    "$tare" tokenize "$bpe" --decode --max-length 2
expect "special alone" 2 "tare: --special is for --decode" "$tare" tokenize "$bpe" --special
echo '{"model":{"type":"BPE","vocab":{},"merges":[]},"pre_tokenizer":{"type":"Metaspace"}}' >"$bpe/tokenizer.json"
expect "another pre-tokenizer" 2 "tare: $bpe/tokenizer.json: pre_tokenizer: 'Metaspace' is not built; \
ByteLevel, alone or after Digits or Split, is" "$tare" tokenize "$bpe"
parts='"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"ByteLevel"}'
echo "{$parts,\"added_tokens\":{\"b\":1}}" >"$bpe/tokenizer.json"
expect "added tokens that are no list" 2 "tare: $bpe/tokenizer.json: 'added_tokens' must be a list" "$tare" tokenize "$bpe"
echo "{$parts,\"version\":\"2.0\"}" >"$bpe/tokenizer.json"
expect "another version" 2 "tare: $bpe/tokenizer.json: 'version' must be \"1.0\"" "$tare" tokenize "$bpe"

# ---- the side that is cut: what transformers gives for each pair of files ----

printf 'low low low\nlower lower lowest lowest\n' >"$work/text"
"$tare" tokenizer-train "$work/text" --vocab 265 --out "$work/side" || failed=1
cp "$work/side/tokenizer.json" "$work/whole.json"
for sides in "none none 257 264 261" "none Left 264 261 258" "none Right 257 264 261" "left Right 264 261 258" \
    "right Left 257 264 261" "left none 264 261 258"; do
    read -r of_config of_json ids <<<"$sides"
    echo '{}' >"$work/side/tokenizer_config.json"
    [ "$of_config" = none ] || echo "{\"truncation_side\": \"$of_config\"}" >"$work/side/tokenizer_config.json"
    cp "$work/whole.json" "$work/side/tokenizer.json"
    [ "$of_json" = none ] || sed -i "s/\"truncation\":null/\"truncation\":{\"direction\":\"$of_json\",\"max_length\":3}/" \
        "$work/side/tokenizer.json"
    expect "cut $of_config, $of_json" 0 "$ids" bash -c 'echo "low lower lowest low" | "$0" tokenize "$1" --max-length 3' \
        "$tare" "$work/side"
done
echo '{"truncation_side": "middle"}' >"$work/side/tokenizer_config.json"
expect "no such side" 2 "tare: $work/side/tokenizer_config.json: 'truncation_side' must be \"left\" or \"right\"" \
    "$tare" tokenize "$work/side"

# ---- tokenizer-train ----

printf 'low low low\nlower lower lowest lowest\n' >"$work/text"
learn() { "$tare" tokenizer-train "$@"; }
expect "learning" 0 "" learn "$work/text" --vocab 260 --out "$work/learnt"
expect "its merges" 0 $'#version: 0.2\nl o\nlo w\n\xc4\xa0 low\n\xc4\xa0low e' cat "$work/learnt/merges.txt"
expect "its ids" 0 $'257 258\n257 68 81 220 86' bash -c 'printf "low low\nlower w\n" | "$0" tokenize "$1"' "$tare" "$work/learnt"
rm "$work/learnt/tokenizer.json"
expect "its tables alone" 0 $'257 258' bash -c 'echo "low low" | "$0" tokenize "$1"' "$tare" "$work/learnt"
expect "a directory that has one" 2 "tare: '$work/learnt/vocab.json' exists; replace it with --overwrite" \
    learn "$work/text" --vocab 260 --out "$work/learnt"
expect "replacing them" 0 "" learn "$work/text" --vocab 260 --out "$work/learnt" --overwrite
expect "replaced" 0 $'257 258' bash -c 'echo "low low" | "$0" tokenize "$1"' "$tare" "$work/learnt"
expect "a full disk" 2 "tare: cannot write '$work/full/tokenizer.json': File too large" \
    bash -c 'ulimit -f 1 && "$0" tokenizer-train "$1" --vocab 260 --out "$2"' "$tare" "$work/text" "$work/full"
[ ! -e "$work/full" ] || { echo "a full disk left a directory"; failed=1; }
head -c 6000000 /dev/urandom >"$work/noise" # learning takes seconds
env --default-signal=INT "$tare" tokenizer-train "$work/noise" --vocab 60000 --out "$work/stopped" &
learner=$!
until [ "/proc/$learner/exe" -ef "$tare" ] && grep -q '^SigCgt.*[2367abef]$' "/proc/$learner/status"; do sleep 0.05; done
kill -INT $learner
wait $learner
[ $? = 130 ] && [ ! -e "$work/stopped" ] || { echo "a stopped training left a directory"; failed=1; }
expect "fewer than asked" 0 "tare: the text gives 265 tokens, fewer than 1000" \
    learn "$work/text" --vocab 1000 --out "$work/fewer"
: >"$work/empty"
expect "no text" 2 "tare: '$work/empty' is empty" learn "$work/empty" --vocab 300 --out "$work/no"
expect "no file" 2 "tare: cannot open '$work/none': No such file or directory" learn "$work/none" --vocab 300 --out "$work/no"
expect "too few" 2 "tare: --vocab is 256, outside 257 to 16777216" learn "$work/text" --vocab 256 --out "$work/no"
expect "no --vocab" 2 "tare: tokenizer-train: --vocab is missing; see tare tokenizer-train --help" learn "$work/text" --out "$work/no"
expect "no --out" 2 "tare: tokenizer-train: --out is missing; see tare tokenizer-train --help" learn "$work/text" --vocab 300
expect "no place" 2 "tare: cannot create '$work/none/no': there is no folder '$work/none'" learn "$work/text" --vocab 300 --out "$work/none/no"
[ ! -e "$work/no" ] || { echo "a directory was made"; failed=1; }
exit $failed
