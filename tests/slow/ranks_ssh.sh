#!/usr/bin/env bash
# Ranks as between real machines: a host file, mpirun's own ssh, and an sshd on each of two hosts that are network
# namespaces (links_lib.sh). Every strategy gives the loss of one rank; a killed rank, a host without sshd, a key that
# is refused and a name that nobody knows each end in one failed row with the reason within 10 s, and nothing is left
# on the other host. A minute; needs CAP_NET_ADMIN, iproute2, Open MPI, openssh-server. TARE names the program.
here=$(realpath "$(dirname "$0")")
. "$here/../cli/lib/begin.sh"
. "$here/links_lib.sh"
[ -x /usr/sbin/sshd ] || { echo "no sshd (openssh-server)"; exit 77; }
trap 'hosts_end; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
hosts_start 2 1gbit 64kb
sshd_start 1 && sshd_start 2 || { cat sshd.*.log; echo "sshd does not start"; exit 1; }
export OMPI_MCA_plm_rsh_args="-F $work/ssh_config -oConnectTimeout=5 -oBatchMode=yes"
printf '%s slots=1\n' "$subnet.1" "$subnet.2" >hosts
cat >s.toml <<END
name = "s"
[defaults]
batch_size = 12
context_length = 8
vocab_size = 67
num_warmups = 1
num_trials = 5
threads = 1
optimizer = "adamw"
$tiny_model
[sweep]
model_size = ["tiny"]
END
"$tare" sweep s.toml --out one.csv --noise off >out 2>err || fail "one rank: $(cat err)"
# sweep ARGUMENT...
sweep() {
    in_host 1 "$tare" sweep s.toml --overwrite --noise off --set ranks=2 \
        --set "launcher=\"$(launcher_by_ssh "$work/hosts")\"" "$@" >out 2>err
}
strategies='["ddp-naive", "ddp-flat", "ddp-overlap", "ddp-bucket", "sharded-optimizer", "zero1", "fsdp"]'
sweep --set "parallel=$strategies" || fail "by ssh: exit $?: $(tail -n 5 err)"
python3 - <<'END' || fail "losses over ssh"
import csv
one, = csv.DictReader(open("one.csv"))
rows = list(csv.DictReader(open("results/s.csv")))
assert len(rows) == 7 and all(r["status"] == "ok" for r in rows), [r["status_reason"] for r in rows]
losses = {r["loss"] for r in rows}
assert len(losses) == 1 and abs(float(losses.pop()) / float(one["loss"]) - 1) < 1e-6, [one["loss"], *(r["loss"] for r in rows)]
END

# fault NAME WANTED-WORDS ARGUMENT...: runs a row that fails so.
fault() {
    local begin took left
    begin=$(date +%s)
    sweep --set 'parallel="zero1"' "${@:3}"
    took=$(($(date +%s) - begin))
    [ $took -le 10 ] || fail "$1: noticed after $took s"
    [ "$(column results/s.csv status)" = failed ] && grep -qE -- "$2" results/s.csv ||
        fail "$1: $(tail -n 1 results/s.csv | cut -c1-400) $(tail -n 2 err)"
    echo "$1: after $took s: $(grep -o 'failed,[^,]*' results/s.csv)"
    sleep 1
    left=$(ip netns pids "$net-2" | xargs -r ps -o pid=,args= -p | grep -v 'sshd_config')
    [ -z "$left" ] || fail "$1: left on the second host: $left"
}
kill_one() {
    for _ in $(seq 100); do
        pid=$(ip netns pids "$net-2" | xargs -r ps -o pid=,args= -p | awk '$2 ~ /tare$/ && /--is-rank/ { print $1; exit }')
        [ -n "$pid" ] && sleep 1 && kill -9 "$pid" && return
        sleep 0.1
    done
}
kill_one &
fault "a killed rank" "signal 9" --set num_trials=1000000
wait
ip netns pids "$net-2" | xargs -r kill
sleep 0.5
fault "no sshd" "Connection refused"
sshd_start 2
ssh-keygen -q -t ed25519 -N '' -f other_key
sed -i "s|^IdentityFile.*|IdentityFile $work/other_key|" ssh_config
fault "a key that is refused" "Permission denied"
sed -i "s|^IdentityFile.*|IdentityFile $work/ssh_key|" ssh_config
printf '%s slots=1\n' "$subnet.1" nowhere.invalid >hosts
fault "an unknown name" "Could not resolve hostname"
exit $failed
