# shellcheck shell=bash
# Sourced by the scripts in hack/: shows what runs and for how long, and says what to do when it fails.
#
# Everything here writes to standard error, so that a script's standard output is only its result
# (`eval "$(hack/cluster/kubeconfig.sh)"`, image names). On a terminal one line shows the elapsed seconds in place;
# elsewhere (CI, a log) a line appears every HEARTBEAT_S seconds.

HEARTBEAT_S=${MC_HEARTBEAT_S:-20} # tests shorten it

# The steps that run now, one entry each. STEP_STARTS are values of SECONDS.
STEP_PIDS=() STEP_TEXTS=() STEP_LOGS=() STEP_STARTS=()

# set -e ends a script without a message. The caller judges a failure inside $(...) or a pipe.
set -o errtrace
trap '((BASH_SUBSHELL)) || say "error: ${BASH_SOURCE[0]##*/}, line $LINENO: \"$BASH_COMMAND\" failed"' ERR

say() { printf '%s\n' "$*" >&2; }

# fail MESSAGE [HINT...]: prints what is wrong and what to do, and exits.
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  local hint
  for hint in "$@"; do printf '       %s\n' "$hint" >&2; done
  exit 1
}

# step LOG TEXT COMMAND...: runs COMMAND with its output in LOG and shows TEXT and the seconds. After a failure it shows
# the last lines of LOG.
step() {
  start_step "$@"
  finish_steps
}

# start_step LOG TEXT COMMAND...: the same beside the script. `finish_steps` waits for all steps that were started.
start_step() {
  local log=$1 text=$2
  shift 2
  mkdir -p "$(dirname "$log")"
  updates_in_place || say "- $text"
  # A process group of its own (set -m): Ctrl-C must end all of a build, and bash shields background jobs from SIGINT.
  set -m
  run_step "$@" >>"$log" 2>&1 </dev/null &
  set +m
  STEP_PIDS+=("$!") STEP_TEXTS+=("$text") STEP_LOGS+=("$log") STEP_STARTS+=("$SECONDS")
  trap 'end_steps; say ""; exit 130' INT
  trap 'end_steps; exit 143' TERM HUP
}

# The steps of the script are not those of a script function that runs as one.
run_step() {
  STEP_PIDS=() STEP_TEXTS=() STEP_LOGS=() STEP_STARTS=()
  "$@"
}

# Returns the status of the first step that fails, and ends the others then.
finish_steps() {
  local start_s=$SECONDS next=$((SECONDS + HEARTBEAT_S)) shown=-1 count=${#STEP_PIDS[@]} status=0 index
  while ((${#STEP_PIDS[@]})); do
    for index in "${!STEP_PIDS[@]}"; do
      kill -0 "${STEP_PIDS[index]}" 2>/dev/null && continue
      wait "${STEP_PIDS[index]}" || status=$?
      if ((status)); then
        show_failure "$index"
        end_steps
        break 2
      fi
      show_end "$index" "$count"
      shown=-1
      unset "STEP_PIDS[index]" "STEP_TEXTS[index]" "STEP_LOGS[index]" "STEP_STARTS[index]"
    done
    if updates_in_place; then
      if ((SECONDS != shown)); then show_line; fi
      shown=$SECONDS
    elif ((SECONDS >= next)); then
      say "  still running after $((SECONDS - start_s)) s (log: ${STEP_LOGS[*]})"
      next=$((next + HEARTBEAT_S))
    fi
    ((${#STEP_PIDS[@]} == 0)) || sleep 0.1
  done
  STEP_PIDS=() STEP_TEXTS=() STEP_LOGS=() STEP_STARTS=()
  trap - INT TERM HUP
  return "$status"
}

end_steps() {
  local pid
  for pid in "${STEP_PIDS[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
}

updates_in_place() { [ -t 2 ] && [ "${TERM:-dumb}" != dumb ]; }

# Cut to the terminal's width: a wrapped line cannot be overwritten.
show_line() {
  ((${#STEP_PIDS[@]})) || return 0
  local columns starts=("${STEP_STARTS[@]}") text seconds
  columns=$(stty size <&2 2>/dev/null) || columns=""
  columns=${columns#* }
  ((columns >= 20)) || columns=80
  text=$(printf ' | %s' "${STEP_TEXTS[@]}")
  seconds=" $((SECONDS - starts[0])) s"
  text="- ${text# | }"
  printf '\r\033[K%s%s' "${text:0:columns - 1 - ${#seconds}}" "$seconds" >&2
}

show_end() { # index, number of steps
  local seconds=$((SECONDS - STEP_STARTS[$1]))
  if updates_in_place; then
    printf '\r\033[K- %s: done in %s s\n' "${STEP_TEXTS[$1]}" "$seconds" >&2
  elif (($2 == 1)); then
    say "  done in $seconds s"
  else
    say "  done in $seconds s: ${STEP_TEXTS[$1]}"
  fi
}

show_failure() { # index
  if updates_in_place; then printf '\r\033[K' >&2; fi
  say "- ${STEP_TEXTS[$1]}: failed after $((SECONDS - STEP_STARTS[$1])) s. Last lines of ${STEP_LOGS[$1]}:"
  tail -n 15 "${STEP_LOGS[$1]}" | sed 's/^/    | /' >&2
}

# lock FILE WHAT: one run at a time. The lock ends with the process, so a killed run leaves none behind. A script that
# starts a process that stays must close the descriptor (detach.sh does).
lock() {
  local file=$1 what=$2 descriptor
  mkdir -p "$(dirname "$file")"
  exec {descriptor}>>"$file"
  # Not as a step: the lock must belong to this process.
  if ! flock --nonblock "$descriptor"; then
    wait_for_lock "$descriptor" ||
      fail "another run has been $what for more than half an hour" "See who holds the lock: fuser -v $file"
  fi
  # The caller may release it early with `unlock`; otherwise the end of the script does.
  LOCK_DESCRIPTOR=$descriptor
}

wait_for_lock() { # descriptor; uses lock's `what`
  local start_s=$SECONDS every=$HEARTBEAT_S
  if updates_in_place; then every=1; fi
  say "- another run is $what; waiting for it"
  until flock --timeout "$every" "$1"; do
    ((SECONDS - start_s < 1800)) || return 1
    if updates_in_place; then
      printf '\r\033[K  still waiting: %s s' "$((SECONDS - start_s))" >&2
    else
      say "  still waiting: $((SECONDS - start_s)) s"
    fi
  done
  if updates_in_place; then printf '\r\033[K' >&2; fi
}

unlock() { exec {LOCK_DESCRIPTOR}>&-; }
