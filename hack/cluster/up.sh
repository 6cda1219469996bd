#!/usr/bin/env bash
# Brings a cluster up and waits until it is usable. Called again when it is up, it returns after a second. After a killed
# run, a crash or a restart of the machine, it cleans up and starts a new cluster. Settings: settings.sh.
#
#   up.sh             the cluster of $CLUSTER: local (default), kind, current
#   up.sh --check     only looks whether this machine can run the local one
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../progress.sh
. "$HERE/../progress.sh"
# shellcheck source=../packages.sh
. "$HERE/../packages.sh"
# shellcheck source=settings.sh
. "$HERE/settings.sh"
# shellcheck source=processes.sh
. "$HERE/processes.sh"
# shellcheck source=certificates.sh
. "$HERE/certificates.sh"
# shellcheck source=preflight.sh
. "$HERE/preflight.sh"
# shellcheck source=remove.sh
. "$HERE/remove.sh"

READY_WITHIN_S=120
RECOVERS_WITHIN_S=60

main() {
  require_known_cluster
  case $CLUSTER in
    kind) up_kind ;;
    current) up_current ;;
    local)
      require_local_cluster_possible
      if [ "${1:-}" = --check ]; then
        require_free_resources
        say "This machine can run the local cluster."
      else
        up_local
      fi
      ;;
  esac
}

# -- an existing cluster --------------------------------------------------------------------------------------------------

up_current() {
  command -v kubectl >/dev/null || fail "CLUSTER=current needs kubectl on PATH"
  local context
  context=$(kubectl config current-context 2>/dev/null) ||
    fail "CLUSTER=current: there is no current context" "Set KUBECONFIG, or choose one: kubectl config use-context NAME"
  kubectl --request-timeout=10s get --raw /readyz >/dev/null ||
    fail "the API server of context $context does not answer" "Check it with: kubectl --context $context get nodes"
  ensure_helm
  say "Using the cluster of context $context. Nothing is set up in it, and 'make cluster-down' does not change it."
}

up_kind() {
  local program
  for program in docker kind kubectl; do
    command -v "$program" >/dev/null || fail "CLUSTER=kind needs $program on PATH" "Install it, then try again."
  done
  docker info >/dev/null 2>&1 || fail "CLUSTER=kind: the Docker engine does not answer" "Start Docker, then try again."
  mkdir -p "$CACHE" && chmod 700 "$CACHE"
  if kind get clusters 2>/dev/null | grep -qx "$KIND_CLUSTER"; then
    kind export kubeconfig --name "$KIND_CLUSTER" --kubeconfig "$KIND_KUBECONFIG" 2>/dev/null
    kubectl --kubeconfig "$KIND_KUBECONFIG" --request-timeout=10s get --raw /readyz >/dev/null ||
      fail "the kind cluster $KIND_CLUSTER exists and does not answer" "Start its container (docker start $KIND_CLUSTER-control-plane), or replace it: CLUSTER=kind make cluster-down cluster"
  else
    step "$CACHE/log/kind.log" "creating the kind cluster $KIND_CLUSTER: 1 to 3 minutes the first time" \
      kind create cluster --name "$KIND_CLUSTER" --kubeconfig "$KIND_KUBECONFIG" --wait 180s ||
      fail "kind could not create the cluster" "See $CACHE/log/kind.log"
  fi
  ensure_helm
  say "The kind cluster $KIND_CLUSTER is up. KUBECONFIG=$KIND_KUBECONFIG"
}

# The user's own Helm will do; else it is built, which needs Go.
ensure_helm() { command -v helm >/dev/null || "$HERE/build.sh" helm; }

# -- the local cluster ----------------------------------------------------------------------------------------------------

up_local() {
  umask 077
  export PATH=$PATH:/usr/sbin:/sbin
  mkdir -p "$CACHE" && chmod 700 "$CACHE"
  local reason
  reason=$(why_not_up)
  if [ "$reason" ]; then
    # The bridge and the iptables rules are shared by all cache folders of the machine: so is the lock.
    lock /run/lock/market-collector-cluster.lock "bringing the cluster up or down"
    # Another run may have brought it up meanwhile, or the machine was only too busy to answer: a new cluster
    # starts empty.
    reason=$(why_not_up_for_long)
  fi
  if [ "$reason" ]; then
    if is_anything_left; then
      require_no_other_cluster
      say "- removing the earlier cluster with everything in it ($reason); a new one starts"
      remove_cluster
    fi
    require_free_resources
    "$HERE/build.sh"
    start_cluster
    [ "${MC_DNS_FORWARD:-none}" != none ] || say "Pods resolve names of this cluster only. For real exchanges: MC_DNS_FORWARD=auto make cluster"
  else
    "$HERE/endpoints.sh" CONT # in case that a killed test left them paused
    apply_dns
  fi
  say "The cluster is up: $NODE is Ready, Kubernetes $KUBERNETES_VERSION, DNS answers ($SECONDS s)."
  say "KUBECONFIG=$STATE/admin.kubeconfig"
  say "For this shell:  eval \"\$(hack/cluster/kubeconfig.sh)\""
}

# The first reason why the cluster is not usable as it is, or nothing. Cheap: a fraction of a second.
why_not_up() {
  local reason
  reason=$(what_is_missing)
  echo "${reason:-$(why_unhealthy)}"
}

# A missing part stays missing; an unhealthy one may recover within a minute.
why_not_up_for_long() {
  local reason begin=$SECONDS
  while true; do
    reason=$(what_is_missing)
    if [ "$reason" ]; then break; fi
    reason=$(why_unhealthy)
    if [ -z "$reason" ] || ((SECONDS - begin >= RECOVERS_WITHIN_S)); then break; fi
    if ((SECONDS == begin)); then say "- all components run, but: $reason. Waiting up to $RECOVERS_WITHIN_S s for the cluster to recover"; fi
    sleep 1
  done
  echo "$reason"
}

what_is_missing() {
  local component
  [ -d "$STATE" ] || { echo "no state folder"; return; }
  [ "$(cat "$STATE/version" 2>/dev/null)" = "$(version)" ] || { echo "it is unfinished or of another version"; return; }
  for component in "${COMPONENTS[@]}"; do
    is_running "$component" || { echo "$component does not run"; return; }
  done
  [ -d "/sys/class/net/$BRIDGE" ] || { echo "the network bridge does not exist"; return; }
  are_certificates_valid || echo "its certificates expire within a day"
}

why_unhealthy() {
  local conditions
  containers version >/dev/null 2>&1 || { echo "containerd does not answer"; return; }
  conditions=$(admin --request-timeout=5s get "node/$NODE" deployment/coredns --namespace kube-system \
    -o 'jsonpath={range .items[*]}{.kind}={.status.conditions[?(@.type=="Ready")].status}{.status.conditions[?(@.type=="Available")].status} {end}' 2>/dev/null) ||
    { echo "the API server does not answer"; return; }
  case $conditions in
    "Node=True Deployment=True ") ;;
    *) echo "not healthy: $conditions" ;;
  esac
}

version() { echo "$(basename "$KUBERNETES_BIN") coredns-$COREDNS_VERSION pause-$PAUSE_VERSION"; }

start_cluster() {
  mkdir -p "$STATE"/{log,pki,cni,volume-plugins}
  save_sysctls
  save_outside_folders
  step "$STATE/log/up.log" "certificates and network" prepare || failed up
  step "$STATE/log/up.log" "starting etcd, the API server and containerd" start_control_plane || failed etcd kube-apiserver containerd
  step "$STATE/log/up.log" "starting kubelet, kube-proxy, the controllers; waiting for the node to be Ready" start_node || failed kubelet containerd
  step "$STATE/log/up.log" "waiting for DNS" start_dns || failed kubelet kube-proxy kube-controller-manager
  version >"$STATE/version"
}

# The remains stay for inspection; the next run removes them.
failed() {
  local log
  for log in "$@"; do
    say "Last lines of $STATE/log/$log.log:"
    tail -n 10 "$STATE/log/$log.log" 2>/dev/null | cut -c 1-400 | sed 's/^/    | /' >&2
  done
  fail "the cluster did not come up" "Logs: $STATE/log/" "Try again with hack/cluster/up.sh (it cleans up first), or remove the cluster with hack/cluster/down.sh."
}

prepare() {
  set -euo pipefail
  write_certificates
  local name
  for name in admin kube-controller-manager kube-scheduler kube-proxy kubelet; do
    write_kubeconfig "$name" "$STATE/$name.kubeconfig"
  done
  make_network
  make_cgroups
}

# The bridge is there before the kubelet asks for the node's address. Its alias tells whose it is.
make_network() {
  ip link add "$BRIDGE" type bridge
  ip link set "$BRIDGE" alias "market-collector:$STATE"
  ip address add "$NODE_IP/16" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  # Traffic between pods must pass iptables, otherwise a pod cannot reach itself through its service.
  modprobe br_netfilter 2>/dev/null || true
  sysctl -qw net.ipv4.ip_forward=1
  sysctl -qw net.bridge.bridge-nf-call-iptables=1 || true
  # Docker and ufw drop forwarded packets by default.
  local rule=(-m comment --comment market-collector -j ACCEPT)
  iptables -w -I FORWARD -i "$BRIDGE" "${rule[@]}"
  iptables -w -I FORWARD -o "$BRIDGE" "${rule[@]}"
  protect_api
  # The name of the network marks the plugin's iptables rules as ours.
  cat >"$STATE/cni/10-bridge.conflist" <<J
{"cniVersion": "1.0.0", "name": "market-collector", "plugins": [
  {"type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$STATE/cni-addresses",
            "ranges": [[{"subnet": "$POD_CIDR", "gateway": "$NODE_IP"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
J
}

# The API server can bind to one address or to all, and two must answer: the bridge for pods, loopback for people.
# An address that vanishes with the bridge would send kubectl's requests out of the machine. The last rule inserted is
# first.
protect_api() {
  local from=(-p tcp --dport "$PORT_API" -m comment --comment market-collector)
  iptables -w -I INPUT "${from[@]}" -j DROP
  iptables -w -I INPUT -i "$BRIDGE" "${from[@]}" -j ACCEPT
  iptables -w -I INPUT -i lo "${from[@]}" -j ACCEPT
}

# A root cgroup of our own: what is below it is ours to remove. kubelet wants it to exist in every hierarchy.
make_cgroups() {
  local hierarchy controller controllers
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then # version 2
    mkdir -p /sys/fs/cgroup/market-collector
    read -ra controllers </sys/fs/cgroup/cgroup.controllers
    for controller in "${controllers[@]}"; do
      echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true
    done
    return
  fi
  for hierarchy in /sys/fs/cgroup/*/; do
    mkdir -p "$hierarchy/market-collector"
    # A new cpuset has no processors and no memory: nothing could run in it.
    if [ -f "$hierarchy/cpuset.cpus" ]; then
      cat "$hierarchy/cpuset.cpus" >"$hierarchy/market-collector/cpuset.cpus"
      cat "$hierarchy/cpuset.mems" >"$hierarchy/market-collector/cpuset.mems"
    fi
  done
}

start_control_plane() {
  set -euo pipefail
  local pki=$STATE/pki
  # No fsync: this data need not survive a power cut, and on small disks it is most of the start-up time.
  start etcd "$KUBERNETES_BIN/etcd" --data-dir "$STATE/etcd" --unsafe-no-fsync --logger zap --log-level warn \
    --listen-client-urls "https://127.0.0.1:$PORT_ETCD" --advertise-client-urls "https://127.0.0.1:$PORT_ETCD" \
    --listen-peer-urls "https://127.0.0.1:$PORT_ETCD_PEER" --initial-advertise-peer-urls "https://127.0.0.1:$PORT_ETCD_PEER" \
    --initial-cluster "default=https://127.0.0.1:$PORT_ETCD_PEER" \
    --client-cert-auth --trusted-ca-file "$pki/ca.crt" --cert-file "$pki/etcd.crt" --key-file "$pki/etcd.key" \
    --peer-client-cert-auth --peer-trusted-ca-file "$pki/ca.crt" --peer-cert-file "$pki/etcd.crt" --peer-key-file "$pki/etcd.key"
  # InternalIP: otherwise `kubectl logs` and `exec` look the node's name up in DNS and fail.
  # GOGC: the API server is what a small machine waits for most, and a seventh of its CPU went into collecting garbage.
  GOGC=400 start kube-apiserver "$KUBERNETES_BIN/kube-apiserver" --secure-port="$PORT_API" \
    --bind-address=0.0.0.0 --advertise-address="$NODE_IP" --kubelet-preferred-address-types=InternalIP \
    --etcd-servers="https://127.0.0.1:$PORT_ETCD" --etcd-cafile="$pki/ca.crt" --etcd-certfile="$pki/etcd.crt" --etcd-keyfile="$pki/etcd.key" \
    --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
    --service-account-key-file="$pki/service-account.pub" --service-account-signing-key-file="$pki/service-account.key" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-cluster-ip-range="$SERVICE_CIDR" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged --profiling=false
  start_containerd
  wait_until "containerd answers" containers version
  load_own_images
  wait_until "the API server is ready" admin get --raw /readyz
}

start_containerd() {
  mkdir -p "$STATE/containerd"
  # Root, state and sockets of its own keep it apart from another containerd on the machine.
  #
  # restrict_oom_score_adj: without CAP_SYS_RESOURCE no sandbox would start ("can't get final child's PID from pipe").
  cat >"$STATE/containerd/config.toml" <<T
version = 2
root = "$STATE/containerd/root"
state = "$STATE/containerd/state"
[grpc]
  address = "$STATE/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$STATE/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "$STATE/containerd/runc"
T
  start containerd containerd --config "$STATE/containerd/config.toml"
}

load_own_images() {
  containers images import "$PAUSE_ARCHIVE"
  containers images import "$COREDNS_ARCHIVE"
}

start_node() {
  set -euo pipefail
  # By default, controllers make 20 requests a second at most: tests side by side would wait for their queue.
  local RATES=(--kube-api-qps=500 --kube-api-burst=1000)
  local MANAGER=(
    "$KUBERNETES_BIN/kube-controller-manager" --kubeconfig="$STATE/kube-controller-manager.kubeconfig" --leader-elect=false
    --service-account-private-key-file="$STATE/pki/service-account.key" --root-ca-file="$STATE/pki/ca.crt" --use-service-account-credentials
    --flex-volume-plugin-dir="$STATE/volume-plugins" "${RATES[@]}"
  )
  local ENDPOINTS=endpoints-controller,endpointslice-controller,endpointslice-mirroring-controller
  start kube-controller-manager "${MANAGER[@]}" --bind-address=127.0.0.1 --secure-port="$PORT_CONTROLLER_MANAGER" \
    --cluster-cidr="$POD_CIDR" --controllers="*,-${ENDPOINTS//,/,-}"
  # A process of its own, which tests can pause (endpoints.sh).
  start endpoint-controllers "${MANAGER[@]}" --secure-port=0 --controllers="$ENDPOINTS"
  start kube-scheduler "$KUBERNETES_BIN/kube-scheduler" --kubeconfig="$STATE/kube-scheduler.kubeconfig" \
    --bind-address=127.0.0.1 --secure-port="$PORT_SCHEDULER" --leader-elect=false "${RATES[@]}"
  start_kubelet
  start_proxy
  wait_until "the node is known" admin get "node/$NODE"
  admin wait --for=condition=Ready "node/$NODE" --timeout="${READY_WITHIN_S}s"
}

start_kubelet() {
  # failCgroupV1, failSwapOn: any machine will do. Thresholds are in bytes, because one per cent of a large disk is much.
  # A full disk is no reason to remove the demo's images.
  cat >"$STATE/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
port: $PORT_KUBELET
healthzBindAddress: 127.0.0.1
healthzPort: $PORT_KUBELET_HEALTH
containerRuntimeEndpoint: unix://$STATE/containerd.sock
authentication: {x509: {clientCAFile: $STATE/pki/ca.crt}, anonymous: {enabled: false}, webhook: {enabled: true}}
authorization: {mode: Webhook}
tlsCertFile: $STATE/pki/kubelet.crt
tlsPrivateKeyFile: $STATE/pki/kubelet.key
cgroupDriver: cgroupfs
cgroupRoot: /market-collector
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
evictionHard: {memory.available: 100Mi, nodefs.available: 200Mi, imagefs.available: 200Mi}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: ""
podLogsDir: $STATE/log/pods
volumePluginDir: $STATE/volume-plugins
volumeStatsAggPeriod: 0s
maxPods: 250
Y
  start kubelet "$KUBERNETES_BIN/kubelet" --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/kubelet.kubeconfig" \
    --hostname-override="$NODE" --node-ip="$NODE_IP" --root-dir="$STATE/kubelet" --cert-dir="$STATE/pki"
}

start_proxy() {
  cat >"$STATE/proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: $POD_CIDR
clientConnection: {kubeconfig: $STATE/kube-proxy.kubeconfig}
metricsBindAddress: 127.0.0.1:$PORT_PROXY_METRICS
healthzBindAddress: 127.0.0.1:$PORT_PROXY_HEALTH
iptables: {localhostNodePorts: false}
conntrack: {maxPerCore: 0}
hostnameOverride: $NODE
Y
  start kube-proxy "$KUBERNETES_BIN/kube-proxy" --config="$STATE/proxy.yaml"
}

# -- DNS ------------------------------------------------------------------------------------------------------------------

start_dns() {
  set -euo pipefail
  apply_dns
  admin --namespace kube-system rollout status deployment/coredns --timeout="${READY_WITHIN_S}s"
}

# Applied again only when it reads otherwise than the last time (MC_DNS_FORWARD, a changed coredns.yaml).
apply_dns() {
  local wanted=$STATE/coredns.yaml
  sed -e "s|COREDNS_IMAGE|$COREDNS_IMAGE|" -e "s|DNS_IP|$DNS_IP|" -e "s|FORWARD|$(forward_line)|" "$HERE/coredns.yaml" >"$wanted.new"
  if cmp -s "$wanted.new" "$wanted"; then
    rm "$wanted.new"
  else
    admin apply -f "$wanted.new" >>"$STATE/log/up.log"
    mv "$wanted.new" "$wanted"
  fi
}

forward_line() {
  local servers=${MC_DNS_FORWARD:-none}
  if [ "$servers" = auto ]; then
    # systemd-resolved's stub on loopback cannot be reached from a pod; the file behind it names the real ones.
    servers=$(cat /run/systemd/resolve/resolv.conf /etc/resolv.conf 2>/dev/null |
      awk '/^nameserver/ && $2 !~ /^127\.|^::1$/ && !seen[$2]++ && ++count <= 3 {printf "%s ", $2}')
  fi
  [ "$servers" = none ] || [ -z "$servers" ] || echo "forward . $servers"
}

# wait_until TEXT COMMAND...: 60 seconds.
wait_until() {
  local text=$1 tries
  shift
  for ((tries = 0; tries < 300; tries++)); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.2
  done
  echo "gave up after 60 s of waiting until $text. The last attempt:" >&2
  "$@"
}

main "$@"
