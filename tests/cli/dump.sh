#!/usr/bin/env bash
# `tare dump` from outside: which targets it takes, and the one line of each error. TARE names the program;
# its numbers are compared with PyTorch's in tests/parity.
. "$(dirname "$0")/lib/zeros.sh"
. "$(dirname "$0")/lib/begin.sh"

# refused NAME LINE TARGETS: two rows of ids with these targets.
refused() {
    local err got=0
    err=$("$tare" dump classifier "--ids=1 2 3;2 3 4" --targets "$3" --out no 2>&1) || got=$?
    [ "$got" = 2 ] && [ "$err" = "tare: $2" ] || fail "$1: exit $got: '$err', wanted '$2'"
}

distilbert_of_zeros classifier classifier

# Zero weights give both labels one half: the loss is ln 2 = 0.6931472 of whatever row counts, where an
# ignored row taken for a third label would not be a number.
"$tare" dump classifier "--ids=1 2 3;2 3 4" --targets "-1;1" --out out 2>err || fail "an ignored row: $(cat err)"
"$tare" dump classifier "--ids=2 3 4" --targets "1" --out alone 2>err || fail "a row alone: $(cat err)"

# loss FILE: the four bytes of its scalar.
loss() {
    local header from
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    from=$(head -c $((8 + header)) "$1" | tail -c +9 | grep -o '"loss":{[^}]*}' | grep -o '\[[0-9]*,' | tr -d '[,')
    od -An -tf4 -j $((8 + header + from)) -N4 "$1"
}
grep -q '0\.69314' <<<"$(loss out)" || fail "the loss beside an ignored row is $(loss out)"
[ "$(loss out)" = "$(loss alone)" ] || fail "an ignored row counts: $(loss out), alone $(loss alone)"

refused "all ignored" "--targets: every target is -1, so there is no loss" "-1;-1"
refused "no such label" "--targets: row 1, number 1: 2 is not -1 or a label (-1 to 1)" "2;1"
refused "below -1" "--targets: row 2, number 1: -2 is not -1 or a label (-1 to 1)" "1;-2"
refused "a label a position" \
    "--targets has 2 rows of 3, but a label for each row of --ids makes 2 rows of 1" "1 1 1;0 0 0"
printf '1;\n7\n' >labels
refused "a file is named" "--targets: labels: row 2, number 1: 7 is not -1 or a label (-1 to 1)" @labels
printf '1;\nx\n' >labels
refused "a file is named" "--targets: labels: row 2, number 1: 'x' is not an integer" @labels

# ---- the file ----

# kept NAME OUT LINE: refused, and MODEL_DIR as it was.
sum=$(cat classifier/* | cksum)
kept() {
    local err got=0
    err=$("$tare" dump classifier "--ids=1 2 3" --out "$2" 2>&1) || got=$?
    [ "$got" = 2 ] && [ "$err" = "tare: $3" ] || fail "$1: exit $got: '$err', wanted '$3'"
    [ "$sum" = "$(cat classifier/* | cksum)" ] || fail "$1: the model was changed"
}
own="of the model itself; use another name"
kept "its own weights" classifier/model.safetensors "--out 'classifier/model.safetensors' is 'model.safetensors' $own"
kept "another of its files" classifier/vocab.txt "--out 'classifier/vocab.txt' is 'vocab.txt' $own"
ln -s classifier/config.json link
kept "a link to one" link "--out 'link' is 'config.json' $own"
ln classifier/config.json hard
kept "a hard link to one" hard "--out 'hard' is 'config.json' $own"
ln -s made dangling
"$tare" dump classifier "--ids=1 2 3" --out dangling 2>err || fail "a dangling link: $(cat err)"
[ -L dangling ] && [ -s made ] || fail "a dangling link is not its target"
before=$(cksum <made)
kept "an existing file" made "'made' exists; replace it with --overwrite"
kept "a link to one" dangling "'dangling' exists; replace it with --overwrite"
[ "$before" = "$(cksum <made)" ] || fail "an existing file was changed"
echo old >made
"$tare" dump classifier "--ids=1 2 3" --out dangling --overwrite 2>err || fail "overwriting: $(cat err)"
[ -L dangling ] && [ "$before" = "$(cksum <made)" ] && [ -z "$(find . -name '*.tmp*')" ] || fail "overwriting: $(ls -l)"
kept "a folder that is not there" none/x "cannot create 'none/x': there is no folder 'none'"
mkdir folder
kept "a folder" folder "cannot create 'folder': Is a directory"
kept "a full device" /dev/full "cannot write '/dev/full': No space left on device"
(ulimit -f 1 && "$tare" dump classifier "--ids=1 2 3;2 3 4" --targets "0;1" --out made --overwrite) 2>err
[ $? = 2 ] && grep -qx "tare: cannot write 'made': File too large" err || fail "a limit: $(cat err)"
[ "$before" = "$(cksum <made)" ] && [ -z "$(find . -name '*.tmp*')" ] || fail "a limit: $(ls -l)"
"$tare" dump classifier "--ids=1 2 3" --out /dev/stdout >stdout 2>err || fail "to standard output: $(cat err)"
cmp stdout made || fail "standard output that is a file has another dump"
"$tare" dump classifier "--ids=1 2 3" --out /dev/stdout 2>err | cmp - made || fail "to a pipe: $(cat err)"
"$tare" dump classifier "--ids=1 2 3" --out /dev/stdout 2>err >&-
[ $? = 2 ] && grep -qx "tare: cannot .* '/dev/stdout': Is a directory" err || fail "to a closed one: $(cat err)"

# The last four bytes of the file are classifier.bias[1]: an infinity there reaches the logits only.
cp -r classifier infinite
size=$(stat -c %s infinite/model.safetensors)
printf '\0\0\200\177' | dd of=infinite/model.safetensors bs=1 conv=notrunc seek=$((size - 4)) 2>/dev/null
rm -f out
"$tare" dump infinite "--ids=1 2 3" --out out 2>err
[ $? = 1 ] && [ -s out ] && [ "$(cat err)" = "tare: not finite: logits" ] || fail "an infinity: $(cat err)"

# ---- weights in several files ----

# shard I FIRST LAST: these lines of classifier_tensors as shards/I and entries of the index on stdout.
shard() {
    classifier_tensors | sed -n "$2,$3p" | safetensors_of_zeros >"shards/$1"
    classifier_tensors | sed -n "$2,$3p" | sed 's/ .*//; s/.*/"&": "'"$1"'",/'
}
mkdir shards && cp classifier/config.json classifier/vocab.txt shards
map=$(shard one 1 9; shard two 10 100)
index() { printf '{"weight_map": {%s}}' "$1" >shards/model.safetensors.index.json; }
index "${map%,}"
"$tare" dump classifier "--ids=1 2 3" --targets 1 --out whole 2>err || fail "in one file: $(cat err)"
"$tare" dump shards "--ids=1 2 3" --targets 1 --out pieces 2>err || fail "in two files: $(cat err)"
cmp whole pieces || fail "in two files: other figures"
[ "$(echo the quick | "$tare" classify shards)" = "$(echo the quick | "$tare" classify classifier)" ] ||
    fail "in two files: other labels"
"$tare" convert shards narrow --format bf16 2>err && cmp narrow/model.safetensors \
    <("$tare" convert classifier narrow2 --format bf16 && cat narrow2/model.safetensors) || fail "converted: $(cat err)"
[ "$(cd narrow && echo *)" = "config.json model.safetensors vocab.txt" ] || fail "converted: $(ls narrow)"

# lying MAP LINE: the index with this map is refused with this line by whoever reads weights.
lying() {
    local err got verb
    index "$1"
    for verb in "dump shards --ids=1 --out no" "convert shards no --format fp16" "classify shards -"; do
        got=0
        err=$("$tare" $verb 2>&1 </dev/null) || got=$?
        [ "$got" = 2 ] && [[ $err = *"$2" ]] && [ "$(wc -l <<<"$err")" = 1 ] ||
            fail "$verb: exit $got: '$err', wanted '$2'"
    done
}
at=shards/model.safetensors.index.json
lying "$map \"x\": \"three\"" "cannot open 'shards/three': No such file or directory"
lying "$map \"x\": \"../shards/two\"" "$at: weight_map: 'x' is in '../shards/two', which is no file beside it"
lying "$map \"x\": \"two\"" "$at: weight_map has tensor 'x' in 'two', which lacks it"
lying "$(sed 1d <<<"${map%,}")" \
    "$at: 'one' has a tensor 'distilbert.embeddings.word_embeddings.weight' that weight_map does not name"
lying "${map%,}}" "end of file expected near '}'"

# What a terminal would obey is shown.
printf '{"model_type":"distilbert","vocab_size":12,"dim":8,"n_heads":2,"n_layers":1,"hidden_dim":16}' >base.json
mkdir odd && cp base.json odd/config.json && cp classifier/vocab.txt odd
{ distilbert_tensors | sed 's/^/distilbert./' && printf 'vocab_layer_norm.\xe2\x80\xaeweight 3\n'; } |
    safetensors_of_zeros >odd/model.safetensors
"$tare" dump odd "--ids=1 2 3" --out odd.out 2>err
[ "$(cat err)" = 'tare: not used: vocab_layer_norm.\xe2\x80\xaeweight' ] || fail "an odd name: $(cat err)"

exit $failed
