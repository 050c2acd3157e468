# What the tests of the service have in common. Read by bash, as root, on a machine that runs systemd and is to be
# thrown away, in a directory with the daemon and what is installed with it.

set -euo pipefail
export SYSTEMD_PAGER='' LC_ALL=C
socket=/run/prwlock/prwlock.sock
# For waiting requests, so that none outlasts its test.
patience=10
# A session that holds would have the daemon wait for it when the machine goes down.
trap 'jobs -p | xargs -r kill -KILL 2>/dev/null || true' EXIT

# Installs everything as a package would; nothing of an earlier test is left.
install_all() {
    systemctl --quiet stop prwlockd.socket prwlockd.service 2>/dev/null || true
    rm -rf /run/prwlock /var/lib/prwlock /etc/prwlock /etc/systemd/system/prwlockd.service.d
    install -m 755 prwlockd prwlock /usr/bin/
    # A debug build's libraries may lie in somebody's home directory, which the service cannot see.
    ldd prwlockd prwlock | awk '$3 ~ "^/(home|root)/" { print $3 }' | xargs -r cp -t /usr/lib
    install -m 644 systemd/*.socket systemd/*.service /etc/systemd/system/
    install -m 644 -D -t /etc/systemd/user systemd/user/*
    install -m 644 -D -t /usr/lib/systemd/catalog systemd/prwlock.catalog
    journalctl --update-catalog
    install -m 644 systemd/prwlock.sysusers.conf /usr/lib/sysusers.d/prwlock.conf
    install -m 644 systemd/prwlock.tmpfiles.conf /usr/lib/tmpfiles.d/prwlock.conf
    install -m 644 -D -t /usr/share/man/man7 manual/*.7
    install -m 644 -D -t /usr/share/man/man8 manual/*.8
    systemd-sysusers prwlock.conf
    systemd-tmpfiles --create prwlock.conf
    systemctl daemon-reload
}

# Ends the test, with what the journal has to say.
fail() {
    echo "$*" >&2
    systemctl status --lines=0 prwlockd.service >&2 || true
    journalctl --no-pager --unit=prwlockd.service >&2
    exit 1
}

# expect WHAT HAS: the two are the same.
expect() {
    [[ $2 == "$1" ]] || fail "expected: $1"$'\n'"     got: $2"
}

# expect_like PATTERN TEXT
expect_like() {
    # shellcheck disable=SC2053
    [[ $2 == $1 ]] || fail "expected something like: $1"$'\n'"     got: $2"
}

# Tries a command until it succeeds.
eventually() {
    local tries
    for ((tries = 0; tries < patience * 50; tries++)); do
        if "$@"; then return; fi
        sleep 0.02
    done
    fail "did not come true: $*"
}

show() { systemctl show --property="$1" --value "${2:-prwlockd.service}"; }

# ask LINE...: a session that ends with its last line; prints the replies.
ask() { printf '%s\n' "$@" | nc -N -U -w "$patience" "$socket"; }

serves() { [[ $(ask PING 2>/dev/null) == PONG ]]; }

# open NAME: a session that lives until its process, ${NAME}_PID, dies. Its replies are in the file NAME.
open() {
    local name=$1
    mkfifo "$name.in"
    nc -U "$socket" <"$name.in" >"$name" &
    declare -g "${name}_PID=$!"
    exec {descriptor}>"$name.in"
    declare -g "${name}_INPUT=$descriptor"
}

# tell NAME LINE, and wait for as many lines of reply in all as COUNT says.
tell() {
    local name=$1 line=$2 count=${3:-1} input=${1}_INPUT
    echo "$line" >&"${!input}"
    eventually has_lines "$name" "$count"
}

has_lines() { (($(wc -l <"$1") >= $2)); }

# token NAME: the token of the grant that the session had last.
token() { grep '^GRANTED ' "$1" | sed -n '$s/.*token=\([0-9]*\).*/\1/p'; }

# by UNIT LINE... [-- PROPERTY...]: what a session of a unit of its own is answered.
by() {
    local unit=$1 lines=() properties=()
    shift
    while (($# > 0)) && [[ $1 != -- ]]; do lines+=("$1"); shift; done
    for property in "${@:2}"; do properties+=("--property=$property"); done
    printf '%s\n' "${lines[@]}" |
        systemd-run --quiet --wait --pipe --collect --unit="$unit" "${properties[@]}" nc -N -U "$socket"
}

# drop_in LINE...: settings over those of the service.
drop_in() {
    install -d /etc/systemd/system/prwlockd.service.d
    printf '%s\n' "$@" >/etc/systemd/system/prwlockd.service.d/test.conf
    systemctl daemon-reload
}

# slow_job NAME LOCK SECONDS [LINE...]: a unit that holds a lock, and takes its time to stop. When it has stopped, the file
# NAME.seen has what its session was answered in the end.
slow_job() {
    local name=$1 lock=$2 seconds=$3
    shift 3
    cat >"$name.sh" <<END
cd '$PWD'
coproc nc -U $socket
echo 'WRITE $lock' >&\${COPROC[1]}
read -r reply <&\${COPROC[0]}
echo "\$reply" >$name.granted
stop() {
    sleep $seconds
    echo 'STATUS $lock' >&\${COPROC[1]}
    timeout 5 sed '/^END /q' <&\${COPROC[0]} >$name.seen
    exit 0
}
trap stop TERM
while :; do sleep infinity & wait \$!; done
END
    printf '%s\n' '[Unit]' "$@" '[Service]' "ExecStart=/bin/bash $PWD/$name.sh" KillMode=mixed TimeoutStopSec=60 \
        StandardOutput=null >"/etc/systemd/system/$name.service"
    systemctl daemon-reload
    systemctl start "$name.service"
    eventually test -s "$name.granted"
    expect_like 'GRANTED *' "$(cat "$name.granted")"
}

# entry FIELD=VALUE...: the journal has such an entry; prints it.
entry() { journalctl --quiet --output=json --lines=1 "$@" | grep .; }

# field NAME: of the entry on standard input.
field() { sed -E "s/.*\"$1\":\"([^\"]*)\".*/\1/"; }

# has_answer_from PATH COMMAND...: the command's user reaches the daemon at that path.
has_answer_from() {
    local path=$1
    shift
    "$@" prwlock ping 2>/dev/null | grep -q " at $path "
}
