# The units of the metrics on a disposable machine with systemd; Tests/metrics/check runs it.

source box.sh
# The timer comes every 15 seconds.
patience=20
install_all
install -m 644 systemd/*.timer /etc/systemd/system/
systemctl daemon-reload
systemd-analyze verify systemd/prwlock-metrics.* systemd/prwlock-metrics@.service
systemctl start prwlockd.socket prwlock-metrics.socket prwlock-metrics.timer
page() { curl --silent --show-error --max-time 10 http://127.0.0.1:10777/metrics; }

# Over HTTP, with the name of a lock that is waited for.
prwlock run hello -- sleep 1000 &
prwlock run hello -- sleep 1000 &
shows_hello() { page | grep -q '^prwlock_blocking_hold_seconds{lock="hello"} '; }
eventually shows_hello
expect_like '*prwlock_up 1*# EOF' "$(page)"

# The file, by the timer, readable for all.
file=/var/lib/prometheus/node-exporter/prwlock.prom
mkdir -p "${file%/*}"
rm -f "$file"
eventually test -e "$file"
expect 644 "$(stat --format=%a "$file")"
grep -q '^prwlock_up 1$' "$file"

# Slow clients do not keep the others out for ever, and leave nothing.
for _ in {1..8}; do (exec 3<>/dev/tcp/127.0.0.1/10777 && cat <&3 >/dev/null) & done
eventually page >/dev/null 2>&1
no_request_is_left() { ! systemctl list-units --all --plain --no-legend 'prwlock-metrics@*' | grep -q .; }
eventually no_request_is_left
expect '' "$(systemctl list-units --failed --plain --no-legend)"

# Without a daemon. (Holders would delay its end, and a socket that still listens would start one.)
kill %1 %2
systemctl stop prwlockd.socket prwlockd.service
expect_like '*prwlock_up 0*# EOF' "$(page)"
systemctl start prwlock-metrics.service
grep -q '^prwlock_up 0$' "$file"
systemctl --quiet is-active prwlockd.service && fail 'metrics started the daemon'

# Both are sandboxed.
for unit in prwlock-metrics.service prwlock-metrics@1.service; do
    exposure=$(systemd-analyze security --no-pager "$unit" | sed -n 's/.*exposure level for .*: \([0-9.]*\).*/\1/p')
    [[ ${exposure%.*} == 0 ]] || fail "$unit has an exposure of $exposure"
done
# A file in the folder is all that is left.
expect "${file##*/}" "$(ls "${file%/*}")"
