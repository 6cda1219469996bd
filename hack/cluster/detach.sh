#!/usr/bin/env bash
# detach.sh PID-FILE LOG COMMAND...: becomes COMMAND, in a session of its own and holding nothing of the caller.
# Called through setsid, see processes.sh. Without this, `make cluster | cat` would wait for the cluster to end, and
# the lock of up.sh would be held for as long as the cluster runs.
set -euo pipefail
# The caller's files are closed to others; what containerd unpacks must be readable for the users inside containers.
umask 022
pid_file=$1 log=$2
shift 2
exec </dev/null >>"$log" 2>&1
for descriptor in "/proc/$$/fd/"*; do
  descriptor=${descriptor##*/}
  # 255 is bash's own, closed on exec.
  if ((descriptor > 2 && descriptor != 255)); then exec {descriptor}>&-; fi
done
echo $$ >"$pid_file"
exec "$@"
