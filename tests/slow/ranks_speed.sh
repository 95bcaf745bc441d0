#!/usr/bin/env bash
# Ranks over shared memory, in turns: CS336's small, 4 x 128 tokens a rank. ROUNDS (5) rounds; in each every
# contestant runs once in a fresh process, in an order that moves on; ratios are medians over the rounds.
#   2 ranks x 1 thread over 1 rank x 2 threads: forward and backward (ddp-bucket), with AdamW (zero1): at most 1.10
#   2 ranks x 1 thread over PyTorch's DDP, and ZeRO, on gloo, in the same layout: at most 0.7
#   an all-reduce of 100 MB: our ring over MPI's own: at most 1; over gloo: below 1
# Seven minutes on two quiet CPUs; exit 1 where a bound is not kept. WHAT names some of step, adamw, all_reduce. Needs
# Open MPI; TARE_PYTHON a Python with torch and transformers, else without PyTorch. TARE names the program.
here=$(realpath "$(dirname "$0")")
. "$here/../cli/lib/begin.sh"
command -v mpirun.openmpi >/dev/null || { echo "no Open MPI"; exit 77; }
python=${TARE_PYTHON:-python3} rounds=${ROUNDS:-5}
"$python" -c 'import torch, transformers' 2>/dev/null || { echo "no torch: PyTorch is left out"; python=; }

# Each prints milliseconds.
row() {
    "$tare" run --arch cs336 --model small --vocab 10000 --context 128 --batch 8 --warmups 2 --trials 5 --no-probe --format csv "$@" >row.csv 2>err ||
        { tail -n 3 err >&2; return 1; }
    column row.csv median_ms
}
two=(--ranks 2 --threads 1)
one=(--threads 2)
step_ranks() { row "${two[@]}" --parallel ddp-bucket; }
step_one() { row "${one[@]}"; }
step_torch() { "$python" "$here/torch_ranks.py" step 5; }
adamw_ranks() { row "${two[@]}" --parallel zero1 --optimizer adamw; }
adamw_one() { row "${one[@]}" --optimizer adamw; }
adamw_torch() { "$python" "$here/torch_ranks.py" adamw 5; }
comm() {
    "$tare" comm /dev/null --set 'bytes=[100000000]' --set num_trials=10 --set num_warmups=2 --set "algorithm=[\"$1\"]" --out c.csv --overwrite >/dev/null 2>err || { tail -n 3 err >&2; return 1; }
    column c.csv median_ms
}
all_reduce_ranks() { comm ring; }
all_reduce_one() { comm mpi; }
all_reduce_torch() { "$python" "$here/torch_ranks.py" all_reduce 10; }

for what in ${WHAT:-all_reduce step adamw}; do
    sides=(ranks one ${python:+torch})
    : >"$what.times"
    for ((round = 0; round < rounds; round++)); do
        for ((i = 0; i < ${#sides[@]}; i++)); do
            side=${sides[$(((i + round) % ${#sides[@]}))]}
            ms=$("${what}_$side" 2>side.err) && [ -n "$ms" ] || { fail "$what, $side: $(tail -n 3 side.err)"; continue; }
            echo "$round $side $ms" >>"$what.times"
        done
    done
    python3 - "$what" <<'END' || failed=1
import statistics, sys
what = sys.argv[1]
times = {}
for line in open(f"{what}.times"):
    number, side, ms = line.split()
    times.setdefault(number, {})[side] = float(ms)
bounds = {"all_reduce": {"one": ("MPI's own", 1.0), "torch": ("torch gloo", 1.0)}}.get(what, {"one": ("1 rank x 2 threads", 1.10), "torch": ("torch on gloo", 0.7)})
kept = True
for side, (name, bound) in bounds.items():
    ratios = sorted(t["ranks"] / t[side] for t in times.values() if "ranks" in t and side in t)
    if not ratios:
        continue
    ratio = statistics.median(ratios)
    kept &= ratio <= bound
    medians = [statistics.median(t[s] for t in times.values() if s in t) for s in ("ranks", side)]
    print(f"{'kept' if ratio <= bound else 'NOT KEPT'}: {what}: over {name}: {ratio:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}, {len(ratios)} rounds), "
          f"wanted at most {bound}; {medians[0]:.4g} and {medians[1]:.4g} ms")
sys.exit(not kept)
END
done
exit $failed
