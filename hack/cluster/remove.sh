# shellcheck shell=bash
# Sourced: removes all that a cluster leaves in a machine, whether it ended well, was killed half-way or the machine was
# restarted. Every part finds what is ours by itself and is silent when there is nothing.

remove_cluster() {
  local part
  # A part that fails does not keep the others from their work.
  for part in end_cluster_processes remove_mounts remove_cgroups remove_bridge remove_iptables_rules remove_traces restore_sysctls; do
    "$part" || say "  warning: $part did not succeed"
  done
  # Only our own file system: should a mount have stayed, what is mounted there must survive.
  rm -rf --one-file-system "$STATE" || fail "the state folder could not be removed: $STATE" "Still mounted there: $(grep -cF "$STATE/" /proc/mounts) folders."
}

# What restarts pods goes first, then the pods, then what they need.
end_cluster_processes() {
  local pids=() component
  for component in kubelet kube-controller-manager kube-scheduler; do
    if is_running "$component"; then pids+=("$(cat "$STATE/$component.pid")"); fi
  done
  end_processes TERM 3 "${pids[@]}"
  mapfile -t pids < <(pod_processes)
  end_processes KILL 1 "${pids[@]}"
  # Shims ignore SIGTERM while they hold a container, and etcd has nothing left to write: its folder is removed as well.
  mapfile -t pids < <(our_processes)
  end_processes KILL 1 "${pids[@]}"
  rm -f "$STATE"/*.pid
}

# The state folder's, and what buildah leaves on its storage.
remove_mounts() {
  unmount_below "$STATE"
  unmount_below "$CACHE/storage"
}

# kubelet's pods live in cgroups below our own root cgroup; an empty cgroup is a folder that rmdir removes.
remove_cgroups() {
  local root
  for root in /sys/fs/cgroup/market-collector /sys/fs/cgroup/*/market-collector; do
    [ -d "$root" ] || continue
    find "$root" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [ ! -d "$root" ] || say "  warning: could not remove the cgroup $root"
  done
}

remove_bridge() {
  local veth
  [ -d "/sys/class/net/$BRIDGE" ] || return 0
  # Their other ends went with the pods' network namespaces, but the kernel takes its time over that.
  for veth in "/sys/class/net/$BRIDGE/brif/"*; do
    if [ -e "$veth" ]; then ip link delete "$(basename "$veth")" 2>/dev/null || true; fi
  done
  ip link delete "$BRIDGE" 2>/dev/null || true
}

# kube-proxy's and kubelet's chains (KUBE-), the bridge plugin's (CNI-, by the network's name in the comment) and the two
# rules of up.sh. One transaction per table; nobody else's rule is touched.
remove_iptables_rules() {
  local tool table commands
  command -v iptables-save >/dev/null || return 0
  for tool in iptables ip6tables; do
    for table in filter nat mangle; do
      commands=$("$tool-save" -t "$table" 2>/dev/null | iptables_removal)
      [ "$commands" ] || continue
      printf '*%s\n%s\nCOMMIT\n' "$table" "$commands" | "$tool-restore" --noflush ||
        say "  warning: could not remove the cluster's rules from $tool, table $table"
    done
  done
}

# Reads iptables-save, writes the iptables-restore lines that remove what is ours.
iptables_removal() {
  awk '
    /^:KUBE-/ { chains[substr($1, 2)] }
    /^-A / {
      # The bridge plugin comments its rules with the name of its network; they jump to chains such as CNI-0123.
      if ($0 ~ /market-collector/) {
        for (i = 1; i < NF; i++) if ($i == "-j" && $(i + 1) ~ /^CNI-/) chains[$(i + 1)]
        if ($2 !~ /^CNI-/) rules[++count] = $0
      }
      else if ($2 !~ /^KUBE-/ && $0 ~ / -j KUBE-/) rules[++count] = $0
    }
    END {
      for (i = 1; i <= count; i++) { sub(/^-A/, "-D", rules[i]); print rules[i] }
      for (chain in chains) print "-F " chain
      for (chain in chains) print "-X " chain
    }'
}

# -- the few places outside the state folder that containerd and kubelet write to, whatever their settings ---------------

OUTSIDE_FOLDERS=(/var/lib/kubelet /var/lib/cni /var/log/containers /usr/libexec/kubernetes /opt/containerd /opt/cni /run/containerd /run/netns)

# Those that did not exist before belong to the cluster, and are removed completely.
save_outside_folders() {
  local folder
  for folder in "${OUTSIDE_FOLDERS[@]}"; do
    if [ ! -e "$folder" ]; then printf '%s\n' "$folder"; fi
  done >"$STATE/folders.ours"
}

# In the others, what names our state folder.
remove_traces() {
  local file folder socket
  for file in /var/log/containers/*; do
    case $(readlink "$file" 2>/dev/null) in "$STATE"/*) rm -f "$file" ;; esac
  done
  for file in /var/lib/cni/results/*; do
    if grep -qsF "$STATE/" "$file"; then rm -f "$file"; fi
  done
  for file in "$STATE"/containerd/state/io.containerd.runtime.v2.task/k8s.io/*/{address,bootstrap.json}; do
    socket=$(grep -os '/run/containerd/s/[0-9a-f]*' "$file") && rm -f "$socket"
  done
  [ -r "$STATE/folders.ours" ] || return 0
  while read -r folder; do
    case " ${OUTSIDE_FOLDERS[*]} " in *" $folder "*) rm -rf --one-file-system "$folder" ;; esac
  done <"$STATE/folders.ours"
}

# -- kernel settings that kubelet, kube-proxy and up.sh change -------------------------------------------------------------

SYSCTLS=(net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.ipv4.conf.all.route_localnet vm.overcommit_memory
  vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes
  net.netfilter.nf_conntrack_tcp_timeout_close_wait net.netfilter.nf_conntrack_tcp_timeout_established)

save_sysctls() {
  local name
  for name in "${SYSCTLS[@]}"; do
    printf '%s=%s\n' "$name" "$(sysctl -n "$name" 2>/dev/null)"
  done | grep -v '=$' >"$STATE/sysctl.before" || true
}

restore_sysctls() {
  [ -s "$STATE/sysctl.before" ] || return 0
  sysctl -q -p "$STATE/sysctl.before" >/dev/null 2>&1 || true
}

# Is there anything to remove? For a message only: remove_cluster may always be called.
is_anything_left() {
  [ -d "$STATE" ] || [ -d "/sys/class/net/$BRIDGE" ] || [ -n "$(our_processes)" ]
}
