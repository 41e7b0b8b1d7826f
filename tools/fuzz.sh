#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (default 10s each).
#
# Go's coordinator now and then reports the end of -fuzztime itself as a failure
# (https://go.dev/issue/75804): nothing but "context deadline exceeded", and no
# failing input. Such an end counts as passed once the target's corpus passes;
# every other failure is one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# only_deadline tells whether the log holds that false failure and nothing else.
only_deadline() {
	! grep -qE 'Failing input|panic|fuzzing process' "$log" &&
		[ "$(sed -n '/^--- FAIL: /,/^FAIL$/p' "$log" | sed '1d;$d')" = '    context deadline exceeded' ]
}

fuzz() { # package, target
	if go test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-10s}" "$1" </dev/null 2>&1 | tee "$log"; then
		return
	fi
	only_deadline || return 1
	echo "$2 found nothing: Go reported the end of the time as a failure. Its corpus once more:"
	go test -count=1 -run "^$2\$" "$1" </dev/null
}

while read -r file; do
	while read -r target; do
		fuzz "./$(dirname "$file")" "$target"
	done < <(grep -oE '^func Fuzz[A-Za-z]+' "$file" | cut -d' ' -f2)
done < <(grep -rlE '^func Fuzz[A-Za-z]+\(' --include='*_test.go' .)
