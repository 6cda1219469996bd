# shellcheck shell=bash
# Sourced: certificates and kubeconfigs of one cluster. They live as long as its state folder. Every fresh start makes
# new ones, so a half-written or expired one is replaced.

CERTIFICATE_DAYS=365

write_certificates() {
  local folder=$STATE/pki
  mkdir -p "$folder"
  openssl_quiet req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$CERTIFICATE_DAYS" \
    -subj /CN=market-collector-local-ca -keyout "$folder/ca.key" -out "$folder/ca.crt"
  openssl_quiet genrsa -out "$folder/service-account.key" 2048
  openssl_quiet rsa -in "$folder/service-account.key" -pubout -out "$folder/service-account.pub"
  # The subjects are what Kubernetes' own role bindings expect.
  sign apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:$NODE_IP,IP:$SERVICE_NETWORK.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  sign etcd /CN=etcd "IP:127.0.0.1,DNS:localhost"
  sign admin /O=system:masters/CN=admin
  sign kube-controller-manager /CN=system:kube-controller-manager
  sign kube-scheduler /CN=system:kube-scheduler
  sign kube-proxy /CN=system:kube-proxy
  sign kubelet "/O=system:nodes/CN=system:node:$NODE" "IP:$NODE_IP,DNS:$NODE"
}

sign() { # name, subject, [subjectAltName]
  local path=$STATE/pki/$1
  {
    printf 'keyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n'
    if [ "${3:-}" ]; then printf 'subjectAltName=%s\n' "$3"; fi
  } >"$path.extensions"
  openssl_quiet req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$path.key" -out "$path.request"
  openssl_quiet x509 -req -in "$path.request" -CA "$STATE/pki/ca.crt" -CAkey "$STATE/pki/ca.key" -CAcreateserial \
    -days "$CERTIFICATE_DAYS" -extfile "$path.extensions" -out "$path.crt"
  rm "$path.request" "$path.extensions"
}

openssl_quiet() { openssl "$@" 2>>"$STATE/log/openssl.log"; }

# write_kubeconfig NAME FILE
write_kubeconfig() {
  local pki=$STATE/pki
  cat >"$2" <<Y
apiVersion: v1
kind: Config
current-context: market-collector
clusters:
- name: market-collector
  cluster: {server: "https://127.0.0.1:$PORT_API", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w0 "$pki/$1.crt"), client-key-data: $(base64 -w0 "$pki/$1.key")}
contexts:
- name: market-collector
  context: {cluster: market-collector, user: $1}
Y
}

# A day's margin: a cluster that goes out of order in the middle of the work is worse than a restart at its beginning.
are_certificates_valid() { openssl x509 -checkend 86400 -noout -in "$STATE/pki/ca.crt" >/dev/null 2>&1; }
