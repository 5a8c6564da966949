#!/usr/bin/env bash
# Runs one suite (go, store, kernel, lab, scan, ui), leaves its results as go-test JSON, and prints its own summary.
set -uo pipefail
cd "$(dirname "$0")/../.."
suite="$1"
dir="${DOCKREEVE_RESULTS:-$PWD/out/test}"; mkdir -p "$dir"
res="$dir/$suite.json"
node_dir="${DOCKREEVE_NODE_DIR:-$PWD/.dockreeve/node}"
[ -x "$node_dir/node_modules/node/bin/node" ] && export PATH="$node_dir/node_modules/node/bin:$PATH"
kernel='./sensor/... ./internal/sandbox/... ./test/kernel/... ./test/running/... ./test/hostile/...'
store='./store/... ./server/... ./link/...'
lab='./test/kube/...'
scan='./test/scan/...'
# The official schemas: those beside this repository, else what setup.sh fetched.
if [ -z "${DOCKREEVE_SCHEMAS:-}" ]; then
  if [ -d ../shared/schemas ]; then export DOCKREEVE_SCHEMAS="$(cd ../shared/schemas && pwd)"
  elif [ -d .dockreeve/schemas ]; then export DOCKREEVE_SCHEMAS="$PWD/.dockreeve/schemas"; fi
fi
ui='./ui/... ./test/console/...'
case "$suite" in
  kernel) pkgs=$(go list $kernel 2>/dev/null) ;;
  store)  pkgs=$(go list $store) ;;
  lab)    pkgs=$(go list $lab) ;;
  scan)   pkgs=$(go list $scan) ;;
  ui)     pkgs=$(go list $ui) ;;
  go)     pkgs=$(go list ./... | grep -vxFf <(go list $kernel $store $lab $scan $ui 2>/dev/null)) ;;
  *) echo "suite.sh: unknown suite $suite (go, store, kernel, lab, scan, ui)" >&2; exit 2 ;;
esac
echo "== $SUITE"
# One package at a time where the machine is shared by real containers and browsers.
par=2; case "$suite" in kernel|lab|scan|ui) par=1;; esac
# What the lab is made of is built once, where it can be watched; where it cannot be, the tests say so.
if [ "$suite" = lab ]; then go run ./test/kube/labctl build || true; fi
: > "$res"; : > "$dir/$suite.stderr"
code=0
tests() { go test -json -timeout 20m -p "$par" "$@" >> "$res" 2>> "$dir/$suite.stderr" || code=1; }
# Packages that do no I/O, tests included (test/house): Go keeps their results until their code or what they read of
# the repository changes. Not where a path from outside is named, or where everything is to run (DOCKREEVE_FRESH=1).
kept='./cost/... ./detect/... ./event/... ./finding/... ./govern/... ./inventory/... ./posture/... ./query/... ./triage/...'
if [ "$suite" = go ] && [ -z "${DOCKREEVE_FRESH:-}${DOCKREEVE_FALCO_PLUGINS:-}${DOCKREEVE_PODSECURITY:-}${DOCKREEVE_FIELDS_JSON:-}" ]; then
  kept=$(go list $kept) && [ -n "$kept" ] || exit 1
  tests $kept
  pkgs=$(grep -vxFf <(echo "$kept") <<< "$pkgs")
fi
tests -count=1 $pkgs
[ -s "$dir/$suite.stderr" ] && cat "$dir/$suite.stderr" >&2
go run ./test/report "$res" || code=1
exit $code
