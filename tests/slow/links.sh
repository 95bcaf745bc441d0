#!/usr/bin/env bash
# Ranks over a slow link: hosts that are network namespaces, veth and a token bucket between them (links_lib.sh).
# First: `tare comm` is not faster than the link. Then, of CS336's small, a rank a host, 4 x 128 tokens each: what
# ddp-bucket leaves exposed beside ddp-naive, what was predicted, and sharding by broadcast beside ZeRO stage 1. Then
# four hosts, for results only. Five minutes on two quiet CPUs, one a host; exit 1 where a bound is not kept.
# Needs CAP_NET_ADMIN, iproute2 and Open MPI. TARE names the program; RATE and BURST (10gbit, 512kb) the link;
# TRIALS (10) the steps of a row; OUT is where the results are kept.
here=$(realpath "$(dirname "$0")")
out=$(realpath "${OUT:-.}")
. "$here/../cli/lib/begin.sh"
. "$here/links_lib.sh"
rate=${RATE:-10gbit} burst=${BURST:-512kb} trials=${TRIALS:-10}
trap 'hosts_end; [ -z "${OUT:-}" ] || cp -r results/. "$out"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
hosts_start 4 "$rate" "$burst"

# sweep RANKS CONFIG ARGUMENT...
sweep() {
    local ranks=$1 config=$2
    shift 2
    in_host 1 "$tare" sweep "$config" --set "launcher=\"$(launcher_of "$ranks")\"" --set "ranks=$ranks" --noise off "$@" \
        >table 2>err || fail "sweep $config $*: exit $?: $(tail -n 5 err)" "$(cat table)"
}

# ---- the link itself ----
cat >link.toml <<END
name = "link"
[defaults]
operation = "all_reduce"
num_trials = 10
num_warmups = 2
launcher = "$(launcher_of 2)"
overlap = true
[sweep]
bytes = [4000, 1000000, 25000000, 100000000]
algorithm = ["ring", "mpi"]
END
in_host 1 "$tare" comm link.toml >table 2>err || fail "tare comm: exit $?: $(cat err table)"
cat table

# ---- the same results on four hosts ----
cat >four.toml <<END
name = "four"
[defaults]
batch_size = 4
vocab_size = 67
num_warmups = 1
num_trials = 3
threads = 1
optimizer = "adamw"
$tiny_model
[sweep]
model_size = ["tiny"]
context_length = [8]
parallel = ["ddp-naive", "ddp-bucket", "zero1", "fsdp"]
END
"$tare" sweep four.toml --set ranks=1 --set 'parallel="none"' --out one.csv >table 2>err || fail "one rank: $(cat err)"
sweep 4 four.toml

# ---- what overlapping and sharding are worth ----
cat >links.toml <<END
name = "links"
[defaults]
arch = "cs336"
vocab_size = 10000
batch_size = 8
num_warmups = 2
num_trials = $trials
threads = 1
[sweep]
model_size = ["small"]
context_length = [128]
END
sweep 2 links.toml --set 'parallel=["ddp-naive","ddp-bucket"]'
cat table
sweep 2 links.toml --set 'parallel=["sharded-optimizer","zero1"]' --set 'optimizer="adamw"' --out results/shares.csv
cat table

python3 - "$rate" <<'END' || fail "bounds over $rate"
import csv, re, sys
read = lambda name: list(csv.DictReader(open(name)))
number, unit = re.match(r"([0-9.]+)([gm])bit", sys.argv[1]).groups()
link = float(number) * {"g": 1e9, "m": 1e6}[unit] / 8e9
kept = True
def bound(what, value, low, high):
    global kept
    good = low <= value <= high
    kept &= good
    print(f"{'kept' if good else 'NOT KEPT'}: {what}: {value:.3g}, wanted {low:g} to {high:g}")
for r in read("results/link.csv"):
    if int(r["bytes"]) >= 25e6:  # which no token bucket holds
        bound(f"GB/s of {r['row_id']} beside the link's {link:g}", float(r["busbw_gb_per_s"]), 0, 1.02 * link)
one, = read("one.csv")
for r in read("results/four.csv"):
    bound(f"loss of {r['parallel']} on four hosts over that of one rank, less 1", abs(float(r["loss"]) / float(one["loss"]) - 1), 0, 1e-6)
rows = {r["parallel"]: r for r in read("results/links.csv") + read("results/shares.csv")}
for name, r in rows.items():
    print(f"{name}: step {float(r['median_ms']):.0f} ms, communication {float(r['comm_ms']):.0f} ms, predicted "
          f"{float(r['predicted_comm_ms']):.0f} ms, exposed {float(r['comm_exposed_ms']):.0f} ms, {r['wire_bytes']} bytes")
exposed = {name: float(r["comm_exposed_ms"]) for name, r in rows.items()}
bound("comm_exposed_ms of ddp-bucket over ddp-naive's", exposed["ddp-bucket"] / exposed["ddp-naive"], 0, 0.25)
for name in ("ddp-naive", "ddp-bucket"):
    bound(f"predicted_comm_ms over comm_ms, {name}", float(rows[name]["predicted_comm_ms"]) / float(rows[name]["comm_ms"]), 0.8, 1.2)
step = {name: float(r["median_ms"]) for name, r in rows.items()}
bound("step of sharded-optimizer over zero1's", step["sharded-optimizer"] / step["zero1"], 1.0, 3)
sys.exit(not kept)
END
exit $failed
