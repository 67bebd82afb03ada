#!/usr/bin/env bash
# Writes the types of proto/ to src/wire, or to the folder that is named as the first argument. Run it after every
# change of a .proto file: bash proto/generate.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-src/wire}

rm -rf "$out"
node node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js \
  --keepCase --longs=Number --enums=String --oneofs \
  --importFileExtension=.ts --targetFileExtension=.ts \
  --includeDirs=proto --outDir="$out" \
  envoy/service/auth/v3/external_auth.proto envoy/service/accesslog/v3/als.proto

# Two changes for enums: no value objects, so that types alone remain; and a decoded enum may be a number, because a
# newer Envoy can send a value that proto/ does not name.
find "$out" -name '*.ts' -exec sed -i.before -E \
  -e '/^export const .* = \{$/,/^\} as const;$/d' \
  -e 's/= typeof ([A-Za-z0-9_]+)\[keyof typeof [A-Za-z0-9_]+\]$/= Exclude<\1, number> | number/' \
  {} +
find "$out" -name '*.before' -delete
