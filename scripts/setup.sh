#!/usr/bin/env bash
# Installs from apt what building, testing and the demo need and this machine lacks; says nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh

packages=(
    # to build: the kernel programs, and libbpf's C part
    clang-19 gcc libc6-dev libelf-dev make pkg-config zlib1g-dev
    # to run containers
    busybox-static containerd containernetworking-plugins iproute2 runc
    # to test the console's other store
    postgresql
    # to let its clock jump
    libfaketime
    # to receive what the console's notifiers send
    rsyslog rsyslog-gnutls
)
# to boot other kernels in guests, which only machines of their kind can
if [ "$(uname -m)" = x86_64 ]; then
    packages+=(binutils cpio qemu-system-x86 xz-utils)
fi

# to build the dashboard and to look at it with a real browser; Debian 12's own Node.js is too old for its tools
if scripts/node-is-here.sh; then
    packages+=(chromium)
elif [ "$(. /etc/os-release && echo "${VERSION_ID%%.*}" 2>/dev/null || true)" -ge 13 ]; then
    packages+=(nodejs npm chromium)
fi

complain() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null ||
        complain "needs Debian 12 or 13 (or a derivative with apt)" "install by hand: ${missing[*]}"
    [ "$(id -u)" -eq 0 ] ||
        complain "missing packages: ${missing[*]}" "install them: sudo scripts/setup.sh"
    export DEBIAN_FRONTEND=noninteractive
    # The tests start servers of their own: Debian's package need not start one for the whole machine.
    if [ ! -d /etc/postgresql-common ]; then
        mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/moat.conf
    fi
    progress "setup: refreshing the package lists" apt-get update
    progress "setup: installing ${missing[*]}" \
        apt-get install --yes --no-install-recommends "${missing[@]}"
fi

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
command -v cargo >/dev/null ||
    complain "no Rust toolchain: install Rust $wanted or newer from https://rustup.rs" \
        "under sudo, keep its folders: sudo env \"PATH=\$PATH\" \"HOME=\$HOME\" make …"
have=$(rustc --version | cut -d' ' -f2)
[ "$(printf '%s\n' "$wanted" "$have" | sort --version-sort | head -n 1)" = "$wanted" ] ||
    complain "Rust $have is too old: run 'rustup update' to get $wanted or newer"
