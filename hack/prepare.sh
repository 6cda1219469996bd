#!/usr/bin/env bash
# Makes .venv, the local cluster's programs and the three images side by side at the first `make demo` on a machine. One
# downloads while another compiles. The command that needs a part (setup.sh, up.sh, images.sh) also makes it,
# so a later run has nothing to do here.
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
  start_step "$LOG/prepare-programs.log" "Kubernetes, CoreDNS, Helm: 5 to 14 minutes on 2 cores" "$HERE/cluster/build.sh"
  start_step "$LOG/prepare-images.log" "images" "$HERE/cluster/images.sh" --no-load
  start_step "$LOG/prepare-setup.log" ".venv" "$HERE/setup.sh"
  finish_steps || fail "the first run could not be prepared" "See the lines above; all logs: $LOG"
}

is_first_run() { [ "$CLUSTER" = local ] && [ ! -d "$STATE" ] && [ ! -d "$KUBERNETES_BIN" ]; }

main "$@"
