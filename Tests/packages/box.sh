# What `check` does with the packages. bash reads this as root, on a disposable machine that runs systemd, with the folders
# first (the packages), second (the same with a higher revision) and tarball in the working directory.

set -euo pipefail
export SYSTEMD_PAGER='' LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
patience=20
# What a container's image has to keep services from starting.
rm -f /usr/sbin/policy-rc.d

step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

fail() {
    echo "$*" >&2
    systemctl status --lines=0 prwlockd.service prwlockd.socket >&2 || true
    journalctl --no-pager --unit=prwlockd.service >&2
    exit 1
}

expect() { [[ $2 == "$1" ]] || fail "expected: $1"$'\n'"     got: $2"; }

eventually() {
    local tries
    for ((tries = 0; tries < patience * 50; tries++)); do
        if "$@"; then return; fi
        sleep 0.02
    done
    fail "did not come true: $*"
}

# All files where packages have and make some. Left out: what apt, dpkg, the journal, logind and PackageKit keep of any installation.
files() {
    local left_out
    left_out=$(printf -- '-o -path %s ' /var/cache /var/lib/{PackageKit,apt,dpkg,systemd/linger} /var/log /var/tmp)
    # shellcheck disable=SC2086
    find /etc /opt /srv /usr /var -xdev \( -path /opt/swift $left_out \) -prune -o -print | sort
}

# apt with local packages. It prints what it does only if it fails.
apt() {
    local log
    log=$(mktemp)
    apt-get --quiet --yes --no-install-recommends --allow-downgrades "$@" >"$log" 2>&1 ||
        { cat "$log" >&2; fail "apt-get $*"; }
    if grep -i 'warning' "$log" | grep -v downgrading; then fail "apt-get $* warns"; fi
}

as() { runuser -u "$1" -- env -i PATH="$PATH" HOME="/home/$1" "${@:2}"; }
holds() { as "$1" prwlock status "$2" 2>/dev/null | grep -q "$3"; }
is_gone() { ! kill -0 "$1" 2>/dev/null; }

# main: the process of the service that holds descriptors; its program is the one on disk.
keeper() { systemctl show --property=MainPID --value prwlockd.service; }
runs_program_on_disk() { [[ $(readlink "/proc/$(keeper)/exe") == /usr/bin/prwlockd ]]; }
