#!/usr/bin/env bash
# Builds the npm package into bin/sdk: the tarball, holding all and only what
# sdk/typescript/tarball.txt names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rm -f bin/sdk/promptforge-client-*.tgz
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p bin/sdk "$stage/src/gen"
cp -r sdk/typescript/{package.json,tsconfig.json,README.md,src} LICENSE "$stage"
cp -r gen/typescript/promptforge "$stage/src/gen"
ln -s "$PWD/sdk/typescript/node_modules" "$stage/node_modules"
version=$(tools/version.sh npm)
npm --prefix "$stage" pkg set version="$version"

"$stage/node_modules/.bin/tsc" -p "$stage"
npm pack --silent --pack-destination bin/sdk "$stage" >/dev/null

tarball=bin/sdk/promptforge-client-$version.tgz
diff <(tar -tzf "$tarball" | LC_ALL=C sort) sdk/typescript/tarball.txt || {
	echo "what would be published (<) is not what sdk/typescript/tarball.txt names (>)" >&2
	exit 1
}
echo "$tarball"
