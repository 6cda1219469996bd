#!/usr/bin/env bash
# `make bench-operator`: the operator with 1 and 1,000 resources on the cluster of `make cluster`. FULL=1 adds 10,000
# resources, and RESOURCES=1,200 sets other sizes. It creates its own namespaces and removes them.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPOSITORY=$(cd "$HERE/.." && pwd)
# shellcheck source=../hack/progress.sh
. "$REPOSITORY/hack/progress.sh"

main() {
  local settings
  "$REPOSITORY/hack/setup.sh"
  settings=$("$REPOSITORY/hack/cluster/kubeconfig.sh")
  eval "$settings"
  cd "$REPOSITORY"
  ensure_crd
  export PYTHONPATH=$REPOSITORY/tests/support
  exec .venv/bin/python -m bench.scale "$@"
}

# The CRD stays, because deleting it would delete the resources of all users.
ensure_crd() {
  if kubectl get crd marketcollectors.marketcollector.dev >/dev/null 2>&1; then return; fi
  say "- installing the MarketCollector CRD; it stays (kubectl delete -f crds/marketcollectors.yaml removes it)"
  kubectl apply --server-side -f crds/marketcollectors.yaml >&2
  kubectl wait --for=condition=Established crd/marketcollectors.marketcollector.dev --timeout=30s >&2
}

main "$@"
