#!/usr/bin/env bash
# `tare convert` and `tare precision` from outside: files, exit codes and the one line of each error. TARE
# names the program. Models are a classifier of zeros and a GPT that is trained for a moment;
# tests/parity/convert_parity.py compares converted files with PyTorch.
. "$(dirname "$0")/lib/zeros.sh"
. "$(dirname "$0")/lib/begin.sh"

# expect NAME CODE LINE COMMAND...: LINE must be the only one on standard error.
expect() {
    local name=$1 code=$2 want=$3 got=0 err
    shift 3
    err=$("$@" 2>&1 >stdout </dev/null) || got=$?
    [ "$got" = "$code" ] || fail "$name: exit $got, wanted $code: $err"
    [ "$err" = "$want" ] || fail "$name: got '$err', wanted '$want'"
}

bytes() { stat -c %s "$1/model.safetensors"; }
# without the header and its length
data_bytes() { echo $(($(bytes "$1") - 8 - $(od -An -tu8 -N8 "$1/model.safetensors"))); }

# poke DIR BYTES: overwrites the last four bytes of its weights, the bias of label 1.
poke() {
    printf '%b' "$2" | dd of="$1/model.safetensors" bs=1 conv=notrunc seek=$(($(bytes "$1") - 4)) 2>/dev/null
}

distilbert_of_zeros zeros classifier
poke zeros '\0\0\x80\x3e' # 0.25
yes 'To be, or not to be, that is the question.' | head -n 60 >text
cat >gpt.toml <<'END'
task = "gpt"
out = "gpt"
[data]
text = "text"
held_out = 0.2
[model]
d_model = 32
num_layers = 1
num_heads = 2
context = 16
[training]
epochs = 2
batch_size = 8
learning_rate = 1e-2
END
"$tare" train gpt.toml >/dev/null 2>err || fail "training a GPT: $(cat err)"

# ---- convert ----

for format in bf16 fp16 int8; do
    expect "convert to $format" 0 "" "$tare" convert zeros "$format" --format "$format"
    [ -z "$(ls -d ./*.tmp.* 2>/dev/null)" ] || fail "a temporary directory remains"
    cmp -s zeros/vocab.txt "$format/vocab.txt" || fail "$format has not the tokenizer"
    echo 'this is it' | "$tare" classify "$format" >label 2>err || fail "reading $format: $(cat err)"
    has label "$(printf '^positive\t0.562177$')" # 1 / (1 + exp(-0.25))
    expect "convert the GPT to $format" 0 "" "$tare" convert gpt "gpt-$format" --format "$format"
    "$tare" dump "gpt-$format" "--ids=1 2 3" --out dumped --overwrite >/dev/null 2>err || fail "dump of gpt-$format: $(cat err)"
done
for format in q8_0 q4_0; do
    expect "convert the GPT to $format" 0 "" "$tare" convert gpt "gpt-$format" --format "$format"
    has "gpt-$format/config.json" "\"dtype\": \"$format\""
    for precision in fp32 "$format"; do
        "$tare" dump "gpt-$format" "--ids=1 2 3" --precision $precision --out dumped --overwrite >/dev/null 2>err ||
            fail "dump of gpt-$format in $precision: $(cat err)"
    done
    expect "$format of layers of 8" 2 "tare: $format takes inputs of a layer by groups of 32, and d_model is 8" \
        "$tare" convert zeros new --format $format
done
has bf16/config.json '"dtype": "bfloat16"'
has fp16/config.json '"dtype": "float16"'
has int8/config.json '"dtype": "int8"'
has int8/model.safetensors 'embeddings.word_embeddings.weight.scale'
has_not bf16/config.json torch_dtype
# 114 weights are in vectors; the matrices have as many rows as the vocabulary and 578 more.
full=$(data_bytes zeros) vectors=$((4 * 114)) scales=$((4 * ($(wc -l <zeros/vocab.txt) + 578)))
for size in bf16:$((full / 2)) fp16:$((full / 2)) int8:$(((full - vectors) / 4 + vectors + scales)); do
    [ "$(data_bytes "${size%:*}")" = "${size#*:}" ] || fail "$size: it has $(data_bytes "${size%:*}") bytes"
done

mkdir old && cp zeros/* old && sed -i 's/{/{"torch_dtype":"float32",/' old/config.json
"$tare" convert old old16 --format fp16 2>err || fail "torch_dtype: $(cat err)"
has old16/config.json '"torch_dtype": "float16"'

expect "an existing directory" 2 "tare: 'bf16' exists; a conversion makes a new directory" \
    "$tare" convert zeros bf16 --format bf16
expect "no format" 2 "tare: convert: --format is missing; it is bf16, fp16, int8, q8_0 or q4_0" "$tare" convert zeros new
expect "an unknown format" 2 "tare: --format is 'bf17'; did you mean 'bf16'? It may be bf16, fp16, int8, q8_0 or q4_0" \
    "$tare" convert zeros new --format bf17
expect "no model" 2 "tare: cannot open 'none/config.json': No such file or directory" \
    "$tare" convert none new --format bf16
expect "no place" 2 "tare: cannot create 'none/new': there is no folder 'none'" \
    "$tare" convert zeros none/new --format bf16
expect "int8 again" 2 "tare: 'int8/model.safetensors' is int8 already; convert the model that it came from" \
    "$tare" convert int8 new --format bf16
expect "groups again" 2 "tare: 'gpt-q4_0/model.safetensors' is in groups already; convert the model that it came from" \
    "$tare" convert gpt-q4_0 new --format bf16

cp -r zeros damaged && truncate -s -1 damaged/model.safetensors
"$tare" convert damaged new --format bf16 2>err && fail "a damaged file was converted"
[ "$(wc -l <err)" = 1 ] && has err "^tare: .*damaged/model.safetensors"
cp -r zeros short && sed -i 's/"n_layers":1/"n_layers":16777216/' short/config.json
"$tare" convert short new --format bf16 2>err && fail "a model without its layers was converted"
[ "$(wc -l <err)" = 1 ] && has err "short/model.safetensors' has [0-9]+ weights, its config.json makes it [0-9]+$"
cp -r zeros nan && poke nan '\0\0\xc0\x7f'
expect "a weight that is not finite" 2 \
    "tare: 'nan/model.safetensors': tensor 'classifier.bias' has a weight that is not finite, element 1" \
    "$tare" convert nan new --format bf16
cp -r zeros large && poke large '\0\x08\x80\x47' # 65552
expect "a weight too large for fp16" 2 \
    "tare: 'large/model.safetensors': tensor 'classifier.bias' has a weight of 65552, element 1; fp16 ends at 65504" \
    "$tare" convert large new --format fp16
"$tare" convert large large16 --format bf16 2>err || fail "65552 in bf16: $(cat err)"

printf 'this is it\nnot in this\n' >lines
expect "an output that is not finite" 2 "tare: lines, line 1: the model's output is not finite" \
    "$tare" classify nan lines
[ ! -s stdout ] || fail "a label of NaN: $(cat stdout)"

# Sums of int8 over a hidden layer as wide as this one would leave an int32.
mkdir wide && cp zeros/vocab.txt wide && sed 's/"hidden_dim":16/"hidden_dim":133145/' zeros/config.json >wide/config.json
classifier_tensors | sed 's/16/133145/' | safetensors_of_zeros >wide/model.safetensors
too_wide="int8 takes at most 133144 inputs of a layer, this model has 133145"
expect "a layer too wide for int8" 2 "tare: $too_wide" "$tare" convert wide new --format int8
expect "running it in int8" 2 "tare: $too_wide" "$tare" dump wide "--ids=1 2 3" --out no --precision int8
expect "the same in bf16" 0 "" "$tare" convert wide wide16 --format bf16

# zeros_with TENSOR: as zeros, in a directory of the tensor's name.
zeros_with() {
    mkdir "$1" && cp zeros/vocab.txt zeros/config.json "$1"
    { classifier_tensors && echo "$1 3"; } | safetensors_of_zeros >"$1/model.safetensors"
}
zeros_with foo
expect "an unknown tensor" 2 "tare: foo/model.safetensors: unknown tensor 'foo'" "$tare" convert foo new --format bf16

# A pipe that nobody writes would hold the conversion up for ever.
cp -r zeros piped && mkfifo piped/tokenizer.json
expect "a pipe" 2 "tare: cannot read 'piped/tokenizer.json': it is not a regular file" \
    timeout 60 "$tare" convert piped new --format bf16
[ -z "$(ls -d new* 2>/dev/null)" ] || fail "a refused conversion leaves $(ls -d new*)"

# Interrupted at any moment of its work it exits with 130 and leaves nothing. In the foreground `timeout` sends one
# signal; otherwise two, of which the second ends a program at once.
mkdir big && cp zeros/vocab.txt big && sed 's/"vocab_size":12/"vocab_size":6000000/' zeros/config.json >big/config.json
classifier_tensors | sed 's/ 12,8/ 6000000,8/' | safetensors_of_zeros >big/model.safetensors
interruptions=0
for seconds in .01 .02 .05 .1 .15 .2 .3 .4 .6 1 2; do
    timeout --foreground --preserve-status -s INT $seconds "$tare" convert big new --format bf16 >stdout 2>err
    code=$?
    [ $code = 0 ] && break
    [ $code = 130 ] || fail "an interrupted conversion did not exit with 130: $code $(cat err)"
    [ -z "$(ls -d new* 2>/dev/null)" ] || fail "an interrupted conversion leaves $(ls -d new*)"
    interruptions=$((interruptions + 1))
done
rm -rf new
[ $interruptions != 0 ] || fail "no conversion was interrupted"
rm -rf big

# A link to a directory that is not there yet counts as that directory.
ln -s made linked
expect "a dangling link" 0 "" "$tare" convert zeros linked --format bf16
[ -L linked ] && [ -s made/model.safetensors ] || fail "a dangling link: $(ls -ld linked made)"
expect "an existing directory" 2 "tare: 'linked' exists; a conversion makes a new directory" \
    "$tare" convert zeros linked --format bf16

# A limit on file sizes stands for a full disk.
limited() { (trap '' XFSZ; ulimit -f 1; "$tare" convert gpt new --format bf16); }
limited 2>err
[ $? = 2 ] || fail "a full disk did not exit with 2"
[ "$(wc -l <err)" = 1 ] && has err '^tare: cannot write .*new.*: File too large$'
[ -z "$(ls -d new* 2>/dev/null)" ] || fail "something half-written remains: $(ls -d new*)"

# ---- precision ----

line() { printf '{"text":"%s","expected_label":"%s"}\n' "$@"; }
line 'it is | the quick' positive 'not in this' negative 'this is it' positive >texts.jsonl
cat >study.toml <<'END'
name = "tiny"
rounds = 8
threads = 1
[[model]]
name = "zeros"
dir = "zeros"
batch_size = [1, 2]
seq_len = 8
test = "texts.jsonl"
[[model]]
name = "bytes"
dir = "gpt"
batch_size = 1
seq_len = [1, 4]
text = "text"
held_out = 0.2
[[model]]
name = "absent"
dir = "nowhere"
made_by = "tare train some.toml"
test = "texts.jsonl"
END

# study NAME CODE [ARGUMENT...]: its files are NAME.json, NAME.csv and NAME.md.
study() {
    local name=$1 code=$2 got=0 file
    shift 2
    "$tare" precision study.toml --out "$name" "$@" >"$name.out" 2>"$name.err" || got=$?
    [ "$got" = "$code" ] || fail "$name: exit $got, wanted $code: $(tail -n 1 "$name.err")"
    for file in "$name"/benchmark_*; do mv "$file" "$name.${file##*.}"; done
    cmp -s "$name.out" "$name.md" || fail "$name: stdout is not the report"
}

study first 0
has first.err "^tare: absent is left out: there is no model in 'nowhere'; to make it: tare train some.toml$"
has first.md "^Left out: absent"
# As large as tare convert writes them; only GPT's matrices are stored by columns.
for format in fp16 int8 q8_0 q4_0; do
    has first.csv "^bytes,time,1,1,$format,.*,$(data_bytes "gpt-$format"),"
done
# 2 cells, accuracy, 2 cells, perplexity; seven formats each
[ "$(wc -l <first.csv)" = 43 ] || fail "first.csv has $(wc -l <first.csv) lines"
head -n 1 first.csv | grep -q '^model,work,batch_size,seq_len,format,support,instruction,status,' ||
    fail "the header: $(head -n 1 first.csv)"
has first.csv '^zeros,time,2,8,fp32,native,'
has first.csv '^bytes,perplexity,,,fp32,native,'
has first.csv '^zeros,accuracy,,,fp32,native,[^,]*,ok,'
has first.csv '^bytes,perplexity,,,q4_0,[^,]*,[^,]*,ok,'
has first.md '^\| bytes \| Q4_0 \| .*e-[0-9]+ \| .* \| [0-9.]+ \[[0-9.]+, [0-9.]+\] \|$'
has first.md '^\| bytes \| FP32 \| .*\| - \| - \| - \|$'
has first.csv '^zeros,accuracy,,,q4_0,[^,]*,[^,]*,unsupported,"?q4_0 takes inputs of a layer by groups of 32'
has first.md '^\| zeros \| FP32 \| 2 of 3 \| 66.7 \['
has first.md '^\| model size \| zeros \| FP32 = MIXED > FP16 \|'
has first.md 'energy_source=(none, |rapl_)'
has first.md '^Op by op: linear layers and heads multiply in the format'
has first.json '"ops": "linear layers and heads multiply in the format'
has first.json '"orderings"'

# --filter keeps work by its name, and opens no model that then has none; --set takes a key's place.
study few 0 --filter '^zeros/(accuracy|time/b1s8)$' --set formats=int8 --set name=few
[ "$(cut -d, -f1,2,3,5 few.csv | tail -n +2 | sort | tr '\n' ' ')" = \
    "zeros,accuracy,,fp32 zeros,accuracy,,int8 zeros,time,1,fp32 zeros,time,1,int8 " ] || fail "few: $(cat few.csv)"
has few.md '^# Precision: few$'
[ "$(grep -c absent few.err)" = 0 ] || fail "a model without work was opened: $(cat few.err)"
expect "a filter that keeps nothing" 2 \
    "tare: --filter 'none' matches none of the 7 pieces of work, the first of which is zeros/time/b1s8" \
    "$tare" precision study.toml --filter none

# Energy by a model is labelled as one.
study model 0 --energy-model watts=15
has model.csv ',model,'
has model.md 'energy_source=model, an estimate: 15 W x time'
has model.md '^\| energy per sample \| zeros b1 s8 \|'

# Features hidden: what is emulated is left out with a reason, or shown and not ranked.
TARE_ISA=generic study hidden 0
has hidden.csv '^zeros,time,1,8,int8,emulated,[^,]*,unsupported,"?emulated on this CPU, it lacks vpmaddwd'
has hidden.csv '^zeros,time,1,8,bf16,convert,[^,]*,ok,'
has hidden.md '^\| latency \| zeros b1 s8 \| .*(MIXED has no figure to rank, FP16 has no figure to rank)'
TARE_ISA=generic study shown 0 --include-emulated
has shown.csv '^zeros,time,1,8,int8,emulated,[^,]*,ok,'
has shown.md 'FP16 \(emulated, not ranked\)'
has shown.md '^\| latency \| zeros b1 s8 \| .*(MIXED has no figure to rank, FP16 has no figure to rank)'

# ---- what is wrong ----

expect "no config" 2 "tare: cannot open 'none.toml': No such file or directory" "$tare" precision none.toml
sed 's/rounds/round/' study.toml >typo.toml
expect "a misspelt key" 2 "tare: typo.toml:2: unknown key 'round'; did you mean 'rounds'?" "$tare" precision typo.toml
expect "a wrong energy model" 2 "tare: --energy-model: 'watts=-1' is not watts=N with a positive number" \
    "$tare" precision study.toml --energy-model watts=-1
sed 's/"zeros"$/"gone"/; s/dir = "gpt"/dir = "gone"/' study.toml >gone.toml
"$tare" precision gone.toml >/dev/null 2>err
[ $? = 2 ] || fail "no model at all did not exit with 2"
has err "^tare: gone.toml: none of its models is there; 'gone': there is no model in 'gone'$"
[ "$(grep -vc "CPUs busy before" err)" = 1 ] || fail "no model at all: $(cat err)"
sed 's/dir = "zeros"/dir = "damaged"/' study.toml >damaged.toml
"$tare" precision damaged.toml >/dev/null 2>err
[ $? = 2 ] || fail "a damaged model did not exit with 2"
has err "^tare: .*damaged/model.safetensors"
sed 's/dir = "zeros"/dir = "nan"/' study.toml >nan.toml
"$tare" precision nan.toml --out nans >/dev/null 2>err
[ $? = 1 ] || fail "labels of NaN did not exit with 1: $(cat err)"
has err "zeros accuracy: fp32 failed \(the model's output is not finite\)"
has err "zeros time b1 s8: fp32 failed \(the model's output is not finite\), fp16 failed"
sed 's/dir = "zeros"/dir = "foo"/' study.toml >foo.toml
"$tare" precision foo.toml >/dev/null 2>err
[ $? = 2 ] || fail "an unknown tensor did not exit with 2: $(cat err)"
has err "^tare: .*foo/model.safetensors: unknown tensor 'foo'$"
zeros_with qa_outputs.bias
sed 's/dir = "zeros"/dir = "qa_outputs.bias"/' study.toml >answers.toml
"$tare" precision answers.toml --out answers >/dev/null 2>err || fail "a head too many: $(cat err)"
[ "$(grep -c "^tare: not used: qa_outputs.bias$" err)" = 1 ] || fail "a head too many is not named once: $(cat err)"
sed 's/seq_len = 8/seq_len = 513/' study.toml >long.toml
"$tare" precision long.toml >/dev/null 2>err
[ "$(tail -n 1 err)" = "tare: model 'zeros': it has 512 positions, seq_len = 513 needs more" ] ||
    fail "too long: $(tail -n 1 err)"
touch file
"$tare" precision study.toml --out file >/dev/null 2>err
[ "$(tail -n 1 err)" = "tare: --out 'file': not a folder" ] || fail "--out: $(tail -n 1 err)"

# ---- the text of a decoder, in its own tokens ----

# Of 12 tokens that a model of zeros finds equally likely, the text has one for "the" and one for each " the".
gpt2_of_zeros words
cat >words/tokenizer.json <<'END'
{"version": "1.0", "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "ByteLevel"},
 "model": {"type": "BPE", "vocab": {"t": 0, "h": 1, "e": 2, "\u0120": 3, "th": 4, "the": 5, "\u0120the": 6},
 "merges": ["t h", "th e", "\u0120 the"]}}
END
printf 'the the the the the the the the the the the the the' >the # 13 tokens
cat >words.toml <<'END'
threads = 1
formats = ["bf16"]
[[model]]
name = "words"
dir = "words"
text = "the"
held_out = 1
context = 5
END
"$tare" precision words.toml --out words.out >words.md 2>err || fail "words: $(cat err)"
has err '^tare: words perplexity: fp32 12, bf16 12$'
cp words.out/benchmark_*.csv words.csv
for column in total:2 context:5 text_bytes:40 perplexity:12 bits_per_byte:0.8962406; do
    [ "$(column words.csv "${column%:*}" | cut -c 1-9 | sort -u)" = "${column#*:}" ] || fail "${column%:*}: $(cat words.csv)"
done
[ "$(column words.csv positions | tr '\n' ' ')" = " 10 " ] || fail "positions: $(cat words.csv)"
[ "$(column words.csv same_top_share | tr '\n' ' ')" = " 1 " ] || fail "same_top_share: $(cat words.csv)"
has words.md "^- words: 2 windows of 5 tokens, 40 bytes of 'the'.$"
has_not words.md '^## 2|energy'

# wrong NAME LINE SED: a change of words.toml that is refused.
wrong() {
    sed "$3" words.toml >wrong.toml
    expect "$1" 2 "tare: $2" "$tare" precision wrong.toml
}
quiet() { { "$tare" precision "$@" 2>&1 >&3 | grep -v "CPUs busy before" >&2; } 3>&1; return "${PIPESTATUS[0]}"; }
wrong_model() {
    sed "$3" words.toml >wrong.toml
    expect "$1" 2 "tare: model 'words': $2" quiet wrong.toml
}
wrong "a context of 0" "wrong.toml:8: context is 0, outside 1 to 1048576" 's/context = 5/context = 0/'
wrong_model "a context beyond the model" "it has 16 positions, context = 17 needs more" 's/context = 5/context = 17/'
wrong_model "a text of less than a window" "'the' has 13 tokens, not enough for windows of 13" 's/context = 5/context = 13/'
wrong_model "a text of one window" \
    "'the' has 13 tokens, not enough for windows of 12 in what is held out and in the rest" \
    's/context = 5/context = 12/; s/held_out = 1/held_out = 0.1/'
wrong_model "a classifier with a text" "text is for a decoder with a language model head" 's/dir = "words"/dir = "zeros"/'
distilbert_of_zeros encoder
wrong_model "an encoder with a text" "it has no head, so there are no logits to compare" 's/dir = "words"/dir = "encoder"/'
gpt2_of_zeros dumb
wrong_model "no tokenizer" "'dumb' has no tokenizer to turn a text into its 12 tokens" 's/dir = "words"/dir = "dumb"/'
cp zeros/vocab.txt dumb
wrong_model "a decoder with WordPiece" "'dumb' has WordPiece; the text of a decoder is read with byte-level BPE" \
    's/dir = "words"/dir = "dumb"/'
cp -r words many && sed -i 's/"the": 5/"the": 12/' many/tokenizer.json
wrong_model "a tokenizer of more ids" "the tokenizer has 13 ids, but the model only 12" 's/dir = "words"/dir = "many"/'
cp -r words broken && echo '{' >broken/tokenizer.json
sed 's/dir = "words"/dir = "broken"/' words.toml >wrong.toml
quiet wrong.toml >/dev/null 2>err
[ $? = 2 ] || fail "a broken tokenizer did not exit with 2"
has err "^tare: model 'words': .*broken/tokenizer.json"

# What a training of tokens has read is not held out, however the windows are cut.
"$tare" tokenizer-train text --vocab 260 --out tokens >/dev/null 2>err || fail "tokenizer-train: $(cat err)"
sed 's/^out = "gpt"/out = "llama"/; s/^text = .*/&\ntokenizer = "tokens"/; s/^d_model/arch = "llama"\n&/' gpt.toml >llama.toml
"$tare" train llama.toml >/dev/null 2>err || fail "training a Llama: $(cat err)"
sed 's/dir = "words"/dir = "llama"/; s/"the"/"text"/; s/held_out = 1/held_out = 0.2/; s/bf16/q8_0/; s/context = 5/context = 16/' \
    words.toml >llama-study.toml
"$tare" precision llama-study.toml --out llama.out >/dev/null 2>err || fail "a trained Llama: $(cat err)"
has err '^tare: words perplexity: fp32 [0-9.]+, q8_0 [0-9.]+$'
sed 's/context = 16/context = 96/' llama-study.toml >wrong.toml
expect "windows that a training has read" 2 \
    "tare: wrong.toml: none of its models is there; 'words': windows of 96 begin before what its training held out in windows of 16; take that context, or a smaller held_out" \
    quiet wrong.toml

# ---- interrupted ----

sed 's/rounds = 8/rounds = 100000/' study.toml >endless.toml
timeout --foreground --preserve-status -s INT 3 "$tare" precision endless.toml --out ended >/dev/null 2>err
[ $? = 130 ] || fail "an interrupted study did not exit with 130: $(tail -n 1 err)"

# What was measured before keeps its energies.
cat >second.toml <<'END'
threads = 1
[[model]]
name = "zeros"
dir = "zeros"
batch_size = 1
seq_len = 8
rounds = 8
[[model]]
name = "bytes"
dir = "gpt"
batch_size = 1
seq_len = 4
rounds = 100000
END
set -m # a job of its own, which does not ignore SIGINT
"$tare" precision second.toml --out partly --energy-model watts=15 >/dev/null 2>err &
for ((i = 0; i < 600; i++)); do
    ! grep -q '^tare: zeros time' err || break
    sleep 0.1
done
kill -INT $!
wait $!
[ $? = 130 ] || fail "an interrupted study did not exit with 130: $(tail -n 1 err)"
cp partly/benchmark_*.csv partly.csv
has partly.csv '^zeros,time,1,8,fp32,.*,model,,[0-9]'

exit $failed
