#!/usr/bin/env bash
# What `cmake --install` puts into an empty prefix is complete: `tare compare` finds its workers from
# another folder, the manual page is there, and a program of one's own builds and learns with pkg-config.
. "$(dirname "$0")/lib/zeros.sh"
source=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$0")/lib/begin.sh"
build=$(dirname "$tare")
[ -f "$build/CMakeCache.txt" ] || { echo "$tare lies in no build folder"; exit 77; }

cmake --install "$build" --prefix "$work/prefix" >log 2>&1 || fail "$(cat log)"
prefix=$work/prefix
for file in bin/tare share/tare/bench/peers/worker.py share/tare/bench/peers/requirements.txt \
    share/tare/configs/quick.toml share/tare/configs/data share/man/man1/tare.1; do
    [ -e "$prefix/$file" ] || fail "$file is not installed"
done
# The same BLAS is found, and described.
hello() { echo '{"do":"hello"}' | TARE_GEMM=openblas "$1" worker; }
[[ $(hello "$tare") == *'"blas"'* && $(hello "$prefix/bin/tare") == "$(hello "$tare")" ]] ||
    fail "installed, tare says $(hello "$prefix/bin/tare")"

# ---- compare ----

distilbert_of_zeros model
cat >compare.toml <<EOF
rounds = 6
threads = 1
peers = "tokenizers"
[[model]]
name = "m"
dir = "model"
[[cell]]
component = "tokenizer"
model = "m"
batch_size = 1
EOF
# Stands for Python: says which file it was to run.
cat >python <<'EOF'
#!/bin/bash
[ -f "$1" ] && echo "{\"error\":\"started as $1\"}"
exec cat >/dev/null
EOF
chmod +x python
TARE_PYTHON=$work/python "$prefix/bin/tare" compare compare.toml >out 2>err || fail "compare: $(cat err)"
grep -qF "(tokenizers: started as $prefix/share/tare/bench/peers/worker.py)" err || fail "compare: $(cat err)"
grep -qF "pip install -r $prefix/share/tare/bench/peers/requirements.txt" err || fail "compare: $(cat err)"
# Without TARE_PYTHON, the .venv of the current folder.
mkdir -p .venv/bin && cp python .venv/bin/python
env -u TARE_PYTHON "$prefix/bin/tare" compare compare.toml >out 2>err || fail ".venv: $(cat err)"
grep -qF "(tokenizers: started as $prefix/share/tare" err || fail ".venv: $(cat err)"

# ---- the libraries ----

export PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name tare.pc)")
command -v pkg-config >/dev/null || { echo "pkg-config is not installed"; [ $failed = 0 ] && exit 77; exit 1; }
cc=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
grep -q '^SANITIZE:BOOL=ON' "$build/CMakeCache.txt" && cc+=" -fsanitize=address,undefined"
flags=$(pkg-config --cflags --libs tare) || fail "no tare.pc"
# Each header by itself: none includes a file that is not installed.
(cd "$prefix/include/tare" && find . -name '*.h' | sed 's|^\./\(.*\)|#include "\1"|') >headers
[ "$(wc -l <headers)" -ge 20 ] || fail "few headers are installed"
while read -r line; do
    $cc -std=c11 -D_GNU_SOURCE -Wall -Werror -fsyntax-only $(pkg-config --cflags tare) -x c - <<<"$line" || fail "$line"
done <headers
$cc -std=c11 -Wall -Wextra -Werror "$source/tests/examples/two_layer.c" $flags -o two_layer || fail "two_layer"
./two_layer >losses || fail "two_layer: exit $?"
awk '{ if (NR > 1 && $3 >= last) bad = 1; last = $3 } END { exit bad || NR != 7 || last > 0.1 }' losses ||
    fail "the loss does not fall: $(cat losses)"
exit $failed
