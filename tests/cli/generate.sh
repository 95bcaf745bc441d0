#!/usr/bin/env bash
# `tare generate` from outside: formats, where it stops, the one line of each error. TARE names the program; its
# ids are compared with those of the transformers library in tests/parity/generate_parity.py.
. "$(dirname "$0")/lib/zeros.sh"
. "$(dirname "$0")/lib/begin.sh"

gpt2_of_zeros gpt2

# gives NAME STDOUT OPTION...
gives() {
    local name=$1 wanted=$2 got
    shift 2
    got=$("$tare" generate gpt2 "$@" 2>err) || fail "$name: exit $?: $(cat err)"
    [ "$got" = "$wanted" ] || fail "$name: '$got', wanted '$wanted'"
}

given=(generate)

# ---- what it prints, and where it stops ----

gives "ids" "0 0 0" --ids "5 6" --max-new 3 --format ids
grep -q 'a prompt of 2 tokens to the first new one in' err && grep -q '2 more in' err || fail "statistics: $(cat err)"
grep -qE '^tare: of those [0-9.]+ ms reading weights and cache takes [0-9.]+ at least: .*(limits? it|believe neither)$' err ||
    fail "no word of what limits it: $(cat err)"
printf '5\n6 7\n' >prompt
gives "ids of a file" "0" --ids @prompt --max-new 1 --format ids
gives "the last position" "0 0 0 0" --ids "1 2 3 4 5 6 7 8 9 10 11 0 1" --format ids
grep -q 'stopped, for the model has no further positions' err || fail "no word of the last position: $(cat err)"
gives "a full context" "0" --ids "1 2 3 4 5 6 7 8 9 10 11 0 1 2 3 4" --format ids
gives "another cache and precision" "0 0" --ids "5" --max-new 2 --kv-type bf16 --precision int8 --format ids
json=$("$tare" generate gpt2 --ids "5 6" --max-new 2 --format json 2>/dev/null)
grep -qE '^\{"prompt_tokens": 2, "ids": \[0, 0\], "stop": "length", "ttft_ms": [0-9.e-]+, "tpot_ms": [0-9.e-]+\}$' \
    <<<"$json" || fail "json: $json"

gpt2_of_zeros gpt2 '"eos_token_id":0'
gives "an end token" "0" --ids "5 6" --max-new 3 --format ids
gives "an end token ignored" "0 0 0" --ids "5 6" --max-new 3 --ignore-eos --format ids
gpt2_of_zeros gpt2 '"eos_token_id":7'
echo '{"eos_token_id":[3,0]}' >gpt2/generation_config.json
gives "an end token of generation_config.json" "0" --ids "5 6" --max-new 3 --format ids
echo '{"eos_token_id":"x"}' >gpt2/generation_config.json
refused "an end token that is none" \
    "'gpt2/generation_config.json': eos_token_id is neither an integer nor a list of integers" gpt2 --ids 1 --format ids
rm gpt2/generation_config.json

# Of 12 equal tokens a draw gives others than 0, the same again with the same seed, and 0 alone from one.
drawn=$("$tare" generate gpt2 --ids 5 --max-new 12 --temperature 1 --seed 3 --format ids 2>/dev/null)
[ "$drawn" != "0 0 0 0 0 0 0 0 0 0 0 0" ] || fail "a draw: $drawn"
gives "the same draw" "$drawn" --ids 5 --max-new 12 --temperature 1 --seed 3 --format ids
gives "a draw from the likeliest" "0 0 0 0 0 0" --ids 5 --max-new 6 --temperature 1 --seed 3 --top-p 0.05 --format ids
gives "no draw" "0 0" --ids 5 --max-new 2 --top-k 3 --format ids
grep -q -- '--top-k and --top-p change nothing' err || fail "a draw without a temperature: $(cat err)"

# ---- errors ----

refused "a cache in groups" "--ids: a cache of q8_0 is in groups of 32 channels, but head_dim is 4" \
    gpt2 --ids 5 --kv-type q8_0 --format ids
refused "no prompt" "generate: there is no prompt; give --prompt, --prompt-file or --ids" gpt2 --format ids
refused "two prompts" "generate: more than one of --prompt, --prompt-file and --ids" gpt2 --ids 1 --prompt x
refused "ids of a chat" "--chat is for --prompt and --prompt-file" gpt2 --ids 1 --chat
refused "an empty prompt" "--ids: an empty prompt; give at least one token id" gpt2 --ids " " --format ids
refused "two rows" "--ids: 2 rows, but one prompt is continued at a time" gpt2 --ids "1;2" --format ids
refused "no such word" "--ids: row 1, number 2: 12 is not a token id (0 to 11)" gpt2 --ids "1 12" --format ids
refused "a negative word" "--ids: row 1, number 1: -1 is not a token id (0 to 11)" gpt2 --ids "-1" --format ids
refused "too long" "--ids: a prompt of 17 tokens, but the model has 16 positions" \
    gpt2 --ids "1 2 3 4 5 6 7 8 9 10 11 0 1 2 3 4 5" --format ids

# ---- text ----

# Words a to i and the end of text: token 0, of which the zeros generate one after the other, is "a".
cp -r gpt2 text
echo '{"a":0,"b":1,"c":2,"d":3,"e":4,"f":5,"g":6,"h":7,"i":8,"ab":9,"<|im_start|>":10,"<|endoftext|>":11}' \
    >text/vocab.json
printf '#version: 0.2\na b\n' >text/merges.txt
echo '{"tokenizer_class":"GPT2Tokenizer"}' >text/tokenizer_config.json
got=$("$tare" generate text --prompt abc --max-new 3 2>err) || fail "a text: $(cat err)"
[ "$got" = aaa ] && grep -q 'a prompt of 2 tokens' err || fail "a text: '$got': $(cat err)"
printf abc >prompt
got=$("$tare" generate text --prompt-file prompt --max-new 2 --format json 2>err) || fail "a file: $(cat err)"
[[ $got == *'"ids": [0, 0]'*'"text": "aa"'* ]] || fail "a text in JSON: $got"
got=$("$tare" generate text --ids "1" --max-new 2 2>err) && [ "$got" = aa ] || fail "ids to text: '$got': $(cat err)"
refused "an empty text" "an empty prompt; it has to have at least one token" text --prompt ""
refused "a file that is not there" "cannot open 'nothing': No such file or directory" text --prompt-file nothing
refused "no template" "'text' has no chat template for --chat" text --prompt abc --chat
echo '{"tokenizer_class":"GPT2Tokenizer","chat_template":"{% [INST] %}"}' >text/tokenizer_config.json
refused "another template" "'text' has the chat template Llama 2 or Mistral, but only ChatML is built" \
    text --prompt abc --chat
"$tare" generate gpt2 --prompt abc 2>err
[ $? = 2 ] && [ "$(wc -l <err)" = 1 ] || fail "no tokenizer: $(cat err)"

refused "no token at all" "--max-new is 0, outside 1 to 16777216" gpt2 --ids 1 --max-new 0 --format ids
refused "cold" "--temperature is -1, outside 0 to 1000" gpt2 --ids 1 --temperature -1 --format ids
refused "no temperature" "--temperature is 'nan', not a finite number" gpt2 --ids 1 --temperature nan --format ids
refused "no probability" "--top-p is 0, but must be above 0 and at most 1" gpt2 --ids 1 --top-p 0 --format ids
distilbert_of_zeros encoder classifier
refused "an encoder" "'encoder': a distilbert reads whole texts and generates none" encoder --ids 1 --format ids
gpt2_of_zeros headless '"architectures":["GPT2Model"]'
refused "no head" "'headless': this model has no language model head, so it generates no text" \
    headless --ids 1 --format ids

# ---- a reader that leaves, and Ctrl-C ----

# A Llama has no last position, so it goes on until it is stopped.
endless() {
    mkdir -p endless
    echo '{"model_type":"llama","vocab_size":12,"hidden_size":8,"num_attention_heads":2,"num_hidden_layers":1,' \
        '"intermediate_size":16,"tie_word_embeddings":true}' >endless/config.json
    {
        printf '%s\n' 'model.embed_tokens.weight 12,8' 'model.norm.weight 8'
        printf 'model.layers.0.%s\n' 'input_layernorm.weight 8' 'post_attention_layernorm.weight 8' \
            'self_attn.q_proj.weight 8,8' 'self_attn.k_proj.weight 8,8' 'self_attn.v_proj.weight 8,8' \
            'self_attn.o_proj.weight 8,8' 'mlp.gate_proj.weight 16,8' 'mlp.up_proj.weight 16,8' \
            'mlp.down_proj.weight 8,16'
    } | safetensors_of_zeros >endless/model.safetensors
}
endless
{ "$tare" generate endless --ids 1 --max-new 200000 --format ids 2>err; echo $? >code; } | head -c 4 >out
[ "$(cat out)" = "0 0 " ] && [ "$(cat code)" = 0 ] && [ ! -s err ] ||
    fail "a reader that leaves: exit $(cat code): $(cat err)"

rm out # its bytes are those of the reader that left

# stopped_by SIGNAL FORMAT PATTERN: exit 130, and what was generated is all of standard output.
stopped_by() {
    rm -f out # of the one before
    env --default-signal="$1" "$tare" generate endless --ids 1 --max-new 200000 --format "$2" >out 2>err &
    local pid=$! code=0
    # Handlers stand before the weights are read; in JSON nothing is written before the end.
    until [ "/proc/$pid/exe" -ef "$tare" ] && grep -q '^SigCgt.*[2367abef]$' "/proc/$pid/status" &&
        { [ "$2" = json ] || [ -s out ]; }; do
        kill -0 $pid || break
        sleep 0.05
    done
    kill "-$1" $pid
    wait $pid || code=$?
    [ $code = 130 ] && [[ $(tail -c 1 out | od -An -c) = *'\n'* ]] && grep -qE "$3" out && [ "$(wc -l <out)" = 1 ] ||
        fail "SIG$1, $2: exit $code, $(wc -c <out) bytes: $(tail -c 80 out)"
}
for signal in INT TERM HUP; do
    stopped_by $signal ids '^0( 0)*$'
    stopped_by $signal json '^\{"prompt_tokens": 1, "ids": \[.*"stop": "interrupted".*\}$'
done
exit $failed
