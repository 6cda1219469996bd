#!/usr/bin/env bash
# Prints what a shell needs to talk to the cluster:  eval "$(hack/cluster/kubeconfig.sh)"
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../progress.sh
. "$HERE/../progress.sh"
# shellcheck source=settings.sh
. "$HERE/settings.sh"

main() {
  require_known_cluster
  local file
  case $CLUSTER in
    local) file=$STATE/admin.kubeconfig ;;
    kind) file=$KIND_KUBECONFIG ;;
    current) file=${KUBECONFIG:-$HOME/.kube/config} ;;
  esac
  # KUBECONFIG may name several files; one of them being there is enough.
  any_is_readable "$file" || fail "there is no cluster yet (no $file)" "Bring it up first: make cluster"
  # Read by eval: every value is quoted for the shell.
  printf 'export KUBECONFIG=%q PATH=%s\n' "$file" "$(path_with_tools)"
}

any_is_readable() {
  local file
  while IFS= read -r -d : file; do
    if [ -r "$file" ]; then return 0; fi
  done <<<"$1:"
  return 1
}

# Our kubectl and helm first: they fit the local cluster. With another cluster the user's own come first.
path_with_tools() {
  local quoted
  quoted=$(printf '%q' "$TOOLS")
  if [ ! -d "$TOOLS" ]; then
    # shellcheck disable=SC2016 # for the caller's shell
    echo '"$PATH"'
  elif [ "$CLUSTER" = local ]; then
    echo "$quoted:\"\$PATH\""
  else
    echo "\"\$PATH\":$quoted"
  fi
}

main "$@"
