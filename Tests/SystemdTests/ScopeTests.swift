import Testing

extension BoxTests {
    /// A daemon that a client starts does not end with that client's unit, if a service manager can keep it.
    @Suite("A daemon that a job starts")
    struct ScopeTests {
        @Test("root's is in a scope of its own, ends with no job, and `ping` says so")
        func root() async throws {
            try await Box.run(
                #"""
                rm -r /run/prwlock
                systemd-run --quiet --unit=job1 prwlock run one -- sleep 100
                eventually test -S /run/prwlock-0/prwlock.sock
                expect_like $'* answers at /run/prwlock-0/prwlock.sock *\nprocess *, in a unit of its own, prwlockd-*.scope' \
                    "$(prwlock ping)"
                pid=$(prwlock ping --json | sed 's/.*"pid":\([0-9]*\).*/\1/')
                systemctl stop job1
                expect "$pid" "$(prwlock ping --json | sed 's/.*"pid":\([0-9]*\).*/\1/')"
                expect active "$(show ActiveState "prwlockd-$pid.scope")"
                # The scope goes with the daemon.
                kill "$pid"
                is_gone() { [[ $(show ActiveState "prwlockd-$pid.scope") != active ]]; }
                eventually is_gone
                """#)
        }

        @Test(
            "a user's is in a scope of the user's manager if that outlives the job, and else in the job's own unit"
        )
        func user() async throws {
            try await Box.run(
                #"""
                # Not the user's own service, which would be used instead.
                rm -r /run/prwlock /etc/systemd/user/prwlockd.*
                useradd --create-home member
                systemctl start "user@$(id -u member).service"
                as_member() { runuser -u member -- "$@"; }
                socket=/tmp/prwlock-$(id -u member)/prwlock.sock
                stop_daemon() {
                    pid=$(as_member prwlock ping --json | sed 's/.*"pid":\([0-9]*\).*/\1/')
                    kill "$pid"
                    eventually test ! -S "$socket"
                }

                # Without lingering the manager ends with the last logout: the daemon stays with the job.
                systemd-run --quiet --unit=job1 --property=User=member prwlock run one -- sleep 100
                eventually test -S "$socket"
                expect_like $'*\nprocess *, in the unit job1.service: it ends when that unit is stopped' "$(as_member prwlock ping)"
                systemctl stop job1
                eventually test ! -S "$socket"

                # With it, the manager stays.
                mkdir -p /var/lib/systemd/linger
                touch /var/lib/systemd/linger/member
                systemd-run --quiet --unit=job2 --property=User=member prwlock run one -- sleep 100
                eventually test -S "$socket"
                expect_like $'*\nprocess *, in a unit of its own, prwlockd-*.scope: it ends with the service manager *' \
                    "$(as_member prwlock ping)"
                systemctl stop job2
                stop_daemon

                # A unit of that manager has the daemon beside it, not in it.
                rm /var/lib/systemd/linger/member
                as_member env XDG_RUNTIME_DIR="/run/user/$(id -u member)" systemd-run --user --quiet --unit=job3 \
                    prwlock run one -- sleep 100
                eventually test -S "$socket"
                expect_like $'*\nprocess *, in a unit of its own, prwlockd-*.scope: *' "$(as_member prwlock ping)"
                """#)
        }
    }
}
