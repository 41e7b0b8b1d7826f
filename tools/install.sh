#!/usr/bin/env bash
# Installs what make check runs beside Go: curl, zstd, Node, Chromium and FUSE from Debian,
# Python's packages into .venv, npm's into sdk/typescript/node_modules. Where it
# can't, it says in one sentence what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
for program in curl zstd python3 npm chromium; do
	command -v "$program" >/dev/null || missing+=("$program")
done
command -v fusermount3 >/dev/null || missing+=(fuse3)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "make check needs ${missing[*]}, which can only be installed by root on Debian: install it and run make check again." >&2
		exit 1
	fi
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
# A package is installed when what names it has changed.
if ! cmp -s tools/requirements.txt .venv/requirements.txt; then
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r tools/requirements.txt
	cp tools/requirements.txt .venv
fi
if ! cmp -s sdk/typescript/package-lock.json sdk/typescript/node_modules/package-lock.json; then
	npm --prefix sdk/typescript ci --silent --no-audit --no-fund
	cp sdk/typescript/package-lock.json sdk/typescript/node_modules
fi
