#!/usr/bin/env bash
# Rows of several ranks from outside: equal results over both MPIs, exact bytes, and what happens when a rank
# is killed or stopped, the launcher or the sweep killed. Skipped without Open MPI. TARE names the program.
. "$(dirname "$0")/lib/begin.sh"
plugins=$(dirname "$tare")
[ -e "$plugins/tare_comm_openmpi.so" ] && command -v mpirun.openmpi >/dev/null ||
    { echo "no Open MPI (openmpi-bin, libopenmpi-dev)"; exit 77; }
seed=$((RANDOM + 100000)) # by which the processes of this script are known
cat >r.toml <<END
name = "r"
[defaults]
batch_size = 12
context_length = 8
vocab_size = 67
num_warmups = 0
num_trials = 3
threads = 1
optimizer = "adamw"
seed = $seed
$tiny_model
[sweep]
model_size = ["tiny"]
END
row() { timeout 120 "$tare" run --d-model 36 --layers 2 --heads 3 --vocab 67 --context 8 --batch 12 --threads 1 \
    --optimizer adamw --warmups 0 --seed $seed --format csv "$@" 2>err; }
given=(run --d-model 36 --layers 2 --heads 3 --batch 12 --threads 1)

# ---- equal, whatever the strategy, the number of ranks and the MPI ----
"$tare" sweep r.toml --set 'parallel=["ddp-naive","ddp-bucket","zero1","fsdp"]' --set 'ranks=[3,1]' --set 'bucket_mb=[0.01]' \
    >out 2>err || fail "exit $?: $(cat err)"
row --trials 3 --ranks 2 --parallel sharded-optimizer --reduce mpi >mpi.csv || fail "by MPI's sums: $(cat err)"
# Its ranks are no ranks of Open MPI, though this shell were one.
[ ! -e "$plugins/tare_comm_mpich.so" ] || OMPI_COMM_WORLD_SIZE=3 row --trials 3 --ranks 2 --parallel ddp-flat \
    --launcher 'mpirun.mpich -n {ranks}' >mpich.csv || fail "MPICH: $(cat err)"
python3 - <<'END' || fail "results of ranks"
import csv, glob
rows = list(csv.DictReader(open("results/r.csv")))
assert len(rows) == 5 and all(r["status"] == "ok" for r in rows), [r["status_reason"] for r in rows]
one = next(float(r["loss"]) for r in rows if r["ranks"] == "1")
total = int(next(r["grad_bytes"] for r in rows if r["ranks"] == "1"))
assert len({r["loss"] for r in rows if r["ranks"] == "3"}) == 1, "strategies differ"
assert all(abs(float(r["loss"]) / one - 1) < 1e-6 for r in rows), [r["loss"] for r in rows]
for r in rows:
    if r["ranks"] == "1":
        assert r["wire_bytes"] == r["mpi"] == r["comm_ms"] == "", r
        continue
    assert r["mpi"].startswith("Open MPI"), r
    assert 0 < float(r["comm_exposed_ms"]) <= float(r["median_ms"]) * 1.01 and r["rank_skew_ms"] != "", r
    sent = int(r["wire_bytes"])
    least = 2 * total * 2 / 3  # every rank sends (R - 1) / R of the block, twice
    if r["parallel"] == "fsdp":  # weights are gathered for either pass, the tied table once more
        assert least < sent <= 2.01 * least, (sent, least)
    else:
        assert abs(sent / least - 1) < 0.02, (r["parallel"], sent, least)
assert all(r["backward_slowdown_ms"] for r in rows if r["ranks"] == "3" and r["parallel"] == "ddp-bucket")
assert all(r["scaling_efficiency"] for r in rows if r["ranks"] == "3"), [r["scaling_efficiency"] for r in rows]
share = {r["parallel"]: int(r["moment_bytes"]) for r in rows if r["ranks"] == "3"}
assert share["zero1"] < 0.35 * share["ddp-naive"] and share["fsdp"] < 0.4 * share["ddp-naive"], share
for name in glob.glob("mpi*.csv"):
    r = next(csv.DictReader(open(name)))
    assert r["status"] == "ok" and abs(float(r["loss"]) / one - 1) < 1e-6, (name, r["status_reason"], r["loss"], one)
assert next(csv.DictReader(open("mpi.csv")))["wire_bytes"] == ""
END

# ---- what else a row of one rank may say ----
# same STRATEGY ARGUMENT...: two ranks have the loss of one.
same() {
    local strategy=$1
    shift
    row --trials 2 "$@" >alone.csv && row --trials 2 --ranks 2 --parallel "$strategy" "$@" >shared.csv ||
        fail "$strategy $*: $(cat err)"
    awk -v a="$(column alone.csv loss)" -v b="$(column shared.csv loss)" 'BEGIN { d = a / b - 1; exit !(a > 0 && d * d < 1e-12) }' ||
        fail "$strategy $*: losses $(column alone.csv loss) and $(column shared.csv loss) $(column shared.csv status_reason)"
}
same fsdp --arch llama --kv-heads 1 --head-dim 16 --qk-norm --qkv-bias --recompute block:2
same zero1 --arch cs336 --gemm openblas --processes 2
same ddp-flat --forward-only --precision bf16 --include-emulated
row --ranks 2 --parallel fsdp --forward-only --precision bf16 --include-emulated >out
grep -qF "fsdp gathers fp32 weights" out && [ "$(column out status)" = unsupported ] || fail "fsdp of bf16: $(tail -n 1 out)"
refuse "--memory and --tensors plan one process" --ranks 2 --parallel zero1 --memory memory.csv

# ---- before anything runs ----
"$tare" sweep r.toml --dry-run --link 50,1.25 --set 'parallel=["ddp-naive","ddp-bucket","zero1","fsdp"]' --set 'ranks=[1,3]' \
    --set 'bucket_mb=[0.01]' --format csv >plan.csv 2>err || fail "--dry-run: exit $?: $(cat err)"
"$tare" sweep r.toml --dry-run --set 'parallel="zero1"' --set 'ranks=2' --format csv >measured.csv 2>err || fail "--dry-run: exit $?: $(cat err)"
python3 - <<'END' || fail "a forecast"
import csv
ran = {(r["ranks"], r["parallel"]): r for r in csv.DictReader(open("results/r.csv"))}
for r in csv.DictReader(open("plan.csv")):
    if r["ranks"] == "1":
        assert r["wire_bytes"] == r["comm_bound_ranks"] == "", r
        continue
    other = ran[r["ranks"], r["parallel"]]
    for column in ("wire_bytes", "param_bytes", "grad_bytes", "moment_bytes", "activation_bytes"):
        assert r[column] == other[column] != "", (r["parallel"], column, r[column], other[column])
    assert r["link_latency_us"] == "50" and r["link_gb_per_s"] == "1.25" and int(r["comm_bound_ranks"]) >= 2, r
    assert float(r["predicted_comm_ms"]) >= int(r["wire_bytes"]) / 1.25e6, r
    assert 0 < float(r["predicted_exposed_ms"]) <= float(r["predicted_comm_ms"]) * (1 + 1e-9), r
    assert float(other["link_idle_gb_per_s"]) >= float(other["link_gb_per_s"]) > 0 and float(other["predicted_exposed_ms"]) > 0, other
measured, = csv.DictReader(open("measured.csv"))
assert measured["status"] == "planned" and float(measured["link_gb_per_s"]) > 0 and measured["wire_bytes"], measured
END
# A link is measured once: alone, beside products, and of a rank that has a shard. One that fails, too. Of the 28 rows those
# that differ in bucket_mb alone are one, but of ddp-bucket.
printf '#!/bin/sh\necho >>launched\nexec mpirun.openmpi --allow-run-as-root --oversubscribe --bind-to none -n "$@"\n' >launch.sh
printf '#!/bin/sh\necho >>launched\nexit 1\n' >launch_nothing.sh
chmod +x launch.sh launch_nothing.sh
for how in launch launch_nothing; do
    rm -f launched
    "$tare" sweep r.toml --dry-run --set 'ranks=2' --set 'bucket_mb=[0.01,1]' --set 'context_length=[8,16]' --set "launcher=\"./$how.sh {ranks}\"" \
        --set 'parallel=["ddp-naive","ddp-flat","ddp-overlap","ddp-bucket","sharded-optimizer","zero1","fsdp"]' --format csv >plan.csv 2>err ||
        fail "--dry-run by $how: exit $?: $(cat err)"
    expect "links measured by $how" 3 "$(wc -l <launched)"
    expect "rows planned by $how" 16 "$(column plan.csv status | grep -c planned)"
    expect "links known by $how" "$([ $how = launch ] && echo 16 || echo 0)" "$(column plan.csv link_gb_per_s | grep -c .)"
    expect "rows without a link by $how" "$([ $how = launch ] && echo 0 || echo 16)" "$(grep -c 'is not known' err)"
done
! "$tare" sweep r.toml --dry-run --link 50 >out 2>err && grep -qF "'50' is not MICROSECONDS,GB_PER_S" err || fail "--link 50: $(cat err)"

# ---- what cannot be ----
refuse "batch_size 12 does not divide among 5 ranks" --ranks 5 --parallel zero1
refuse "parallel is none: say how they share the work" --ranks 2
refuse "ddp-bucket" --ranks 2 --parallel ddp
refuse "task decode runs in one process" --ranks 2 --task decode
refuse "--profile is of one process" --ranks 2 --parallel zero1 --profile
row --ranks 2 --parallel zero1 --launcher "/nowhere/mpirun -n 2" >out
expect "no launcher" unsupported "$(column out status)"
# reason WORDS ARGUMENT...: a failed row whose reason has these words.
reason() {
    local words=$1
    shift
    row --ranks 2 --parallel zero1 "$@" >out
    [ "$(column out status)" = failed ] && grep -qF -- "$words" out || fail "$*: not '$words': $(tail -n 1 out)"
}
reason "a job of 1 of the 2 ranks" --launcher "mpirun.openmpi --bind-to none --oversubscribe -n 1"
reason "not enough slots" --launcher "mpirun.openmpi -n 2 --host localhost:1"

# ---- faults ----
ranks_of() { pgrep -f -- "^[^ ]*tare run .*seed $seed .*--is-rank"; }
launcher_of() { pgrep -f -- "^[^ ]*mpirun.openmpi .*seed $seed "; }
# Until two ranks have run for a while.
wait_for_ranks() {
    for _ in $(seq 100); do
        [ "$(ranks_of | wc -l)" = 2 ] && sleep 1.5 && return
        sleep 0.1
    done
    fail "no ranks were started"
}
expect_nothing_left() {
    for _ in $(seq 40); do
        [ -z "$(ranks_of)$(launcher_of)" ] && return
        sleep 0.1
    done
    fail "$1: processes are left"
    ranks_of | xargs -r kill -9
}
# fault NAME SIGNAL WHOM WORDS: sends the signal while a row runs.
fault() {
    row --trials 1000000 --ranks 2 --parallel ddp-overlap >out &
    local run=$! begin folder took
    wait_for_ranks
    folder=$(job_folder)
    begin=$(date +%s)
    kill "-$2" $($3 | tail -n 1)
    wait $run
    expect "$1: exit" 1 $?
    took=$(($(date +%s) - begin))
    for _ in $(seq 60); do [ ! -e "$folder" ] && break; sleep 0.1; done
    [ -n "$folder" ] && [ ! -e "$folder" ] || fail "$1: its folder '$folder' is left"
    [ $took -le 10 ] || fail "$1: noticed after $took s"
    grep -qF -- "$4" out || fail "$1: $(tail -n 1 out)"
    expect_nothing_left "$1"
}
# Where the MPI of a running job keeps its shared memory.
job_folder() { tr '\0' '\n' <"/proc/$(ranks_of | head -n 1)/environ" | sed -n 's/^OMPI_MCA_btl_vader_backing_directory=//p'; }
answering() { pgrep -f -- "^[^ ]*tare run .*seed $seed .*--result-fd 3" | head -n 1; } # and then its guard
fault "a killed rank" KILL ranks_of "exited on signal 9"
fault "a stopped rank" STOP ranks_of "has not answered for 4 s"
fault "a killed launcher" KILL launcher_of "was killed by SIGKILL"
fault "a killed process between" KILL answering "killed by SIGKILL"
if unshare -m true 2>/dev/null; then
    unshare -m sh -c 'mount -t tmpfs -o size=16k tmpfs /dev/shm; exec "$@"' sh "$tare" run --d-model 36 --layers 2 --heads 3 --batch 12 \
        --context 8 --vocab 67 --threads 1 --ranks 2 --parallel zero1 --format csv >out 2>err
    grep -qF "/dev/shm has 16 KiB left, 2 ranks need" out || fail "a full /dev/shm: $(tail -n 1 out)"
fi
"$tare" sweep r.toml --set ranks=2 --set 'parallel="fsdp"' --set num_trials=1000000 --out k.csv >out 2>err &
sweep=$!
wait_for_ranks
folders=$(job_folder)
kill -9 $sweep
wait $sweep 2>/dev/null
expect_nothing_left "a killed sweep"
[ -n "$folders" ] || fail "a job without a folder"
for _ in $(seq 300); do # a busy machine takes its time
    left=$(ls -d $folders 2>/dev/null)
    [ -z "$left" ] && break
    sleep 0.1
done
expect "folders of jobs" "" "$left"
exit $failed
