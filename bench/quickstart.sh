#!/usr/bin/env bash
# quickstart: from a fresh Debian 12 to a first result: installs, builds, sweeps configs/quick.toml,
# and leaves a CSV, its samples, a Markdown summary and plots in results/.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

install_packages $BUILD_PACKAGES $PYTHON_PACKAGES
build_tare -DBUILD_TESTING=OFF
mkdir -p results
build/tare sweep configs/quick.toml --overwrite --format md

if python_with "$ROOT/analysis/requirements.txt"; then
    "$PYTHON" analysis/summarize.py results/quick.csv --plots results/quick-plots >results/quick.md
    "$PYTHON" analysis/report.py results/quick.csv -o results/quick.html
fi
cat <<END

What is where:
  results/quick.csv           one line a row: mean, median, intervals, warmth, memory, loss
  results/quick.samples.csv   every trial, warmups too
  results/quick.md            the summary, as tables
  results/quick.html          the report, as one page
  results/quick-plots/        time against trial index: look for the cold first trial
Next: build/tare sweep configs/gpt_sizes.toml --dry-run
END
