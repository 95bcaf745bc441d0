#!/usr/bin/env bash
# `tare comm` from outside, on small arrays: both algorithms of every operation in pieces and without a wrong
# element, rates, exit codes, errors. Skipped without Open MPI. TARE names the program.
. "$(dirname "$0")/lib/begin.sh"
[ -e "$(dirname "$tare")/tare_comm_openmpi.so" ] && command -v mpirun.openmpi >/dev/null ||
    { echo "no Open MPI (openmpi-bin, libopenmpi-dev)"; exit 77; }
cat >c.toml <<'END'
name = "c"
[defaults]
num_warmups = 1
num_trials = 3
piece = 1000
[sweep]
operation = ["all_reduce", "reduce_scatter", "all_gather", "broadcast"]
ranks = [3]
bytes = [40004]
algorithm = ["mpi", "ring"]
END
"$tare" comm c.toml >table 2>err || fail "exit $?: $(cat err table)"
expect "columns" operation,bytes,ranks,algorithm,median_ms,median_lo_ms,median_hi_ms,algbw_gb_per_s,busbw_gb_per_s,wrong,rounds,mpi \
    "$(head -n 1 results/c.csv | cut -d, -f1-12)"
expect "samples" 32 "$(tail -n +2 results/c.samples.csv | wc -l)"
"$tare" comm c.toml --out o.csv --overlap --set 'bytes=[4000]' --set 'operation=["all_reduce"]' --set 'algorithm=["ring"]' \
    --set 'ranks=[2]' --format json >rows 2>err || fail "exit $?: $(cat err)"
python3 - <<'END' || fail "a row of c.csv or o.csv"
import csv, json
factor = {"all_reduce": 4 / 3, "reduce_scatter": 2 / 3, "all_gather": 2 / 3, "broadcast": 1}
rows = list(csv.DictReader(open("results/c.csv")))
assert len(rows) == 8
for r in rows:
    assert r["status"] == "ok" and r["wrong"] == "0" and r["rounds"] == "3" and r["mpi"].startswith("Open MPI"), r
    assert abs(float(r["algbw_gb_per_s"]) * float(r["median_ms"]) * 1e6 / 40004 - 1) < 1e-9, r
    assert abs(float(r["busbw_gb_per_s"]) / float(r["algbw_gb_per_s"]) - factor[r["operation"]]) < 1e-9, r
    assert r["overlap_fraction"] == r["both_ms"] == "", r
rows = json.load(open("rows"))
assert [r["bytes"] for r in rows] == [4000], rows
assert all(r["status"] == "ok" and r["compute_ms"] > 0 and r["both_ms"] > 0 for r in rows), rows
END
given=(comm)
refuse "which is no multiple of 4" c.toml --set 'bytes=[6]'
refuse "'results/c.csv' exists" c.toml
refuse "operation" c.toml --set 'operation=["gather"]'
refuse "matches" --filter nothing
"$tare" comm --out big.csv --set max_memory=10MB --filter 'r6/ring' --format csv >out 2>err || fail "exit $?: $(cat err)"
expect "does not fit" skipped_memory "$(column out status | tail -n 1)"
"$tare" comm c.toml --out none.csv --filter broadcast.*ring --set launcher=/nowhere >out 2>err || fail "exit $?: $(cat err)"
expect "no launcher" unsupported "$(column none.csv status)"
exit $failed
