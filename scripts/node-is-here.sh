#!/usr/bin/env bash
# Whether npm is here with a Node.js that the dashboard's tools run on: 20.19 or newer, 22.12 or newer.
set -euo pipefail
command -v npm >/dev/null && command -v node >/dev/null || exit 1
node -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22 ? 0 : 1);
'
