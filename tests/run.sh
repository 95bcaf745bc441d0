#!/usr/bin/env bash
# run: installs what the tests need, builds, and runs everything:
#   unit tests (Criterion), command-line tests, the Python side, parity with PyTorch and Hugging Face.
# Options: --quick leaves parity out (no PyTorch needed).
set -uo pipefail
. "$(dirname "$0")/../bench/setup.sh"
cd "$ROOT"

quick=false
case "${1:-}" in
    --quick) quick=true ;;
    "") ;;
    *) die "unknown option '$1'; there is --quick" ;;
esac

install_packages $BUILD_PACKAGES $TEST_PACKAGES $PYTHON_PACKAGES
(install_packages $MPI_PACKAGES) || say "without MPI: tests/cli/ranks.sh is skipped"
build_tare -DBUILD_TESTING=ON

passed=0 failed=0 skipped=0
# check NAME COMMAND...: one line a part; the output only of a part that failed. Exit 77 = skipped.
check() {
    local name=$1 log=$BUILD/test.log code=0 start=$SECONDS
    shift
    "$@" >"$log" 2>&1 || code=$?
    case $code in
        0) passed=$((passed + 1)) word=ok ;;
        77) skipped=$((skipped + 1)) word="skipped: $(tail -n 1 "$log")" ;;
        *) failed=$((failed + 1)) word=FAILED; cat "$log" ;;
    esac
    printf '%-44s %4d s  %s\n' "$name" $((SECONDS - start)) "$word"
}

export TARE=$BUILD/tare
check "unit tests" ctest --test-dir "$BUILD" --output-on-failure
for script in tests/cli/*.sh; do
    check "$script" bash "$script"
done
if python_with "$ROOT/analysis/requirements.txt"; then
    for script in tests/unit/analysis/test_*.py; do
        check "$script" "$PYTHON" "$script"
    done
else
    failed=$((failed + 1))
fi
if ! $quick; then
    install_packages $PEER_PACKAGES
    if python_with "$ROOT/bench/peers/requirements.txt"; then
        for script in tests/parity/gradients.py tests/parity/hidden_states.py tests/parity/*_parity.py; do
            check "$script" "$PYTHON" "$script" --tare "$TARE"
        done
    else
        failed=$((failed + 1))
    fi
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
