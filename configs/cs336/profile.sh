#!/usr/bin/env bash
# Stanford CS336, the profile study and the timelines of memory: two sizes at three contexts, inference and a training
# step, a file each in the folder results; then analysis/cs336.py results. Attention is split into scores, softmax
# and values. What does not fit into memory is left out; its timeline, which needs no run, is not.
#   configs/cs336/profile.sh [--overwrite] [SIZE...]       default: small medium
set -uo pipefail
tare=${TARE:-build/tare} out=${OUT:-results} batch=${BATCH:-4}
mkdir -p "$out" || exit 2
overwrite=()
[ "${1:-}" != --overwrite ] || { overwrite=(--overwrite); shift; }
[ $# -gt 0 ] || set -- small medium
status=0
for size in "$@"; do
    for context in 256 512 1024; do
        for mode in inference step; do
            name=$size-$context-$mode
            options=(--arch cs336 --vocab 10000 --model "$size" --context "$context" --batch "$batch")
            if [ "$mode" = inference ]; then options+=(--forward-only); else options+=(--optimizer adamw --recompute none); fi
            "$tare" run "${options[@]}" --warmups 1 --trials 2 "${overwrite[@]}" --trace "$out/cs336-profile-$name.json" \
                --memory "$out/cs336-timeline-$name.csv" || status=1
        done
    done
done
exit $status
