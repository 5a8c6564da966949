#!/usr/bin/env bash
# `make test`: set up, run every suite, and print one closing table: what passed, failed, and was skipped and why.
set -uo pipefail
cd "$(dirname "$0")/../.."
test/setup/setup.sh || exit $?
out="$PWD/out/test"; rm -rf "$out"; mkdir -p "$out"
export DOCKREEVE_RESULTS="$out"
for suite in go store kernel lab scan ui; do
  SUITE="test-$suite" test/setup/suite.sh "$suite" || true
done
exec go run ./test/report -final "$out"/*.json
