import Foundation
import Systemd
import Testing

extension BoxTests {
    @Suite("The service's life: faults, restarts, a hung journal, the end of the host")
    struct LifeTests {
        @Test("a reload with a fault in rules or options fails, says where it is, and changes nothing")
        func reload() async throws {
            try await Box.run(
                """
                install -d /etc/prwlock
                echo 'rules = /etc/prwlock/rules' >/etc/prwlock/prwlockd.conf
                echo 'deny everyone write secret' >/etc/prwlock/rules
                systemctl start prwlockd.service
                denied() { [[ $(ask "WRITE $1") == DENIED* ]]; }
                denied secret || fail 'the rules are not read'

                # When reload returns, the new rules hold.
                for name in a b c d e; do
                    echo "deny everyone write $name" >/etc/prwlock/rules
                    systemctl reload prwlockd.service
                    denied $name || fail "$name: reload returned too early"
                done

                echo 'allow group=no-such-group read *' >/etc/prwlock/rules
                if systemctl reload prwlockd.service; then fail 'a reload succeeded with a fault in the rules'; fi
                told() { journalctl --quiet --unit=prwlockd.service | grep -q "rules:1:13: there is no group"; }
                eventually told
                denied e || fail 'the rules have changed'
                expect active/running "$(show ActiveState)/$(show SubState)"

                echo 'max-locks = many' >/etc/prwlock/prwlockd.conf
                if systemctl reload prwlockd.service; then fail 'a reload succeeded with a fault in the options'; fi
                denied e || fail 'the options have changed'

                # Options that stand in the unit are read by a reload too.
                drop_in '[Service]' 'ExecStart=' 'ExecStart=/usr/bin/prwlockd --config /etc/other'
                echo 'max-session-grants = 1' >/etc/other
                systemctl restart prwlockd.service
                echo 'max-session-grants = x' >/etc/other
                if systemctl reload prwlockd.service; then fail 'a reload read other options'; fi
                echo 'max-session-grants = 2' >/etc/other
                systemctl reload prwlockd.service
                expect_like '*ERROR limit-grants*' "$(ask 'READ a' 'READ b' 'READ c')"
                """)
        }

        @Test("a restart with a fault in rules or options starts with the last good ones, and says so")
        func lastGood() async throws {
            try await Box.run(
                """
                install -d /etc/prwlock
                echo 'rules = /etc/prwlock/rules' >/etc/prwlock/prwlockd.conf
                groupadd --gid 4242 web
                echo 'deny group=web,root write secret' >/etc/prwlock/rules
                systemctl start prwlockd.service
                denied() { [[ $(ask "WRITE $1") == DENIED* ]]; }
                denied secret || fail 'the rules are not read'

                # As where names come from a directory service that is not reachable yet.
                groupdel web
                systemctl restart prwlockd.service
                denied secret || fail 'the last good rules do not hold'
                expect_like '*rules:1:12: there is no group*' "$(show StatusText)"
                entry MESSAGE_ID=\(identifier(.configurationRefused)) _SYSTEMD_UNIT=prwlockd.service >found ||
                    fail 'the journal does not say so'
                expect_like '*last good options and rules*' "$(field MESSAGE <found)"

                echo nonsense >/etc/prwlock/prwlockd.conf
                systemctl kill --signal=KILL prwlockd.service
                eventually serves
                denied secret || fail 'the last good rules do not hold after a crash'
                is_running() { [[ $(show SubState) == running ]]; }
                eventually is_running

                echo 'rules = none' >/etc/prwlock/prwlockd.conf
                systemctl reload prwlockd.service
                if denied secret; then fail 'a reload does not take what was mended'; fi
                expect_like '? session*, 0 locks' "$(show StatusText)"
                """)
        }

        @Test(
            "a start that cannot succeed fails once, for all to see, and turns clients away; to mend it is enough"
        )
        func startFails() async throws {
            try await Box.run(
                """
                unit_state() { [[ $(show ActiveState "$1") == "$2" ]]; }
                for fault in Environment=PRWLOCKD_GRACE=nonsense ExecStart=/nowhere/prwlockd; do
                    reset=$([[ $fault == ExecStart=* ]] && echo ExecStart= || true)
                    drop_in '[Service]' $reset "$fault"
                    systemctl start prwlockd.socket
                    # A client that waits is not left to wait.
                    expect '' "$(ask PING 2>/dev/null)"
                    eventually unit_state prwlockd.service failed
                    eventually unit_state prwlockd.socket inactive
                    [[ ! -e $socket ]] || fail 'clients would wait at a socket that no daemon serves'
                    expect 'exit-code 0' "$(show Result) $(show NRestarts)"
                    lines=$(journalctl --quiet --unit=prwlockd.service | wc -l)
                    ((lines <= 20)) || fail "$lines lines in the journal"
                done
                rm /etc/systemd/system/prwlockd.service.d/test.conf
                systemctl daemon-reload
                systemctl start prwlockd.socket
                expect PONG "$(ask PING)"
                """)
        }

        @Test("restarts have no limit: of the socket, of the service, and after crashes, while clients come")
        func restarts() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                expect PONG "$(ask PING)"
                for ((round = 0; round < 12; round++)); do
                    systemctl restart prwlockd.socket
                    expect PONG "$(ask PING)"
                done
                for ((round = 0; round < 12; round++)); do
                    systemctl restart prwlockd.service
                    expect PONG "$(ask PING)"
                done
                for ((round = 0; round < 8; round++)); do
                    before=$(server)
                    kill -KILL "$(show MainPID)"
                    eventually is_replaced "$before"
                    serves || fail 'the next daemon does not serve'
                done
                expect active "$(show ActiveState prwlockd.socket)"
                """)
        }

        @Test("a journal that hangs stops no lock and no unit, and what it missed is counted")
        func hungJournal() async throws {
            try await Box.run(
                """
                drop_in '[Service]' 'WatchdogSec=1s'
                systemctl start prwlockd.service
                useradd --groups prwlock member
                process=$(show MainPID)
                systemctl kill --signal=STOP systemd-journald.service
                # Any user can fill its queue. What one sender has in it is limited, so there are several.
                cat >fill.pl <<'END'
                use Socket;
                for my $sender (1 .. 16) {
                    socket(my $socket, PF_UNIX, SOCK_DGRAM, 0);
                    1 while send($socket, "MESSAGE=x", MSG_DONTWAIT, sockaddr_un("/run/systemd/journal/socket"));
                }
                END
                runuser -u member -- perl <fill.pl

                for name in a b c; do
                    open $name
                    tell $name "WRITE $name"
                    killed=${name}_PID
                    kill -KILL "${!killed}"
                    is_free() { [[ $(ask "WRITE $name wait=0") == GRANTED* ]]; }
                    eventually is_free
                done
                by simple.service 'WRITE x' >said
                by dynamic.service 'WRITE y' -- DynamicUser=yes SupplementaryGroups=prwlock >>said
                by user.service 'WRITE z' -- User=member Type=oneshot >>said
                expect 3 "$(grep -c '^GRANTED ' said)"
                # Longer than the watchdog's patience.
                sleep 3
                expect "$process" "$(show MainPID)"
                expect 0 "$(show NRestarts)"
                lost=$(ask STATS | sed -n 's/^[*] total-lost-entries //p')
                ((lost >= 3)) || fail "$lost entries were lost"

                systemctl kill --signal=CONT systemd-journald.service
                found() { entry MESSAGE_ID=\(identifier(.entriesLost)) >found; }
                eventually found
                expect prwlockd "$(field SYSLOG_IDENTIFIER <found)"
                expect "$lost" "$(field LOST <found)"
                """)
        }

        @Test("a job that is stopped together with the daemon keeps its lock to its end (G9)")
        func stopTogether() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                slow_job wants a 8 Wants=prwlockd.socket After=prwlockd.service
                slow_job requires b 8 Requires=prwlockd.service After=prwlockd.service
                # What requires the daemon is stopped with it, before it; what does not is to be named before it.
                systemctl stop wants.service prwlockd.socket prwlockd.service requires.service
                expect_like '[*] holder *mode=write*' "$(head -n 1 wants.seen)"
                expect_like '[*] holder *mode=write*' "$(head -n 1 requires.seen)"
                expect success "$(show Result)"
                """)
        }

        @Test(
            "when the host goes down, the daemon stops after every job: each has all of its time, and its lock",
            .enabled("needs a machine that is made for the test") { Box.goesDown })
        func shutdown() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                slow_job ordered a 20 After=prwlockd.service
                slow_job ordinary b 20
                slow_job dynamic c 8 Description=c
                useradd --groups prwlock member
                """, stopTimeout: 80
            ) { folder in
                for job in ["ordered", "ordinary", "dynamic"] {
                    let seen = try String(contentsOf: folder.appending(path: "\(job).seen"), encoding: .utf8)
                    #expect(seen.hasPrefix("* holder "), "\(job): \(seen)")
                }
            }
        }

        @Test("the journal's catalog explains each kind of event")
        func catalog() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                open holder
                tell holder 'WRITE jobs'
                kill -KILL $holder_PID
                explained() {
                    journalctl --quiet -x MESSAGE_ID=\(identifier(.diedHolding)) | grep -q 'A session ended while it held locks'
                }
                eventually explained
                """)
        }

        @Test(
            "units of every kind get in with the group, and without it are told the setting that lets them in"
        )
        func kinds() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                useradd --groups prwlock member
                expect_like 'GRANTED *' "$(by a.service 'WRITE jobs')"
                expect_like 'GRANTED *' "$(by b.service 'WRITE jobs' -- Type=oneshot)"
                expect_like 'GRANTED *' "$(by c.service 'WRITE jobs' -- User=member)"
                expect_like 'GRANTED *' "$(by d.service 'WRITE jobs' -- DynamicUser=yes SupplementaryGroups=prwlock)"
                if by e.service 'WRITE jobs' -- DynamicUser=yes 2>said; then fail 'a stranger connected'; fi

                # The entry for a holder that died has its user, its token and its unit.
                systemd-run --quiet --unit=holder.service --property=User=member --property=StandardOutput=null \\
                    bash -c "(echo 'WRITE unit-lock'; sleep infinity) | nc -U $socket"
                held() { [[ $(ask 'STATUS unit-lock') == '* holder '* ]]; }
                eventually held
                systemctl kill --signal=KILL holder.service
                found() { entry LOCK=unit-lock MESSAGE_ID=\(identifier(.diedHolding)) >found; }
                eventually found
                expect "$(id -u member)" "$(field CLIENT_UID <found)"
                expect holder.service "$(field CLIENT_UNIT <found)"
                expect_like '[1-9]*' "$(field TOKEN <found)"
                """)
        }

        private func identifier(_ event: JournalEntry.Event) -> String { "\(event.messageID)" }
    }
}
