#!/usr/bin/env bash
# diff_rates: does `tare diff` tell a build that is 5 % slower from one that is the same, on real rows?
#
# Each round runs the same sweep three times in turns: A, A again, and B, in which every run is made to
# take 1.05 times as long (tests/faults/faults.c). Counts the verdicts of A against A and of A against B.
# The threshold of 2 % says that processes of one build do not differ by more, which the counts put to the test.
# A count, not a test: on a noisy machine look at the noise floor first, `tare doctor`.
#
#   bash tests/slow/diff_rates.sh [ROUNDS]      10 by default, about a quarter of a minute each
. "$(dirname "$0")/common.sh"
build_tare tare_faults
cd "$work" || exit 1
rounds=${1:-10}
cat >rows.toml <<END
name = "rows"
[defaults]
num_trials = 20
num_warmups = 2
vocab_size = 5000
$model
[sweep]
model_size = "tiny"
context_length = [64, 128, 256]
forward_only = [false, true]
END

# sweep OUT FAULT
sweep() {
    TARE_FAULT=$2 "$tare" sweep rows.toml --out "$1.csv" --overwrite >table 2>log || {
        cat log
        exit 1
    }
}

# judge OLD NEW KIND: the file's verdict and exit code to KIND.files, the rows' verdicts to KIND.rows.
judge() {
    local code=0
    "$tare" diff "$1.csv" "$2.csv" --threshold 2 --format json >diff.json || code=$?
    echo "$(sed -n 's/^ "verdict": "\(.*\)".*/\1/p' diff.json), exit $code" >>"$3.files"
    sed -n 's/^  .*"verdict": "\([a-z]*\)".*/\1/p' diff.json >>"$3.rows"
    sed -n 's/^ "ratio": \([0-9.]*\).*/\1/p' diff.json >>"$3.ratios"
}

echo "load before: $(cut -d' ' -f1-3 /proc/loadavg)"
for ((round = 0; round < rounds; round++)); do
    for turn in 0 1 2; do
        case $(((round + turn) % 3)) in
            0) sweep a1 "" ;;
            1) sweep a2 "" ;;
            2) sweep b "slow=1-999999:1.05" ;;
        esac
    done
    judge a1 a2 same
    judge a1 b slower
done
for kind in same slower; do
    echo
    echo "$kind: $rounds files, geometric mean ratios $(sort -n $kind.ratios | sed -n '1p;$p' | xargs printf '%.3f ')"
    sort $kind.files | uniq -c
    echo "$kind: $(wc -l <$kind.rows) rows"
    sort $kind.rows | uniq -c
done
