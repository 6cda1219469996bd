#!/usr/bin/env bash
# Builds what the local cluster consists of into the cache, from Debian packages and the Go module proxy: the Kubernetes
# binary, CoreDNS, Helm and the two images of the cluster itself. What is there already is not built again.
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
      is_built kubernetes && is_built coredns && is_built helm && are_images_built && { link_tools; return; }
      lock "$CACHE/build.lock" "building the cluster's programs"
      mapfile -t missing < <(packages)
      install_packages "$LOG/packages.log" "${missing[@]}"
      build kubernetes
      build coredns
      build helm
      build_images
      ;;
    helm)
      is_built helm && { link_tools; return; }
      lock "$CACHE/build.lock" "building Helm"
      build helm
      ;;
    *) fail "usage: build.sh [helm]" ;;
  esac
  link_tools
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

program() { # the file whose presence says that the build was finished
  case $1 in
    kubernetes) echo "$KUBERNETES_BIN/kube" ;;
    coredns) echo "$COREDNS_BIN/coredns" ;;
    helm) echo "$HELM_BIN/helm" ;;
  esac
}

is_built() { [ -x "$(program "$1")" ]; }

build() {
  is_built "$1" && return
  require_go
  mkdir -p "$CACHE/bin"
  rm -rf "$CACHE"/bin/.unfinished-* # of a killed run; the lock says that nobody works there
  # Beside its final place, then renamed: a killed build leaves a folder that nobody believes.
  WORK=$(mktemp -d "$CACHE/bin/.unfinished-XXXXXX")
  trap 'rm -rf "$WORK"' EXIT
  "build_$1"
  rm -rf "$(dirname "$(program "$1")")"
  chmod 755 "$WORK"
  mv -T "$WORK" "$(dirname "$(program "$1")")"
  trap - EXIT
}

build_kubernetes() {
  step "$LOG/build-kubernetes.log" \
    "building Kubernetes $KUBERNETES_VERSION from the Go module proxy: about 5 minutes the first time on 2 cores" \
    nice env CGO_ENABLED=0 go build -C "$HERE/kubernetes" -mod=readonly -buildvcs=false -trimpath \
    -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$KUBERNETES_VERSION" -o "$WORK/kube" .
  local name
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -s kube "$WORK/$name"
  done
}

build_coredns() { go_install "CoreDNS $COREDNS_VERSION" 2 "github.com/coredns/coredns@v$COREDNS_VERSION"; }

build_helm() { go_install "Helm $HELM_VERSION" 2 "helm.sh/helm/v4/cmd/helm@v$HELM_VERSION"; }

go_install() { # text, minutes, package@version
  step "$LOG/build-${1%% *}.log" "building $1 from the Go module proxy: about $2 minutes the first time on 2 cores" \
    nice env CGO_ENABLED=0 GOBIN="$WORK" GOFLAGS= go install -trimpath -ldflags "-s -w" "$3"
}

# The go line of go.mod is the version needed; a Go from 1.21 on fetches a newer one by itself through the module proxy,
# unless GOTOOLCHAIN=local forbids it.
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

are_images_built() { [ -s "$CACHE/images/pause-$PAUSE_VERSION.tar" ] && [ -s "$CACHE/images/coredns-$COREDNS_VERSION.tar" ]; }

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
  cp "$COREDNS_BIN/coredns" "$work/coredns"
  write_image "$PAUSE_IMAGE" "$work/pause" "$CACHE/images/pause-$PAUSE_VERSION.tar"
  write_image "$COREDNS_IMAGE" "$work/coredns" "$CACHE/images/coredns-$COREDNS_VERSION.tar"
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
