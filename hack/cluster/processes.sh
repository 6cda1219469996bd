# shellcheck shell=bash
# Sourced: starts the cluster's processes, distinguishes them from others, ends them by process id, and unmounts.

# start NAME COMMAND...
start() {
  local name=$1
  shift
  setsid "$HACK/cluster/detach.sh" "$STATE/$name.pid" "$STATE/log/$name.log" "$@" &
}

# is_ours PID: a process id in a file may be another program's by now. A process is ours if its binary is one that we
# start and its arguments name the state folder. An editor or `tail -f` on a log meets only the second condition.
is_ours() {
  local exe
  exe=$(readlink "/proc/$1/exe" 2>/dev/null) || return 1
  case ${exe% (deleted)} in
    "$CACHE"/bin/*/kube | */containerd | */containerd-shim-runc-v2) ;;
    *) return 1 ;;
  esac
  tr '\0' '\n' <"/proc/$1/cmdline" 2>/dev/null | grep -qF -- "$STATE/"
}

is_running() {
  local pid
  pid=$(cat "$STATE/$1.pid" 2>/dev/null) && [ -n "$pid" ] && is_ours "$pid"
}

# Our processes by id, also those whose pid file is lost. One look at /proc: reading it process by process is slow.
our_processes() {
  local link pid
  # A process may end while it is looked at: find's complaint about that is no failure.
  { find /proc -maxdepth 2 -regex '/proc/[0-9]+/exe' -printf '%p %l\n' 2>/dev/null || true; } |
    { grep -E '/(kube|containerd|containerd-shim-runc-v2)( \(deleted\))?$' || true; } |
    while read -r link _; do
      pid=${link#/proc/} pid=${pid%/exe}
      if is_ours "$pid"; then echo "$pid"; fi
    done
}

# The pods' processes. kubelet puts them below our own root cgroup, wherever their parents went meanwhile.
pod_processes() {
  { find /sys/fs/cgroup -path '*/market-collector/*' -name cgroup.procs -exec cat {} + 2>/dev/null || true; } | sort -un
}

# end_processes SIGNAL SECONDS PID...: the signal, then SIGKILL for those that are still there after SECONDS.
end_processes() {
  local signal=$1 seconds=$2 tries
  shift 2
  (($#)) || return 0
  kill -s "$signal" "$@" 2>/dev/null || true
  kill -s CONT "$@" 2>/dev/null || true # a paused process would not see the signal
  for ((tries = seconds * 10; tries > 0; tries--)); do
    all_ended "$@" && return 0
    sleep 0.1
  done
  kill -s KILL "$@" 2>/dev/null || true
  for ((tries = 50; tries > 0; tries--)); do
    all_ended "$@" && return 0
    sleep 0.1
  done
  say "  warning: still running after SIGKILL: $*"
}

# An ended child whose parent has not looked yet (a zombie) has no program any more.
all_ended() {
  local pid
  for pid in "$@"; do
    if readlink "/proc/$pid/exe" >/dev/null 2>&1; then return 1; fi
  done
}

# unmount_below FOLDER: deepest first.
unmount_below() {
  local point
  awk -v folder="$1/" 'index($2, folder) == 1 {print $2}' /proc/mounts | sort -r | while read -r point; do
    point=$(printf '%b' "$point") # spaces are written as \040
    umount "$point" 2>/dev/null || umount --lazy "$point" 2>/dev/null || say "  warning: could not unmount $point"
  done
}
