#!/usr/bin/env bash
# update.sh VERSION: writes go.mod and go.sum for another version of Kubernetes, for example 1.36.4.
# k8s.io/kubernetes names its staging modules v0.0.0, so each needs a replace line with the matching v0.x version.
set -euo pipefail
version=${1:?version, for example 1.36.4}
cd "$(dirname "${BASH_SOURCE[0]}")"
source_folder=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
{
  printf 'module localcluster\n\ngo %s\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' \
    "$(awk '/^go /{print $2}' "$source_folder/go.mod")" "$version"
  awk -v version="v0.${version#1.}" '/=> .\/staging/{print "\t" $1 " => " $1 " " version}' "$source_folder/go.mod"
  printf ')\n'
} >go.mod
rm -f go.sum
go mod tidy
