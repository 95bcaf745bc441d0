#!/usr/bin/env bash
# Where there is no /proc: what the system does not tell is empty and said, never zero, and rows run all the same.
# Needs root, to hide /proc in a mount namespace of its own. TARE names the program.
. "$(dirname "$0")/lib/begin.sh"
unshare -m mount -t tmpfs none /proc 2>/dev/null || { echo "cannot hide /proc"; exit 77; }

# hidden COMMAND...: runs it without /proc; stdout in out, stderr in err.
hidden() { unshare -m bash -c 'mount -t tmpfs none /proc && exec "$@"' bash "$@" >out 2>err; }
# no_bytes FILE...: none of them allows or names no memory.
no_bytes() { ! grep -Eq '(^|[^0-9.])0 B' "$@" || fail "$what: no bytes: $(grep -E '(^|[^0-9.])0 B' "$@")"; }

row=(--d-model 16 --layers 1 --heads 2 --context 8 --vocab 50 --trials 3)
what=run
hidden "$tare" run "${row[@]}" --format json || fail "run: exit $?: $(cat err)"
has out '"status": "ok"'
for column in cpu_wait peak_rss_bytes cpus_allowed cpu_quota; do
    has out "\"$column\": null"
done
no_bytes out err

cat >tiny.toml <<'EOF'
name = "tiny"
[defaults]
num_trials = 2
vocab_size = 50
[[model]]
size = "tiny"
d_model = 16
num_layers = 1
num_heads = 2
[sweep]
model_size = ["tiny"]
context_length = [8]
EOF
what=sweep
hidden "$tare" sweep tiny.toml || fail "sweep: exit $?: $(cat err)"
has err '^how much memory there is is not known, so no row is skipped for it; max_memory sets a limit$'
has results/tiny.csv '^tiny,.*,ok,'
no_bytes out err results/tiny.csv
python3 - <<'EOF' || fail "samples: a counter that is not known"
import csv, sys
rows = list(csv.DictReader(open("results/tiny.samples.csv")))
sys.exit(len(rows) != 3 or any(r["runqueue_ns"] or r["steal_ns"] or not r["wall_ns"] for r in rows))
EOF

what=limited
hidden "$tare" run "${row[@]}" --max-memory 1MiB || fail "run --max-memory: exit $?: $(cat err)"
has out 'skipped_memory +needs .*, 1 MiB allowed'

what=doctor
hidden "$tare" doctor --rounds 0
has out '^fix +memory +this system does not tell how much there is'
has out '^ok +peak +fp32 [0-9.]+ GFLOP/s'
has out '^ok +load +not told$'
no_bytes out

mkdir model && printf '{"model_type": "gpt2"}' >model/config.json
what=compare
printf 'rounds = 1\n[[model]]\nname = "m"\ndir = "model"\n[[cell]]\ncomponent = "model"\nmodel = "m"\nbatch_size = 1\nseq_len = 4\n' >compare.toml
hidden "$tare" compare compare.toml
[ $? = 2 ] || fail "compare: exit $?, not 2 for a model without weights: $(cat err)"
exit $failed
