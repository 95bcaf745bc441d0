#!/usr/bin/env bash
# The key tables of configs/README.md are what `tare VERB --keys` prints. `--update` writes them.
set -euo pipefail
cd "$(dirname "$0")/../.."
tare=${TARE:-build/tare}
readme=configs/README.md
new=$(cat "$readme")
for verb in sweep attention comm compare precision train; do
    grep -qx "<!-- keys: $verb -->" "$readme" || { echo "$readme: no keys of $verb"; exit 1; }
    new=$(awk -v verb="$verb" -v table="$("$tare" "$verb" --keys)" '
        $0 == "<!-- keys: " verb " -->" { print; print table; skip = 1; next }
        /^<!-- \/keys -->$/ { skip = 0 }
        !skip { print }' <<<"$new")
done
if [ "${1:-}" = --update ]; then
    printf '%s\n' "$new" >"$readme"
fi
diff <(printf '%s\n' "$new") "$readme" || { echo "$readme: run tests/cli/config_keys.sh --update"; exit 1; }
