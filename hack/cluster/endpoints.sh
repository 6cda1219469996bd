#!/usr/bin/env bash
# Pauses (STOP) or continues (CONT) the controllers of Endpoints in the local cluster.
#
# The pods of tests/cluster have loopback addresses, which Endpoints may not have. The controllers would retry each of
# their writes 15 times, with an Event each: a quarter of the API server's requests.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../progress.sh
. "$HERE/../progress.sh"
# shellcheck source=settings.sh
. "$HERE/settings.sh"
# shellcheck source=processes.sh
. "$HERE/processes.sh"

if [ "$CLUSTER" = local ] && is_running endpoint-controllers; then
  kill -s "$1" "$(cat "$STATE/endpoint-controllers.pid")"
fi
