#!/usr/bin/env bash
# Fails when proto/ breaks, on the wire or in its JSON, a caller of the protos
# at git revision $1 (default: main). A revision without protos breaks nobody.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
base=${1:-main}

if ! git cat-file -e "$base:proto" 2>/dev/null; then
	echo "breaking: $base has no proto folder; nothing to compare with" >&2
	exit 0
fi
was=$(mktemp -d)
trap 'rm -rf "$was"' EXIT
tools/buf.sh --version >/dev/null # lays .proto-deps
# Not buf's own '.git#branch=': that checkout has no .proto-deps.
git archive "$base" proto buf.yaml | tar -x -C "$was"
cp -r .proto-deps "$was/"
tools/buf.sh breaking --against "$was"
