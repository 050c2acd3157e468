import Testing

extension BoxTests {
    @Suite("The service of the host")
    struct ServiceTests {
        @Test("systemd finds nothing wrong with any unit")
        func verify() async throws {
            try await Box.run(
                """
                expect '' "$(systemd-analyze verify prwlockd.socket prwlockd.service 2>&1)"
                export XDG_RUNTIME_DIR=$PWD
                expect '' "$(systemd-analyze --user verify prwlockd.socket prwlockd.service 2>&1)"
                """)
        }

        @Test("the service is exposed to little: at most 1.0 by systemd's measure")
        func security() async throws {
            try await Box.run(
                """
                systemd-analyze security --threshold=10 prwlockd.service
                """)
        }

        @Test("the first client starts the daemon, and a hundred that come at once are all served by it")
        func socketActivation() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                expect inactive "$(show ActiveState)"
                for ((client = 0; client < 100; client++)); do ask PING & done >pongs
                wait
                expect 100 "$(grep -c '^PONG$' pongs)"
                expect active "$(show ActiveState)"
                expect 0 "$(show NRestarts)"
                """)
        }

        @Test("systemctl start returns when the daemon serves, and fails if it cannot")
        func readiness() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.service
                expect active/running "$(show ActiveState)/$(show SubState)"
                expect '0 sessions, 0 locks' "$(show StatusText)"
                expect PONG "$(ask PING)"

                systemctl stop prwlockd.socket prwlockd.service
                echo nonsense >/var/lib/prwlock/tokens
                if systemctl start prwlockd.service; then fail 'it serves without its tokens'; fi
                """)
        }

        @Test("the status says how many sessions and locks there are")
        func status() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                for name in a b c; do open $name; done
                tell a 'WRITE jobs'
                tell b 'READ mail'
                tell c PING
                has_status() { [[ $(show StatusText) == "$1" ]]; }
                eventually has_status '3 sessions, 2 locks'
                kill -KILL $b_PID $c_PID
                eventually has_status '1 session, 1 lock'
                """)
        }

        @Test("the daemon knows the process and user of each session, and which user may revoke")
        func peers() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                useradd --groups prwlock member
                open holder
                tell holder 'WRITE jobs'
                expect "GRANTED jobs write token=1" "$(cat holder)"
                expect_like "* holder pid=$holder_PID mode=write owner=- token=1 *" "$(ask 'STATUS jobs')"
                expect_like "* uid=$(id -u member) *" "$(printf 'SESSIONS\\n' | runuser -u member -- nc -N -U $socket)"
                reply=$(printf 'REVOKE jobs token=1\\n' | runuser -u member -- nc -N -U $socket)
                expect 'DENIED jobs revoke reason=not-permitted' "$reply"
                expect 'REVOKED jobs token=1' "$(ask 'REVOKE jobs token=1')"
                """)
        }

        @Test("a user outside the group cannot connect")
        func group() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                expect 'root prwlock 660' "$(stat --format='%U %G %a' $socket)"
                expect 'root root 755' "$(stat --format='%U %G %a' /run/prwlock)"
                useradd stranger
                useradd --groups prwlock member
                if runuser -u stranger -- nc -N -U $socket </dev/null 2>said; then fail 'a stranger connected'; fi
                expect_like '*Permission denied*' "$(cat said)"
                expect PONG "$(echo PING | runuser -u member -- nc -N -U $socket)"
                expect prwlock "$(ps --no-headers --format user "$(show MainPID)")"
                """)
        }

        @Test("rules hold by the unit of a client, and others' notes are not shown to a member of the group")
        func rules() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                useradd --groups prwlock member
                install -d /etc/prwlock
                echo 'rules = /etc/prwlock/rules' >/etc/prwlock/prwlockd.conf
                printf '%s\\n' 'allow unit=good.service write jobs' 'deny everyone write jobs' >/etc/prwlock/rules
                by() { echo "WRITE $2 note=secret" | systemd-run --quiet --wait --pipe --unit="$1" nc -N -U $socket; }
                expect 'GRANTED jobs write token=1' "$(by good.service jobs)"
                expect 'DENIED jobs write reason=not-permitted' "$(by bad.service jobs)"
                expect 'GRANTED mail write token=2' "$(by bad.service mail)"

                open holder
                tell holder 'WRITE other note=secret'
                as_member() { echo 'STATUS other' | runuser -u member -- nc -N -U $socket; }
                expect_like '* note=-*' "$(as_member)"
                expect_like '* note=secret*' "$(ask 'STATUS other')"

                echo 'allow user=member notes *' >/etc/prwlock/rules
                systemctl reload prwlockd.service
                sees() { as_member | grep -q note=secret; }
                eventually sees
                echo 'allow user=member everything *' >/etc/prwlock/rules
                if systemctl reload prwlockd.service; then fail 'a reload succeeded with a fault'; fi
                is_told() { journalctl --quiet --unit=prwlockd.service --priority=err | grep -q 'rules:1:19: '; }
                eventually is_told
                sees || fail 'rules that cannot be understood changed something'
                """)
        }

        @Test("a reload reads the limits again, reports it, and disturbs no session")
        func reload() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                open holder
                tell holder 'WRITE jobs'
                process=$(show MainPID)

                install -d /etc/prwlock
                echo 'max-session-grants = 1' >/etc/prwlock/prwlockd.conf
                systemctl reload prwlockd.service
                is_limited() { ask 'READ a' 'READ b' | grep -q '^ERROR limit-grants '; }
                eventually is_limited
                expect active/running "$(show ActiveState)/$(show SubState)"

                echo 'max-session-grants = many' >/etc/prwlock/prwlockd.conf
                if systemctl reload prwlockd.service; then fail 'a reload succeeded with a fault'; fi
                is_told() { journalctl --quiet --unit=prwlockd.service --priority=err | grep -q many; }
                eventually is_told
                is_limited || fail 'a file that cannot be understood changed something'

                expect "$process" "$(show MainPID)"
                tell holder 'RELEASE jobs' 2
                expect 'RELEASED jobs token=1' "$(tail -n 1 holder)"
                """)
        }

        @Test("a process that hangs is replaced by the keeper, before the manager ends all of them (G14)")
        func watchdog() async throws {
            try await Box.run(
                """
                drop_in '[Service]' 'WatchdogSec=1s'
                systemctl start prwlockd.service
                first=$(server)
                open holder
                tell holder 'WRITE jobs'

                # Alive for longer than the watchdog's patience, then not.
                sleep 1.5
                expect "$first" "$(server)"
                main=$(show MainPID)
                kill -STOP "$first"
                eventually is_replaced "$first"
                expect "$main" "$(show MainPID)"
                went_on() { journalctl --quiet --unit=prwlockd.service | grep -q 'goes on with'; }
                eventually went_on

                tell holder 'RELEASE jobs' 2
                open next
                tell next 'WRITE jobs'
                (($(token next) > $(token holder))) || fail 'the token has not risen'
                """)
        }

        @Test("stopping it ends it cleanly, and its sessions are told")
        func stop() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                open idle
                tell idle PING
                systemctl stop prwlockd.service prwlockd.socket
                expect 'success 0' "$(show Result) $(show ExecMainStatus)"
                eventually has_lines idle 2
                expect '! DRAIN' "$(tail -n 1 idle)"
                [[ ! -e $socket ]] || fail 'the socket is still there'
                [[ -d /run/prwlock ]] || fail 'clients would start daemons of their own'
                """)
        }

        @Test("tokens rise over a restart and over a crash (G7)")
        func tokens() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                open a
                tell a 'WRITE jobs'
                tell a 'RELEASE jobs' 2
                kill -KILL $a_PID
                systemctl restart prwlockd.service
                open b
                tell b 'WRITE jobs'
                (($(token b) > $(token a))) || fail 'not over a restart'
                tell b 'RELEASE jobs' 2
                systemctl kill --signal=KILL prwlockd.service
                eventually serves
                open c
                tell c 'WRITE jobs'
                (($(token c) > $(token b))) || fail 'not over a crash'
                """)
        }
    }
}
