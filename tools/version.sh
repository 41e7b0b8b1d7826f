#!/usr/bin/env bash
# Prints the version that the last git tag vX.Y.Z gives a package of the language
# named: "tools/version.sh python" for PyPI (PEP 440), "npm" for npm (semver).
# Commits after the tag make a version behind it; without a tag it is 0.0.0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

described=$(git describe --tags --long --match 'v[0-9]*.[0-9]*.[0-9]*' 2>/dev/null ||
	echo "v0.0.0-$(git rev-list --count HEAD)-g$(git rev-parse --short HEAD)")
[[ $described =~ ^v([0-9]+\.[0-9]+\.[0-9]+)-([0-9]+)-g([0-9a-f]+)$ ]] || {
	echo "the tag of $described is no vX.Y.Z" >&2
	exit 1
}
tag=${BASH_REMATCH[1]} commits=${BASH_REMATCH[2]} commit=${BASH_REMATCH[3]}
if [ "$commits" = 0 ]; then
	echo "$tag"
	exit
fi
case ${1-} in
python) echo "$tag.post$commits+g$commit" ;;
# In semver a suffix comes before its version, so the next patch has it.
npm) echo "${tag%.*}.$((${tag##*.} + 1))-dev.$commits.g$commit" ;;
*)
	echo "usage: tools/version.sh python|npm" >&2
	exit 2
	;;
esac
