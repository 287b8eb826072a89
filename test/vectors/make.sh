#!/usr/bin/env bash
# Makes the certificates and requests of this folder with OpenSSL, so that what is read here was written elsewhere.
# `wrong-*` breaks exactly one rule each, `good-*` none; x509-svid.test.ts and csr.test.ts say which. Private keys are
# thrown away: run it again and every file changes.
set -euo pipefail
cd "$(dirname "$0")"
out=$PWD
rm -rf x509-svid csr && mkdir -p x509-svid csr
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >ca.conf <<'CONF'
[ca]
default_ca = any
[any]
database = index
new_certs_dir = .
rand_serial = yes
unique_subject = no
policy = any_name
default_md = sha256
[any_name]
organizationName = optional
commonName = optional
[req]
distinguished_name = none
prompt = no
[none]
CONF
touch index

ec() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:"${2:-P-256}" -pkeyopt ec_param_enc:"${3:-named_curve}" -out "$1.key"; }

# sign <name> <issuer or self> <subject> <extensions, one a line> [more arguments of openssl ca]
sign() {
  local name=$1 issuer=$2 subject=$3 extensions=$4
  shift 4
  [ -f "$name.key" ] || ec "$name"
  printf '%b\n' "$extensions" >"$name.ext"
  openssl req -new -config ca.conf -key "$name.key" -subj "$subject" -out "$name.req" 2>/dev/null
  local by=(-cert "$issuer.pem" -keyfile "$issuer.key")
  [ "$issuer" = self ] && by=(-selfsign -keyfile "$name.key")
  openssl ca -batch -notext -config ca.conf "${by[@]}" -in "$name.req" -subj "$subject" -extfile "$name.ext" \
    -startdate 20260101000000Z -enddate 21260101000000Z "$@" -out "$name.pem" 2>"$name.log" || { cat "$name.log"; exit 1; }
}
keep() { for name in "$@"; do cat "$name.pem" >"$out/x509-svid/$name.pem"; done; }
# A chain in one file, leaf first.
chain() { local name=$1; shift; for part in "$@"; do cat "$part.pem"; done >"$out/x509-svid/$name.pem"; }

ca='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash'
usage='basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid'
purposes='extendedKeyUsage=serverAuth,clientAuth'
id='spiffe://a.example/ns/shop/sa/cart'
leaf="$usage\n$purposes\nsubjectAltName=critical,URI:$id"

# Authorities: a is the one that everything should lead to
sign authority-a self /O=a.example "$ca\nsubjectAltName=URI:spiffe://a.example"
sign authority-b self /O=b.example "$ca\nsubjectAltName=URI:spiffe://b.example"
sign authority-leaves-only self /O=a.example/CN=short "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash"
sign authority-expired self /O=a.example/CN=expired "$ca" -startdate 20240101000000Z -enddate 20250101000000Z
keep authority-a authority-b authority-leaves-only authority-expired

# Leaves that are right
sign good authority-a / "$leaf"
sign good-subject authority-a /O=a.example/CN=cart "$usage\n$purposes\nsubjectAltName=URI:$id"
sign good-dns-names authority-a / "$leaf,DNS:cart.shop.svc,DNS:cart"
sign good-no-extended-key-usage authority-a / "$usage\nsubjectAltName=critical,URI:$id"
sign good-no-key-usage authority-a / "$purposes\nsubjectAltName=critical,URI:$id"
sign good-unknown-extension authority-a / "$leaf\n1.3.6.1.4.1.55555.1=ASN1:UTF8String:not critical"
ec good-p384 P-384 && sign good-p384 authority-a / "$leaf"
ec good-p521 P-521 && sign good-p521 authority-a / "$leaf"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out good-rsa.key 2>/dev/null
sign good-rsa authority-a / "${usage/digitalSignature/digitalSignature,keyEncipherment}\n$purposes\nsubjectAltName=critical,URI:$id"
openssl genpkey -algorithm ED25519 -out good-ed25519.key && sign good-ed25519 authority-a / "$leaf"
keep good good-subject good-dns-names good-no-extended-key-usage good-no-key-usage good-unknown-extension \
  good-p384 good-p521 good-rsa good-ed25519

# Leaves that are no SVID
wrong_id() { sign "wrong-$1" authority-a / "$usage\n$purposes\nsubjectAltName=critical,$2"; keep "wrong-$1"; }
wrong_id no-uri DNS:cart.shop.svc
wrong_id two-ids "URI:$id,URI:spiffe://a.example/other"
wrong_id id-twice "URI:$id,URI:$id"
wrong_id id-and-url "URI:$id,URI:https://a.example/"
wrong_id scheme URI:sparfe://a.example/ns/shop
wrong_id no-path URI:spiffe://a.example
wrong_id trailing-slash "URI:$id/"
wrong_id root-path URI:spiffe://a.example/
wrong_id upper-case URI:spiffe://A.example/ns/shop
wrong_id percent URI:spiffe://a.example/ns/%73hop
wrong_id port URI:spiffe://a.example:443/ns/shop
wrong_id user URI:spiffe://x@a.example/ns/shop
wrong_id query "URI:$id?"
wrong_id dots URI:spiffe://a.example/ns/../shop
san="subjectAltName=critical,URI:$id\nauthorityKeyIdentifier=keyid"
sign wrong-leaf-is-ca authority-a / "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature\n$san"
sign wrong-leaf-signs-certificates authority-a / "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyCertSign\n$san"
sign wrong-leaf-signs-crls authority-a / "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,cRLSign\n$san"
keep wrong-leaf-is-ca wrong-leaf-signs-certificates wrong-leaf-signs-crls

# Leaves that are not to be believed
sign wrong-expired authority-a / "$leaf" -enddate 20260201000000Z
sign wrong-not-yet-valid authority-a / "$leaf" -startdate 21000101000000Z
sign wrong-unknown-critical-extension authority-a / "$leaf\n1.3.6.1.4.1.55555.1=critical,ASN1:UTF8String:critical"
sign wrong-authority authority-b / "$leaf"
sign wrong-authority-expired authority-expired / "$leaf"
sign wrong-trust-domain authority-a / "$usage\n$purposes\nsubjectAltName=critical,URI:spiffe://b.example/ns/shop/sa/cart"
sign wrong-purpose authority-a / "$usage\nextendedKeyUsage=codeSigning\nsubjectAltName=critical,URI:$id"
sign wrong-digest authority-a / "$leaf" -md sha1
sign wrong-self-signed self / "$usage\n$purposes\nsubjectAltName=critical,URI:$id"
keep wrong-expired wrong-not-yet-valid wrong-unknown-critical-extension wrong-authority wrong-authority-expired \
  wrong-trust-domain wrong-purpose wrong-digest wrong-self-signed
# One bit of the signature is another.
openssl x509 -in good.pem -outform DER -out good.der
size=$(stat -c %s good.der)
last=$(tail -c 1 good.der | od -An -tu1 | tr -d ' ')
{ head -c $((size - 1)) good.der && printf "\\x$(printf %x $((last ^ 1)))"; } >wrong-signature.der
openssl x509 -in wrong-signature.der -inform DER -out wrong-signature.pem
keep wrong-signature

# Chains
sign intermediate authority-a /O=a.example/CN=intermediate "$ca\nauthorityKeyIdentifier=keyid"
sign lower intermediate /O=a.example/CN=lower "$ca\nauthorityKeyIdentifier=keyid"
sign leaf-of-intermediate intermediate / "$leaf"
sign leaf-of-lower lower / "$leaf"
chain good-chain leaf-of-intermediate intermediate
chain good-chain-of-three leaf-of-lower lower intermediate
chain good-chain-with-root leaf-of-intermediate intermediate authority-a
chain wrong-chain-incomplete leaf-of-intermediate
chain wrong-chain-order leaf-of-lower intermediate lower
keep intermediate
wrong_chain() { # <name> <issuer> <extensions of the intermediate> [more arguments of openssl ca]
  local name=$1 issuer=$2 extensions=$3
  shift 3
  sign "middle-$name" "$issuer" "/O=a.example/CN=$name" "$extensions\nauthorityKeyIdentifier=keyid" "$@"
  sign "under-$name" "middle-$name" / "$leaf"
  chain "wrong-chain-$name" "under-$name" "middle-$name"
}
wrong_chain no-ca authority-a 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash'
wrong_chain no-constraints authority-a 'keyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash'
wrong_chain no-cert-sign authority-a 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\nsubjectKeyIdentifier=hash'
wrong_chain expired authority-a "$ca" -enddate 20260201000000Z
wrong_chain name-constraints authority-a "$ca\nnameConstraints=critical,permitted;URI:b.example"
wrong_chain purpose authority-a "$ca\nextendedKeyUsage=codeSigning"
wrong_chain path-length authority-leaves-only "$ca"

# Requests
request() { # <name> <arguments of openssl req>
  local name=$1
  shift
  [ -f "$name.key" ] || ec "$name"
  openssl req -new -config ca.conf -key "$name.key" -subj / "$@" -out "$out/csr/$name.pem" 2>/dev/null
}
rsa() { openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:$2" -pkeyopt "rsa_keygen_pubexp:${3:-65537}" -out "$1.key" 2>/dev/null; }
request good-p256
ec good-p384 P-384 && request good-p384
request good-sha384 -sha384
rsa good-rsa-2048 2048 && request good-rsa-2048
rsa good-rsa-3072 3072 && request good-rsa-3072
request greedy -subj /O=a.example/CN=root -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
  -addext subjectAltName=URI:spiffe://a.example/admin,DNS:root -addext extendedKeyUsage=codeSigning
ec wrong-curve-p521 P-521 && request wrong-curve-p521
ec wrong-curve-secp256k1 secp256k1 && request wrong-curve-secp256k1
ec wrong-curve-explicit P-256 explicit && request wrong-curve-explicit
rsa wrong-rsa-1024 1024 && request wrong-rsa-1024
rsa wrong-rsa-4096 4096 && request wrong-rsa-4096
rsa wrong-rsa-exponent 2048 3 && request wrong-rsa-exponent
openssl genpkey -algorithm ED25519 -out wrong-ed25519.key && request wrong-ed25519
rsa wrong-rsa-pss 2048 && request wrong-rsa-pss -sigopt rsa_padding_mode:pss
request wrong-sha1 -sha1
cp good-p256.key wrong-compressed-point.plain
openssl ec -in wrong-compressed-point.plain -conv_form compressed -out wrong-compressed-point.key 2>/dev/null
request wrong-compressed-point
