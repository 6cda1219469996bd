#!/usr/bin/env bash
# Removes what demo.sh created: the resource, the release, the CRD and both namespaces. The cluster stays.
# A second run finds nothing and exits with 0.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=demo/names.sh
. demo/names.sh

if ! settings=$(hack/cluster/kubeconfig.sh 2>/dev/null); then
  say "There is no cluster, so there is no demo to remove."
  exit 0
fi
eval "$settings"
if ! kubectl version --request-timeout=10s >/dev/null 2>&1; then
  say "The cluster does not answer, so the demo does not run."
  exit 0
fi

# Resources outside the demo keep the CRD: deleting it would delete them.
other_resources() {
  kubectl get marketcollectors --all-namespaces --no-headers --ignore-not-found 2>/dev/null |
    awk -v own="$DEMO_NAMESPACE" '$1 != own' | wc -l
}

if kubectl get crd "$CRD" >/dev/null 2>&1; then
  kubectl delete marketcollectors --all --namespace "$DEMO_NAMESPACE" --timeout 60s
fi
helm uninstall "$RELEASE" --namespace "$OPERATOR_NAMESPACE" --ignore-not-found --wait --timeout 60s
if [ "$(other_resources)" -eq 0 ]; then
  kubectl delete crd "$CRD" --ignore-not-found --timeout 60s
else
  say "Other namespaces have MarketCollectors, so the CRD stays."
fi
kubectl delete namespace "$DEMO_NAMESPACE" "$OPERATOR_NAMESPACE" --ignore-not-found --timeout 120s
