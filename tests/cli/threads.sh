#!/usr/bin/env bash
# A row uses as many CPUs as it has threads, whatever OpenMP's variables say; where it cannot, it says so, and so
# do the other verbs. Needs two CPUs. TARE names the program.
. "$(dirname "$0")/lib/begin.sh"
unset OMP_NUM_THREADS OMP_PROC_BIND OMP_PLACES OMP_DYNAMIC OMP_THREAD_LIMIT OMP_MAX_ACTIVE_LEVELS GOMP_SPINCOUNT
[ "$(nproc)" -ge 2 ] || exit 77
list=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
warning='warning: .*only 1 of 2 threads can run at once'

# row [VARIABLE=VALUE...]: runs a small row of two threads; leaves its JSON in out, stderr in err.
row() {
    env "$@" "$tare" run --d-model 16 --layers 1 --heads 2 --context 8 --vocab 50 --threads 2 --trials 3 \
        --format json >out 2>err || fail "$*: exit $?: $(cat err)"
}
has() { grep -Eq -- "$2" "$1" || fail "$set: no line of $1 matches $2: $(cat "$1")"; }
has_not() { ! grep -Eq -- "$2" "$1" || fail "$set: a line of $1 matches $2"; }

for set in A=1 OMP_PROC_BIND=true OMP_PROC_BIND=spread OMP_PLACES=cores OMP_PLACES=threads GOMP_SPINCOUNT=100 \
    OMP_DYNAMIC=true OMP_MAX_ACTIVE_LEVELS=0; do
    for twice in A=1 GOMP_SPINCOUNT=100; do # with the variable the program does not start itself again
        row "$set" "$twice"
        has out '"threads_seen": ?2[,}]?'
        has out "\"cpus_allowed\": ?\"$list\""
        has_not err "$warning"
    done
done

for set in OMP_THREAD_LIMIT=1 OMP_PLACES="{${list%%[-,]*}}"; do
    row "$set"
    has out '"threads_seen": ?1[,}]?'
    has err "$warning"
done

# Without --threads: as many as without the variable.
default_threads() { env "$1" "$tare" run --d-model 16 --layers 1 --heads 2 --context 8 --vocab 50 --trials 1 \
    --format json | grep '"threads":'; }
[ "$(default_threads OMP_PROC_BIND=spread)" = "$(default_threads A=1)" ] || fail "a pin changes the default of --threads"
set=doctor
OMP_THREAD_LIMIT=1 "$tare" doctor --rounds 0 --threads 2 >out 2>err || fail "doctor: exit $?"
has out '^fix +threads +only 1 of 2 threads can run at once'
set=classify
OMP_THREAD_LIMIT=1 "$tare" classify none none --threads 2 >out 2>err
has err "$warning"
exit $failed
