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

# Installs what makes Python's virtual environments: Debian's Python comes without.
need_venv() {
    python3 -c 'import ensurepip' 2>/dev/null && return
    command -v apt-get >/dev/null || die "needs Python's venv module (Debian's package is called python3-venv)"
    as_root apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq python3-venv >/dev/null
}

need_rust() {
    command -v cargo >/dev/null || die "needs Rust 1.95 or newer: see https://rustup.rs"
}

# browser_modules TARGET: installs Open MCT and what drives a browser below TARGET, as ground-sim/dictionary/package.json has
# them; says where.
browser_modules() {
    local here=ground-sim/dictionary modules=$1/dictionary-node
    need_command npm npm >&2
    if ! cmp -s $here/package.json "$modules/package.json" || [ ! -d "$modules/node_modules/openmct" ]; then
        rm -rf "$modules"
        mkdir -p "$modules"
        cp $here/package.json $here/package-lock.json "$modules"
        npm ci --silent --ignore-scripts --no-audit --no-fund --prefix "$modules" >/dev/null
    fi
    echo "$modules"
}
