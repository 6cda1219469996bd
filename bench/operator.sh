#!/usr/bin/env bash
# `make bench-operator`: the operator with 1 and 1,000 resources (FULL=1: also 10,000) on the cluster of `make cluster`.
# RESOURCES=1,200 sets other sizes. It works in namespaces of its own and removes them.
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
  ensure_definition
  export PYTHONPATH=$REPOSITORY/tests/support
  exec .venv/bin/python -m bench.scale "$@"
}

# Stays: removing it would remove everybody's resources with it.
ensure_definition() {
  if kubectl get crd marketcollectors.marketcollector.dev >/dev/null 2>&1; then return; fi
  say "- installing the MarketCollector definition; it stays (kubectl delete -f crds/marketcollectors.yaml removes it)"
  kubectl apply --server-side -f crds/marketcollectors.yaml >&2
  kubectl wait --for=condition=Established crd/marketcollectors.marketcollector.dev --timeout=30s >&2
}

main "$@"
