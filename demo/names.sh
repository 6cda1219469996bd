# Sourced by demo.sh and down.sh: the names of what the demo creates.
# shellcheck shell=bash disable=SC2034
RELEASE=market-operator
OPERATOR_NAMESPACE=market-operator
DEMO_NAMESPACE=market-demo
COLLECTOR=okx-btc
CRD=marketcollectors.marketcollector.dev

say() { printf '%s\n' "$@"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# KUBECONFIG and PATH of the cluster that CLUSTER names (the local one, kind, or the present context).
use_cluster() {
  local settings
  settings=$(hack/cluster/kubeconfig.sh) || fail "there is no cluster. Bring it up: make cluster"
  eval "$settings"
}
