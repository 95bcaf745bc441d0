#!/usr/bin/env bash
# quiet_rows: how often does a row warn where nothing is wrong? Runs real small rows on what should be a
# quiet machine and counts their warnings by kind. A count, not a test: exit 1 only if a row failed.
#
#   bash tests/slow/quiet_rows.sh [ROWS]        60 rows by default, about a minute
. "$(dirname "$0")/common.sh"
build_tare tare
cd "$work" || exit 1
wanted=${1:-60}

# Two contexts x two modes x two warmup counts, again with other seeds until there are enough.
seeds=$(seq -s, 1 $(((wanted + 7) / 8)))
cat >quiet.toml <<END
name = "quiet"
[defaults]
num_trials = 20
vocab_size = 5000
$model
[sweep]
model_size = "tiny"
seed = [$seeds]
context_length = [64, 128]
num_warmups = [1, 5]
forward_only = [false, true]
END
echo "load before: $(cut -d' ' -f1-3 /proc/loadavg)"
code=0
"$tare" sweep quiet.toml --format json >rows.json 2>log || code=$?
grep -B1 -E '^ +warning:' log | grep -v '^--'
rows=$(grep -c '"row_id"' rows.json)

# count NAME REGEX: rows whose JSON has such a line.
count() {
    local n
    n=$(grep -cE -- "$2" rows.json)
    awk -v name="$1" -v n="$n" -v of="$rows" 'BEGIN { printf "%-44s %4d of %d rows (%.1f %%)\n", name, n, of, 100 * n / of }'
}

count "status is not ok" '"status": "(failed|implausible|skipped|unsupported)'
for class in warmup slowdown no_steady_state too_few; do
    count "steady_class $class" "\"steady_class\": \"$class\""
done
count "noise: threads waited for a CPU" '"noise": ".*threads waited'
count "noise: an outlier, with its cause" '"noise": ".*trial [0-9]+: [^;]*(waiting|taken|faults|asleep)'
count "noise: an outlier without a cause" '"noise": ".*no cause seen'
n=$(grep -cE '^ +warning:' log)
echo "$n of $rows rows warned"
exit $code
