#!/usr/bin/env bash
# `tare classify` from outside: what problem_type makes of a logit, names of labels, --scores. TARE names
# the program. The model is a classifier of zeros but for one bias, which is then its logit.
. "$(dirname "$0")/lib/zeros.sh"
. "$(dirname "$0")/lib/begin.sh"

# model DIR JSON: logits 0 and 0.25, and JSON in place of the labels' names.
distilbert_of_zeros zeros classifier
size=$(stat -c %s zeros/model.safetensors)
printf '\0\0\x80\x3e' | dd of=zeros/model.safetensors bs=1 conv=notrunc seek=$((size - 4)) 2>/dev/null
model() { rm -rf "$1" && cp -r zeros "$1" && sed "s/\"id2label\":{[^}]*}/$2/" zeros/config.json >"$1/config.json"; }

# answers DIR TEXT OPTION...: TEXT is all that is printed for one line.
answers() {
    local dir=$1 want
    want=$(printf "$2")
    shift 2
    echo 'this is it' | "$tare" classify "$dir" "$@" >out 2>err || fail "$dir: $(cat err)"
    [ "$(cat out)" = "$want" ] || fail "$dir $*: got '$(cat out)', wanted '$want'"
}

names='"id2label":{"0":"bad","1":"good"}'
model softmax "$names"
answers softmax 'good\t0.562177'
answers softmax 'bad\t0.437823\tgood\t0.562177' --scores
model several "$names,\"problem_type\":\"multi_label_classification\""
answers several 'good\t0.562177'
answers several 'bad\t0.500000\tgood\t0.562177' --scores
model values "$names,\"problem_type\":\"regression\""
answers values 'good\t0.250000'
answers values 'bad\t0.000000\tgood\t0.250000' --scores
model other "$names,\"problem_type\":null"
answers other 'good\t0.562177'

# As transformers calls them.
model null '"id2label":null'
answers null 'LABEL_1\t0.562177'
model mixed '"id2label":{"0":"bad","1":null}'
answers mixed 'LABEL_1\t0.562177'
model numbers '"id2label":{"0":7,"1":8}'
answers numbers 'LABEL_0\t0.437823\tLABEL_1\t0.562177' --scores
model gap '"id2label":{"0":"bad","2":"good"}'
echo x | "$tare" classify gap >/dev/null 2>err && fail "a label without a name is accepted"
grep -q "gap/config.json': id2label has no name for label 1$" err || fail "gap: $(cat err)"

# One label: its sigmoid, and the value of a regression.
classifier_tensors | sed 's/^classifier.weight 2/classifier.weight 1/; s/^classifier.bias 2/classifier.bias 1/' >tensors
mkdir one && cp zeros/vocab.txt one && safetensors_of_zeros <tensors >one/model.safetensors
sed 's/"id2label":{[^}]*}/"id2label":{"0":"stars"}/' zeros/config.json >one/config.json
size=$(stat -c %s one/model.safetensors)
printf '\0\0\x80\x3e' | dd of=one/model.safetensors bs=1 conv=notrunc seek=$((size - 4)) 2>/dev/null
answers one 'stars\t0.562177'
sed -i '1s/{/{"problem_type":"regression",/' one/config.json
answers one 'stars\t0.250000'

# ---- two texts a line ----

printf 'this is\tit\n\t\n' | "$tare" classify softmax --pair >out 2>err || fail "pair: $(cat err)"
[ "$(cat out)" = "$(printf 'good\t0.562177\ngood\t0.562177')" ] || fail "pair: $(cat out)"
printf 'this is it\n' | "$tare" classify softmax --pair >out 2>err && fail "one text as a pair is accepted"
grep -q "^tare: standard input, line 1: there is no tab between two texts$" err || fail "no tab: $(cat err)"

# ---- a reader that leaves ----

yes 'this is it' | head -n 50000 >long
{ "$tare" classify softmax long 2>err; echo $? >code; } | head -n 1 >out
[ "$(cat code)" = 0 ] && [ ! -s err ] && [ "$(wc -l <out)" = 1 ] || fail "a reader that leaves: exit $(cat code): $(cat err)"

exit $failed
