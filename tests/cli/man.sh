#!/usr/bin/env bash
# `tare --man` names every verb and every option of --help, and roff finds nothing to warn about.
. "$(dirname "$0")/lib/begin.sh"

"$tare" --man >tare.1 || fail "tare --man: exit $?"
verbs=$("$tare" --help | sed -n 's/^  \([a-z-]*\) .*/\1/p' | grep -v '^tare$')
[ "$(wc -w <<<"$verbs")" -ge 12 ] || fail "--help lists few verbs: $verbs"
for verb in $verbs; do
    "$tare" "$verb" --help >help
    grep -q "^\.SS \"tare $verb[ \"]" tare.1 || fail "$verb: no section"
    options=$(sed -n 's/^  \(--[a-z-]*\).*/\1/p' help | grep -v '^--help$')
    awk -v verb="$verb" '/^\.S[SH] / { inside = $3 == verb || $3 == verb "\"" } inside' tare.1 >section
    for option in $options; do
        grep -qF "\\fB${option//-/\\-}\\fR" section || fail "$verb: $option is missing"
    done
    printf '%s: %s options\n' "$verb" "$(wc -w <<<"$options")"
done
! grep -q '"tare worker' tare.1 || fail "the hidden verb has a section"
if command -v groff >/dev/null; then
    groff -man -Tutf8 -ww -z tare.1 2>warnings
    [ ! -s warnings ] || fail "$(cat warnings)"
fi
if command -v mandoc >/dev/null; then
    mandoc -Tlint -Werror tare.1 || fail "mandoc"
fi
exit $failed
