#!/usr/bin/env bash
# Builds the dashboard into ui/dist when its sources are newer than what is there. Without npm it says so and
# ends well: everything else works without the dashboard, and a release build refuses to be without it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh

if ! scripts/node-is-here.sh; then
    echo "dashboard: not built, for it needs Node.js 20.19, 22.12 or newer with npm: https://nodejs.org/en/download"
    exit 0
fi

cd ui
if [ package-lock.json -nt node_modules/.package-lock.json ]; then
    progress "dashboard: fetching its libraries" npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
fi
inputs=(src public index.html package.json package-lock.json tsconfig.json vite.config.ts)
if [ ! -e dist/index.html ] || [ -n "$(find "${inputs[@]}" -newer dist/index.html -print -quit)" ]; then
    progress "dashboard: building" npm run --silent build
fi
