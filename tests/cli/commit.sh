#!/usr/bin/env bash
# The commit that a build names: looked up at every build, written only when it changed.
set -uo pipefail
script=$(realpath "$(dirname "$0")/../../bench/commit.cmake")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export GIT_CONFIG_GLOBAL=/dev/null GIT_{AUTHOR,COMMITTER}_{NAME,EMAIL}=x
failed=0

# expect NAME WANTED: of the header that the next build writes.
expect() {
    cmake -D SOURCE="$work/tree" -D HEADER="$work/commit.h" -P "$script" || failed=1
    [ "$(cat commit.h)" = "#define TARE_GIT_COMMIT \"$2\"" ] && return
    printf '%s\n' "$1" "  got    $(cat commit.h)" "  wanted $2"
    failed=1
}
commit() {
    git -C tree commit -q --allow-empty -m x
    git -C tree rev-parse --short=12 HEAD
}

git init -q .
mkdir tree
expect "an unpacked archive, even inside another repository" unknown
git init -q tree
expect "a repository without a commit" unknown
expect "a commit" "$(commit)"
touch -d @0 commit.h
expect "the same commit" "$(git -C tree rev-parse --short=12 HEAD)"
[ "$(stat -c %Y commit.h)" = 0 ] || { echo "the header was written again"; failed=1; }
expect "the next commit" "$(git -C tree commit -q --allow-empty -m y; git -C tree rev-parse --short=12 HEAD)"
exit $failed
