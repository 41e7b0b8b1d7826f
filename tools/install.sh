#!/usr/bin/env bash
# Installs what make check runs beside Go: curl and zstd from Debian, requests
# into .venv. Where it can't, it says in one sentence what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
for program in curl zstd python3; do
	command -v "$program" >/dev/null || missing+=("$program")
done
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "make check needs ${missing[*]}, which can only be installed by root on Debian: install it and run make check again." >&2
		exit 1
	fi
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if ! .venv/bin/python -c 'import requests' 2>/dev/null; then
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check requests==2.32.5
fi
