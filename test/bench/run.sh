#!/usr/bin/env bash
# Measures what docs/benchmarks.md tells, prints it and writes out/bench.json. Called by `make bench`, which builds bin/ first.
#
# Wants root and a machine with nothing else to do. DOCKREEVE_RULES_DIR names a directory of rule files to compare with ours;
# DOCKREEVE_BENCH_NOTE goes beside the numbers; BENCH_FLAGS go to the harness (-only node,flood; -quick).
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p out
export CGO_ENABLED=0
[ -x bin/dockreeve ] && [ -x bin/dockreeve-node ] || { echo "test/bench/run.sh: bin/ is not built: run \`make bench\`" >&2; exit 3; }
for p in busybox runc; do
  command -v "$p" >/dev/null || echo "test/bench/run.sh: $p is not installed (Debian: apt install busybox-static runc)" >&2
done
go build -trimpath -ldflags '-s -w' -o out/bench-harness ./test/bench
# shellcheck disable=SC2086
exec out/bench-harness -repo "$PWD" ${BENCH_FLAGS:-}
