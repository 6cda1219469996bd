# shellcheck shell=bash
# Sourced by images.sh: the base image, made of this machine's own distribution, since there may be no image registry to
# pull the public one from. Debian's smallest system with Python, and nothing else: about 120 MB.

# A change of the content gives another image.
BASE_RECIPE=1
BASE_PACKAGES=python3,python3-venv,ca-certificates

base_suite() { sed -n 's/^VERSION_CODENAME=//p' "${MC_OS_RELEASE:-/etc/os-release}"; }

# Sets BASE_IMAGE; makes it when neither buildah's storage nor the cache has it.
ensure_base_image() {
  local suite archive
  suite=$(base_suite)
  BASE_IMAGE=localhost/market-base:$suite-$BASE_RECIPE
  archive=$CACHE/images/base-$suite-$BASE_RECIPE.tar
  images inspect --type image "$BASE_IMAGE" >/dev/null 2>&1 && return
  mkdir -p "$CACHE/images"
  if [ ! -s "$archive" ]; then
    step "$CACHE/log/base-image.log" "base image from Debian packages ($suite): about a minute, once" make_base_image "$suite" "$archive" ||
      fail "the base image could not be built" "See $CACHE/log/base-image.log"
  fi
  step "$CACHE/log/base-image.log" "base image into the build's storage" read_archive "$archive" ||
    fail "the base image could not be read" "Remove $archive and try again; see $CACHE/log/base-image.log"
}

read_archive() {
  set -euo pipefail
  images pull --quiet "oci-archive:$1"
  images tag "$(images images --quiet --no-trunc --filter "reference=$BASE_IMAGE" | head -n 1 || true)" "$BASE_IMAGE" 2>/dev/null ||
    images inspect --type image "$BASE_IMAGE" >/dev/null
}

make_base_image() { # suite, archive
  set -euo pipefail
  local root container mirror components=main
  mirror=$(package_mirror "$1")
  [ "$mirror" ] || { echo "apt knows no source for $1" >&2; return 1; }
  # Ubuntu keeps python3-venv outside of main.
  if grep -q '^ID=ubuntu' /etc/os-release; then components=main,universe; fi
  umask 022
  root=$(mktemp -d "$CACHE/images/.unfinished-XXXXXX")
  chmod 755 "$root"
  nice debootstrap --variant=minbase --include="$BASE_PACKAGES" --components="$components" "$1" "$root" "$mirror"
  strip_base "$root"
  container=$(images from scratch)
  images add --quiet "$container" "$root" /
  images config --env PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin --env LANG=C.UTF-8 --cmd python3 "$container"
  images commit --quiet --rm "$container" "$BASE_IMAGE"
  rm -rf --one-file-system "$root"
  rm -f "$2.new"
  images push --quiet "$BASE_IMAGE" "oci-archive:$2.new:$BASE_IMAGE"
  mv -T "$2.new" "$2"
}

# The machine's own source, as apt knows it: no address is written in this repository.
package_mirror() {
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(RELEASE)' 'Created-By: Packages' |
    awk -v suite="$1" '$2 == suite || $3 == suite {print $1; exit}'
}

# What a container never reads, and what tells of the machine it was made on.
strip_base() {
  local root=${1:?}
  rm -rf "$root"/usr/share/{doc,man,info,locale,lintian,linda,bash-completion,groff,bug} "$root"/var/cache/{apt,debconf,ldconfig} \
    "$root"/var/lib/apt/lists "$root"/var/log/* "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d \
    "$root"/etc/resolv.conf "$root"/etc/hostname "$root"/etc/hosts "$root"/debootstrap "${root:?}"/dev/*
  find "$root/usr/lib/python3" "$root"/usr/lib/python3.* -name __pycache__ -prune -exec rm -rf {} +
  mkdir -p "$root"/var/lib/apt/lists/partial "$root"/var/cache/apt/archives/partial "$root"/etc/apt/sources.list.d
}
