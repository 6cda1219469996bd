#!/usr/bin/env bash
# `make bench-collector`: the collector against cryptofeed. ROUNDS=7 rounds, about five minutes.
#
# The peer has a separate environment in the cache, which is created once. Its licences differ (order_book has GPL-3),
# so it must never become a dependency of the project.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPOSITORY=$(cd "$HERE/.." && pwd)
# shellcheck source=../hack/progress.sh
. "$REPOSITORY/hack/progress.sh"

CACHE=${XDG_CACHE_HOME:-${HOME:?}/.cache}/market-collector
PEER=$CACHE/bench-peer
PINS=$HERE/peer/requirements.txt
LOG=$CACHE/log/bench-peer.log

main() {
  "$REPOSITORY/hack/setup.sh"
  cd "$REPOSITORY"
  ensure_peer
  export PYTHONPATH=$REPOSITORY/tests/support
  exec .venv/bin/python -m bench.against_cryptofeed --peer "$PEER/bin/python" "$@"
}

ensure_peer() {
  if is_current; then return; fi
  lock "$CACHE/bench-peer.lock" "making the peer's environment"
  if is_current; then
    unlock
    return
  fi
  step "$LOG" "cryptofeed into $PEER (some minutes the first time: parts of it are compiled)" make_peer ||
    fail "the peer's environment could not be made" "See $LOG; it needs a C compiler (Debian: gcc, python3-dev)."
  unlock
}

is_current() { [ -r "$PEER/.stamp" ] && [ -x "$PEER/bin/python" ] && [ "$(cat "$PEER/.stamp")" = "$(fingerprint)" ]; }

# Both sides use the same interpreter, because builds of Python differ by more than the measured effects.
fingerprint() {
  {
    cat "$PINS"
    .venv/bin/python -c 'import sys; print(sys._base_executable, sys.version)'
  } | sha256sum | cut -d ' ' -f 1
}

make_peer() {
  rm -rf "$PEER"
  "$(.venv/bin/python -c 'import sys; print(sys._base_executable)')" -m venv "$PEER" || return
  "$PEER/bin/python" -m pip install --disable-pip-version-check --require-hashes --requirement "$PINS" || return
  fingerprint >"$PEER/.stamp.new"
  mv "$PEER/.stamp.new" "$PEER/.stamp"
}

main "$@"
