#!/usr/bin/env bash
# The README's column table is what `tare sweep --columns` prints. `--update` writes it.
set -euo pipefail
cd "$(dirname "$0")/../.."
tare=${TARE:-build/tare}
new=$(awk -v table="$("$tare" sweep --columns)" '
    /^<!-- columns -->$/ { print; print table; skip = 1; next }
    /^<!-- \/columns -->$/ { skip = 0 }
    !skip { print }' README.md)
if [ "${1:-}" = --update ]; then
    printf '%s\n' "$new" >README.md
fi
diff <(printf '%s\n' "$new") README.md || { echo "README.md: run tests/cli/readme.sh --update"; exit 1; }
