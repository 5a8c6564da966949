#!/usr/bin/env bash
# Brings a fresh Debian or Ubuntu with Go to where `make test` can run everything.
# As root it installs with apt; otherwise it says what is missing and why it matters.
set -uo pipefail
need=()
want() { # want COMMAND PACKAGE WHY
  command -v "$1" >/dev/null 2>&1 || { need+=("$2"); printf 'missing: %-9s (Debian package %s) %s\n' "$1" "$2" "$3"; }
}
command -v go >/dev/null || { echo "missing: go. Install Go 1.26.3 or newer from your distribution or go.dev, then run this again." >&2; exit 3; }
want runc runc "real containers for the kernel tests and the demo"
want busybox busybox-static "root filesystem of those containers"
want chromium chromium "the console's screens are tested in a real browser"
want ip iproute2 "network namespaces of the test containers"
want iptables iptables "the pod network of the Kubernetes lab"
want nft nftables "the services of the Kubernetes lab"
want conntrack conntrack "the services of the Kubernetes lab"
want debootstrap debootstrap "scans of real images: a Debian to put into them"
want unshare util-linux "scans without any network"
want containerd containerd "images of a real containerd, and what runs in it"
want skopeo skopeo "a second opinion on image formats"
want rpmbuild rpm "real rpm databases and rpm's own version order"
want objcopy binutils "programs with sections put into them"
want perl perl "Debian's own version order"
want python3 python3 "Python's own version order, and modules that containers load"
want curl curl "the command-line tests fetch from the server as a stranger would"
[ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || need+=(debian-archive-keyring)
if command -v busybox >/dev/null && ! busybox --list >/dev/null 2>&1; then need+=(busybox-static); fi
# Node 20.19 or newer builds and tests the console.
node_ok() { command -v node >/dev/null && node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>20||(a===20&&b>=19)?0:1)'; }
command -v npm >/dev/null || need+=(npm)
command -v node >/dev/null || need+=(nodejs)
if [ ${#need[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing: ${need[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null || {
      echo "apt could not install: ${need[*]}. Install them by hand, then run this again." >&2; exit 3; }
  else
    echo "Not root (or no apt): install them yourself, e.g. apt-get install ${need[*]}. Tests that need them will be skipped, and listed at the end."
  fi
fi
if command -v npm >/dev/null && ! node_ok; then
  dir="${DOCKREEVE_NODE_DIR:-$PWD/.dockreeve/node}"
  echo "this system's Node is older than 20.19: installing npm's own node package into $dir"
  mkdir -p "$dir" && npm install --silent --no-audit --no-fund --prefix "$dir" node@22 >/dev/null || echo "could not install a newer Node: the console's tests will be skipped"
fi
# The official JSON schemas of the outputs of a scan, as npm packages carry them. None was found
# that carries the one of SPDX 2.3: its tests read it only where
# DOCKREEVE_SCHEMAS names a directory that has it.
schemas="$PWD/.dockreeve/schemas"
if command -v npm >/dev/null && ! [ -f "$schemas/complete" ]; then
  tmp="$(mktemp -d)"
  if (cd "$tmp" && npm pack --silent @cyclonedx/cyclonedx-library@10.3.0 @microsoft/jest-sarif@1.0.0-beta.0 >/dev/null && for f in *.tgz; do mkdir "$f.d" && tar -xzf "$f" -C "$f.d" || exit 1; done); then
    mkdir -p "$schemas"
    for f in "$tmp"/cyclonedx-*.d/package/res/schema/{bom-1.[2-6],spdx,jsf-0.82}.SNAPSHOT.schema.json; do
      # The packages name the files they refer to by names of their own.
      sed 's/\.SNAPSHOT\.schema\.json/.schema.json/g' "$f" > "$schemas/$(basename "${f/.SNAPSHOT/}")"
    done
    cp "$tmp"/microsoft-*.d/package/lib/schemas/sarif-2.1.0-rtm.5.json "$schemas/sarif-2.1.0.schema.json" && touch "$schemas/complete"
  else
    echo "could not fetch the official JSON schemas with npm: the tests that need them will be skipped"
  fi
  rm -rf "$tmp"
fi
exit 0
