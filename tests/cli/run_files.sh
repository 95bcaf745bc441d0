#!/usr/bin/env bash
# The files that `tare run` writes beside its row, --memory, --tensors and --trace, from outside: what they
# hold, and what is refused. TARE names the program.
lib=$(realpath "$(dirname "$0")/lib")
. "$lib/begin.sh"

row=(run --model tiny --d-model 36 --layers 2 --heads 3 --vocab 101 --batch 2 --context 17 --threads 1 --trials 2)
given=("${row[@]}")

"$tare" "${row[@]}" --optimizer adamw --recompute block --memory m.csv --tensors t.csv --trace t.json --format csv >row.csv 2>err ||
    fail "exit $?: $(cat err)"
python3 - <<'END' || fail "what the files hold"
import csv, json
row = next(csv.DictReader(open("row.csv")))
steps = list(csv.DictReader(open("m.csv")))
assert open("m.csv").readline() == "step,phase,op,layer,weights,gradients,moments,activations,scratch,total\n"
kinds = ("weights", "gradients", "moments", "activations", "scratch")
assert all(int(s["total"]) == sum(int(s[k]) for k in kinds) for s in steps)
assert max(int(s["total"]) for s in steps) == int(row["predicted_peak_bytes"]) - 16 * 2**20
assert int(steps[0]["gradients"]) * 2 == int(steps[0]["moments"]) >= 8 * int(row["num_params"])
assert [s["step"] for s in steps] == [str(i + 1) for i in range(len(steps))]
phases = [s["phase"] for s in steps]
assert phases[0] == "forward" and phases[-1] == "update" and {"recompute", "backward"} < set(phases)
tensors = list(csv.DictReader(open("t.csv")))
assert all(1 <= int(t["first"]) <= int(t["last"]) < len(steps) for t in tensors)

trace = json.load(open("t.json"))
events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
run = {e["name"]: e for e in events if e["cat"] == "run"}
assert list(run) == ["forward", "backward", "update"]
work = [e for e in events if e["cat"] != "run"]
assert len(work) == sum(s["op"] != "grad_ready" and s["phase"] != "update" for s in steps)
end = run["update"]["ts"] + run["update"]["dur"]
assert sum(e["dur"] for e in work) <= end
attention = [e for e in work if e["name"] == "attention"]
assert attention and all(e["args"]["scores_us"] + e["args"]["softmax_us"] + e["args"]["values_us"] <= e["dur"] for e in attention)
assert {e["args"].get("layer") for e in work} == {None, 0, 1}
about = trace["otherData"]
assert about["head_dim"] * int(row["num_heads"]) == int(row["d_model"]) and row["num_heads"] != row["num_layers"], about
names = {e["args"]["name"] for e in trace["traceEvents"] if e["ph"] == "M"}
assert names == {"run", "steps, part 1"}, names
END

# What Perfetto opens, and a checker that refuses what it would not.
python3 "$lib/check_trace.py" t.json || fail "t.json is no Chrome trace"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$lib python3 - <<'END' || fail "what the checker of traces refuses"
import copy, json
from check_trace import faults_of
whole = json.load(open("t.json"))
assert faults_of(whole) == []
X = [i for i, e in enumerate(whole["traceEvents"]) if e["ph"] == "X" and e["tid"] == 1]
def broken(change):
    trace = copy.deepcopy(whole)
    change(trace["traceEvents"])
    return faults_of(trace)
for change, words in (
        (lambda e: e[X[0]].pop("pid"), "without pid"), (lambda e: e[X[0]].pop("ts"), "ts is no time"),
        (lambda e: e[X[0]].update(dur=-1), "dur is no time"), (lambda e: e[X[0]].update(ph="B"), "phase B"),
        (lambda e: e[X[3]].update(dur=e[X[4]]["ts"] + e[X[4]]["dur"] / 2 - e[X[3]]["ts"]), "overlaps"), (lambda e: e[X[3]].update(ts=0), "begins before"),
        (lambda e: e.pop(0), "has the names []"), (lambda e: e.append(e[0]), "has the names ["),
        (lambda e: e.append(e[0] | {"tid": 9}), "of one name"), (lambda e: [x.update(ts=x["ts"] + 1) for x in e if "ts" in x], "begins at 0")):
    assert any(words in fault for fault in broken(change)), words
END

# Of several ranks: a lane of communication, whose events are named by parameters and do not overlap.
if [ -e "$(dirname "$tare")/tare_comm_openmpi.so" ] && command -v mpirun.openmpi >/dev/null; then
    for how in ddp-bucket zero1 fsdp; do
        "$tare" "${row[@]}" --optimizer adamw --ranks 2 --parallel $how --bucket-mb 0.05 --trace $how.json --format csv >$how.csv \
            2>err || fail "$how: exit $?: $(cat err)"
    done
    python3 "$lib/check_trace.py" ddp-bucket.json zero1.json fsdp.json || fail "a trace of ranks is no Chrome trace"
    python3 - <<'END' || fail "the lane of communication"
import csv, json
for how in "ddp-bucket", "zero1", "fsdp":
    row = next(csv.DictReader(open(how + ".csv")))
    trace = json.load(open(how + ".json"))
    lanes = {e["args"]["name"]: e["tid"] for e in trace["traceEvents"] if e["ph"] == "M"}
    lane = lanes["communication of rank 0 of 2"]
    assert len(set(lanes.values())) == len(lanes) == 3, lanes
    jobs = [e for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] == lane]
    assert all(e["cat"] == "communication" for e in jobs), jobs
    run = {e["name"]: e for e in trace["traceEvents"] if e.get("cat") == "run"}
    end = run["update"]["ts"] + run["update"]["dur"]
    assert all(e["ts"] + e["dur"] <= end + 1 for e in jobs), (jobs[-1], end)
    names = {e["name"].split()[0] for e in jobs}
    assert names == ({"all_reduce"} if how == "ddp-bucket" else {"reduce_scatter", "all_gather"}), names
    reduced = [e for e in jobs if e["args"]["block"] == "gradients"]
    moved = sum(e["args"]["bytes"] for e in reduced)
    assert 0 <= moved - 4 * int(row["num_params"]) < 64 * 40, (how, moved)  # parameters are padded to 64 bytes
    if how == "ddp-bucket":
        assert 1 < len(reduced) < 12, len(reduced)
        assert reduced[0]["args"]["last"].startswith("ln_f"), reduced[0]
        table = [e["name"] for e in reduced if e["args"]["first"] == "wte.weight"]
        assert table == ["all_reduce wte.weight"], table
        assert reduced[0]["ts"] < run["update"]["ts"], reduced[0]  # while backward runs
END
fi

# Attention is split in profiles.
"$tare" "${row[@]}" --profile >profile 2>err || fail "profile: exit $?: $(cat err)"
for part in scores softmax values; do
    for pass in forward backward; do
        grep -qE "^attention: $part +$pass +2 +[0-9.]+" profile || fail "no attention: $part $pass: $(cat profile)"
    done
done
grep -qE '^attention: softmax +forward +2( +[0-9.]+){2}( +-){6}$' profile || fail "the softmax has FLOPs: $(cat profile)"

# The plan needs no row that fits.
"$tare" "${row[@]}" --max-memory 1MiB --memory big.csv --trace none.json >table 2>err || fail "skipped is exit 0"
grep -q skipped_memory table || fail "not skipped: $(cat table)"
[ -s big.csv ] || fail "no timeline of a row that does not fit"
[ ! -e none.json ] || fail "a trace of a row that did not run"

# ---- refused ----
refuse "'m.csv' exists; replace it with --overwrite" --memory m.csv
refuse "'t.json' exists; replace it with --overwrite" --memory new.csv --trace t.json
[ ! -e new.csv ] || fail "a refused command left a file"
refuse "cannot create 'no/m.csv': there is no folder 'no'" --memory no/m.csv
refuse "cannot create '.': Is a directory" --tensors .
refuse "cannot write '/dev/full': No space left on device" --memory /dev/full
refuse "cannot write '/dev/full': No space left on device" --trace /dev/full
refuse "--trace is of one process; leave out --processes" --trace x.json --processes 2

# Replaced whole or not at all, through a link too.
cp m.csv old.csv && cp big.csv whole.csv && ln -s m.csv link
(ulimit -f 1 && "$tare" "${row[@]}" --memory link --overwrite --max-memory 1MiB) >out 2>err
[ $? = 2 ] && grep -qx "tare: cannot write 'link': File too large" err || fail "a limit: $(cat err)"
cmp m.csv old.csv || fail "a limit changed the file"
"$tare" "${row[@]}" --memory link --overwrite --max-memory 1MiB >out 2>err || fail "overwriting: $(cat err)"
[ -L link ] && cmp m.csv whole.csv || fail "overwriting through a link"
ln -s made dangling
"$tare" "${row[@]}" --memory dangling --max-memory 1MiB >out 2>err || fail "a dangling link: $(cat err)"
[ -L dangling ] && cmp made whole.csv || fail "a dangling link"
env --default-signal=HUP "$tare" "${row[@]}" --trace stopped.json --trials 1000000 >out 2>err &
child=$!
until [ "$(echo stopped.json.tmp.*)" != "stopped.json.tmp.*" ] || ! kill -0 $child; do sleep 0.02; done
kill -HUP $child
wait $child
[ $? = 130 ] || fail "a stopped run is exit 130"
[ -z "$(find . -name '*.tmp*' -o -name 'stopped*')" ] || fail "a stopped run left: $(ls)"
"$tare" "${row[@]}" --memory /dev/stdout --format csv >file 2>err || fail "stdout, a file: exit $?: $(cat err)"
[ "$(grep -c '^step,phase' file)$(grep -c '^model_size' file)" = 11 ] || fail "stdout, a file: $(cat file)"
"$tare" "${row[@]}" --memory /dev/stdout --format csv 2>err | cat >all || fail "/dev/stdout: exit $?: $(cat err)"
head -n 1 all | grep -q '^step,phase' || fail "/dev/stdout: $(cat all)"

exit $failed
