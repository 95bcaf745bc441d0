# common: what the slow scripts share; sourced, not run. Sets: root, work (removed at exit), tare, row, model.
set -uo pipefail
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
work=$(mktemp -d)
hogs=()
trap 'stop_hogs; rm -rf "$work"' EXIT

# A forward+backward row of some 40 ms a trial on two quiet cores.
row=(--model tiny --d-model 256 --layers 4 --heads 4 --vocab 5000 --context 128 --batch 4)

# The same model in a config.
model='[[model]]
size = "tiny"
d_model = 256
num_layers = 4
num_heads = 4'

# build_tare TARGET: that program, Release; in BUILD, which is kept, or in the temporary folder.
build_tare() {
    local build=${BUILD:-$work/build}
    cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release >"$work/cmake.log" &&
        cmake --build "$build" --parallel 2 --target "$1" >>"$work/cmake.log" 2>&1 || {
        cat "$work/cmake.log"
        exit 1
    }
    tare=$(realpath "$build/$1")
}

# start_hogs N: N processes that compute for nobody, until stop_hogs.
start_hogs() {
    local i
    for ((i = 0; i < $1; i++)); do
        (while :; do :; done) &
        hogs+=($!)
    done
}

stop_hogs() {
    [ ${#hogs[@]} = 0 ] || kill "${hogs[@]}" 2>/dev/null
    wait "${hogs[@]}" 2>/dev/null
    hogs=()
}
