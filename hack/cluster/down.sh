#!/usr/bin/env bash
# Removes the cluster that up.sh made, and all it left in the machine. Built programs and images stay in the cache.
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
# shellcheck source=preflight.sh
. "$HERE/preflight.sh"
# shellcheck source=remove.sh
. "$HERE/remove.sh"

main() {
  require_known_cluster
  case $CLUSTER in
    current) say "CLUSTER=current: the cluster is not ours to remove. Nothing is changed." ;;
    kind) down_kind ;;
    local) down_local ;;
  esac
}

down_kind() {
  command -v kind >/dev/null || fail "CLUSTER=kind needs kind on PATH"
  if kind get clusters 2>/dev/null | grep -qx "$KIND_CLUSTER"; then
    kind delete cluster --name "$KIND_CLUSTER" --kubeconfig "$KIND_KUBECONFIG" >&2
  fi
  rm -f "$KIND_KUBECONFIG"
  say "The kind cluster $KIND_CLUSTER is removed."
}

down_local() {
  export PATH=$PATH:/usr/sbin:/sbin
  if ! is_root; then
    [ -d "$STATE" ] && fail "removing the local cluster needs root; you are $(id -un)" "Run it as root: sudo -E make cluster-down"
    say "There is no local cluster."
    return
  fi
  lock /run/lock/market-collector-cluster.lock "bringing the cluster up or down"
  if ! is_anything_left; then
    say "There is no local cluster."
    return
  fi
  # The bridge and the rules may belong to a living cluster of another cache folder.
  require_no_other_cluster
  say "- stopping the cluster's pods and processes, removing its mounts, network and state"
  remove_cluster
  say "  done in $SECONDS s. Built programs and images stay in $CACHE"
}

main "$@"
