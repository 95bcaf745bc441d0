#!/usr/bin/env bash
# `tare train` over several ranks from outside: the checkpoint of one process, taking it up with another number
# of ranks, and what is refused. Skipped without Open MPI. TARE names the program.
. "$(dirname "$0")/lib/begin.sh"
[ -e "$(dirname "$tare")/tare_comm_openmpi.so" ] && command -v mpirun.openmpi >/dev/null ||
    { echo "no Open MPI (openmpi-bin, libopenmpi-dev)"; exit 77; }
seq 1 700 | tr '\n' ' ' >text # 2,692 bytes
cat >gpt.toml <<'END_OF_CONFIG'
task = "gpt"
out = "one"
[data]
text = "text"
[model]
d_model = 36
num_layers = 2
num_heads = 3
arch = "cs336"
context = 16
[training]
epochs = 2
batch_size = 7
learning_rate = 3e-3
dropout = 0.1
max_grad_norm = 0.5
END_OF_CONFIG
train() { "$tare" train gpt.toml --threads 1 "$@" >out 2>err; }
# same_as_one FOLDER: its checkpoint and losses beside those of one process.
same_as_one() {
    python3 - "$1" <<'END_OF_PYTHON' || fail "$1 is not the training of one process"
import array, csv, json, struct, sys
def losses(folder):
    return [float(row["loss"]) for row in csv.DictReader(open(folder + "/loss.csv"))]
def tensors(folder, name):
    data = open(f"{folder}/{name}.safetensors", "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {k: array.array("f", data[8 + size:][slice(*v["data_offsets"])]) for k, v in header.items()}
one, other = losses("one"), losses(sys.argv[1])
assert len(one) == len(other) == 44, (len(one), len(other))
worst = max(abs(b / a - 1) for a, b in zip(one, other))
assert worst < 1e-6, f"losses: {worst}"  # observed: 2.6e-7
for name in "model", "training":
    a, b = tensors("one", name), tensors(sys.argv[1], name)
    assert a.keys() == b.keys()
    worst = max(abs(x - y) for k in a for x, y in zip(a[k], b[k]))
    assert worst < 1e-4, f"{name}: {worst}"  # observed: 1.6e-5, of a learning rate of 3e-3
END_OF_PYTHON
}

train || fail "one process: $(cat err)"
cp out one.out
for how in ddp-bucket fsdp; do
    train --ranks 3 --parallel $how --out $how || fail "$how: $(cat err)"
    cmp -s one.out out || fail "$how says on stdout: $(cat out)"
    grep -q '^step 44/44, ' err || fail "$how shows no progress: $(cat err)"
    same_as_one $how
done
cmp -s ddp-bucket/training.safetensors fsdp/training.safetensors || fail "two strategies gave two models"
cmp -s ddp-bucket/loss.csv fsdp/loss.csv || fail "two strategies gave two losses"
sed 's/^seed.*//; $a ranks = 2\nparallel = "zero1"' gpt.toml >two.toml
"$tare" train two.toml --threads 1 --out two >out 2>err || fail "ranks in the config: $(cat err)"
same_as_one two

# ---- stopped by a signal, gone on with other ranks ----

processes() { pgrep -f -- "^[^ ]*tare train gpt.toml .*--out=$1 .*--is-rank" || true; }
for _ in 1 2 3 4 5; do # it may be done before the signal comes
    rm -rf part
    "$tare" train gpt.toml --threads 1 --ranks 2 --parallel fsdp --out part >out 2>err &
    child=$!
    until [ -s part/loss.csv ] || ! kill -0 $child 2>/dev/null; do :; done
    kill -TERM $child 2>/dev/null
    wait $child
    stopped=$?
    [ $stopped = 0 ] || break
done
expect "a stopped training" 130 $stopped
grep -qE '^interrupted after step [0-9]+; --resume goes on$' err || fail "a stopped training says: $(cat err)"
[ -s part/training.safetensors ] || fail "a stopped training saved nothing"
expect "ranks of a stopped training" "" "$(processes part)"
train --ranks 3 --parallel zero1 --out part --resume || fail "going on with 3 ranks: $(cat err)"
grep -q '^resumed after step ' err || fail "going on says: $(cat err)"
same_as_one part

# ---- what cannot be ----

# refused WORDS ARGUMENT...
refused() {
    local words=$1 got=0
    shift
    train "$@" || got=$?
    [ $got = 2 ] && grep -qF -- "$words" <<<"$(tail -n 1 err)" || fail "$*: exit $got, wanted: $words: $(cat err)"
}
refused "ranks is 2, but parallel is none" --ranks 2 --out no
refused "parallel is 'ddp'" --ranks 2 --parallel ddp --out no
refused "has a training already" --ranks 2 --parallel fsdp
refused "a job of 1 of the 2 ranks" --ranks 2 --parallel fsdp --out no \
    --launcher "mpirun.openmpi --bind-to none --oversubscribe -n 1"
refused "there is no launcher '/nowhere/mpirun" --ranks 2 --parallel fsdp --out no --launcher "/nowhere/mpirun -n 2"
[ ! -e no ] || fail "a refused training wrote something"

"$tare" train gpt.toml --threads 1 --ranks 2 --parallel zero1 --out killed --set epochs=300 --set save_every=2 >out 2>err &
child=$!
for _ in $(seq 200); do [ "$(cat killed/loss.csv 2>/dev/null | wc -l)" -gt 6 ] && break; sleep 0.05; done
begin=$(date +%s)
kill -9 $(processes killed | tail -n 1)
wait $child
expect "a killed rank" 2 $?
[ $(($(date +%s) - begin)) -le 10 ] || fail "a killed rank was noticed after $(($(date +%s) - begin)) s"
grep -q '^tare: .*exited on signal 9' err || fail "a killed rank: $(tail -n 2 err)"
[ -s killed/training.safetensors ] || fail "a killed rank took the checkpoint with it"
exit $failed
