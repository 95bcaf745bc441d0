# links_lib: hosts on one machine, joined by slow links; to be sourced after tests/cli/lib/begin.sh. Each is a
# network namespace with a host name of its own, on a bridge in one more namespace. Sets: subnet, agent; in_host,
# hosts_start, hosts_end, launcher_of, sshd_start, launcher_by_ssh. Nothing of it outlives the script, unless it is killed
# with -9: the next removes that.
for program in ip tc mpirun.openmpi; do
    PATH=$PATH:/usr/sbin:/sbin command -v $program >/dev/null || { echo "no $program (iproute2, openmpi-bin)"; exit 77; }
done
export PATH=$PATH:/usr/sbin:/sbin
net=tare$$
cpus=($(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)))'))
subnet=10.77.$(($$ % 250))
agent=$work/agent

# Processes of a host end with it.
host_remove() {
    ip netns pids "$1" 2>/dev/null | xargs -r kill -9 2>/dev/null
    ip netns del "$1" 2>/dev/null
}
hosts_end() { ip netns list | awk '{ print $1 }' | grep -E "^$net-[0-9]+\$" | while read -r name; do host_remove "$name"; done; }
hosts_of_the_dead() {
    ip netns list | awk '{ print $1 }' | grep -E '^tare[0-9]+-[0-9]+$' | while read -r name; do
        pid=${name#tare}
        [ -d "/proc/${pid%-*}" ] || host_remove "$name"
    done
}

# hosts_start COUNT RATE BURST: hosts 1 to COUNT; what each sends and receives passes a token bucket of the rate.
hosts_start() {
    local i
    hosts_of_the_dead
    ip netns add "$net-0" 2>"$work/ip" || { echo "no network namespaces here (CAP_NET_ADMIN): $(cat "$work/ip")"; exit 77; }
    ip -n "$net-0" link add bridge type bridge && ip -n "$net-0" link set bridge up ||
        { echo "no bridge here"; exit 77; }
    for i in $(seq "$1"); do
        ip netns add "$net-$i"
        ip -n "$net-0" link add "host$i" type veth peer name eth0 netns "$net-$i"
        ip -n "$net-0" link set "host$i" master bridge up
        ip -n "$net-$i" addr add "$subnet.$i/24" dev eth0
        ip -n "$net-$i" link set eth0 up
        ip -n "$net-$i" link set lo up
        tc -n "$net-$i" qdisc add dev eth0 root tbf rate "$2" burst "$3" latency 2ms &&
            tc -n "$net-0" qdisc add dev "host$i" root tbf rate "$2" burst "$3" latency 2ms ||
            { echo "no token bucket here (tc, tbf)"; exit 77; }
    done
    cat >"$agent" <<AGENT
#!/bin/sh
# What ssh is elsewhere: agent [OPTION...] HOST COMMAND...
while [ "\${1#-}" != "\$1" ]; do shift; done
i=\${1##*.}
shift
cpu=\$(echo ${cpus[*]} | cut -d ' ' -f \$(((i - 1) % ${#cpus[@]} + 1)))
exec taskset -c \$cpu ip netns exec $net-\$i unshare --uts sh -c "hostname node\$i; \$*"
AGENT
    chmod +x "$agent"
}

# in_host I COMMAND...
in_host() {
    local i=$1
    shift
    taskset -c "${cpus[(i - 1) % ${#cpus[@]}]}" ip netns exec "$net-$i" unshare --uts sh -c 'hostname node'"$i"'; exec "$@"' sh "$@"
}

# launcher_of RANKS: over TCP, a rank a host, in their order.
launcher_of() {
    local hosts
    hosts=$(seq -s, -f "$subnet.%g" "$1")
    echo "mpirun.openmpi -n {ranks} --host $hosts --bind-to none --map-by node --mca plm_rsh_agent $agent --mca btl tcp,self" \
        "--mca btl_tcp_if_include $subnet.0/24 --mca oob_tcp_if_include $subnet.0/24 --mca btl_tcp_links 2"
}

# ---- ssh ----

# sshd_start I: host I lets the one key in; ssh finds it and the port by the file ssh_config.
sshd_start() {
    [ -e "$work/ssh_key" ] || ssh-keygen -q -t ed25519 -N '' -f "$work/ssh_key"
    printf '%s\n' 'Host *' 'Port 2222' 'User root' "IdentityFile $work/ssh_key" 'IdentitiesOnly yes' \
        'StrictHostKeyChecking no' 'UserKnownHostsFile /dev/null' 'LogLevel ERROR' >"$work/ssh_config"
    printf '%s\n' 'Port 2222' "ListenAddress $subnet.$1" "HostKey $work/ssh_key" "AuthorizedKeysFile $work/ssh_key.pub" \
        'PermitRootLogin yes' 'StrictModes no' 'UsePAM no' 'PidFile none' >"$work/sshd_config.$1"
    mkdir -p /run/sshd
    in_host "$1" /usr/sbin/sshd -f "$work/sshd_config.$1" -E "$work/sshd.$1.log"
}

# launcher_by_ssh HOST-FILE: a rank a host. ssh gets ssh_config by OMPI_MCA_plm_rsh_args.
launcher_by_ssh() {
    echo "mpirun.openmpi -n {ranks} --hostfile $1 --bind-to none --map-by node --mca btl tcp,self" \
        "--mca btl_tcp_if_include $subnet.0/24 --mca oob_tcp_if_include $subnet.0/24"
}
