# begin: how the scripts of this folder that work in a folder of their own begin; to be sourced. Sets: tare, the
# program under test ($TARE, build/tare by default); failed, the exit status to be; fail, refuse, has, expect, column;
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

given=() # what refuse and refused put before their arguments

# refuse WORDS ARGUMENT...: exit 2, nothing on stdout, one line on stderr that contains WORDS.
refuse() {
    local words=$1 got=0 out
    shift
    out=$("$tare" "${given[@]}" "$@" 2>err </dev/null) || got=$?
    if [ $got != 2 ] || [ -n "$out" ] || [ "$(wc -l <err)" != 1 ] || ! grep -qF -- "$words" err; then
        fail "tare ${given[*]} $*: exit $got, wanted 2 and: $words" "$(cat err)"
    fi
}

# refused NAME LINE ARGUMENT...: exit 2 and this line alone.
refused() {
    local name=$1 line=$2 err got=0
    shift 2
    err=$("$tare" "${given[@]}" "$@" 2>&1 </dev/null) || got=$?
    [ "$got" = 2 ] && [ "$err" = "tare: $line" ] || fail "$name: exit $got: '$err', wanted '$line'"
}

# has FILE REGEX, has_not FILE REGEX: whether a line matches; $what is the case.
has() { grep -Eq -- "$2" "$1" || fail "${what:-}: no line of $1 matches $2: $(cat "$1")"; }
has_not() { ! grep -Eq -- "$2" "$1" || fail "${what:-}: a line of $1 matches $2"; }

# expect NAME WANTED GOT
expect() { [ "$2" = "$3" ] || fail "$1: got '$3', wanted '$2'"; }

# column FILE NAME: the cells of a column; one in quotes, which may have commas, becomes the word quoted.
column() {
    sed 's/"[^"]*"/quoted/g' "$1" |
        awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }'
}
