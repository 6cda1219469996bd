#!/usr/bin/env bash
# The test ladder, from the fastest rung to the slowest; says what each took. `hack/test.sh all|fast|STAGE...`
# (CONTRIBUTING.md explains the rungs.) A stage that fails ends the run: the rungs above it would only repeat it.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

FAST=(lint types contracts unit)
ALL=("${FAST[@]}" simulator faults cluster coverage e2e)

lint() {
  ruff check --quiet .
  ruff format --check --quiet .
  shellcheck --external-sources --source-path=SCRIPTDIR "${SCRIPTS[@]}"
  no_registry_addresses
  python hack/prose.py
}

# The repository must hold no address of a package registry, so that it installs from whatever a machine uses.
no_registry_addresses() {
  local pattern='(index-url|find-links)[ =]+.?https?://|pypi\.(org|python)|files\.pythonhosted|proxy\.golang|registry\.npmjs|deb\.debian\.org|ghcr\.io|quay\.io'
  if git grep -nE -- "$pattern" -- . ':!hack/test.sh'; then
    echo "registry addresses in the repository (above): take them out" >&2
    return 1
  fi
}

types() { mypy operator/src collector/src tests hack bench examples; }

contracts() {
  make --silent check-crds
  lint-imports --no-cache | grep -vE '^[╔╚╗╝║╠╣═╦╩╬▶◀│└┘┌┐─▲▼ ]*$'
  return "${PIPESTATUS[0]}"
}

# Coverage doubles the time of the fast rung, so only the whole run measures it.
pytest_rung() { if [[ $MEASURED ]]; then coverage run -m pytest "$@"; else python -m pytest "$@"; fi; }

# On every core, but in the whole run one after the other: there a test that waits has no neighbour to blame.
unit() {
  local several=(--numprocesses=auto --dist=worksteal)
  if [[ $MEASURED ]]; then several=(); fi
  pytest_rung -m "not simulator and not faults and not cluster and not e2e and not cluster_lifecycle" --timeout=60 "${several[@]}"
}

simulator() { pytest_rung -m "simulator and not faults and not cluster and not e2e"; }

faults() { pytest_rung -m faults --timeout=280; }

coverage_per_module() { coverage combine --quiet --append .coverage.* 2>/dev/null || true; python hack/coverage_per_module.py; }

with_cluster() {
  hack/cluster/up.sh
  eval "$(hack/cluster/kubeconfig.sh)"
  "$@"
}

# A demo that still runs has an operator that would answer for the tests' resources.
cluster() { with_cluster demo/down.sh; with_cluster pytest_rung -m "cluster and not e2e" --timeout=300; }

e2e() { hack/cluster/images.sh; with_cluster pytest_rung -m e2e --timeout=600; }

run() {
  local stage=$1 start=$SECONDS
  printf '\n==> %s\n' "$stage"
  case $stage in
    coverage) coverage_per_module ;;
    *) "$stage" ;;
  esac
  TIMES+=("$(printf '%-10s %4d s' "$stage" $((SECONDS - start)))")
}

report() {
  local code=$?
  printf '\n==> stages\n'
  ((${#TIMES[@]})) && printf '    %s\n' "${TIMES[@]}"
  ((code == 0)) && echo "    all passed" || echo "    FAILED (exit code $code)"
}

TIMES=()
MEASURED=${MEASURED:-}
mapfile -t SCRIPTS < <(git ls-files '*.sh' .ci/run requirements/compile)
trap report EXIT
case ${1:-all} in
  all) stages=("${ALL[@]}") MEASURED=1 ;;
  fast) stages=("${FAST[@]}") ;;
  *) stages=("$@") ;;
esac
if [[ $MEASURED ]]; then rm -f .coverage .coverage.*; fi
for stage in "${stages[@]}"; do run "$stage"; done
