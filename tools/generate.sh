#!/usr/bin/env bash
# Writes all of gen/ anew from proto/. Two runs give the same bytes.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/buf.sh" generate
