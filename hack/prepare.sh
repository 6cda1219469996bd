#!/usr/bin/env bash
# The first run of `make demo` on a machine: .venv, the local cluster's programs and the three images, beside one another,
# since one downloads while another compiles. Every part is also made by the command that needs it (setup.sh, up.sh,
# images.sh), so on any other machine or any later run there is nothing to do here.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=progress.sh
. "$HERE/progress.sh"
# shellcheck source=cluster/settings.sh
. "$HERE/cluster/settings.sh"

LOG=$CACHE/log

main() {
  is_first_run || return 0
  # A machine that cannot run the cluster must say so before minutes of builds.
  "$HERE/cluster/up.sh" --check
  mkdir -p "$CACHE" && chmod 700 "$CACHE"
  start_step "$LOG/prepare-programs.log" "Kubernetes, CoreDNS, Helm: about 5 minutes on 2 cores" "$HERE/cluster/build.sh"
  start_step "$LOG/prepare-images.log" "images" "$HERE/cluster/images.sh" --no-load
  start_step "$LOG/prepare-setup.log" ".venv" "$HERE/setup.sh"
  finish_steps || fail "the first run could not be prepared" "See the lines above; all logs: $LOG"
}

is_first_run() { [ "$CLUSTER" = local ] && [ ! -d "$STATE" ] && [ ! -d "$KUBERNETES_BIN" ]; }

main "$@"
