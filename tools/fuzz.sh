#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (default 5s each).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
grep -rlE '^func Fuzz[A-Za-z]+\(' --include='*_test.go' . | while read -r file; do
	grep -oE '^func Fuzz[A-Za-z]+' "$file" | cut -d' ' -f2 | while read -r target; do
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-5s}" "./$(dirname "$file")" </dev/null
	done
done
