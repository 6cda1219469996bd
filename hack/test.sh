#!/usr/bin/env bash
# The test ladder; says what each rung took. `hack/test.sh all|fast|STAGE...` (CONTRIBUTING.md explains the rungs.)
# A rung that fails ends the run: the following ones would only repeat it.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
# Some containers set it. Every process of a rung would then compile all tests again: 10 s of CPU each.
unset PYTHONDONTWRITEBYTECODE

# mypy keeps only one core busy, and no unit test has a deadline that a busy machine misses.
FAST=(lint contracts types unit)
# They wait for processes and clocks. The cluster rung beside them would make tests late: it needs both cores.
WAITING=(simulator faults)
# They wait for pods half of their time, and last longest. The fast rungs use it with a lower priority, then the waiting ones.
# That priority is below the one of image builds (hack/cluster/images.sh), for which the end-to-end tests wait.
LONGEST=(e2e)
# They wait most of the time as well, but need the cluster for themselves.
AFTER_LONGEST=(cluster_wide)
LAST=(cluster alone coverage)

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

types() { mypy spec/src operator/src collector/src simulator tests hack bench examples demo; }

contracts() {
  make --silent check-crds check-docs
  lint-imports --no-cache | grep -vE '^[╔╚╗╝║╠╣═╦╩╬▶◀│└┘┌┐─▲▼ ]*$'
  return "${PIPESTATUS[0]}"
}

# Coverage doubles the time of the fast rung, so only the whole run measures it.
pytest_rung() { if [[ $MEASURED ]]; then coverage run -m pytest "$@"; else python -m pytest "$@"; fi; }

unit() {
  pytest_rung -m "not simulator and not faults and not cluster and not e2e and not cluster_lifecycle and not alone" \
    --timeout=120 --numprocesses="$(nproc)" --dist=worksteal
}

# Readers of foreign input, with new examples in each run; in CI with new ones for each commit. The printed seed repeats
# them.
fuzz() {
  local seed=${SEED:-$RANDOM} files
  if [[ ${CI:-} && -z ${SEED:-} ]]; then seed=$((16#$(git rev-parse HEAD | cut -c 1-7))); fi
  mapfile -t files < <(git ls-files ':(glob)tests/**/test_*hostile*.py' ':(glob)tests/**/test_*_fuzz.py' ':(glob)tests/**/test_documents_of_others.py' tests/operator/test_readers.py)
  echo "SEED=$seed hack/test.sh fuzz repeats this run"
  python -m pytest "${files[@]}" -m "not cluster" --hypothesis-profile=fuzz --hypothesis-seed="$seed" \
    --timeout=600 --numprocesses="$(nproc)" --dist=worksteal
}

# Files with tests that have a marker: each worker collects only those.
files_with() { grep -rlE --include='test_*.py' "mark\.$1\b" tests | sort; }

# Folders of them, where a marker is set for a whole folder.
folders_with() { grep -rlE --include='*.py' "mark\.$1\b" tests | xargs -n 1 dirname | sort -u; }

# shellcheck disable=SC2046 # files
simulator() {
  pytest_rung $(files_with simulator) -m "simulator and not faults and not cluster and not e2e and not alone" \
    --timeout=240 --numprocesses=3 --dist=worksteal
}

# Tests that share the records of a module are a group, which has one worker. No module needs them for its coverage.
# shellcheck disable=SC2046 # files
faults() { MEASURED='' pytest_rung $(files_with faults) -m "faults and not alone" --timeout=560 --numprocesses=4 --dist=loadgroup; }

# Tests that change what all others of the cluster share, one at a time. Their operators measure their own coverage
# (tests/support/operator_process.py).
# shellcheck disable=SC2046 # folders
cluster_wide() {
  with_cluster without_demo python -m pytest $(folders_with cluster) -m "alone and cluster and not e2e and not quiet" --timeout=300
}

# Tests that measure: one at a time, when nothing else runs.
# shellcheck disable=SC2046 # files
alone() {
  with_cluster without_demo python -m pytest $(files_with '(alone|quiet)') \
    -m "not e2e and (quiet or (alone and not cluster and not cluster_lifecycle))" --timeout=300
}

# A process that is still ending renames its file, which fails the combination of all.
coverage_per_module() {
  local again
  for again in 1 2 3 4 0; do
    if ! compgen -G '.coverage.*' >/dev/null || coverage combine --quiet --append; then break; fi
    ((again)) || return 1
    sleep 2
  done
  python hack/coverage_per_module.py
}

with_cluster() {
  hack/cluster/up.sh
  eval "$(hack/cluster/kubeconfig.sh)"
  "$@"
}

# An operator of a running demo would reconcile the tests' resources.
without_demo() {
  demo/down.sh
  "$@"
}

cluster() { with_cluster without_demo cluster_tests; }

# Not measured: the operators of the cluster-wide tests cover every module.
# shellcheck disable=SC2046 # folders
cluster_tests() {
  trap 'hack/cluster/endpoints.sh CONT' EXIT
  hack/cluster/endpoints.sh STOP
  MEASURED='' python -m pytest $(folders_with cluster) -m "cluster and not e2e and not alone" \
    --timeout=300 --numprocesses=4 --dist=loadgroup
}

e2e() { with_cluster e2e_tests; }

# First those that stop or replace the operator, the demo too. The others share one: they wait for pods, beside one another.
# They run even if the first ones failed, and remove the release that these leave.
e2e_tests() {
  local code=0
  hack/cluster/images.sh
  E2E_RELEASE=stays python -m pytest tests/e2e -m "e2e and alone" --timeout=600 || code=$?
  E2E_RELEASE=installed python -m pytest tests/e2e -m "e2e and not alone" --timeout=600 --numprocesses=3 --dist=worksteal || code=$?
  return "$code"
}

# -- running rungs, one after the other or side by side ---------------------------------------------------------------------

# Runs one rung as a process of its own, so that errexit works in it, and notes its wall time and its CPU time.
timed() {
  local code=0 TIMEFORMAT='%R %U %S' niceness=0
  if [[ " ${LOW_PRIORITY[*]} " == *" $1 "* ]]; then niceness=15; fi
  { time MEASURED=$MEASURED nice -n "$niceness" bash hack/test.sh --rung "$1" 2>&3; } 3>&2 2>"$WORK/$1.time" || code=$?
  return "$code"
}

run() {
  printf '\n==> %s\n' "$1"
  local code=0
  timed "$1" 2>&1 | tee "$WORK/$1.log" || code=$?
  note "$1" "$code"
  return "$code"
}

# Starts rungs side by side. Their output does not mix: `finish` prints it.
start() {
  local stage
  printf '\n==> %s (side by side)\n' "$*"
  set -m # a process group each, so that all of a rung can be interrupted; then bash leaves them the terminal's input
  for stage in "$@"; do
    timed "$stage" >"$WORK/$stage.log" 2>&1 </dev/null &
    PIDS[$stage]=$!
  done
  set +m
}

# Waits for rungs that were started.
finish() {
  local stage code=0
  for stage in "$@"; do
    local stage_code=0
    wait "${PIDS[$stage]}" || stage_code=$?
    unset "PIDS[$stage]"
    printf '\n==> %s\n' "$stage"
    cat "$WORK/$stage.log"
    note "$stage" "$stage_code"
    ((stage_code == 0)) || code=$stage_code
  done
  return "$code"
}

# note STAGE CODE
note() {
  (($2 == 0)) || FAILED+=("$1")
  local wall user system
  read -r wall user system < <(tail -n 1 "$WORK/$1.time")
  TIMES+=("$(awk -v stage="$1" -v wall="$wall" -v user="$user" -v kernel="$system" \
    'BEGIN { printf "%-10s %5.0f s wall %5.0f s CPU", stage, wall, user + kernel }')")
}

report() {
  local code=$? pid
  for pid in "${PIDS[@]}"; do # Ctrl-C ended this script only
    kill -INT -- "-$pid" 2>/dev/null || true
    wait "$pid" || true
  done
  printf '\n==> stages\n'
  ((${#TIMES[@]})) && printf '    %s\n' "${TIMES[@]}"
  printf '    %-10s %5d s wall\n' all "$SECONDS"
  if ((code == 0)); then echo "    all passed"; else report_failures "$code"; fi
  rm -rf "$WORK"
}

# Last, because a reader of a long log looks there first: the tests that failed, or what a tool said.
report_failures() {
  echo "    FAILED (exit code $1)"
  local stage
  for stage in "${FAILED[@]}"; do
    echo "    $stage:"
    { grep -E '^(FAILED|ERROR) ' "$WORK/$stage.log" || tail -n 5 "$WORK/$stage.log"; } | cut -c 1-200 | head -n 20
  done
}

main() {
  if [[ ${1:-} == --rung ]]; then
    "${2/coverage/coverage_per_module}"
    return
  fi
  trap report EXIT
  WORK=$(mktemp -d)
  if [[ ${1:-all} == all ]]; then MEASURED=1; fi
  if [[ $MEASURED ]]; then rm -f .coverage .coverage.*; fi
  local stage
  case ${1:-all} in
    all)
      LOW_PRIORITY=("${FAST[@]}")
      start "${FAST[@]}" "${LONGEST[@]}"
      finish "${FAST[@]}"
      start "${WAITING[@]}"
      finish "${LONGEST[@]}"
      start "${AFTER_LONGEST[@]}"
      finish "${WAITING[@]}" "${AFTER_LONGEST[@]}"
      for stage in "${LAST[@]}"; do run "$stage"; done
      ;;
    fast)
      start "${FAST[@]}"
      finish "${FAST[@]}"
      ;;
    *) for stage in "$@"; do run "$stage"; done ;;
  esac
}

TIMES=()
FAILED=()
LOW_PRIORITY=()
declare -A PIDS=()
MEASURED=${MEASURED:-}
mapfile -t SCRIPTS < <(git ls-files '*.sh' .ci/run requirements/compile)
main "$@"
