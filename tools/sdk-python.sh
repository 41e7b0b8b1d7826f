#!/usr/bin/env bash
# Builds the Python package into bin/sdk: the wheel and the source archive, each
# holding all and only what its list in sdk/python names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rm -rf bin/sdk/promptforge_client-*
# Outside of the checkout, whose .gitignore the builder would publish.
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p bin/sdk "$stage/src/promptforge"
cp -r sdk/python/pyproject.toml sdk/python/README.md LICENSE "$stage"
cp -r sdk/python/src/promptforge_client "$stage/src"
cp -r gen/python/promptforge/v1 "$stage/src/promptforge"
touch "$stage/src/promptforge/v1/py.typed"
find "$stage" -name __pycache__ -prune -exec rm -r {} +
version=$(tools/version.sh python)
echo "__version__ = \"$version\"" >"$stage/src/promptforge_client/_version.py"

MYPYPATH=$stage/src .venv/bin/mypy --no-error-summary --strict --explicit-package-bases "$stage/src/promptforge_client"
.venv/bin/python -m build --no-isolation --outdir bin/sdk "$stage" >"$stage/log" 2>&1 || {
	cat "$stage/log" >&2
	exit 1
}

.venv/bin/python - "$version" <<'PYTHON'
import pathlib, sys, tarfile, zipfile

version, dist = sys.argv[1], pathlib.Path("bin/sdk")
with zipfile.ZipFile(dist / f"promptforge_client-{version}-py3-none-any.whl") as wheel:
    found = {"wheel.txt": wheel.namelist()}
with tarfile.open(dist / f"promptforge_client-{version}.tar.gz") as archive:
    found["sdist.txt"] = archive.getnames()
for list_name, names in found.items():
    want = pathlib.Path("sdk/python", list_name).read_text().split()
    have = sorted(name.replace(version, "VERSION") for name in names)
    if have != want:
        for name in sorted(set(have) - set(want)):
            print(f"{list_name} does not name {name}, which would be published", file=sys.stderr)
        for name in sorted(set(want) - set(have)):
            print(f"{list_name} names {name}, which would not be published", file=sys.stderr)
        sys.exit(1)
PYTHON
echo "bin/sdk/promptforge_client-$version-py3-none-any.whl"
