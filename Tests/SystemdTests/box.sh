# Functions for the tests of the service. bash reads this as root, on a disposable machine that runs systemd, in a
# directory with the daemon and the files to install with it.

set -euo pipefail
export SYSTEMD_PAGER='' LC_ALL=C
socket=/run/prwlock/prwlock.sock
# The timeout of waiting requests: none outlasts its test.
patience=10
# At the shutdown of the machine the daemon waits for a session that holds a lock.
trap 'jobs -p | xargs -r kill -KILL 2>/dev/null || true' EXIT

# Installs everything as a package would, and removes what an earlier test left.
install_all() {
    systemctl --quiet stop prwlockd.socket prwlockd.service 2>/dev/null || true
    rm -rf /run/prwlock /var/lib/prwlock /etc/prwlock /etc/systemd/system/prwlockd.service.d
    install -m 755 prwlockd prwlock /usr/bin/
    # The libraries of a debug build may be in a home directory, which the service cannot see.
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

# Ends the test, and prints the journal.
fail() {
    echo "$*" >&2
    systemctl status --lines=0 prwlockd.service >&2 || true
    journalctl --no-pager --unit=prwlockd.service >&2
    exit 1
}

# expect EXPECTED ACTUAL: both are equal.
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

# ask LINE...: sends the lines in a session that ends with the last line; prints the replies.
ask() { printf '%s\n' "$@" | nc -N -U -w "$patience" "$socket"; }

serves() { [[ $(ask PING 2>/dev/null) == PONG ]]; }

# open NAME: opens a session that lives until its process, ${NAME}_PID, dies. The file NAME gets its replies.
open() {
    local name=$1
    mkfifo "$name.in"
    nc -U "$socket" <"$name.in" >"$name" &
    declare -g "${name}_PID=$!"
    exec {descriptor}>"$name.in"
    declare -g "${name}_INPUT=$descriptor"
}

# tell NAME LINE COUNT: sends a line, and waits until the session has COUNT lines of replies.
tell() {
    local name=$1 line=$2 count=${3:-1} input=${1}_INPUT
    echo "$line" >&"${!input}"
    eventually has_lines "$name" "$count"
}

has_lines() { (($(wc -l <"$1") >= $2)); }

# server: prints the process that serves. is_replaced PROCESS: whether another one serves in its place.
server() {
    local keeper
    keeper=$(show MainPID)
    [[ $keeper != 0 ]] && pgrep --parent "$keeper"
}
is_replaced() {
    local now
    now=$(server) && [[ $now != "$1" && $(show ActiveState) == active ]]
}

# begin_sessions COUNT: opens sessions that hold and wait (sessions.pl).
begin_sessions() {
    coproc SESSIONS { exec perl sessions.pl "$socket" "$1" 2>&1; }
    hear_sessions ready
}

# expect_sessions ORDER ANSWER: all sessions together answer the order like this.
expect_sessions() {
    echo "$1" >&"${SESSIONS[1]}"
    hear_sessions "$2"
}

hear_sessions() {
    local line=nothing
    read -r -t 60 line <&"${SESSIONS[0]}" || true
    expect "$1" "$line"
}

# token NAME: prints the token of the session's last grant.
token() { grep '^GRANTED ' "$1" | sed -n '$s/.*token=\([0-9]*\).*/\1/p'; }

# by UNIT LINE... [-- PROPERTY...]: prints the replies to a session in a unit of its own.
by() {
    local unit=$1 lines=() properties=()
    shift
    while (($# > 0)) && [[ $1 != -- ]]; do lines+=("$1"); shift; done
    for property in "${@:2}"; do properties+=("--property=$property"); done
    printf '%s\n' "${lines[@]}" |
        systemd-run --quiet --wait --pipe --collect --unit="$unit" "${properties[@]}" nc -N -U "$socket"
}

# drop_in LINE...: overrides settings of the service.
drop_in() {
    install -d /etc/systemd/system/prwlockd.service.d
    printf '%s\n' "$@" >/etc/systemd/system/prwlockd.service.d/test.conf
    systemctl daemon-reload
}

# slow_job NAME LOCK SECONDS [LINE...]: starts a unit that holds a lock, and that takes so long to stop. After that, the file
# NAME.seen has the last replies to its session.
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

# entry FIELD=VALUE...: prints the last such entry of the journal, and fails if there is none.
entry() { journalctl --quiet --output=json --lines=1 "$@" | grep .; }

# field NAME: prints a field of the entry on standard input.
field() { sed -E "s/.*\"$1\":\"([^\"]*)\".*/\1/"; }

# has_answer_from PATH COMMAND...: whether the command's user reaches the daemon at that path.
has_answer_from() {
    local path=$1
    shift
    "$@" prwlock ping 2>/dev/null | grep -q " at $path "
}
