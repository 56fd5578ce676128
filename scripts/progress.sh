# Sourced by the other scripts: runs a command quietly and shows that it is alive.

# progress LABEL COMMAND…: one line, a dot every two seconds, the time it took. The command's output is shown
# only when it fails.
progress() {
    local label=$1 log status=0 start=$SECONDS
    shift
    log=$(mktemp)
    printf '%s ' "$label"
    "$@" >"$log" 2>&1 &
    local command=$!
    while ! timeout 2 tail --pid="$command" -f /dev/null; do
        printf '.'
    done
    wait "$command" || status=$?
    if [ "$status" -eq 0 ]; then
        printf ' done (%d s)\n' "$((SECONDS - start))"
    else
        printf ' failed\n' >&2
        cat "$log" >&2
    fi
    rm -f "$log"
    return "$status"
}
