#!/bin/bash
# Makes a certificate authority and a certificate for every identity of the mesh, with openssl.
#
#     deploy/certificates.sh FOLDER [NAMESPACE]
#
# FOLDER/<identity>/ then holds tls.crt, tls.key and ca.crt: the names of a Kubernetes TLS secret, and of cert-manager.
# The first subject alternative name is the identity that services/common/callers.py knows. What is there already is
# kept, so that a certificate is renewed by removing its folder. The authority's key is FOLDER/ca/tls.key: keep it off
# the machines where the mesh runs.
set -euo pipefail

folder=${1:?usage: deploy/certificates.sh FOLDER [NAMESPACE]}
namespace=${2:-usher}
days=365
umask 077
mkdir -p "$folder/ca"

new_key() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2> /dev/null
}

if [ ! -e "$folder/ca/tls.crt" ]; then
  new_key "$folder/ca/tls.key"
  openssl req -x509 -new -key "$folder/ca/tls.key" -sha256 -days 3650 -subj "/CN=usher" -out "$folder/ca/tls.crt" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign"
fi

for name in alerts compliance fraud gateway ingest scoring backend operator; do
  if [ -e "$folder/$name" ]; then
    continue
  fi
  # Renamed when it is complete, so that an interrupted run leaves no half of one.
  draft="$folder/.$name"
  rm -rf "$draft"
  mkdir "$draft"
  new_key "$draft/tls.key"
  openssl req -new -key "$draft/tls.key" -subj "/CN=$name" -out "$draft/request"
  cat > "$draft/extensions" <<END
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=DNS:$name,DNS:$name.$namespace,DNS:$name.$namespace.svc,DNS:$name.$namespace.svc.cluster.local
END
  openssl x509 -req -in "$draft/request" -CA "$folder/ca/tls.crt" -CAkey "$folder/ca/tls.key" -sha256 -days "$days" \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$draft/extensions" -out "$draft/tls.crt" 2>/dev/null
  cp "$folder/ca/tls.crt" "$draft/ca.crt"
  rm "$draft/request" "$draft/extensions"
  mv "$draft" "$folder/$name"
done
