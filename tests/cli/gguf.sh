#!/usr/bin/env bash
# A GGUF file wherever a model is named: dump, tokenize, convert, generate, and the one line of each error. TARE
# names the program; the file is golden/tiny_llama.gguf, its numbers are compared in tests/parity.
golden=$(realpath "$(dirname "$0")/../golden")
. "$(dirname "$0")/lib/begin.sh"
cp "$golden/tiny_llama.gguf" m.gguf
sum=$(cksum <m.gguf)

"$tare" convert m.gguf hf 2>err || fail "convert: $(cat err)"
[ "$(cd hf && echo *)" = "config.json model.safetensors tokenizer.json tokenizer_config.json" ] || fail "convert: $(ls hf)"
for what in m.gguf hf; do
    "$tare" dump $what --ids "1 2 3;7 5 300" --targets "2 3 -1;5 300 1" --out "$what.out" 2>err || fail "dump $what: $(cat err)"
    "$tare" tokenize $what --max-length 9 >"$what.ids" 2>err <<<"The film, 1234 <|endoftext|>" || fail "tokenize $what: $(cat err)"
    "$tare" generate $what --ids "1 2 3" --max-new 8 --ignore-eos --format ids >"$what.new" 2>err || fail "generate $what: $(cat err)"
done
cmp m.gguf.out hf.out || fail "the file and its directory are not the same model"
cmp m.gguf.ids hf.ids || fail "the file and its directory have not the same tokenizer"
cmp m.gguf.new hf.new || fail "the file and its directory do not go on in the same way"
[ "$(wc -w <m.gguf.new)" = 8 ] || fail "generate: $(cat m.gguf.new)"
[ "$(wc -w <m.gguf.ids)" = 9 ] || fail "tokenize: $(cat m.gguf.ids)"
"$tare" convert m.gguf half --format fp16 2>err || fail "convert to fp16: $(cat err)"
[ "$(stat -c %s half/model.safetensors)" -lt "$(stat -c %s hf/model.safetensors)" ] || fail "fp16 is not smaller"

refused "its own name" "--out 'm.gguf' is the model itself; use another name" dump m.gguf --ids 1 --out m.gguf
refused "a directory without a format" "convert: --format is missing; it is bf16, fp16, int8, q8_0 or q4_0" convert hf other
head -c 5000 m.gguf >cut.gguf
for verb in "dump cut.gguf --ids 1 --out no" "convert cut.gguf no" "tokenize cut.gguf" \
    "generate cut.gguf --ids 1 --format ids"; do
    refused "cut off" "'cut.gguf': 'tokenizer.ggml.token_type': it ends at byte 5000, in the middle of its header" $verb
done
echo "version https://git-lfs.github.com/spec/v1" >lfs.gguf
for verb in "dump lfs.gguf --ids 1 --out no" "convert lfs.gguf no --format bf16" "tokenize lfs.gguf" \
    "generate lfs.gguf --ids 1 --format ids" "run --model-dir lfs.gguf" "classify lfs.gguf"; do
    refused "another file" "'lfs.gguf' is neither a GGUF file nor the directory of a model" $verb
done
sed 's/smollm/sm0llm/' m.gguf >pre.gguf
refused "another pre-tokenizer" \
    "'pre.gguf': tokenizer.ggml.pre 'sm0llm' is not built; gpt-2, llama-bpe, qwen2 and smollm are" tokenize pre.gguf
sed 's/general.architecture\(.\{12\}\)llama/general.architecture\1mamba/' m.gguf >arch.gguf
refused "another architecture" \
    "'arch.gguf': general.architecture 'mamba' is not built; llama, qwen2, qwen3 and gpt2 are" dump arch.gguf --ids 1 --out no
[ "$sum" = "$(cksum <m.gguf)" ] && [ ! -e no ] || fail "a file was changed, or made"
exit $failed
