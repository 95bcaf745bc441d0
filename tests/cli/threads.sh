#!/usr/bin/env bash
# A row uses as many CPUs as it has threads, whatever OpenMP's variables say; where it cannot, it says so, and so
# does every other verb that has threads. Needs two CPUs. TARE names the program.
. "$(dirname "$0")/lib/zeros.sh"
. "$(dirname "$0")/lib/begin.sh"
unset OMP_NUM_THREADS OMP_PROC_BIND OMP_PLACES OMP_DYNAMIC OMP_THREAD_LIMIT OMP_MAX_ACTIVE_LEVELS GOMP_SPINCOUNT
[ "$(nproc)" -ge 2 ] || exit 77
list=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
first=${list%%[-,]*}
warning='(warning: .*|fix +threads +|\*\*Threads:\*\* 2, but )only 1 of 2 threads can run at once'

# row [VARIABLE=VALUE...]: runs a small row of two threads; leaves its JSON in out, stderr in err.
row() {
    env "$@" "$tare" run --d-model 16 --layers 1 --heads 2 --context 8 --vocab 50 --threads 2 --trials 3 \
        --format json >out 2>err || fail "$*: exit $?: $(cat err)"
}

# ---- a row ----

for what in A=1 OMP_PROC_BIND=true OMP_PROC_BIND=spread OMP_PROC_BIND=close OMP_PLACES=cores OMP_PLACES=threads \
    OMP_PLACES=sockets GOMP_SPINCOUNT=100 OMP_DYNAMIC=true OMP_MAX_ACTIVE_LEVELS=0; do
    for twice in A=1 GOMP_SPINCOUNT=100; do # with the variable the program does not start itself again
        row "$what" "$twice"
        has out '"threads_seen": ?2[,}]?'
        has out "\"cpus_allowed\": ?\"$list\""
        has_not err "$warning"
    done
done

for what in OMP_THREAD_LIMIT=1 OMP_PLACES="{$first}" "GOMP_CPU_AFFINITY=$first"; do
    row "$what"
    case $what in GOMP*) # GNU's runtime alone knows it
        grep -q libgomp <(ldd "$tare") || continue ;;
    esac
    has out '"threads_seen": ?1[,}]?'
    has err "$warning"
done

# Without --threads: as many as without the variable.
default_threads() { env "$1" "$tare" run --d-model 16 --layers 1 --heads 2 --context 8 --vocab 50 --trials 1 \
    --format json | grep '"threads":'; }
[ "$(default_threads OMP_PROC_BIND=spread)" = "$(default_threads A=1)" ] || fail "a pin changes the default of --threads"

# ---- every verb ----

gpt2_of_zeros gpt2
distilbert_of_zeros classifier classifier
yes 'To be, or not to be, that is the question.' | head -n 20 >text
rows='[defaults]
num_trials = 3
threads = 2
batch_size = 2'
printf '%s\nvocab_size = 50\ncontext_length = 16\n%s\n[sweep]\nmodel_size = "tiny"\n' "$rows" "$tiny_model" >sweep.toml
printf '%s\nnum_heads = 2\nhead_dim = 8\n[sweep]\nimpl = "flash"\ncontext_length = 32\n' "$rows" >attention.toml
model='[[model]]
name = "m"'
printf 'threads = 2\nrounds = 2\npeers = []\n%s\ndir = "classifier"\n[[cell]]\ncomponent = "model"\nmodel = "m"
batch_size = 1\nseq_len = 8\n' "$model" >compare.toml
printf 'threads = 2\nformats = "fp32"\n%s\ndir = "gpt2"\nbatch_size = 1\nseq_len = 8\nrounds = 2\n' "$model" >precision.toml
printf 'task = "gpt"\nout = "gpt"\n[data]\ntext = "text"\n[model]\nd_model = 16\nnum_layers = 1\nnum_heads = 2\ncontext = 16
[training]\nepochs = 1\nbatch_size = 8\nlearning_rate = 1e-2\n' >train.toml

# verb NAME: runs it on two threads.
verb() {
    case $1 in
        sweep) "$tare" sweep sweep.toml --out "${out:-sweep}.csv" --overwrite ;;
        attention) "$tare" attention attention.toml --overwrite ;;
        doctor) "$tare" doctor --rounds 0 --threads 2 ;;
        compare) "$tare" compare compare.toml ;;
        precision) "$tare" precision precision.toml ;;
        train) "$tare" train train.toml --threads 2 --overwrite ;;
        generate) "$tare" generate gpt2 --ids "5 6" --max-new 2 --threads 2 --format ids ;;
        classify) echo quick | "$tare" classify classifier --threads 2 ;;
    esac
}
# every WHETHER: the warning of every verb in what it prints, or in none.
every() {
    for name in sweep attention doctor compare precision train generate classify; do
        verb $name >said 2>&1 || fail "$what: $name: exit $?: $(cat said)"
        case $name in
            doctor) $1 said "fix +threads|$warning" ;; # it has a word of its own for the mask and the quota
            *) $1 said "$warning" ;;
        esac
    done
}
what="all at once"
export OMP_PROC_BIND=spread OMP_PLACES=cores OMP_DYNAMIC=true OMP_MAX_ACTIVE_LEVELS=0
every has_not
unset OMP_PROC_BIND OMP_PLACES OMP_DYNAMIC OMP_MAX_ACTIVE_LEVELS
what=OMP_THREAD_LIMIT=1
OMP_THREAD_LIMIT=1 out=limited every has
expect "the column" "1 2" "$(column limited.csv threads_seen) $(column sweep.csv threads_seen)"
for report in results/benchmark_*.md; do has "$report" '^\*\*Threads:\*\* 2(, but only 1 of 2 threads can run at once: .*)?$'; done
expect "reports that say it" 2 "$(grep -l 'but only 1 of 2' results/benchmark_*.md | wc -l)"
# A BLAS far below the processor, where this one has such kernels, is said in the same places.
slow='OpenBLAS runs Prescott kernels \(SSE\), far below this processor.s .*: set OPENBLAS_CORETYPE='
what="a slow BLAS"
export TARE_GEMM=openblas OPENBLAS_CORETYPE=Prescott
out=slow verb sweep >said 2>&1 || fail "$what: sweep: exit $?: $(cat said)"
if grep -q 'core Prescott' slow.csv && grep -qw avx2 /proc/cpuinfo; then
    has slow.csv "$slow"
    verb doctor >said 2>&1 || fail "$what: doctor: exit $?: $(cat said)"
    has said 'fix +blas +OpenBLAS runs Prescott kernels'
    for name in compare precision train generate classify; do
        verb $name >said 2>&1 || fail "$what: $name: exit $?: $(cat said)"
        has said "warning: $slow"
    done
    expect "reports that say it" 2 "$(grep -lE "^\*\*BLAS:\*\* $slow" results/benchmark_*.md | wc -l)"
fi
unset TARE_GEMM OPENBLAS_CORETYPE
# Times on one CPU are not compared with times on two.
printf '#!/bin/sh\nOMP_THREAD_LIMIT=1 exec "%s" "$@"\n' "$tare" >fewer
chmod +x fewer
"$tare" diff sweep.csv limited.csv >out 2>err && fail "rows on fewer CPUs than threads were compared"
has err "no row is ok in both 'sweep.csv' and 'limited.csv'"
"$tare" diff --run "$tare" ./fewer sweep.toml --processes 1 >out 2>err && fail "a program on fewer CPUs was compared"
has out 'not compared: .*: the new program ran on fewer CPUs than threads$'
what="the mask"
if command -v taskset >/dev/null; then
    before=$(taskset -p $$ | sed 's/.*: //')
    taskset -pc "$first" $$ >/dev/null
    every has
    taskset -p "$before" $$ >/dev/null
fi

# ---- a control group's quota of one CPU, where one can be made ----

group=/sys/fs/cgroup/cpu/tare-test-$$
if mkdir "$group" 2>/dev/null && echo 100000 2>/dev/null >"$group/cpu.cfs_quota_us"; then
    what=quota
    before=$(sed -n 's/^[0-9]*:[^:]*\bcpu\b[^:]*:/\/sys\/fs\/cgroup\/cpu/p' /proc/self/cgroup)
    echo $$ >"$group/cgroup.procs"
    row A=1
    has out '"threads_seen": ?1[,}]?'
    has err "$warning"
    every has
    echo $$ >"$before/cgroup.procs"
fi
rmdir "$group" 2>/dev/null
exit $failed
