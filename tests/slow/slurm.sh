#!/usr/bin/env bash
# configs/slurm on a Slurm of this machine alone, without systemd: munged, slurmctld and slurmd in a folder of
# their own. An array of two shards is joined, also where a task of it is requeued in the middle; rows of two ranks run
# in a job, by mpirun and by srun. Needs root, slurm-wlm, munge, for ranks Open MPI; two minutes. TARE names the program.
tare=$(realpath "${TARE:-build/tare}")
root=$(realpath "$(dirname "$0")/../..")
for program in slurmctld slurmd munged sbatch; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || { echo "no $program (slurm-wlm, munge)"; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
export PATH=$PATH:/usr/sbin TARE=$tare
. "$root/tests/cli/lib/begin.sh"
dir=$work/slurm
mkdir -p "$dir/state" "$dir/spool"
chmod 700 "$work" "$dir"
end() {
    for name in slurmd slurmctld munged; do [ ! -s "$dir/$name.pid" ] || kill "$(cat "$dir/$name.pid")"; done
    sleep 1
    rm -rf "$work"
}
trap end EXIT
dd if=/dev/urandom of="$dir/munge.key" bs=1024 count=1 status=none
chmod 400 "$dir/munge.key"
munged --force --key-file="$dir/munge.key" --socket="$dir/munge.sock" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munged.seed" || { echo "munged does not start"; exit 1; }
port=$((20000 + RANDOM % 20000))
cat >"$dir/slurm.conf" <<END
ClusterName=tare
SlurmctldHost=$(hostname)(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock,cred_expire=5
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=2
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF=$dir/slurm.conf
slurmctld && slurmd || { tail -n 5 "$dir"/*.log; echo "Slurm does not start"; exit 1; }

# until WORDS COMMAND...: waits until the command prints the words.
until_says() {
    local words=$1
    shift
    for _ in $(seq 600); do
        "$@" 2>/dev/null | grep -q -- "$words" && return
        sleep 0.2
    done
    fail "$*: never '$words'"
}
all_done() { [ -z "$(squeue -h)" ] && echo none; }
cat >s.toml <<END
name = "s"
[defaults]
num_trials = 5
vocab_size = 67
threads = 1
optimizer = "adamw"
$tiny_model
[sweep]
model_size = ["tiny"]
context_length = [8, 16, 24, 32]
END
until_says idle sinfo -h -o %t
sbatch --array=1-2 --output=array.%a.log "$root/configs/slurm/shards.sbatch" s.toml >/dev/null || fail "sbatch of the array"
until_says none all_done
expect "rows of the array" "ok ok ok ok" "$(column results/s.csv status | xargs)"

# ---- a task that is requeued goes on, and runs no finished row again ----
rm -r results
sed 's/^num_trials.*/num_trials = 300\nnum_processes = 3/' s.toml >q.toml
sed -i 's/^name.*/name = "q"/' q.toml
task() { squeue -h -r -o '%i %t' | awk '$2 == "R" { print $1; exit }'; }
lines() { [ -f results/q.1.csv ] && [ "$(wc -l <results/q.1.csv)" -ge 2 ] && echo "$1"; }
sbatch --array=1-2 --output=requeue.%a.log "$root/configs/slurm/shards.sbatch" q.toml >/dev/null || fail "sbatch of q"
until_says some lines some
cp results/q.1.csv before.csv
scontrol requeue "$(squeue -h -r -o '%i %t %K' | awk '$2 == "R" && $3 == 1 { print $1 }')" || echo "task 1 had ended before it was requeued"
until_says none all_done
expect "rows after a requeue" "ok ok ok ok" "$(column results/q.csv status | xargs)"
for row in $(column before.csv timestamp_utc); do # a row that ran again would have a later one
    grep -qF -- "$row" results/q.csv || fail "a finished row of $row was lost or ran again"
done

# ---- ranks in a job ----
[ -e "$(dirname "$tare")/tare_comm_openmpi.so" ] && command -v mpirun.openmpi >/dev/null || { echo "no Open MPI: no ranks"; exit $failed; }
sed -e 's/^name.*/name = "r"/' -e 's/^num_trials.*/num_trials = 3\nbatch_size = 4\nparallel = "zero1"/' s.toml >r.toml
launchers=('' 'srun --mpi=pmix --oversubscribe -n {ranks}')
if [ ! -e "$(dirname "$tare")/tare_comm_mpich.so" ]; then
    echo "no MPICH: no ranks by pmi2"
elif ! srun --mpi=list 2>&1 | grep -q pmi2; then
    echo "this Slurm has no plug-in mpi/pmi2: no ranks of MPICH"
else
    launchers+=('srun --mpi=pmi2 --oversubscribe -n {ranks}')
fi
for launcher in "${launchers[@]}"; do
    rm -rf results
    LAUNCHER=$launcher sbatch --ntasks=2 --output=ranks.log "$root/configs/slurm/ranks.sbatch" r.toml --set ranks=2 >/dev/null ||
        fail "sbatch of ranks"
    until_says none all_done
    expect "rows of two ranks, launcher '$launcher'" "ok ok ok ok" "$(column results/r.csv status | xargs)"
    case $launcher in *pmi2*) mpi=MPICH ;; *) mpi="Open MPI" ;; esac
    expect "rows of $mpi, launcher '$launcher'" 4 "$(column results/r.csv mpi | grep -c "^$mpi ")"
    [ $failed = 0 ] || tail -n 20 ranks.log
done
exit $failed
