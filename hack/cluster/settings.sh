# shellcheck shell=bash disable=SC2034
# Sourced: versions, folders, addresses and ports of the local cluster. Every MC_ variable may be set from outside.
#
#   CLUSTER          local (default, needs root on Debian or Ubuntu), kind, current (the present KUBECONFIG and context)
#   IMAGE_TAG        tag of the three images, default dev
#   IMAGE_REGISTRY   only with CLUSTER=current: where the images are pushed
#   XDG_CACHE_HOME   the cache is $XDG_CACHE_HOME/market-collector
#   MC_PORT_...      when a port is taken on this machine
#   MC_POD_NETWORK   first two numbers of the pods' /16, when 10.244 is taken
#   MC_SERVICE_NETWORK  the same for services
#   MC_DNS_FORWARD   whom pods ask for names outside the cluster: nobody by default, so that no test leaves the machine by
#                    accident; auto: the machine's own nameservers; or addresses
#   MC_OS_RELEASE    stands in for /etc/os-release (tests)

CLUSTER=${CLUSTER:-local}
IMAGE_TAG=${IMAGE_TAG:-dev}

HACK=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REPOSITORY=$(cd "$HACK/.." && pwd)
CACHE=${XDG_CACHE_HOME:-${HOME:?}/.cache}/market-collector
# Everything that belongs to one running cluster; removed by down.sh. Every process of the cluster has this path among
# its arguments, which distinguishes it from other programs.
STATE=$CACHE/cluster

# go.mod holds the versions of all three programs: go.sum belongs to it.
module_version() { awk -v module="$1" '$1 == module {print substr($2, 2); exit}' "$HACK/cluster/kubernetes/go.mod"; }
KUBERNETES_VERSION=$(module_version k8s.io/kubernetes)
COREDNS_VERSION=$(module_version github.com/coredns/coredns)
HELM_VERSION=$(module_version helm.sh/helm/v4)
PAUSE_VERSION=1

# A change of the programs themselves, not only of a version, makes other binaries.
SOURCES_HASH=$(cat "$HACK"/cluster/kubernetes/{main.go,*/main.go,go.mod,go.sum} | sha256sum | head -c 8)
KUBERNETES_BIN=$CACHE/bin/kubernetes-$KUBERNETES_VERSION-$SOURCES_HASH
HELM_BIN=$CACHE/bin/helm-$HELM_VERSION-$SOURCES_HASH
# The two programs that people call, for PATH: the others (kubelet, etcd) would only be in the way there.
TOOLS=$CACHE/tools
KUBECTL=$KUBERNETES_BIN/kubectl

PAUSE_IMAGE=localhost/pause:$PAUSE_VERSION
COREDNS_IMAGE=localhost/coredns:$COREDNS_VERSION-$SOURCES_HASH
PAUSE_ARCHIVE=$CACHE/images/pause-$PAUSE_VERSION.tar
COREDNS_ARCHIVE=$CACHE/images/coredns-$COREDNS_VERSION-$SOURCES_HASH.tar

NODE=node-1
BRIDGE=mc0
POD_NETWORK=${MC_POD_NETWORK:-10.244}
SERVICE_NETWORK=${MC_SERVICE_NETWORK:-10.96}
POD_CIDR=$POD_NETWORK.0.0/16
SERVICE_CIDR=$SERVICE_NETWORK.0.0/16
# A kubelet refuses a loopback address: the bridge's own address is the node's.
NODE_IP=$POD_NETWORK.0.1
DNS_IP=$SERVICE_NETWORK.0.10

PORT_API=${MC_PORT_API:-6443}
PORT_ETCD=${MC_PORT_ETCD:-2379}
PORT_ETCD_PEER=${MC_PORT_ETCD_PEER:-2380}
PORT_CONTROLLER_MANAGER=${MC_PORT_CONTROLLER_MANAGER:-10257}
PORT_SCHEDULER=${MC_PORT_SCHEDULER:-10259}
PORT_KUBELET=${MC_PORT_KUBELET:-10250}
PORT_KUBELET_HEALTH=${MC_PORT_KUBELET_HEALTH:-10248}
PORT_PROXY_METRICS=${MC_PORT_PROXY_METRICS:-10249}
PORT_PROXY_HEALTH=${MC_PORT_PROXY_HEALTH:-10256}

# In the order of their start.
COMPONENTS=(etcd kube-apiserver containerd kube-controller-manager endpoint-controllers kube-scheduler kubelet kube-proxy)

KIND_CLUSTER=market-collector
KIND_KUBECONFIG=$CACHE/kind.kubeconfig

containers() { ctr --address "$STATE/containerd.sock" --namespace k8s.io "$@"; }

# Image storage of its own: it survives a clean-up of the user's images, and its mounts are known to be ours.
images() { buildah --root "$CACHE/storage" --runroot "$CACHE/storage-run" "$@"; }

admin() { KUBECONFIG=$STATE/admin.kubeconfig "$KUBECTL" "$@"; }

require_known_cluster() {
  case $CLUSTER in
    local | kind | current) ;;
    *) fail "CLUSTER=$CLUSTER is unknown" "Allowed: local (the default), kind, current." ;;
  esac
}
