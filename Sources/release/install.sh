#!/bin/sh
#
# Installs prwlock from the folder that this file is in, without the network. Needs a shell and the usual commands.

set -eu
# All users are to reach what root installs, whatever root's mask is.
umask 022
here=$(cd "$(dirname "$0")" && pwd)
program=install.sh

usage() {
    cat <<'USAGE'
Usage: ./install.sh [OPTION]...

Installs the daemon prwlockd, the command prwlock, the C library, manuals and completions. Without a service, each user's first
lock starts a daemon for that user. To install again, also another version, is safe: a file that is not from here is never
overwritten, and running programs go on.

Options:
  --prefix FOLDER   install below this folder (default: /usr/local)
  --user            install for this user alone, below ~/.local, with units for the user's systemd
  --service         install the service for all users of this host, too, and start its socket; for root, with systemd
  --uninstall       remove what was installed, with the same --prefix or --user; the service, too
  -h, --help        show this text

Exit status: 0, 1 if nothing was changed, as the message says, or 64 for wrong usage.
USAGE
}

say() { printf '%s\n' "$*"; }
fail() {
    printf '%s: %s\n' "$program" "$1" >&2
    exit "${2:-1}"
}

prefix='' user=false service=false uninstall=false
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) [ -n "${2-}" ] || fail '--prefix needs a folder' 64; prefix=$2; shift ;;
        --prefix=*) prefix=${1#*=}; [ -n "$prefix" ] || fail '--prefix needs a folder' 64 ;;
        --user) user=true ;;
        --service) service=true ;;
        --uninstall) uninstall=true ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; fail "unknown option '$1'" 64 ;;
    esac
    shift
done
if $user; then
    [ -z "$prefix" ] || fail '--user and --prefix exclude each other' 64
    $service && fail '--service is for root, and --user for one user' 64
    prefix=${HOME:?}/.local
fi
prefix=${prefix:-/usr/local}
case $prefix in
    /) prefix='' ;;
    /*) prefix=${prefix%/} ;;
    *) prefix=$(pwd)/${prefix%/} ;;
esac
case $prefix in
    *'
'*) fail 'a folder with a line feed in its name cannot be recorded: choose another --prefix' ;;
esac
if $service; then
    [ "$(id -u)" = 0 ] || fail '--service needs root'
    [ -d /run/systemd/system ] || fail '--service needs a systemd that runs'
fi

# What was installed: a line of "STATE PLACE" for each file, and of "folder PLACE" for each folder that was made.
record=$prefix/share/prwlock/installed
units=/usr/local/lib
for tool in awk cut grep mktemp readlink sed sha256sum sort; do
    command -v "$tool" >/dev/null || fail "nothing was changed: this needs the command $tool"
done
# One run at a time, as two would both write the record.
exec 9<"$here"
if command -v flock >/dev/null; then flock -n 9 || fail 'nothing was changed: another run is not over yet'; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What a file is: its hash, or a link and its target. Nothing if it does not exist.
state() {
    if [ -L "$1" ]; then
        printf 'link:%s\n' "$(readlink "$1")"
    elif [ -f "$1" ] && [ -r "$1" ]; then
        sha256sum <"$1" | cut -d' ' -f1
    elif [ -e "$1" ]; then
        # A folder, or a file that cannot be read, was not installed from here.
        printf 'unknown\n'
    fi
}
# What the record says of a place.
recorded() {
    if [ -f "$record" ]; then
        place=$1 awk '{ state = $1; sub(/^[^ ]* /, ""); if ($0 == ENVIRON["place"]) print state }' "$record"
    fi
}
has_service() { [ -n "$(recorded "$units/systemd/system/prwlockd.socket")" ]; }

# Removes a file that nothing has changed since it was installed.
remove() {
    case $(state "$2") in
        '') ;;
        "$1") rm -f "$2" ;;
        *) say "kept, as it has been changed: $2" ;;
    esac
}

stop_service() {
    sed -n "s,^[^ ]* $units/systemd/system/\(.*\.socket\|.*\.timer\)$,\1,p" "$record" |
        xargs systemctl --quiet disable --now || true
    systemctl --quiet stop prwlockd.service || true
    # While this folder exists, clients use no other daemon than that of the host.
    [ ! -d /run/prwlock ] || rmdir /run/prwlock || true
}

if $uninstall; then
    [ -f "$record" ] || { say "nothing is installed below ${prefix:-/}"; exit 0; }
    had_service=false
    if has_service; then
        [ "$(id -u)" = 0 ] || fail 'the service is installed, too: only root can remove it'
        had_service=true
        stop_service
    fi
    grep -v '^folder ' "$record" >"$work/files" || true
    sed -n 's/^folder //p' "$record" | sort -r >"$work/folders"
    while read -r state place; do remove "$state" "$place"; done <"$work/files"
    rm -f "$record"
    while IFS= read -r folder; do rmdir "$folder" 2>/dev/null || true; done <"$work/folders"
    if $had_service; then
        systemctl daemon-reload
        journalctl --update-catalog
        say 'kept: the user prwlock, /etc/prwlock and the tokens in /var/lib/prwlock. To remove them, too:'
        say '    groupdel --force prwlock; userdel prwlock; rm -rf /etc/prwlock /var/lib/prwlock'
    fi
    say "prwlock is no longer installed below ${prefix:-/}"
    exit 0
fi

cd "$here"
files/bin/prwlockd --version >/dev/null 2>"$work/fault" || fail "the programs do not run here: $(cat "$work/fault")"

# What is to be where: a line of "SOURCE MODE PLACE" each, in $work/plan.
plan() { printf '%s %s %s\n' "$1" "$2" "$3" >>"$work/plan"; }
# plan_unit SOURCE PLACE: a unit, with the place of the programs.
plan_unit() {
    case $prefix in
        *[[:space:]\"\'\\%\$\&\|\;]*)
            fail "a unit cannot name programs below $prefix, as it has a character that units or sed give a meaning" ;;
    esac
    mkdir -p "$work/units/user"
    sed "s|/usr/bin/prwlock|$prefix/bin/prwlock|" "systemd/$1" >"$work/units/$1"
    plan "$work/units/$1" 644 "$2/${1##*/}"
}
find files ! -type d | LC_ALL=C sort >"$work/names"
while read -r name; do
    case $name in files/bin/* | files/lib/*.so.*) mode=755 ;; *) mode=644 ;; esac
    plan "$name" "$mode" "$prefix/${name#files/}"
done <"$work/names"
if $user; then
    for unit in prwlockd.service prwlockd.socket; do
        plan_unit "user/$unit" "${XDG_DATA_HOME:-$HOME/.local/share}/systemd/user"
    done
fi
if $service || has_service; then
    for unit in systemd/*.service systemd/*.socket systemd/*.timer; do
        [ ! -e "$unit" ] || plan_unit "${unit#systemd/}" "$units/systemd/system"
    done
    plan systemd/prwlock.sysusers.conf 644 "$units/sysusers.d/prwlock.conf"
    plan systemd/prwlock.tmpfiles.conf 644 "$units/tmpfiles.d/prwlock.conf"
    plan systemd/prwlock.catalog 644 "$units/systemd/catalog/prwlock.catalog"
fi

# Nothing is changed if a file of another hand is in the way.
while read -r source mode place; do
    case $(state "$place") in
        '' | "$(state "$source")" | "$(recorded "$place")") ;;
        *) say "    $place" ;;
    esac
done <"$work/plan" >"$work/foreign"
if [ -s "$work/foreign" ]; then
    fail "nothing was installed: these files are not from here, or have been changed. Move them away, or choose another --prefix:
$(cat "$work/foreign")"
fi

# Makes a folder, and those above it, and notes what it made.
make_folder() {
    if [ ! -d "$1" ]; then
        make_folder "$(dirname "$1")"
        mkdir "$1"
        printf 'folder %s\n' "$1" >>"$work/record"
    fi
}
: >"$work/record"
if [ -f "$record" ]; then sed -n '/^folder /p' "$record" >"$work/record"; fi
while read -r source mode place; do
    make_folder "$(dirname "$place")"
    printf '%s %s\n' "$(state "$source")" "$place" >>"$work/record"
done <"$work/plan"
make_folder "$(dirname "$record")"
# The first record comes before the files, so that a run that was interrupted can be undone.
[ -f "$record" ] || LC_ALL=C sort -u "$work/record" >"$record"
changed=0
while read -r source mode place; do
    if [ "$(state "$source")" != "$(state "$place")" ]; then
        # Renamed, so that a program that runs goes on with its file.
        cp -P "$source" "$place.new$$"
        [ -L "$source" ] || chmod "$mode" "$place.new$$"
        mv -f "$place.new$$" "$place"
        changed=$((changed + 1))
    fi
done <"$work/plan"
# What an earlier version had and this one has not.
cp "$record" "$work/former"
LC_ALL=C sort -u "$work/record" >"$record.new$$"
mv -f "$record.new$$" "$record"
grep -v '^folder ' "$work/former" | while read -r state place; do
    [ -n "$(recorded "$place")" ] || remove "$state" "$place"
done

say "$changed files are new, of $(grep -c . "$work/plan")"
if $service || has_service; then
    systemd-sysusers prwlock.conf
    journalctl --update-catalog
    systemctl daemon-reload
    systemctl --quiet enable --now prwlockd.socket
    # No session and no lock ends.
    systemctl try-restart prwlockd.service
    say 'prwlockd.socket is active. Who may lock: gpasswd --add NAME prwlock'
fi
case :$PATH: in
    *":$prefix/bin:"*) ;;
    *) say "$prefix/bin is not in PATH: add it to find prwlock" ;;
esac
say "prwlock $("$prefix/bin/prwlockd" --version | cut -d' ' -f2) is installed below ${prefix:-/}"
