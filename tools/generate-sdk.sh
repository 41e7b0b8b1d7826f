#!/usr/bin/env bash
# Writes gen/python and gen/typescript anew from proto/. Two runs give the same
# bytes. tools/install.sh installs what it runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Plugins that Python installs are scripts, which look for their interpreter.
PATH=$PWD/.venv/bin:$PATH tools/buf.sh generate --template buf.gen.sdk.yaml 2> >(grep -v '^Writing mypy to ' >&2)
