#!/bin/sh
# Regenerates src/gen from the API's contract. Needs protoc and `npm ci`.
set -eu
cd "$(dirname "$0")/.."
rm -rf src/gen/dockreeve && mkdir -p src/gen
protoc -I ../api --plugin=protoc-gen-es=node_modules/.bin/protoc-gen-es \
  --es_out=src/gen --es_opt=target=ts,import_extension=none \
  dockreeve/v1/dockreeve.proto
