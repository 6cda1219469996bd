#!/usr/bin/env bash
# Builds the three images of the repository's Dockerfile and loads them into the cluster. Unchanged images are neither
# built nor loaded again. Prints the images' names, one a line, on standard output.
#
#   images.sh                        all three
#   images.sh collector simulator    only those
#   images.sh --no-load ...          builds only
#
# Settings: CLUSTER, IMAGE_TAG, IMAGE_REGISTRY, see settings.sh.
#
# pip's configuration and the machine's certificates are passed as build secrets, so that a company's index works and is
# in no layer.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../progress.sh
. "$HERE/../progress.sh"
# shellcheck source=../packages.sh
. "$HERE/../packages.sh"
# shellcheck source=settings.sh
. "$HERE/settings.sh"
# shellcheck source=processes.sh
. "$HERE/processes.sh"
# shellcheck source=base-image.sh
. "$HERE/base-image.sh"

LOG=$CACHE/log
TARGETS=()
LOAD=yes
SECRETS=""
STORAGE_LIMIT_GB=8

main() {
  require_known_cluster
  local argument
  for argument in "$@"; do
    case $argument in
      operator | collector | simulator) TARGETS+=("$argument") ;;
      --no-load) LOAD=no ;;
      *) fail "images.sh: unknown argument $argument" "Allowed: operator, collector, simulator, --no-load." ;;
    esac
  done
  ((${#TARGETS[@]})) || TARGETS=(operator collector simulator)
  [ -r "$REPOSITORY/Dockerfile" ] || fail "there is no $REPOSITORY/Dockerfile"
  # What a build writes into an image must be readable for the image's user; the cache itself is closed to others.
  umask 022
  mkdir -p "$CACHE" && chmod 700 "$CACHE"
  write_secrets
  trap 'rm -rf "$SECRETS"' EXIT
  "images_$CLUSTER"
  for argument in "${TARGETS[@]}"; do image_name "$argument"; done
}

image_name() {
  case $1 in
    operator) echo "${IMAGE_PREFIX:-localhost}/market-operator:$IMAGE_TAG" ;;
    collector) echo "${IMAGE_PREFIX:-localhost}/market-collector:$IMAGE_TAG" ;;
    simulator) echo "${IMAGE_PREFIX:-localhost}/market-simulator:$IMAGE_TAG" ;;
  esac
}

# -- local: buildah and containerd ----------------------------------------------------------------------------------------

images_local() {
  is_root || fail "building images for the local cluster needs root; you are $(id -un)" \
    "Run it as root (sudo -E make images), or use CLUSTER=kind."
  local missing
  mapfile -t missing < <(missing_packages buildah=buildah debootstrap=debootstrap)
  install_packages "$LOG/packages.log" "${missing[@]}"
  # buildah's storage is locked by itself, but the base image and the archives are ours to guard.
  lock "$CACHE/images.lock" "building images"
  remove_unfinished
  ensure_base_image
  local target
  for target in "${TARGETS[@]}"; do
    step "$LOG/image-$target.log" "image $(image_name "$target"): up to a minute the first time" build_with_buildah "$target" ||
      fail "the image of the $target could not be built" "See $LOG/image-$target.log"
    if [ "$LOAD" = yes ]; then load_into_containerd "$(image_name "$target")"; fi
  done
  prune_storage
}

# Of a killed run; debootstrap mounts /proc in what it makes.
remove_unfinished() {
  local folder
  for folder in "$CACHE"/images/.unfinished-* "$CACHE"/images/.load-*; do
    [ -e "$folder" ] || continue
    unmount_below "$folder"
    rm -rf --one-file-system "$folder"
  done
}

build_with_buildah() {
  # Rebuilt from layers in a second or two when nothing changed. --network host: pods' networks are not for building.
  # No --timestamp: it would make every compiled Python module look older than its source.
  nice buildah --root "$CACHE/storage" --runroot "$CACHE/storage-run" bud --layers --network host \
    --build-arg "BASE_IMAGE=$BASE_IMAGE" --secret "id=ca,src=$SECRETS/ca" --secret "id=pip,src=$SECRETS/pip" \
    --target "$1" --tag "$(image_name "$1")" --file "$REPOSITORY/Dockerfile" "$REPOSITORY"
}

# containerd remembers, in a label of the image, which one it has: nothing to go stale beside it.
load_into_containerd() {
  local name=$1 id archive
  [ -S "$STATE/containerd.sock" ] || fail "the cluster is not up, the image $name cannot be loaded" "Bring it up first: make cluster"
  id=$(images inspect --type image --format '{{.FromImageID}}' "$name")
  if containers images list "name==$name" | grep -qF "marketcollector.dev/id=${id:0:60}"; then
    say "  $name is in the cluster already"
    return
  fi
  archive=$(mktemp "$CACHE/images/.load-XXXXXX")
  rm "$archive" # buildah wants to make the file itself
  step "$LOG/load.log" "loading $name into the cluster" import_archive "$name" "$archive" "$id" ||
    { rm -f "$archive"; fail "the image $name could not be loaded" "See $LOG/load.log"; }
}

import_archive() { # name, archive, id
  set -euo pipefail
  images push --quiet "$1" "oci-archive:$2:$1"
  containers images import "$2"
  rm -f "$2"
  # A label's value may have 63 characters.
  containers images label "$1" "marketcollector.dev/id=${3:0:60}" >/dev/null
}

# Images without a name are the build cache: with it, unchanged input is built within a second. It grows over days of
# work. Above the limit all of it is removed, and the next build is a cold one.
prune_storage() {
  local used_gb
  used_gb=$(($(du -sk "$CACHE/storage" 2>/dev/null | cut -f 1) / 1024 / 1024))
  if ((used_gb >= STORAGE_LIMIT_GB)); then
    step "$LOG/prune.log" "the cache of image layers has $used_gb GB: clearing it" images rmi --prune --force || true
  fi
}

# -- kind and an existing cluster: Docker -----------------------------------------------------------------------------------

images_kind() {
  local target
  build_all_with_docker
  if [ "$LOAD" = yes ]; then
    command -v kind >/dev/null || fail "CLUSTER=kind needs kind on PATH"
    for target in "${TARGETS[@]}"; do
      # kind compares by itself and skips what its nodes have.
      step "$LOG/load.log" "loading $(image_name "$target") into kind" \
        kind load docker-image --name "$KIND_CLUSTER" "$(image_name "$target")" ||
        fail "the image of the $target could not be loaded into kind" "Is the cluster up? CLUSTER=kind make cluster"
    done
  fi
}

images_current() {
  local target
  IMAGE_PREFIX=${IMAGE_REGISTRY:-localhost}
  IMAGE_PREFIX=${IMAGE_PREFIX%/}
  build_all_with_docker
  if [ -z "${IMAGE_REGISTRY:-}" ]; then
    say "CLUSTER=current: the images are in this machine's Docker only; a cluster elsewhere cannot pull them from here."
    say "Set IMAGE_REGISTRY to a registry that the cluster pulls from, and they are named for it and pushed."
    return
  fi
  [ "$LOAD" = yes ] || return 0
  for target in "${TARGETS[@]}"; do
    step "$LOG/load.log" "pushing $(image_name "$target")" docker push "$(image_name "$target")" ||
      fail "$(image_name "$target") could not be pushed" "Log in first (docker login), see $LOG/load.log"
  done
}

build_all_with_docker() {
  local target
  command -v docker >/dev/null || fail "CLUSTER=$CLUSTER builds images with Docker, and there is no docker on PATH"
  for target in "${TARGETS[@]}"; do
    step "$LOG/image-$target.log" "image $(image_name "$target"): a few minutes the first time" \
      env DOCKER_BUILDKIT=1 docker build --secret "id=ca,src=$SECRETS/ca" --secret "id=pip,src=$SECRETS/pip" \
      --target "$target" --tag "$(image_name "$target")" --file "$REPOSITORY/Dockerfile" "$REPOSITORY" ||
      fail "the image of the $target could not be built" "See $LOG/image-$target.log"
  done
}

# -- secrets --------------------------------------------------------------------------------------------------------------

# Two files, empty when the machine has nothing to say: `ca` with its certificates, `pip` with pip's configuration.
write_secrets() {
  SECRETS=$(mktemp -d)
  cat "${PIP_CERT:-${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}" >"$SECRETS/ca" 2>/dev/null || : >"$SECRETS/ca"
  pip_configuration >"$SECRETS/pip"
}

# `pip config list` has both the files and the environment: global.index-url='...', :env:.timeout='180'. Certificates go
# their own way (`ca`), and a folder of this machine means nothing inside a build.
pip_configuration() {
  local line key value
  echo "[global]"
  { "$REPOSITORY/.venv/bin/python" -m pip config list 2>/dev/null || python3 -m pip config list 2>/dev/null || true; } |
    while IFS= read -r line; do
      key=${line%%=*} value=${line#*=}
      key=${key##*.}
      value=${value#\'} value=${value%\'}
      case $key in
        cert | client-cert | cache-dir | require-virtualenv | user | target | prefix | log | config-file | python) continue ;;
        find-links) case $value in *://*) ;; *) continue ;; esac ;;
      esac
      # Of several index addresses, each stands on a line of its own below the key.
      printf '%s = %s\n' "$key" "${value//\\n/$'\n  '}"
    done | awk '{key = $1} key in line || !/ = / {if (/ = /) {line[key] = $0} else line[last] = line[last] "\n" $0; next} {line[key] = $0; order[++count] = key; last = key} END {for (i = 1; i <= count; i++) print line[order[i]]}'
}

main "$@"
