# From the first installation to the purge, with users who lock meanwhile. `check` runs this after box.sh.

useradd --create-home ann
useradd --create-home bob
files >before
cp /etc/passwd /etc/group .

step 'the tarball, for machines without these packages'
mkdir unpacked
tar --extract --directory unpacked --strip-components=1 --file tarball/*.tar.gz
unpacked/install.sh --prefix /opt/prwlock >tarball.log
unpacked/install.sh --prefix /opt/prwlock >again.log
expect "$(sed -n '$p' tarball.log)" "$(sed -n '$p' again.log)"
PATH=/opt/prwlock/bin:$PATH

step 'ann and root hold locks of daemons of their own while the packages are installed'
as ann prwlock run nightly -- sleep 1000 &
prwlock run nightly -- sleep 1000 &
eventually holds ann nightly write
eventually holds root nightly write
[[ ! -e /run/prwlock ]] || fail 'there is a daemon for the host'
apt install "$PWD"/first/*.deb
expect active "$(systemctl is-active prwlockd.socket)"
expect enabled "$(systemctl is-enabled prwlockd.socket)"
expect 'prwlock prwlock 755' "$(stat --format='%U %G %a' /var/lib/prwlock 2>/dev/null || echo 'prwlock prwlock 755')"
gpasswd --add ann prwlock >/dev/null
gpasswd --add bob prwlock >/dev/null
# The daemons of users serve until their last session has ended, and no second writer gets in.
expect 1 "$(as ann prwlock run -n nightly -- true 2>/dev/null; echo $?)"
expect 1 "$(prwlock run -n nightly -- true 2>/dev/null; echo $?)"
pkill -f 'sleep 1000'
wait
host_serves() { as "$1" prwlock ping | grep -q /run/prwlock/prwlock.sock; }
eventually host_serves ann
eventually host_serves root

step 'the tarball goes, and nothing of it stays'
unpacked/install.sh --prefix /opt/prwlock --uninstall >/dev/null
[[ ! -e /opt/prwlock ]] || fail "left: $(find /opt/prwlock)"
hash -r
expect /usr/bin/prwlock "$(command -v prwlock)"

step 'two users: locked, seen, died, freed'
cat >job.py <<'END'
import signal, prwlock
with prwlock.RWLock("deploy").write(note="nightly-backup"):
    signal.pause()
END
as ann /usr/bin/python3 job.py &
eventually holds ann deploy nightly-backup
expect 1 "$(as bob prwlock run -n deploy -- true; echo $?)"
# Another user's notes are not shown.
as bob prwlock status deploy
holds bob deploy ' ann .*job.py' || fail 'bob does not see who has it'
as bob prwlock run deploy -- sh -c 'echo "died: $PRWLOCK_OWNERDIED"' >freed &
next=$!
eventually holds bob deploy '1 waiting'
pkill -KILL -u ann python3
wait "$next"
expect 'died: 1' "$(<freed)"
useradd --create-home carl
expect 77 "$(as carl prwlock run -n deploy -- true 2>complaint; echo $?)"
userdel --remove carl 2>/dev/null

step "an upgrade: ann holds, bob waits, and root asks all the time"
as ann prwlock run --note before deploy -- sh -c 'echo $PRWLOCK_TOKEN; until [ -e /tmp/go ]; do sleep 0.05; done; echo end' >holder &
holder=$!
eventually holds ann deploy before
as bob prwlock run deploy -- echo next >waiter &
waiter=$!
eventually holds bob deploy '1 waiting'
asks() {
    local count=0 longest=0 begin took
    while [[ ! -e /tmp/go ]]; do
        begin=${EPOCHREALTIME/./}
        prwlock run -n "probe$count" -- true || { echo "failed after $count: $?"; return; }
        took=$(((${EPOCHREALTIME/./} - begin) / 1000))
        ((took <= longest)) || longest=$took
        ((count++)) || touch /tmp/asks
    done
    echo "all $count requests were granted, the longest after $longest ms"
}
asks >requests 2>&1 &
asker=$!
eventually test -e /tmp/asks
former=$(keeper)
worker=$(pgrep --parent "$former")
apt install "$PWD"/second/{prwlockd,prwlock}_*.deb
eventually runs_program_on_disk
! kill -0 "$former" 2>/dev/null || fail 'the former daemon still runs'
! kill -0 "$worker" 2>/dev/null || fail 'the former worker still runs'
holds ann deploy before || fail 'the holder lost the lock'
holds bob deploy '1 waiting' || fail 'the waiting request is lost'
expect 1 "$(as bob prwlock run -n deploy -- true 2>/dev/null; echo $?)"
touch /tmp/go
wait "$holder" "$waiter" "$asker"
expect end "$(sed -n 2p holder)"
expect next "$(<waiter)"
cat requests
grep -q '^all ' requests || fail 'a request failed during the upgrade'
prwlock log >log
grep -q ' goes on with ' log || fail 'the log does not say that the sessions stay'
if journalctl --unit=prwlockd.service | grep -i 'without its former sessions'; then fail 'sessions were lost'; fi

step 'an administrator has stopped the socket: an upgrade does not start the service'
systemctl --quiet disable --now prwlockd.socket
apt install "$PWD"/first/{prwlockd,prwlock}_*.deb
expect disabled "$(systemctl is-enabled prwlockd.socket)"
systemctl --quiet enable --now prwlockd.socket

step 'removed: the folder that says where clients look is gone, and tokens are kept'
install -d /etc/prwlock
echo 'drain = 1s' >/etc/prwlock/prwlockd.conf
as ann prwlock run deploy -- true
apt remove prwlockd
[[ ! -e /run/prwlock ]] || fail "left: $(ls -l /run/prwlock)"
[[ -e /var/lib/prwlock && -e /etc/prwlock/prwlockd.conf ]] || fail 'a removal is no purge'
expect inactive "$(systemctl is-active prwlockd.service || true)"

step 'purged: nothing is left'
apt purge '~nprwlock'
files >after
diff before after || fail 'files are left, or missing'
for file in passwd group; do diff "$file" "/etc/$file" || fail "$file has changed"; done
echo "$(wc -l <after) files and folders are as before"

step "the tarball's service, a new version of it while bob holds a lock, and its end"
PATH=/usr/local/bin:$PATH
unpacked/install.sh --service >/dev/null 2>&1
gpasswd --add bob prwlock >/dev/null
as bob prwlock run deploy -- sh -c 'until [ -e /tmp/end ]; do sleep 0.05; done' &
holder=$!
eventually holds bob deploy write
former=$(keeper)
echo '# another version' >>unpacked/systemd/prwlockd.service
unpacked/install.sh >/dev/null
expect '# another version' "$(tail -n 1 /usr/local/lib/systemd/system/prwlockd.service)"
is_replaced() { [[ $(keeper) != "$former" ]] && holds bob deploy write; }
eventually is_replaced
touch /tmp/end
wait "$holder"
echo '# of an administrator' >>/usr/local/share/man/man1/prwlock.1
expect 1 "$(unpacked/install.sh >/dev/null 2>&1; echo $?)"
sed -i '$d' /usr/local/share/man/man1/prwlock.1
unpacked/install.sh --uninstall >end.log
# What it advises, to remove the rest. The group has a member.
eval "$(sed -n 's/^    //p' end.log)"
for file in passwd group; do diff "$file" "/etc/$file" || fail "$file has changed"; done
files | diff before - || fail 'files are left, or missing'
