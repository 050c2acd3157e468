import Testing

extension BoxTests {
    @Suite("What an operator asks for first")
    struct DoctorTests {
        @Test(
            "the doctor says for each state of the service, and for each user, what to do, and starts no daemon"
        )
        func doctor() async throws {
            try await Box.run(
                """
                # finding TOPIC [COMMAND...]: prints a finding in one line, as the command's user gets it.
                finding() { "${@:2}" prwlock doctor | sed -n "/^[a-z]*  *$1  /,/^[a-z]/p" | sed '1!{/^[a-z]/d}' | tr -s '\\n ' ' ' || true; }
                is_ill() { if prwlock doctor >/dev/null; then fail "the doctor found nothing"; fi; }

                expect_like '*fault *→ systemctl enable --now prwlockd.socket*' "$(finding daemon)"
                is_ill
                systemctl --quiet enable --now prwlockd.socket
                expect_like 'ok *systemd listens at /run/prwlock/prwlock.sock*' "$(finding daemon)"
                prwlock doctor >said || fail "$(cat said)"
                expect inactive "$(show ActiveState)"

                useradd stranger
                useradd --groups prwlock member
                expect_like 'fault *→ as root: adduser stranger prwlock*' "$(finding access runuser -u stranger --)"
                expect_like 'ok *member is in group prwlock*' "$(finding access runuser -u member --)"
                expect_like '*→ log in again; until then: sg prwlock*' \\
                    "$(finding access setpriv --reuid=member --regid=member --clear-groups)"

                prwlock ping >/dev/null
                prwlock doctor >said || fail "$(cat said)"
                expect_like 'ok *prwlockd.service is active*hangs for 10s*' "$(finding unit)"
                expect_like 'fault *you may not connect*' "$(finding daemon runuser -u stranger --)"
                runuser -u member -- prwlock doctor >said || fail "$(cat said)"

                install -d /etc/prwlock
                echo 'rules = /etc/prwlock/rules' >/etc/prwlock/prwlockd.conf
                echo 'allow everyone' >/etc/prwlock/rules
                if systemctl reload prwlockd.service; then fail 'a reload succeeded with a fault'; fi
                expect_like 'warning *rules:1:*→ prwlockd --check-config*' "$(finding configuration)"
                echo >/etc/prwlock/rules
                expect_like 'ok *have no fault*' "$(finding configuration)"
                drop_in '[Service]' WatchdogSec=0
                touch /etc/systemd/system/prwlockd.service
                expect_like 'warning *→ systemctl daemon-reload*' "$(finding unit-file)"
                """)
        }

        @Test(
            "the log of a lock is that of the service alone, and a user who may not read it learns what to do"
        )
        func log() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                useradd --groups prwlock member
                open holder
                tell holder 'WRITE a%20b lease=1ms' 2
                tell holder 'WRITE other' 3
                kill -KILL "$holder_PID"
                # Another process writes an entry like one of the daemon.
                printf '%s\\n' 'MESSAGE=false' 'SYSLOG_IDENTIFIER=prwlockd' 'LOCK=a%20b' 'PRIORITY=5' | logger --journald
                about() { prwlock log "$1" | grep -q "$2"; }
                eventually about 'a b' ": the lease of process $holder_PID (root.*) ended before a release$"
                expect 1 "$(prwlock log 'a b' | wc -l)"
                expect 1 "$(prwlock log --encoded 'a%20b' --since today | wc -l)"
                eventually about other ": process $holder_PID (root.*) ended while it held the lock$"
                expect 'the log has no entry about a' "$(prwlock log a)"
                prwlock log >all
                grep -q 'systemd: Started prwlockd.service' all
                grep -q 'daemon: serving /run/prwlock/prwlock.sock' all
                if grep -q false all; then fail "$(cat all)"; fi
                status=0
                runuser -u member -- prwlock log other 2>said || status=$?
                expect 77 $status
                expect_like '*adduser member systemd-journal*' "$(cat said)"
                usermod --append --groups systemd-journal member
                expect 1 "$(runuser -u member -- prwlock log other | wc -l)"

                : >followed
                prwlock log -f other >followed &
                follower=$!
                eventually has_lines followed 1
                open second
                tell second 'WRITE other' 1
                kill -KILL "$second_PID"
                eventually has_lines followed 2
                kill "$follower"
                """)
        }
    }
}
