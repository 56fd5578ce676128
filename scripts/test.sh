#!/usr/bin/env bash
# Checks and tests everything that this machine can run, and says what it left out. `make test` calls it.
#
# MOAT_REQUIRE=guard,lsm turns the skip of a test that needs `guard` or `lsm` into a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh

DENY_VERSION=0.20.2
log=target/test.log
mkdir -p target

heading() { printf '\n== %s\n' "$1"; }

heading "format"
cargo fmt --all --check
echo "ok"

heading "lints"
cargo clippy --workspace --all-targets --locked --quiet -- --deny warnings
echo "ok"

heading "crates, links"
cargo xtask arrows
cargo xtask links

heading "dependencies"
export PATH="$PWD/.tools/bin:$PATH"
[ "$(cargo deny --version 2>/dev/null)" = "cargo-deny $DENY_VERSION" ] ||
    progress "installing cargo-deny $DENY_VERSION into .tools" \
        cargo install --locked --debug --quiet --root .tools --target-dir target/tools \
        --version "$DENY_VERSION" cargo-deny
cargo deny --locked check bans licenses sources
if [ "${MOAT_ADVISORIES:-}" = check ]; then
    cargo deny --locked check advisories
    : >"$log"
else
    echo "skipped: known vulnerabilities of dependencies: their list is fetched only with MOAT_ADVISORIES=check" |
        tee "$log"
fi

heading "dashboard"
status=0
if scripts/node-is-here.sh; then
    (
        cd ui
        npm run --silent check
        npm test --silent
        npm run --silent schema -- --check
    ) || status=$?
else
    echo "skipped: the dashboard's own checks: Node.js 20.19 or newer with npm is missing" | tee --append "$log"
    # Where it was promised, its absence is a failure.
    [[ ",${MOAT_REQUIRE:-}," != *,ui,* ]] || status=1
fi

heading "tests"
cargo test --workspace --locked --no-fail-fast -- --show-output 2>&1 | tee --append "$log" || status=$?

heading "summary"
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
     END { printf "%d passed, %d failed, %d ignored\n", passed, failed, ignored }' "$log"
# What failed is far above by now: again, as far as it may be read in one go.
awk '/^---- .* stdout ----$/ { name = $0; lines = 0; text = ""; next }
     /^test .* \.\.\. FAILED$/ { failed[$2] = 1 }
     name != "" && /^(failures:|successes:)$/ { name = "" }
     name != "" { if (++lines <= 120) said[name] = said[name] $0 "\n" }
     END { for (name in said) { split(name, words, " "); if (words[2] in failed) printf "\nfailed: %s\n%s", words[2], said[name] } }' "$log"
skipped=$(grep '^skipped: ' "$log" | sort | uniq --count || true)
if [ -n "$skipped" ]; then
    printf 'skipped on this machine, not counted as passed anywhere that requires them:\n%s\n' "$skipped"
else
    echo "nothing was skipped"
fi
exit "$status"
