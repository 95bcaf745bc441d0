#!/usr/bin/env bash
# Faults of rows of several ranks: KILLS (50) random kills of a rank, the launcher, the process that answers for the
# job, or the sweep, at a random moment; then a full /dev/shm and, between hosts that are network namespaces
# (links_lib.sh), a host that does not answer, another build on one of them, a stopped rank and a lost link. Each has
# to end within 10 s in a failed row with the reason (or the sweep's end), without a process, a segment or a folder
# left, and --resume has to go on. Zombies do not count. About five minutes; needs Open MPI, for hosts CAP_NET_ADMIN.
here=$(realpath "$(dirname "$0")")
# In a /dev/shm of its own, where whatever is left is ours.
[ -n "${TARE_OWN_SHM:-}" ] || exec unshare -m sh -c 'mount -t tmpfs tmpfs /dev/shm || { echo "cannot mount (CAP_SYS_ADMIN)"; exit 77; }
    TARE_OWN_SHM=yes exec bash "$@"' sh "$0" "$@"
. "$here/../cli/lib/begin.sh"
. "$here/links_lib.sh"
trap 'processes | xargs -r kill -9 2>/dev/null; hosts_end; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
kills=${KILLS:-50}
RANDOM=${SEED:-7}
seed=$(($$ + 100000)) # by which the processes of this script are known
config() {
    cat >f.toml <<END
name = "f"
[defaults]
batch_size = 12
context_length = 8
vocab_size = 67
num_warmups = 0
num_trials = 1000000
threads = 1
seed = $seed
$tiny_model
[sweep]
model_size = ["tiny"]
ranks = [$1]
parallel = ["$2"]
END
}
# processes [WORDS]: of this script that live, with these words.
processes() { ps -eo pid=,stat=,args= | awk -v seed="seed[ =]$seed( |\$)" -v words="${1:-.}" '$2 !~ /^Z/ && $0 ~ seed && $0 ~ words { print $1 }'; }
ranks='--is-rank'
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }
within() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }'; }
# nothing_left SECONDS: whether so many seconds after $begin every process is gone.
nothing_left() {
    until [ -z "$(processes)" ]; do
        within "$(since "$begin")" "$1" || return 1
        sleep 0.05
    done
}
wait_for_ranks() {
    for _ in $(seq 200); do
        [ "$(processes "$ranks" | wc -l)" -ge "$1" ] && return
        sleep 0.05
    done
    fail "no ranks were started: $(tail -n 3 err)"
}
# check NAME WANTED-WORDS: after the fault at $begin, of the sweep $sweep.
late=0 left=0 litter=0 ended=()
check() {
    wait "$sweep" 2>/dev/null
    nothing_left 10 || { late=$((late + 1)); fail "$1: after $(since "$begin") s: $(ps -o pid=,stat=,args= -p "$(processes | xargs | tr ' ' ,)" | cut -c1-150)"; }
    ended+=("$(since "$begin")")
    nothing_left 15 || { left=$((left + 1)); processes | xargs -r kill -9; }
    [ -z "$(ls /dev/shm)" ] || { litter=$((litter + 1)); fail "$1: left in /dev/shm: $(ls /dev/shm | xargs)"; rm -rf /dev/shm/*; }
    [ -z "$2" ] || grep -qE -- "$2" results/f.csv || fail "$1: the row says: $(tail -n 1 results/f.csv | cut -c1-300) $(tail -n 2 err)"
}

# ---- random kills ----
who=(rank launcher answering sweep)
strategies=(ddp-naive ddp-overlap zero1 fsdp)
for ((i = 0; i < kills; i++)); do
    victim=${who[RANDOM % 4]}
    config $((2 + RANDOM % 2)) "${strategies[RANDOM % 4]}"
    "$tare" sweep f.toml --overwrite --noise off >out 2>err &
    sweep=$!
    wait_for_ranks 2
    sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
    case $victim in
    rank) pid=$(processes "$ranks" | shuf -n 1 --random-source=<(yes $i)) ;;
    launcher) pid=$(processes 'mpirun.openmpi' | head -n 1) ;;
    answering) pid=$(processes 'result-fd 3' | head -n 1) ;;
    sweep) pid=$sweep ;;
    esac
    begin=$(now)
    kill -9 "$pid"
    case $victim in
    sweep) check "kill $i, sweep" "" ;;
    *) check "kill $i, $victim" "failed" ;;
    esac
done
printf '%s kills: %s took longer than 10 s, %s left processes, %s left segments or folders; ended after s: %s\n' \
    "$kills" $late $left $litter "$(printf '%s\n' "${ended[@]}" | sort -n | awk '{ t[NR] = $1 } END { print "median " t[int((NR + 1) / 2)] ", most " t[NR] }')"
config 2 zero1
sed -i 's/^num_trials.*/num_trials = 3000/' f.toml
"$tare" sweep f.toml --overwrite --noise off >out 2>err &
sweep=$!
wait_for_ranks 2
begin=$(now)
processes "$ranks" | tail -n 1 | xargs kill -9
check "a killed rank" "failed"
"$tare" sweep f.toml --resume --noise off >out 2>err || fail "--resume: exit $?: $(cat err)"
expect "--resume" ok "$(column results/f.csv status)"
cp results/f.csv one.csv

# ---- a full /dev/shm ----
config 2 ddp-naive
begin=$(now)
unshare -m sh -c 'mount -t tmpfs -o size=16k tmpfs /dev/shm && exec "$@"' sh "$tare" sweep f.toml --overwrite --noise off >out 2>err &
sweep=$!
check "a full /dev/shm" "failed.*/dev/shm has"

# ---- hosts ----
hosts_start 2 1gbit 64kb
# between_hosts NAME WANTED-WORDS FAULT...: runs the fault once both ranks run.
between_hosts() {
    local name=$1 words=$2
    shift 2
    in_host 1 "$tare" sweep f.toml --overwrite --noise off --set "launcher=\"$(launcher_of 2)\"" >out 2>err &
    sweep=$!
    [ $# = 0 ] || { wait_for_ranks 2; sleep 2; }
    begin=$(now)
    "$@"
    check "$name" "$words"
    echo "$name: ended after ${ended[-1]} s: $(grep -o 'failed,[^,]*' results/f.csv)"
}
stop_rank() { kill -STOP "$(processes "$ranks" | tail -n 1)"; }
between_hosts "a stopped rank" "has not answered for" stop_rank
between_hosts "a lost link" "has not answered for|failed" ip -n "$net-0" link set host2 down
ip -n "$net-0" link set host2 up
[ -z "$(ip netns pids "$net-1")$(ip netns pids "$net-2")" ] || fail "left on a host: $(ip netns pids "$net-1" | xargs -r ps -o pid=,stat=,args= -p)"
# Another program under the same path on the second host: the commit in it is another.
commit=$(column one.csv git_commit)
mkdir other && cp "$(dirname "$tare")"/tare_comm_*.so "$tare" other/ && sed -i "s/$commit/$(echo "$commit" | tr '0-9a-f' '1-9a-f0')/g" other/tare
sed -i "s|sh -c \"hostname|--mount sh -c \"[ \$i = 1 ] \|\| mount --bind $work/other/tare $tare; hostname|" "$agent"
between_hosts "another build" "runs another program than rank 0"
# A host that takes packets and answers none; by ssh, as elsewhere.
subnet=10.88.0
ip -n "$net-1" addr add $subnet.1/24 dev eth0
ip -n "$net-2" addr add $subnet.2/24 dev eth0
ip -n "$net-2" route del $subnet.0/24 && ip -n "$net-2" route add blackhole $subnet.0/24
launcher_of() { echo "mpirun.openmpi -n {ranks} --host $subnet.1,$subnet.2"; }
between_hosts "a host that does not answer" "failed"
exit $failed
