import Testing

extension BoxTests {
    @Suite("The service goes on: kills, hangs and restarts that no session notices (G14)")
    struct GoingOnTests {
        @Test("a kill of the keeper, of the process that serves, or of both, is noticed by no session")
        func kills() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                begin_sessions 200
                for round in 1 2 3; do
                    for victim in keeper server both; do
                        keeper=$(show MainPID) server=$(server)
                        case $victim in
                        keeper) kill -KILL "$keeper" ;;
                        server) kill -KILL "$server" ;;
                        both) systemctl kill --signal=KILL prwlockd.service ;;
                        esac
                        eventually is_replaced "$server"
                        expect_sessions check same
                        if [[ $victim == server ]]; then expect "$keeper" "$(show MainPID)"; fi
                    done
                done
                expect 6 "$(show NRestarts)"
                expect_sessions release 'granted 100'
                """)
        }

        @Test("a restart is noticed by no session, of the service, and of the socket")
        func restart() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                begin_sessions 200
                for unit in prwlockd.service prwlockd.socket prwlockd.service; do
                    server=$(server)
                    systemctl restart "$unit"
                    eventually is_replaced "$server"
                    expect 'success 0' "$(show Result) $(show NRestarts)"
                    expect_sessions check same
                done
                expect_sessions release 'granted 100'
                """)
        }

        @Test("`prwlock upgrade` has the program on disk serve, and no session ends, nor does the unit")
        func upgrade() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                begin_sessions 200
                for round in 1 2; do
                    server=$(server) keeper=$(show MainPID)
                    cp /usr/bin/prwlockd /usr/bin/prwlockd.new
                    mv /usr/bin/prwlockd.new /usr/bin/prwlockd
                    prwlock upgrade >said
                    grep -q ': 200 sessions with 100 grants and 100 waiting requests went over' said
                    eventually is_replaced "$server"
                    expect "active $keeper 0" "$(show ActiveState) $(show MainPID) $(show NRestarts)"
                    expect_sessions check same
                done
                replaced() { journalctl --quiet --unit=prwlockd.service | grep -q 'this program has replaced the one that served'; }
                eventually replaced
                expect_sessions release 'granted 100'
                """)
        }

        @Test("a process that hangs while it serves is replaced by the watchdog, and no session notices")
        func hang() async throws {
            try await Box.run(
                """
                drop_in '[Service]' 'WatchdogSec=1s'
                systemctl start prwlockd.socket
                begin_sessions 200
                for round in 1 2; do
                    server=$(server)
                    kill -STOP "$server"
                    eventually is_replaced "$server"
                    expect_sessions check same
                done
                expect_sessions release 'granted 100'
                """)
        }

        @Test("a stop ends all sessions, and the next daemon knows none of their locks")
        func stop() async throws {
            try await Box.run(
                """
                drop_in '[Service]' 'Environment=PRWLOCKD_DRAIN=100ms'
                systemctl start prwlockd.socket
                begin_sessions 200
                systemctl stop prwlockd.service
                expect_sessions end 'ended 200'
                expect 'success 0 0' "$(show Result) $(show ExecMainStatus) $(show NFileDescriptorStore)"
                expect 'END 0' "$(ask 'STATUS job/0')"
                expect '0 sessions, 0 locks' "$(show StatusText)"
                """)
        }

        @Test("a daemon without a keeper that follows one with a keeper ends its sessions, and serves")
        func withoutKeeper() async throws {
            try await Box.run(
                """
                systemctl start prwlockd.socket
                begin_sessions 200
                drop_in '[Service]' Environment=PRWLOCKD_KEEP=no ExecStart= ExecStart=/usr/bin/prwlockd
                systemctl restart prwlockd.service
                expect_sessions end 'ended 200'
                expect 'END 0' "$(ask 'STATUS job/0')"
                expect 0 "$(show NFileDescriptorStore)"
                """)
        }

        @Test("workers that die at every start are no reason to turn clients away")
        func givesUp() async throws {
            try await Box.run(
                """
                # What the keeper does in that case.
                drop_in '[Service]' 'ExecStart=' "ExecStart=/bin/sh -c 'exit 70'"
                systemctl start prwlockd.socket
                ask PING >said &
                has_restarted() { (($(show NRestarts) >= 20)); }
                eventually has_restarted
                rm /etc/systemd/system/prwlockd.service.d/test.conf
                systemctl daemon-reload
                eventually grep -q PONG said
                """)
        }
    }
}
