# shellcheck shell=bash
# Sourced by the scripts in hack/: tells the user in plain words what happens, for how long, and what to do when it fails.
#
# Everything here writes to standard error, so that a script's standard output is only its result
# (`eval "$(hack/cluster/kubeconfig.sh)"`, image names).

# Seconds between two signs of life of a long step. Tests make it short.
HEARTBEAT_S=${MC_HEARTBEAT_S:-20}

STEP_PID=""

# set -e alone ends a script without a word. A failure inside $(...) or a pipe is the caller's to judge.
set -o errtrace
trap '((BASH_SUBSHELL)) || say "error: ${BASH_SOURCE[0]##*/}, line $LINENO: \"$BASH_COMMAND\" failed"' ERR

say() { printf '%s\n' "$*" >&2; }

# fail MESSAGE [HINT...]: what is wrong, then what to do, and out.
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  local hint
  for hint in "$@"; do printf '       %s\n' "$hint" >&2; done
  exit 1
}

# step LOG TEXT COMMAND...: runs COMMAND with its output in LOG; a heartbeat while it runs, the seconds when it is done,
# the last lines of LOG when it failed.
step() {
  local log=$1 text=$2 status=0 begin=$SECONDS next=$HEARTBEAT_S
  shift 2
  mkdir -p "$(dirname "$log")"
  say "- $text"
  # A process group of its own (set -m): Ctrl-C must end all of a build, and bash shields background jobs from SIGINT.
  set -m
  "$@" >>"$log" 2>&1 </dev/null &
  STEP_PID=$!
  set +m
  trap 'end_step; exit 130' INT
  trap 'end_step; exit 143' TERM HUP
  while kill -0 "$STEP_PID" 2>/dev/null; do
    sleep 0.1
    if ((SECONDS - begin >= next)); then
      say "  still at it: $((SECONDS - begin)) s (log: $log)"
      next=$((next + HEARTBEAT_S))
    fi
  done
  wait "$STEP_PID" || status=$?
  STEP_PID=""
  trap - INT TERM HUP
  if ((status)); then
    say "  failed after $((SECONDS - begin)) s. Last lines of $log:"
    tail -n 15 "$log" | sed 's/^/    | /' >&2
    return "$status"
  fi
  say "  done in $((SECONDS - begin)) s"
}

end_step() {
  [ -n "$STEP_PID" ] || return 0
  kill -TERM -- "-$STEP_PID" 2>/dev/null || true
  STEP_PID=""
}

# lock FILE WHAT: one run at a time. The lock ends with the process, so a killed run never leaves one behind; whoever
# starts a process that stays must close the descriptor (detach.sh does).
lock() {
  local file=$1 what=$2 descriptor begin=$SECONDS
  mkdir -p "$(dirname "$file")"
  exec {descriptor}>>"$file"
  if ! flock --nonblock "$descriptor"; then
    say "- another run is $what; waiting for it"
    until flock --timeout "$HEARTBEAT_S" "$descriptor"; do
      ((SECONDS - begin < 1800)) || fail "another run is $what since more than half an hour" "See who holds it: fuser -v $file"
      say "  still waiting: $((SECONDS - begin)) s"
    done
  fi
  # The caller may let go early with `unlock`; otherwise the end of the script does.
  LOCK_DESCRIPTOR=$descriptor
}

unlock() { exec {LOCK_DESCRIPTOR}>&-; }
