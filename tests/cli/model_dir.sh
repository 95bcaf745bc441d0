#!/usr/bin/env bash
# Rows of a model that the user has: --model-dir and the key model_dir, of a directory and of a GGUF file, in run,
# sweep, --dry-run, --resume and diff; the one line of each error. TARE names the program.
gguf=$(realpath "$(dirname "$0")/../golden/tiny_llama.gguf")
. "$(dirname "$0")/lib/zeros.sh"
. "$(dirname "$0")/lib/begin.sh"

gpt2_of_zeros gpt2
cp "$gguf" tiny.gguf
short=(--batch 1 --trials 2 --warmups 0 --no-probe)

# ---- a tensor that is not used is named once, as dump does ----

mkdir odd
printf 'tare: not used: h.0.attn.masked_bias\n' >odd/want
gpt2_of_zeros odd/model
{
    gpt2_tensors
    echo 'h.0.attn.masked_bias 1'
} | safetensors_of_zeros >odd/model/model.safetensors
"$tare" run --model-dir odd/model --task prefill,decode --context 8 --gen 3 "${short[@]}" >out 2>err || fail "odd: $(cat err)"
grep 'not used' err | cmp -s - odd/want || fail "what is not used: $(cat err)"
printf '[defaults]\nmodel_dir = "odd/model"\nn_gen = 3\nnum_trials = 2\n[sweep]\ntask = ["decode"]\n' >odd/c.toml
"$tare" sweep odd/c.toml --out odd/r.csv >out 2>err || fail "odd sweep: $(cat err)"
grep 'not used' err | cmp -s - odd/want || fail "what is not used, in a sweep: $(cat err)"

# ---- what the files say is in the row, and their weights are what runs ----

"$tare" run --model-dir gpt2 --task loss,prefill,decode --context 8 --gen 3 --forward-only "${short[@]}" --format csv \
    >run.csv 2>err || fail "a directory: $(cat err)"
for cell in model_size=gpt2 d_model=8 num_layers=1 num_heads=2 vocab_size=12 arch=gpt2 d_ff=32 tied_head=True \
    model_dir=gpt2; do
    expect "${cell%=*}" "$(printf "${cell#*=} %.0s" 1 2 3)" "$(column run.csv "${cell%=*}" | tr '\n' ' ')"
done
expect "the loss of zeros, ln 12" 2.4849 "$(column run.csv loss | head -n 1 | cut -c1-6)"
md5() { printf "$1\n" | md5sum | cut -d' ' -f1; }
expect "the likeliest of equal tokens" "$(md5 0) $(md5 '0 0 0')" "$(column run.csv ids_md5 | grep . | xargs)"

"$tare" run --model-dir ./tiny.gguf --task decode --gen 3 "${short[@]}" --format csv >run.csv 2>err || fail "a GGUF: $(cat err)"
for cell in model_size=tiny d_model=64 num_kv_heads=2 arch=llama rope_theta=10000 norm_eps=1e-06 qk_norm=False; do
    expect "${cell%=*} of a GGUF" "${cell#*=}" "$(column run.csv "${cell%=*}")"
done
"$tare" run --model mine --model-dir tiny.gguf --d-model 64 --arch llama --task decode --gen 3 "${short[@]}" --format csv \
    >same.csv 2>err || fail "what is true may be said: $(cat err)"
expect "a name of one's own" mine "$(column same.csv model_size)"
expect "the same tokens" "$(column run.csv ids_md5)" "$(column same.csv ids_md5)"

# ---- sweeps ----

cat >rows.toml <<'TOML'
name = "rows"
[defaults]
batch_size = 1
num_trials = 2
num_warmups = 0
vocab_size = 50257
[sweep]
model_dir = ["gpt2", "tiny.gguf"]
task = ["prefill", "decode"]
context_length = [8]
n_gen = [3]
TOML
"$tare" sweep rows.toml --dry-run --format csv >plan.csv 2>err || fail "a plan: $(cat err)"
expect "planned models" "gpt2 gpt2 tiny tiny" "$(column plan.csv model_size | xargs)"
expect "planned vocabularies" "12 12" "$(column plan.csv vocab_size | head -n 2 | xargs)"
[ "$(column plan.csv predicted_peak_bytes | grep -c .)" = 4 ] || fail "predictions: $(cat plan.csv)"
"$tare" sweep rows.toml --filter tg --out a.csv >table 2>err || fail "a sweep: $(cat err)"
expect "names" "gpt2/tg3 tiny/tg3" "$(awk '/tg3/ {print $1}' table | xargs)"
"$tare" sweep rows.toml --out a.csv --resume >/dev/null 2>err || fail "resuming: $(cat err)"
expect "rows after resuming" "ok ok ok ok" "$(column a.csv status | xargs)"
"$tare" diff a.csv a.csv >diff.txt 2>err || fail "a diff: $(cat err)"
grep -q '^verdict: ' diff.txt || fail "no verdict: $(cat diff.txt)"
rm -r gpt2 # a result is read without the model
"$tare" diff a.csv a.csv >/dev/null 2>err || fail "a diff without the model: $(cat err)"
gpt2_of_zeros gpt2
"$tare" run --d-model 8 --layers 1 --heads 2 --vocab 12 --task decode --gen 3 "${short[@]}" --format csv >random.csv 2>err
[ "$(column random.csv row_id)" != "$(column a.csv row_id | head -n 2 | tail -n 1)" ] || fail "one id with and without"

# ---- errors ----

given=(run)
decode=(--task decode --model-dir)
refused "positions" "depth + n_gen is 17, but 'gpt2' has 16 positions" "${decode[@]}" gpt2 --depth 10 --gen 7
refused "a prompt" "context_length is 17, but 'gpt2' has 16 positions" --task prefill --model-dir gpt2 --context 17
refused "another arch" "arch is llama, but gpt2 in 'gpt2'" "${decode[@]}" gpt2 --gen 4 --arch llama
refused "another width" "d_model is 9, but 8 in 'gpt2'" "${decode[@]}" gpt2 --gen 4 --d-model 9
refused "what gpt2 has not" "rope_theta is 7, but there is none in 'gpt2'" "${decode[@]}" gpt2 --gen 4 --rope-theta 7
refused "a built-in name" "model_size 'small' is built in, but the model is that of 'gpt2'" "${decode[@]}" gpt2 --model small
distilbert_of_zeros bert
refused "an encoder" "'bert': a distilbert reads whole texts and generates none" "${decode[@]}" bert
gpt2_of_zeros headless '"architectures":["GPT2Model"]'
refused "no head" "'headless': this model has no language model head, so it generates no text" "${decode[@]}" headless
"$tare" run "${decode[@]}" nowhere >out 2>err
[ $? = 2 ] && [ "$(wc -l <err)" = 1 ] && grep -q nowhere err || fail "no such directory: $(cat err)"
head -c 200 tiny.gguf >torn.gguf
"$tare" run "${decode[@]}" torn.gguf >out 2>err
[ $? = 2 ] && [ "$(wc -l <err)" = 1 ] && grep -q torn.gguf err || fail "a torn GGUF: $(cat err)"
"$tare" sweep rows.toml --set 'arch="llama"' --out b.csv >out 2>err
[ $? = 2 ] && grep -q "arch is llama, but gpt2 in 'gpt2'" err || fail "another arch in a sweep: $(cat err)"
"$tare" sweep rows.toml --set 'n_gen=17' --out b.csv >out 2>err
[ $? = 2 ] && grep -q "rows.toml:8: depth + n_gen is 17, but 'gpt2' has 16 positions" err || fail "positions in a sweep: $(cat err)"
exit $failed
