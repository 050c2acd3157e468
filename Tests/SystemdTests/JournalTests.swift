import Systemd
import Testing

extension BoxTests {
    @Suite("What an operator finds in the journal")
    struct JournalTests {
        @Test("a session that died holding: by lock, by process, and by kind of event (G6)")
        func diedHolding() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                open holder
                tell holder 'WRITE jobs'
                kill -KILL $holder_PID
                found() { entry LOCK=jobs CLIENT_PID=$holder_PID MESSAGE_ID=\(identifier(.diedHolding)) >found; }
                eventually found
                expect 5 "$(field PRIORITY <found)"
                expect prwlockd "$(field SYSLOG_IDENTIFIER <found)"
                expect prwlockd.service "$(field _SYSTEMD_UNIT <found)"
                expect_like '*held jobs' "$(field MESSAGE <found)"
                expect "$(field SESSION <found)" "$(entry SESSION="$(field SESSION <found)" | field SESSION)"
                """)
        }

        @Test("a lease that ended (G9), a circle that was refused (G8), a revocation, a limit (G12)")
        func others() async throws {
            try await Box.run(
                """
                install -d /etc/prwlock
                echo 'max-session-grants = 2' >/etc/prwlock/prwlockd.conf
                systemctl start prwlockd.socket
                open holder

                tell holder 'WRITE short lease=20ms' 2
                found() { entry "$@" >found; }
                eventually found LOCK=short CLIENT_PID=$holder_PID MESSAGE_ID=\(identifier(.leaseExpired))
                expect "$(token holder)" "$(field TOKEN <found)"

                tell holder 'WRITE jobs' 3
                tell holder 'READ jobs' 4
                eventually found LOCK=jobs CLIENT_PID=$holder_PID MESSAGE_ID=\(identifier(.deadlockRefused))
                expect_like "*$holder_PID:jobs" "$(field MESSAGE <found)"

                tell holder 'WRITE mail' 5
                tell holder 'WRITE more' 6
                eventually found CLIENT_PID=$holder_PID MESSAGE_ID=\(identifier(.limitHit)) PRIORITY=4
                expect limit-grants "$(field LIMIT <found)"

                ask "REVOKE mail token=$(token holder)"
                eventually found LOCK=mail MESSAGE_ID=\(identifier(.revoked))
                """)
        }

        @Test("standard error that is no journal has the same as text")
        func standardError() async throws {
            try await Box.run(
                """
                prwlockd --socket /run/try.sock --state-directory /run/try 2>said &
                socket=/run/try.sock
                eventually serves
                open holder
                tell holder 'WRITE jobs'
                kill -KILL $holder_PID
                eventually grep --quiet "notice: .*held jobs (LOCK=jobs SESSION=[0-9]* CLIENT_PID=$holder_PID CLIENT_UID=0 .*TOKEN=1)" said
                """)
        }

        private func identifier(_ event: JournalEntry.Event) -> String { "\(event.messageID)" }
    }
}
