# What the scripts share; sourced, not run.

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 2; }

# Runs a command as root: as it is, or through sudo.
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# need_command COMMAND PACKAGE: installs a Debian package unless the command is there.
need_command() {
    command -v "$1" >/dev/null && return
    command -v apt-get >/dev/null || die "needs '$1': install it (Debian's package is called $2)"
    say "installing $2"
    if [ -z "${APT_UPDATED:-}" ]; then as_root apt-get update -qq; APT_UPDATED=1; fi
    DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq "$2" >/dev/null
}

need_rust() {
    command -v cargo >/dev/null || die "needs Rust 1.95 or newer: see https://rustup.rs"
}
