#!/usr/bin/env bash
# Runs on a cluster: the operator from its chart, a simulated exchange that replays recorded OKX frames, one
# MarketCollector, and its live status. `make demo` calls it after the cluster is up and the images are loaded.
#
# With a terminal the table is refreshed until Ctrl-C. Without one, or with DEMO=once, it is shown three times.
# Exit codes: 0 the resource was Ready and its message counter increased, 1 the reason is on standard error.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=demo/names.sh
. demo/names.sh

# As `make images` names them; IMAGE_REGISTRY is only for clusters elsewhere.
IMAGES=localhost
if [ "${CLUSTER:-local}" = current ]; then IMAGES=${IMAGE_REGISTRY:-localhost}; fi
OPERATOR_IMAGE=${OPERATOR_IMAGE:-${IMAGES%/}/market-operator:${IMAGE_TAG:-dev}}
COLLECTOR_IMAGE=${COLLECTOR_IMAGE:-${IMAGES%/}/market-collector:${IMAGE_TAG:-dev}}
SIMULATOR_IMAGE=${SIMULATOR_IMAGE:-${IMAGES%/}/market-simulator:${IMAGE_TAG:-dev}}
READY_WITHIN=${READY_WITHIN:-120}   # seconds
EVERY=5                             # seconds between two refreshes without a terminal

in_demo() { kubectl --namespace "$DEMO_NAMESPACE" "$@"; }
in_operator() { kubectl --namespace "$OPERATOR_NAMESPACE" "$@"; }

install_operator() {
  local known=no
  if helm status "$RELEASE" --namespace "$OPERATOR_NAMESPACE" >/dev/null 2>&1; then known=yes; fi
  # The CRD may exist already (from a test, or kept by an earlier uninstall): the release takes it over.
  helm upgrade --install "$RELEASE" helm/market-operator --namespace "$OPERATOR_NAMESPACE" \
    --set image.repository="${OPERATOR_IMAGE%:*}" --set image.tag="${OPERATOR_IMAGE##*:}" \
    --set collectorImage.repository="${COLLECTOR_IMAGE%:*}" --set collectorImage.tag="${COLLECTOR_IMAGE##*:}" \
    --set counterInterval="${EVERY}s" --take-ownership --force-conflicts \
    --wait --timeout "${READY_WITHIN}s" >/dev/null || explain_operator
  if [ "$known" = yes ]; then restart operator; fi
}

# Images keep their names when they are rebuilt, so pods that run already need a restart.
restart() {
  case $1 in
    operator) in_operator rollout restart "deployment/$RELEASE" >/dev/null
              in_operator rollout status "deployment/$RELEASE" --timeout "${READY_WITHIN}s" >/dev/null || explain_operator ;;
    simulator) in_demo rollout restart deployment/simulator >/dev/null ;;
  esac
}

start_simulator() {
  local known=no
  if in_demo get deployment simulator >/dev/null 2>&1; then known=yes; fi
  sed "s#localhost/market-simulator:dev#$SIMULATOR_IMAGE#" simulator/kubernetes.yaml | in_demo apply -f - >/dev/null
  if [ "$known" = yes ]; then restart simulator; fi
  in_demo rollout status deployment/simulator --timeout "${READY_WITHIN}s" >/dev/null || explain_demo "the simulator did not start"
}

apply_and_wait() {
  # The resource of an earlier demo is deleted first, so that the printed time is that of a new one.
  in_demo delete marketcollector "$COLLECTOR" --ignore-not-found --cascade=foreground --timeout 60s >/dev/null
  # Its pod streams for 10 s more, in case a replacement starts. Until then the Deployment stays.
  in_demo wait deployment -l "marketcollector.dev/collector=$COLLECTOR" --for=delete --timeout 60s >/dev/null
  local start_ns
  start_ns=$(date +%s%N)
  in_demo apply -f demo/okx-btc.yaml
  in_demo wait "marketcollector/$COLLECTOR" --for=condition=Ready --timeout "${READY_WITHIN}s" >/dev/null ||
    explain_demo "$COLLECTOR was not Ready within $READY_WITHIN s"
  TOOK=$(awk -v ns="$(($(date +%s%N) - start_ns))" 'BEGIN { printf "Ready %.1f s after kubectl apply.", ns / 1e9 }')
  say "$TOOK"
}

explain_operator() {
  {
    say "" "--- the operator's pods"; in_operator get pods -o wide || true
    in_operator get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 8 || true
    say "--- its last log lines"; in_operator logs "deployment/$RELEASE" --tail=20 || true
  } >&2
  fail "the operator did not start within $READY_WITHIN s"
}

explain_demo() {
  {
    say "" "--- conditions of $COLLECTOR"
    in_demo get marketcollector "$COLLECTOR" --ignore-not-found \
      -o jsonpath='{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}' || true
    say "--- pods"; in_demo get pods -o wide || true
    in_demo get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 8 || true
    say "--- last log lines of the collector"; in_demo logs -l "marketcollector.dev/collector=$COLLECTOR" --tail=10 || true
    say "--- last log lines of the operator"; in_operator logs "deployment/$RELEASE" --tail=10 || true
  } >&2
  fail "$1"
}

# Messages that the collector counted, straight from its pod.
live_line() {
  local pod
  pod=$(in_demo get pods -l "marketcollector.dev/collector=$COLLECTOR" -o jsonpath='{.items[0].metadata.name}')
  {
    kubectl get --raw "/api/v1/namespaces/$DEMO_NAMESPACE/pods/$pod:8080/proxy/status"
    printf '\n--- records\n'
    in_demo logs "$pod" --tail=200
  } | "${PYTHON:-python3}" demo/live.py
}

show_table() {
  in_demo get marketcollectors
  live_line || say "(the collector does not answer at the moment)"
}

messages() { in_demo get marketcollector "$COLLECTOR" -o jsonpath='{.status.messages}'; }

show_three_times() {
  local first last
  first=$(messages)
  for refresh in 1 2 3; do
    say ""
    show_table
    if [ "$refresh" -lt 3 ]; then sleep "$EVERY"; fi
  done
  last=$(messages)
  if [ "${last:-0}" -le "${first:-0}" ]; then
    explain_demo "the message counter in the status did not increase (${first:-0}, then ${last:-0})"
  fi
}

show_until_stopped() {
  trap 'say ""; ending; exit 0' INT
  while true; do
    local now
    now=$(show_table)
    printf '\033[H\033[2J%s\n\n%s\n' "$now" "$TOOK Ctrl-C ends the table; the demo keeps running."
    sleep 2
  done
}

# The last lines of the demo: at most 25.
ending() {
  in_demo get marketcollector "$COLLECTOR" -o json | "${PYTHON:-python3}" demo/summary.py
  cat <<END

The demo keeps running. To use this cluster in your shell: eval "\$(make -s kubeconfig)"
  watch    kubectl -n $DEMO_NAMESPACE get mcol -w
           kubectl -n $DEMO_NAMESPACE describe mcol $COLLECTOR
           kubectl -n $DEMO_NAMESPACE logs -f -l marketcollector.dev/collector=$COLLECTOR
  change   kubectl -n $DEMO_NAMESPACE patch mcol $COLLECTOR --type merge -p '{"spec":{"dataTypes":["trade"]}}'
  break    kubectl -n $DEMO_NAMESPACE scale deployment simulator --replicas=0     # 1 restores it
  stop     make demo-down        removes the demo, keeps the cluster
           make cluster-down     removes the cluster
END
}

main() {
  use_cluster
  kubectl version --request-timeout=10s >/dev/null 2>&1 || fail "the cluster does not answer. Bring it up: make cluster"
  kubectl apply -f demo/namespaces.yaml >/dev/null
  say "Installing the operator ..."
  install_operator
  say "Starting a simulated exchange that replays recorded OKX frames ..."
  start_simulator
  say "" "\$ kubectl apply -f demo/okx-btc.yaml"
  apply_and_wait
  if [ -t 1 ] && [ "${DEMO:-}" != once ]; then
    show_until_stopped
  else
    show_three_times
    say ""
    ending
  fi
}

main
