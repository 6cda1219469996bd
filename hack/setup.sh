#!/usr/bin/env bash
# Creates .venv/ at the root of the repository: operator, collector and simulator (editable), and the tools of `make test`.
# Does nothing if the pins, the pyprojects and Python itself are unchanged.
#
#   setup.sh           everything
#   setup.sh programs  only collector and simulator with what they need (`make try`); a later full set-up adds the rest
#   PYTHON             the interpreter to use; default: the first on PATH from 3.11 on
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=progress.sh
. "$HERE/progress.sh"
# shellcheck source=packages.sh
. "$HERE/packages.sh"

REPOSITORY=$(cd "$HERE/.." && pwd)
VENV=$REPOSITORY/.venv
PART=${1:-everything}
case $PART in
  everything)
    PINS=(dev.txt)
    DISTRIBUTIONS=(spec operator collector simulator)
    ;;
  programs)
    PINS=(build.txt collector.txt simulator.txt)
    DISTRIBUTIONS=(spec collector simulator)
    ;;
  *) fail "usage: setup.sh [programs]" ;;
esac
STAMP=$VENV/.stamp-$PART
CACHE=${XDG_CACHE_HOME:-${HOME:?}/.cache}/market-collector
LOG=$CACHE/log/setup.log

main() {
  local python
  # The common case first: .venv names its own interpreter, nothing is looked for.
  if is_current; then return; fi
  python=$(find_python) || fail "Python 3.11 or newer is needed, and none is on PATH" \
    "Install one (Debian 12, Ubuntu 24.04 and newer: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python3.12 make setup"
  mkdir -p "$CACHE" && chmod 700 "$CACHE"
  ensure_venv_module "$python"
  # A test runs it over these scripts, and is skipped where it is not; worth no more than that.
  if [ "$PART" = everything ] && is_root && is_debian_family && ! command -v shellcheck >/dev/null; then install_packages "$LOG" shellcheck; fi
  lock "$CACHE/setup-$(printf %s "$VENV" | sha256sum | head -c 8).lock" "setting up .venv"
  if is_current; then return; fi
  rm -f "$STAMP"
  if ! is_usable; then
    step "$LOG" "creating .venv with $("$python" --version)" make_venv "$python" || fail "the virtual environment could not be created" "See $LOG"
  fi
  step "$LOG" "installing Python packages with the hashes of requirements/: up to two minutes the first time" install_pins ||
    fail "the Python packages could not be installed" "See $LOG" \
      "Indexes and proxies are pip's own settings (pip config, PIP_INDEX_URL, HTTPS_PROXY)."
  step "$LOG" "installing ${DISTRIBUTIONS[*]} (editable)" install_distributions || fail "they could not be installed" "See $LOG"
  # Last, and by renaming: a killed run leaves no stamp.
  fingerprint >"$STAMP.new"
  mv "$STAMP.new" "$STAMP"
  say "Ready: $(printf '.venv/bin/market-%s ' "${DISTRIBUTIONS[@]:1}")"
}

is_current() { [ -r "$STAMP" ] && is_usable && [ "$(cat "$STAMP")" = "$(fingerprint)" ]; }

is_usable() { [ -x "$VENV/bin/python" ] && [ -x "$VENV/bin/pip" ] && "$VENV/bin/python" -c '' 2>/dev/null; }

# What the environment is made from. The folder is part of it: a moved clone's scripts point to the old place.
fingerprint() {
  local distribution files=("${PINS[@]/#/$REPOSITORY/requirements/}")
  for distribution in "${DISTRIBUTIONS[@]}"; do files+=("$REPOSITORY/$distribution/pyproject.toml"); done
  {
    cat "${files[@]}"
    printf '%s\n' "$REPOSITORY" "${DISTRIBUTIONS[@]}" "${PYTHON:-}"
    "$VENV/bin/python" -c 'import sys; print(sys.version)'
  } | sha256sum | cut -d ' ' -f 1
}

find_python() {
  local name
  for name in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      # The interpreter itself: a version manager's shim means another one in another folder.
      "$name" -c 'import sys; print(sys.executable)'
      return
    fi
    if [ "$name" = "${PYTHON:-}" ]; then return 1; fi
  done
  return 1
}

# Debian's Python comes without pip for virtual environments.
ensure_venv_module() {
  "$1" -c 'import venv, ensurepip' 2>/dev/null && return
  local version
  version=$("$1" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  install_packages "$LOG" "$version-venv"
}

make_venv() {
  rm -rf "$VENV"
  # Under its final name: scripts in it name its path. is_usable judges it, so an unfinished one is replaced.
  "$1" -m venv "$VENV"
}

install_pins() {
  local file options=()
  for file in "${PINS[@]}"; do options+=(--requirement "$REPOSITORY/requirements/$file"); done
  "$VENV/bin/python" -m pip install --disable-pip-version-check --require-hashes "${options[@]}"
}

install_distributions() {
  local distribution editable=()
  for distribution in "${DISTRIBUTIONS[@]}"; do editable+=(--editable "$REPOSITORY/$distribution"); done
  "$VENV/bin/python" -m pip install --disable-pip-version-check --no-deps --no-build-isolation "${editable[@]}"
}

main "$@"
