#!/usr/bin/env bash
# Writes gen/go and gen/openapi anew from proto/. Two runs give the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/buf.sh generate
go run ./server/openapi
