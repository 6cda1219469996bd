#!/usr/bin/env bash
# Builds the local cluster's programs into the cache, from Debian packages and the Go module proxy. They are Kubernetes
# with etcd, CoreDNS, Helm, and the images of the cluster's own pods. Finished parts are not built again.
#
#   build.sh            everything
#   build.sh helm       Helm alone (kind and an existing cluster need no more)
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../progress.sh
. "$HERE/../progress.sh"
# shellcheck source=../packages.sh
. "$HERE/../packages.sh"
# shellcheck source=settings.sh
. "$HERE/settings.sh"

LOG=$CACHE/log
WORK=""

main() {
  case ${1:-all} in
    all)
      are_programs_built && are_images_built && { link_tools; return; }
      lock "$CACHE/build.lock" "building the cluster's programs"
      build_all
      ;;
    helm)
      is_built helm && { link_tools; return; }
      lock "$CACHE/build.lock" "building Helm"
      require_go
      build helm
      finish_steps || fail "Helm could not be built" "See $LOG/build.log"
      publish helm
      ;;
    *) fail "usage: build.sh [helm]" ;;
  esac
  link_tools
}

# Go needs none of the Debian packages: apt waits for the network and the disk while the compiler computes.
build_all() {
  local missing
  mapfile -t missing < <(packages)
  if ((${#missing[@]})); then require_apt "${missing[@]}"; fi
  are_programs_built || require_go
  if ((${#missing[@]})); then
    start_step "$LOG/packages.log" "Debian packages: ${missing[*]}" apt_install "${missing[@]}"
  fi
  are_programs_built || build all
  finish_steps || fail "the cluster's programs could not be built" "See $LOG"
  if [ "$WORK" ]; then publish kubernetes helm; fi
  build_images
}

# Looked for by command, so that what a machine has by other ways (Docker's containerd, say) is used.
packages() {
  export PATH=$PATH:/usr/sbin:/sbin
  missing_packages containerd=containerd ctr=containerd runc=runc /usr/lib/cni/bridge=containernetworking-plugins \
    buildah=buildah debootstrap=debootstrap iptables=iptables ip=iproute2 ss=iproute2 openssl=openssl gcc=gcc \
    /usr/include/stdio.h=libc6-dev umount=mount sysctl=procps find=findutils \
    /etc/ssl/certs/ca-certificates.crt=ca-certificates
}

# -- programs -----------------------------------------------------------------------------------------------------------

folder() { # the folder whose presence says that the build was finished
  case $1 in
    kubernetes) echo "$KUBERNETES_BIN" ;;
    helm) echo "$HELM_BIN" ;;
  esac
}

is_built() { [ -d "$(folder "$1")" ]; }

are_programs_built() { is_built kubernetes && is_built helm; }

# Beside its final place, then renamed (publish): a killed build leaves a folder that no run uses.
build() { # all or helm
  mkdir -p "$CACHE/bin"
  rm -rf "$CACHE"/bin/.unfinished-* # of a killed run; the lock says that no other run works there
  WORK=$(mktemp -d "$CACHE/bin/.unfinished-XXXXXX")
  trap 'rm -rf "$WORK"' EXIT
  mkdir "$WORK"/{kubernetes,helm}
  case $1 in
    all) start_step "$LOG/build.log" "building Kubernetes $KUBERNETES_VERSION, CoreDNS and Helm: 5 to 14 minutes the first time on 2 cores" build_all_programs ;;
    helm) start_step "$LOG/build.log" "building Helm $HELM_VERSION: about 2 minutes the first time on 2 cores" go_build helm ./helm ;;
  esac
}

# One call: the three share 9 of 10 packages, and each compiles once.
build_all_programs() {
  set -euo pipefail
  go_build kubernetes ./...
  mv "$WORK/kubernetes/localcluster" "$WORK/kubernetes/kube"
  mv "$WORK/kubernetes/helm" "$WORK/helm/helm"
  local name
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -s kube "$WORK/kubernetes/$name"
  done
}

go_build() { # folder, packages
  # dwarf=false: -s -w only keep the linker from writing debug information that the compiler has made.
  nice env CGO_ENABLED=0 GOFLAGS= go build -C "$HERE/kubernetes" -mod=readonly -buildvcs=false -trimpath -gcflags=all=-dwarf=false \
    -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$KUBERNETES_VERSION -X helm.sh/helm/v4/internal/version.version=v$HELM_VERSION" \
    -o "$WORK/$1/" "$2"
}

publish() { # kubernetes, helm
  local name
  for name in "$@"; do
    rm -rf "$(folder "$name")"
    chmod 755 "$WORK/$name"
    mv -T "$WORK/$name" "$(folder "$name")"
  done
  rm -rf "$WORK"
  trap - EXIT
}

# The go line of go.mod is the version needed. Go 1.21 and later fetch a newer one through the module proxy, unless
# GOTOOLCHAIN=local forbids it.
require_go() {
  # sudo's PATH leaves out where the Go project's own packages go.
  export PATH=$PATH:/usr/local/go/bin
  command -v go >/dev/null || install_go
  local needed
  needed=$(awk '/^go /{print $2}' "$HERE/kubernetes/go.mod")
  (cd "$HERE/kubernetes" && go version >/dev/null 2>&1) ||
    fail "Go $needed or newer is needed to build the cluster; here is $(cd / && go version 2>/dev/null || echo none)" \
      "Install it, or allow Go to fetch it by itself: unset GOTOOLCHAIN."
}

install_go() {
  local offered
  offered=$(apt-cache policy golang-go 2>/dev/null | sed -n 's/.*Candidate: [0-9]*:\?\([0-9.]*\).*/\1/p')
  if [ -z "$offered" ] || [ "$(printf '%s\n1.21\n' "$offered" | sort -V | head -n 1)" != 1.21 ]; then
    fail "Go is needed to build the cluster, and this system's own (${offered:-none}) is too old" \
      "Install Go 1.21 or newer (from your distribution's backports or the Go project), put it on PATH, then try again."
  fi
  install_packages "$LOG/packages.log" golang-go
}

link_tools() {
  mkdir -p "$TOOLS"
  local target
  for target in "$KUBERNETES_BIN/kubectl" "$HELM_BIN/helm"; do
    [ -x "$target" ] || continue
    [ "$(readlink "$TOOLS/$(basename "$target")")" = "$target" ] && continue
    # Renamed into place: a kubectl that someone calls at this moment is either the old or the new one.
    ln -sfn "$target" "$TOOLS/.new-$$" && mv -Tf "$TOOLS/.new-$$" "$TOOLS/$(basename "$target")"
  done
}

# -- the cluster's own images, each one program without a base ------------------------------------------------------------

are_images_built() { [ -s "$PAUSE_ARCHIVE" ] && [ -s "$COREDNS_ARCHIVE" ]; }

build_images() {
  are_images_built && return
  step "$LOG/build-images.log" "images of the cluster's own pods: pause $PAUSE_VERSION, CoreDNS $COREDNS_VERSION" write_images
}

write_images() {
  set -euo pipefail
  umask 022
  local work
  mkdir -p "$CACHE/images"
  rm -rf "$CACHE"/images/.own-*
  work=$(mktemp -d "$CACHE/images/.own-XXXXXX")
  gcc -O2 -static -o "$work/pause" "$HERE/pause.c"
  cp "$KUBERNETES_BIN/coredns" "$work/coredns"
  write_image "$PAUSE_IMAGE" "$work/pause" "$PAUSE_ARCHIVE"
  write_image "$COREDNS_IMAGE" "$work/coredns" "$COREDNS_ARCHIVE"
  rm -rf "$work"
}

write_image() { # name, program, archive
  local container entry
  entry=/$(basename "$2")
  container=$(images from scratch)
  images add --quiet "$container" "$2" "$entry"
  images config --entrypoint "[\"$entry\"]" "$container"
  images commit --quiet --rm "$container" "$1"
  rm -f "$3.new"
  images push --quiet "$1" "oci-archive:$3.new:$1"
  mv -T "$3.new" "$3"
}

main "$@"
