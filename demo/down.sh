#!/usr/bin/env bash
# Removes what demo.sh made: the resource, the release, the definition and both namespaces. The cluster stays.
# Run twice, the second time it finds nothing and says so by ending with 0.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=demo/names.sh
. demo/names.sh

if ! settings=$(hack/cluster/kubeconfig.sh 2>/dev/null); then
  say "There is no cluster, so nothing of the demo is left."
  exit 0
fi
eval "$settings"
if ! kubectl version --request-timeout=10s >/dev/null 2>&1; then
  say "The cluster does not answer, so nothing of the demo runs."
  exit 0
fi

# Resources of others keep the definition: deleting it would delete them.
strangers() {
  kubectl get marketcollectors --all-namespaces --no-headers --ignore-not-found 2>/dev/null |
    awk -v own="$DEMO_NAMESPACE" '$1 != own' | wc -l
}

if kubectl get crd "$DEFINITION" >/dev/null 2>&1; then
  kubectl delete marketcollectors --all --namespace "$DEMO_NAMESPACE" --timeout 60s
fi
helm uninstall "$RELEASE" --namespace "$OPERATOR_NAMESPACE" --ignore-not-found --wait --timeout 60s
if [ "$(strangers)" -eq 0 ]; then
  kubectl delete crd "$DEFINITION" --ignore-not-found --timeout 60s
else
  say "Other namespaces have MarketCollectors: their definition stays."
fi
kubectl delete namespace "$DEMO_NAMESPACE" "$OPERATOR_NAMESPACE" --ignore-not-found --timeout 120s
