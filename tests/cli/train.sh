#!/usr/bin/env bash
# `tare train` and `tare classify` from outside: files, exit codes and the one line of each error. TARE
# names the program. Models are a few bytes; tests/parity/train_parity.py compares with PyTorch.
. "$(dirname "$0")/lib/begin.sh"

# expect NAME CODE LINE COMMAND...: LINE must be the last on standard error.
expect() {
    local name=$1 code=$2 want=$3 got=0 err
    shift 3
    err=$("$@" 2>&1 >stdout </dev/null) || got=$?
    [ "$got" = "$code" ] || fail "$name: exit $got, wanted $code: $err"
    [ "$(tail -n 1 <<<"$err")" = "$want" ] || fail "$name: got '$err', wanted '$want'"
}

yes 'To be, or not to be, that is the question.' | head -n 40 >text
printf ' ' >few
cat >gpt.toml <<'END'
task = "gpt"
out = "gpt"
[data]
text = "text"
[model]
d_model = 16
num_layers = 1
num_heads = 2
context = 16
[training]
epochs = 2
batch_size = 8
learning_rate = 1e-2
END

# ---- training ----

"$tare" train gpt.toml >out 2>err || fail "a GPT: $(cat err)"
grep -qE '^development: loss [0-9.]+, [0-9.]+ bits per byte$' out || fail "the result: $(cat out)"
for file in config.json model.safetensors training.safetensors loss.csv; do
    [ -s "gpt/$file" ] || fail "there is no gpt/$file"
done
head -n 1 gpt/loss.csv | grep -qx 'step,epoch,loss,grad_norm,learning_rate,development_loss,development_accuracy' ||
    fail "the header of loss.csv: $(head -n 1 gpt/loss.csv)"
[ "$(wc -l <gpt/loss.csv)" = 25 ] || fail "loss.csv has $(wc -l <gpt/loss.csv) lines"
[ -z "$(find gpt -name '*.tmp.*')" ] || fail "temporary files remain"

for arch in llama cs336; do
    sed "s/^context/arch = \"$arch\"\nnum_kv_heads = 1\nd_ff = 24\ncontext/" gpt.toml >$arch.toml
    "$tare" train $arch.toml --out $arch >out 2>err || fail "a $arch: $(cat err)"
    grep -qF "\"model_type\": \"$arch\"" $arch/config.json || fail "$arch: $(cat $arch/config.json)"
    "$tare" dump $arch --ids "84 111" --targets "111 44" --out dumped --overwrite 2>err || fail "dump of a trained $arch: $(cat err)"
    grep -aqF '"grad.model.layers.0.self_attn.k_proj.weight":{"dtype":"F32","shape":[8,16]' dumped || fail "$arch: no k_proj"
done
cmp -s llama/model.safetensors cs336/model.safetensors && fail "llama and cs336 are the same"
sed 's/^context/num_kv_heads = 1\ncontext/' gpt.toml >wrong.toml
expect "kv heads of a gpt2" 2 "tare: wrong.toml: num_kv_heads is 1, but arch gpt2 has as many as num_heads, 2" \
    "$tare" train wrong.toml --out wrong
sed 's/^context/arch = "lama"\ncontext/' gpt.toml >wrong.toml
expect "an unknown arch" 2 "tare: wrong.toml:9: arch is 'lama'; did you mean 'llama'? It may be gpt2, llama or cs336" \
    "$tare" train wrong.toml --out wrong

# ---- tokens of a tokenizer, not bytes ----

"$tare" tokenizer-train text --vocab 270 --out words 2>err || fail "a tokenizer: $(cat err)"
sed 's/^text = .*/&\ntokenizer = "words"/' gpt.toml >tokens.toml
"$tare" train tokens.toml --out tokens >out 2>err || fail "a GPT of tokens: $(cat err)"
grep -qF '"vocab_size": 270' tokens/config.json || fail "tokens: $(cat tokens/config.json)"
cmp -s words/tokenizer.json tokens/tokenizer.json || fail "the tokenizer is not beside its model"
"$tare" generate tokens --prompt 'To be' --max-new 8 >out 2>err && [ -s out ] || fail "generate: $(cat out err)"
"$tare" train tokens.toml --out tokens --resume >out 2>err || fail "resuming a training of tokens: $(cat err)"
"$tare" train gpt.toml --resume --set tokenizer=words >out 2>err
[ $? = 2 ] && tail -n 1 err | grep -q "^tare: cannot resume from 'gpt/training.safetensors': .* training data=" ||
    fail "a training of bytes, resumed with tokens: $(cat err)"
expect "a tokenizer that is not there" 2 "tare: cannot open 'absent/vocab.txt': No such file or directory" \
    "$tare" train tokens.toml --out wrong --set tokenizer=absent
expect "a text of too few tokens" 2 "tare: 'few' has 1 tokens, not enough for windows of 16" \
    "$tare" train tokens.toml --out wrong --set text=few
expect "the tokenizer's directory" 2 "tare: 'words' is also the tokenizer's directory; 'out' must be another" \
    "$tare" train tokens.toml --out words
mkdir pieces && printf '[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\nbe\n' >pieces/vocab.txt
echo '{"model_type": "bert"}' >pieces/config.json
expect "WordPiece" 2 "tare: 'pieces' has WordPiece; a decoder is trained on byte-level BPE" \
    "$tare" train tokens.toml --out wrong --set tokenizer=pieces
[ ! -e wrong ] || fail "a refused training left a folder"

expect "an existing training" 2 \
    "tare: 'gpt' has a training already; --resume goes on, --overwrite begins anew" "$tare" train gpt.toml
cp gpt/model.safetensors first
"$tare" train gpt.toml --resume >/dev/null 2>&1 || fail "resuming a finished training"
cmp -s first gpt/model.safetensors || fail "resuming a finished training changed it"
"$tare" train gpt.toml --overwrite >/dev/null 2>&1 || fail "overwriting"
cmp -s first gpt/model.safetensors || fail "the same training twice gave two models"
cp -r gpt other
"$tare" train gpt.toml --out other --resume >/dev/null 2>err
grep -q 'rounding' err && fail "the same arithmetic is said to round otherwise: $(cat err)"
TARE_GEMM=openblas "$tare" train gpt.toml --out other --resume >/dev/null 2>err || fail "another TARE_GEMM: $(cat err)"
grep -qE '^the training so far ran on [a-z0-9]+, gemm packed; this is [a-z0-9]+, gemm openblas: results will differ in rounding$' err ||
    fail "another TARE_GEMM says: $(cat err)"
sed 's/epochs = 2/epochs = 3/' gpt.toml >more.toml
expect "another config" 2 \
    "tare: cannot resume from 'gpt/training.safetensors': this training began with epochs=2, and the config now says epochs=3" \
    "$tare" train more.toml --resume
# edited NAME UPDATES: the state with these two bytes for its count of updates, 24.
edited() {
    rm -rf edited && cp -r gpt edited
    LC_ALL=C sed -i "s/\"updates\":\"24\"/\"updates\":$2/" edited/training.safetensors
    expect "$1" 2 "tare: cannot resume from 'edited$3" "$tare" train gpt.toml --out edited --resume
}
unread="/training.safetensors': its progress cannot be read"
edited "negative updates" '"-4"' "$unread"
edited "no updates" '""  ' "$unread"
edited "updates that are no number" '"na"' "$unread"
edited "updates behind a blank" '" 4"' "$unread"
edited "updates beyond the end" '"25"' "': it has 25 updates, this training 24"
ln -s made dangling
"$tare" train gpt.toml --out dangling >/dev/null 2>err || fail "a dangling link: $(tail -n 1 err)"
[ -L dangling ] && [ -s made/model.safetensors ] || fail "a dangling link is not its target"
[ "$("$tare" train gpt.toml --dry-run 2>/dev/null | wc -l)" = 24 ] || fail "--dry-run lists other batches"

[ "$("$tare" train gpt.toml --dry-run --set epochs=1 2>/dev/null | wc -l)" = 12 ] || fail "--set epochs has no effect"
expect "a key of the other task" 2 "tare: --set checkpoint=x: 'checkpoint' is for task = \"sentiment\"" \
    "$tare" train gpt.toml --set checkpoint=x

# ---- what is wrong ----

expect "no config" 2 "tare: cannot open 'none.toml': No such file or directory" "$tare" train none.toml
sed 's/epochs/epoch/' gpt.toml >typo.toml
expect "a misspelt key" 2 "tare: typo.toml:11: unknown key 'epoch'; did you mean 'epochs'?" "$tare" train typo.toml
sed 's/"text"/"none"/' gpt.toml >notext.toml
expect "no text" 2 "tare: cannot open 'none': No such file or directory" \
    "$tare" train notext.toml --out notext
expect "no place, said before the data are opened" 2 "tare: cannot create 'text/gpt': Not a directory" \
    "$tare" train notext.toml --out text/gpt
expect "a file as the place" 2 "tare: cannot create 'text': 'text' is not a directory" \
    "$tare" train notext.toml --out text
expect "a place whose folder is not there" 2 "tare: cannot create 'none/deep': there is no folder 'none'" \
    "$tare" train gpt.toml --out none/deep
sed 's|^out = .*|out = "new/deep"|' gpt.toml >deep.toml
"$tare" train deep.toml >/dev/null 2>err && [ -s new/deep/model.safetensors ] || fail "a config's own place: $(cat err)"
expect "a place without a name" 2 "tare: the name of the checkpoint's directory is empty" "$tare" train gpt.toml --out=
mkdir foreign && touch foreign/model.safetensors
expect "a foreign model" 2 \
    "tare: 'foreign' has a model, but no training that could go on; --overwrite replaces it" \
    "$tare" train gpt.toml --out foreign
sed 's/num_heads = 2/num_heads = 3/' gpt.toml >heads.toml
expect "heads" 2 "tare: heads.toml: num_heads 3 does not divide d_model 16" "$tare" train heads.toml
sed 's/d_model = 16/d_model = 65536/; s/num_layers = 1/num_layers = 1000/' gpt.toml >large.toml
"$tare" train large.toml --out large >/dev/null 2>err
[ $? = 2 ] || fail "a training that does not fit did not exit with 2"
grep -q '^tare: large.toml: this training needs .* can be used' err || fail "too large: $(tail -n 1 err)"
[ ! -e large ] || fail "a training that does not fit wrote something"
sed 's/1e-2/1e6/' gpt.toml >diverges.toml
"$tare" train diverges.toml --out wild >/dev/null 2>err
[ $? = 1 ] || fail "a diverging training did not exit with 1"
tail -n 1 err | grep -q '^stopped at step ' || fail "a diverging training says: $(tail -n 1 err)"
[ ! -e wild/model.safetensors ] || fail "a diverging training saved a model"

# A limit on file sizes stands for a full disk.
limited() { (trap '' XFSZ; ulimit -f 8; "$tare" train gpt.toml --overwrite); }
limited >/dev/null 2>err
[ $? = 2 ] || fail "a full disk did not exit with 2"
tail -n 1 err | grep -q "^tare: cannot write 'gpt/training.safetensors': File too large$" ||
    fail "a full disk says: $(tail -n 1 err)"
cmp -s first gpt/model.safetensors || fail "a full disk damaged the old checkpoint"
[ -z "$(find gpt -name '*.tmp.*')" ] || fail "a full disk left temporary files"
expect "resuming what was overwritten" 2 \
    "tare: 'gpt' has a model, but no training that could go on; --overwrite replaces it" \
    "$tare" train gpt.toml --resume

# ---- interrupted ----

sed 's/epochs = 2/epochs = 200/' gpt.toml >long.toml
"$tare" train long.toml --out long >/dev/null 2>err &
child=$!
while kill -0 $child 2>/dev/null && [ "$(cat long/loss.csv 2>/dev/null | wc -l)" -le 3 ]; do sleep 0.05; done
expect "two trainings at once" 2 "tare: 'long' is being written by another training" \
    "$tare" train long.toml --out long --overwrite
kill -TERM $child
wait $child
[ $? = 130 ] || fail "an interrupted training did not exit with 130"
[ -s long/training.safetensors ] || fail "an interrupted training saved nothing"

# ---- classify ----

expect "a GPT does not classify" 2 "tare: 'gpt' has no classifier; tare train makes one" "$tare" classify gpt
expect "no model" 2 "tare: cannot open 'none/config.json': No such file or directory" "$tare" classify none

exit $failed
