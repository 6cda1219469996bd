# shellcheck shell=bash
# Sourced: may this machine run the local cluster? Looks only, changes nothing, and says what to do instead.

OTHER_WAYS="Or use a cluster of another kind: CLUSTER=kind (needs kind and Docker), or CLUSTER=current for the context of your present KUBECONFIG."
COLD_BUILD_GB=6
WARM_START_GB=3

require_local_cluster_possible() {
  [ "$(uname -s)" = Linux ] || fail "the local cluster needs Linux; this is $(uname -s)" "$OTHER_WAYS"
  is_root || fail "the local cluster needs root (containers, a network bridge, iptables); you are $(id -un)" \
    "Run it as root (sudo -E make cluster)." "$OTHER_WAYS"
  is_debian_family || fail "the local cluster needs Debian packages; this is $(system_name)" "$OTHER_WAYS"
  # A socket's path may have 107 bytes, and the longest that kubelet makes below the state folder has 45.
  ((${#STATE} <= 62)) || fail "the path of the state folder is too long for sockets: $STATE (${#STATE} characters, at most 62)" \
    "Set XDG_CACHE_HOME to a shorter one."
}

system_name() { sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\).*/\1/p' "${MC_OS_RELEASE:-/etc/os-release}" 2>/dev/null | grep . || echo unknown; }

require_free_resources() {
  require_disk
  require_no_other_cluster
  require_free_subnet
  require_free_ports
}

require_disk() {
  local needed=$WARM_START_GB free folder=$CACHE what="to run"
  [ -x "$KUBERNETES_BIN/kube" ] || { needed=$COLD_BUILD_GB what="to build and run"; }
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  free=$(($(df -Pk "$folder" | awk 'END{print $4}') / 1024 / 1024))
  ((free >= needed)) || fail "not enough disk space at $folder: $needed GB are needed $what the cluster, $free GB are free" \
    "Free some space, or set XDG_CACHE_HOME to a folder on a larger disk."
}

# Two kube-proxies in one network namespace undo each other's iptables rules. kind's run in namespaces of their own.
require_no_other_cluster() {
  local owner comm pid
  owner=$(bridge_owner)
  if [ "$owner" ] && [ "$owner" != "$STATE" ] && pgrep -f -- "$owner/" >/dev/null; then
    fail "a local cluster of another cache folder runs on this machine: $owner" \
      "Remove that one first: XDG_CACHE_HOME=$(dirname "$(dirname "$owner")") hack/cluster/down.sh"
  fi
  for comm in kube-proxy kubelet k3s-server; do
    for pid in $(pgrep -x "$comm"); do
      if [ "$(readlink "/proc/$pid/ns/net")" = "$(readlink /proc/self/ns/net)" ] && ! is_ours "$pid"; then
        fail "another Kubernetes runs on this machine: $comm (process $pid)" "Use it: CLUSTER=current. Two would undo each other's network rules."
      fi
    done
  done
}

# up.sh writes the state folder into the bridge's alias.
bridge_owner() { sed -n 's/^market-collector://p' "/sys/class/net/$BRIDGE/ifalias" 2>/dev/null || true; }

require_free_subnet() {
  local cidr taken
  for cidr in "$POD_CIDR" "$SERVICE_CIDR"; do
    # Addresses in it, and routes to it or to a part of it; a wider route (10.0.0.0/8 of a VPN) does not disturb.
    taken=$(ip -4 -o address show to "$cidr" | awk -v own="$BRIDGE" '$2 != own {print $2 " has " $4; exit}')
    [ "$taken" ] || taken=$(ip -4 route show root "$cidr" | awk -v own="$BRIDGE" '!($0 ~ " dev " own " ") {print "route " $0; exit}')
    [ -z "$taken" ] || fail "the network $cidr is in use on this machine: $taken" \
      "Choose another one, for example MC_POD_NETWORK=10.250 (pods) or MC_SERVICE_NETWORK=10.97 (services)."
  done
}

require_free_ports() {
  require_free_port MC_PORT_API "API server" 0.0.0.0 "$PORT_API"
  require_free_port MC_PORT_ETCD etcd 127.0.0.1 "$PORT_ETCD"
  require_free_port MC_PORT_ETCD_PEER "etcd's peers" 127.0.0.1 "$PORT_ETCD_PEER"
  require_free_port MC_PORT_CONTROLLER_MANAGER "controller manager" 127.0.0.1 "$PORT_CONTROLLER_MANAGER"
  require_free_port MC_PORT_SCHEDULER scheduler 127.0.0.1 "$PORT_SCHEDULER"
  require_free_port MC_PORT_KUBELET kubelet "$NODE_IP" "$PORT_KUBELET"
  require_free_port MC_PORT_KUBELET_HEALTH "kubelet's health" 127.0.0.1 "$PORT_KUBELET_HEALTH"
  require_free_port MC_PORT_PROXY_METRICS "kube-proxy's metrics" 127.0.0.1 "$PORT_PROXY_METRICS"
  require_free_port MC_PORT_PROXY_HEALTH "kube-proxy's health" 127.0.0.1 "$PORT_PROXY_HEALTH"
}

require_free_port() { # variable, what for, address, port
  local holder
  # A listener on all addresses is in the way of any, and a listener on any of all.
  # "LISTEN 0 128 127.0.0.1:2379 0.0.0.0:* users:(("etcd",pid=7,fd=3))"
  holder=$(ss -Hltnp "sport = :$4" | awk -v address="$3:$4" -v port="$4" '
    address ~ /^0\.0\.0\.0:/ || $4 == address || $4 == "0.0.0.0:" port || $4 == "*:" port || $4 == "[::]:" port {
      who = $0
      if (sub(/.*users:\(\("/, "", who)) { split(who, part, /",pid=|,/); print part[1] " (process " part[2] ")" } else print "an unknown process"
      exit
    }')
  [ -z "$holder" ] || fail "port $4 ($2) is taken by $holder" "Stop that program, or choose another port: $1=NUMBER make cluster"
}
