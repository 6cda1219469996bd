#!/usr/bin/env bash
# update.sh KUBERNETES [COREDNS [HELM]]: writes go.mod and go.sum for other versions, for example 1.36.4. Helm's minor
# version must be one that uses the same minor version of Kubernetes. Without the others, they keep their versions.
# k8s.io/kubernetes names its staging modules v0.0.0, so each needs a replace line with the matching v0.x version.
set -euo pipefail
version=${1:?version of Kubernetes, for example 1.36.4}
cd "$(dirname "${BASH_SOURCE[0]}")"
present() { awk -v module="$1" '$1 == module {print substr($2, 2); exit}' go.mod; }
coredns=${2:-$(present github.com/coredns/coredns)}
helm=${3:-$(present helm.sh/helm/v4)}
source_folder=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
{
  printf 'module localcluster\n\ngo %s\n\n' "$(awk '/^go /{print $2}' "$source_folder/go.mod")"
  printf 'require (\n\tgithub.com/coredns/coredns v%s\n\thelm.sh/helm/v4 v%s\n\tk8s.io/kubernetes v%s\n)\n\nreplace (\n' \
    "$coredns" "$helm" "$version"
  awk -v version="v0.${version#1.}" '/=> .\/staging/{print "\t" $1 " => " $1 " " version}' "$source_folder/go.mod"
  printf ')\n'
} >go.mod.new
mv go.mod.new go.mod
rm -f go.sum
go mod tidy
# CoreDNS may ask for a newer etcd client than Kubernetes does: the server takes the client's version.
go get "go.etcd.io/etcd/server/v3@$(go list -m -f '{{.Version}}' go.etcd.io/etcd/client/v3)"
go mod tidy
