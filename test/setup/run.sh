#!/usr/bin/env bash
# `make test`: set up, run every suite, and print one closing table: what passed, failed, and was skipped and why.
set -uo pipefail
cd "$(dirname "$0")/../.."
test/setup/setup.sh || exit $?
out="$PWD/out/test"; rm -rf "$out"; mkdir -p "$out"
export DOCKREEVE_RESULTS="$out"
failed=0
suite() { SUITE="test-$1" test/setup/suite.sh "$1" || failed=1; }
suite kernel
# The lab mostly waits for a real Kubernetes. Beside it run the suites that watch neither this kernel nor a
# screen, where its pods would be seen. What it says is shown whole when it is over.
set -m # a process group of its own, so that an interrupt ends all of it
SUITE=test-lab test/setup/suite.sh lab > "$out/lab.said" 2>&1 &
lab=$!
set +m
trap 'kill -INT -- "-$lab" 2>/dev/null; exit 130' INT TERM
echo "(test-lab began: $out/lab.said)"
suite go
suite store
suite scan
wait "$lab" || failed=1
trap - INT TERM
cat "$out/lab.said"
suite ui
go run ./test/report -final "$out"/{go,store,kernel,lab,scan,ui}.json || failed=1
exit "$failed"
