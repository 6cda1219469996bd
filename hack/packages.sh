# shellcheck shell=bash
# Sourced: Debian packages, only those that are missing, from the sources that the machine is set up with.

is_root() { [ "$(id -u)" -eq 0 ]; }

# The distribution's family decides whether there is an apt-get to call.
is_debian_family() {
  local release=${MC_OS_RELEASE:-/etc/os-release}
  [ "$(uname -s)" = Linux ] && [ -r "$release" ] && grep -Eq '^(ID|ID_LIKE)=.*(debian|ubuntu)' "$release"
}

# missing_packages COMMAND-OR-FILE=PACKAGE...: the packages whose command (or file, when it starts with /) is missing.
# It looks for the command, not the package, since Docker's own containerd serves as well as Debian's.
missing_packages() {
  local need found
  for need in "$@"; do
    found=${need%%=*}
    case $found in
      /*) [ -e "$found" ] ;;
      *) command -v "$found" >/dev/null ;;
    esac || printf '%s\n' "${need#*=}"
  done | sort -u
}

# install_packages LOG PACKAGE...: asks nothing as root. Other users get the command to run.
install_packages() {
  local log=$1
  shift
  (($#)) || return 0
  require_apt "$@"
  step "$log" "Debian packages: $*" apt_install "$@" ||
    fail "the packages could not be installed: $*" "See $log"
}

require_apt() { # package...
  is_debian_family || fail "missing: $*" "This is not a Debian or Ubuntu machine: install them with its own package manager, then try again."
  is_root || fail "missing packages: $*" "Install them, then try again:  sudo apt-get install --no-install-recommends $*"
}

# Steps that run beside one another take turns (flock): apt's own time limit does not cover its list and download locks.
# A service that a package starts must not inherit the lock.
apt_install() {
  local descriptor
  exec {descriptor}>>/run/lock/market-collector-apt.lock
  flock "$descriptor"
  export DEBIAN_FRONTEND=noninteractive
  apt_get install -y --no-install-recommends "$@" {descriptor}>&- && return 0
  # A new machine has no package lists, an old one stale ones: both answer "no such package" or 404.
  apt_get update {descriptor}>&- && apt_get install -y --no-install-recommends "$@" {descriptor}>&-
}

# A lock held by unattended-upgrades is waited for, not a reason to fail.
apt_get() { nice apt-get -o DPkg::Lock::Timeout=300 "$@"; }
