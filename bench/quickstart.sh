#!/usr/bin/env bash
# quickstart: from a fresh Debian 12 to a first result: installs, builds, sweeps configs/quick.toml,
# and leaves a CSV, its samples, a Markdown summary and plots in results/.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

install_packages $BUILD_PACKAGES $PYTHON_PACKAGES
# A build folder keeps its tests; a new one gets them where their library is there.
if [ -f "$BUILD/CMakeCache.txt" ] || installed libcriterion-dev; then
    build_tare
else
    build_tare -DBUILD_TESTING=OFF
fi
mkdir -p results
build/tare sweep configs/quick.toml --overwrite

reports=0
if python_with "$ROOT/analysis/requirements.txt"; then
    "$PYTHON" analysis/summarize.py results/quick.csv --plots results/quick-plots --overwrite >results/quick.md
    "$PYTHON" analysis/report.py results/quick.csv -o results/quick.html --overwrite
else
    reports=1
fi

# made FILE MEANING: one line for what is really there.
made() { [ ! -e "$1" ] || printf '  %-28s %s\n' "$1" "$2"; }
printf '\nWhat is where:\n'
made results/quick.csv "one line a row: mean, median, intervals, warmth, memory, loss"
made results/quick.samples.csv "every run, warmups too, with its counters"
made results/quick.md "the summary, as tables"
made results/quick.html "the report, as one page"
for plot in results/quick-plots/*.png; do
    case $plot in
        *warmup_curves*) made "$plot" "time against run: look for the cold first one" ;;
        *mean_by_warmups*) made "$plot" "mean time by number of warmups" ;;
        *forward_backward*) made "$plot" "forward beside forward+backward" ;;
        *) made "$plot" "" ;;
    esac
done
echo "Next: build/tare doctor; build/tare sweep configs/gpt_sizes.toml --dry-run"
exit $reports
