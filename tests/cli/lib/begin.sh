# begin: how the scripts of this folder that work in a folder of their own begin; to be sourced. Sets: tare, the
# program under test ($TARE, build/tare by default); failed, the exit status to be; fail, expect, column;
# tiny_model, for configs. The folder, which is the current one from here on, goes at the end.
set -uo pipefail
tare=$(realpath "${TARE:-build/tare}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OMP_NUM_THREADS=1
failed=0

# A run of it takes some milliseconds.
tiny_model='[[model]]
size = "tiny"
d_model = 36
num_layers = 2
num_heads = 3'

fail() { printf '%s\n' "$*"; failed=1; }

# expect NAME WANTED GOT
expect() { [ "$2" = "$3" ] || fail "$1: got '$3', wanted '$2'"; }

# column FILE NAME: the cells of a column; one in quotes, which may have commas, becomes the word quoted.
column() {
    sed 's/"[^"]*"/quoted/g' "$1" |
        awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }'
}
