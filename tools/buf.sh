#!/usr/bin/env bash
# Runs buf with the arguments given, from the root of the checkout:
#
#   tools/buf.sh lint
#   tools/buf.sh format -d --exit-code
#
# First it lays the protos that ours import into .proto-deps (ignored by git),
# out of the Go module cache, where go.sum and tools/go.sum vouch for them. It
# needs nothing but Go and its module proxy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# module_dir prints where the Go module cache holds module $2, in the version
# that the go.mod of folder $1 names, downloading it if need be.
module_dir() {
	go -C "$1" mod download "$2"
	go -C "$1" list -m -f '{{.Dir}}' "$2"
}

# lay copies proto files $3... from folder $1 of a module to folder $2 of
# .proto-deps, and leaves a file alone that is there already with that content.
lay() {
	local from=$1 to=.proto-deps/$2 name
	shift 2
	mkdir -p "$to"
	for name in "$@"; do
		cmp -s "$from/$name" "$to/$name" || install -m 0644 "$from/$name" "$to/$name"
	done
}

# grpc-gateway v2 has no google/api protos any more; the last v1 has.
gateway_v1=$(module_dir tools github.com/grpc-ecosystem/grpc-gateway)
gateway_v2=$(module_dir . github.com/grpc-ecosystem/grpc-gateway/v2)
lay "$gateway_v1/third_party/googleapis/google/api" google/api \
	annotations.proto http.proto
lay "$gateway_v2/protoc-gen-openapiv2/options" protoc-gen-openapiv2/options \
	annotations.proto openapiv2.proto

exec go tool -modfile=tools/go.mod buf "$@"
