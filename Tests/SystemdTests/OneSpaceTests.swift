import Testing

extension BoxTests {
    @Suite("The one lock space of a user, beside services, logins and cleaners (G1)")
    struct OneSpaceTests {
        /// A job of a user holds a lock of the user's own daemon, and root's job one of another daemon.
        private static let jobs = """
            install -m 755 prwlock /usr/bin/
            rm -r /run/prwlock
            useradd --create-home member
            id=$(id -u member)
            as_member() { runuser -u member -- env -i PATH=/usr/bin:/bin HOME=/home/member "$@"; }
            holds() { "$@" prwlock status nightly | grep -q write; }
            tries() { local status=0; "$@" prwlock run -n nightly -- true 2>complaint || status=$?; echo $status; }
            unit() { local status=0; systemd-run --quiet --wait --pipe "$@" /usr/bin/prwlock run -n nightly -- true \\
                2>complaint || status=$?; echo $status; }
            as_member prwlock run nightly -- sleep 1000 & member_job=$!
            prwlock run nightly -- sleep 1000 & root_job=$!
            eventually holds as_member
            eventually holds env
            """

        @Test("logins and logouts, and a cleaner of /tmp, let no second writer in")
        func loginsAndCleaners() async throws {
            try await Box.run(
                Self.jobs + "\n" + """
                    for _ in 1 2 3; do
                        systemctl start "user@$id.service"
                        expect 1 "$(tries as_member env XDG_RUNTIME_DIR=/run/user/$id)"
                        systemctl stop "user@$id.service"
                        expect 1 "$(tries as_member)"
                    done
                    echo 'd /tmp 1777 root root 0' >/etc/tmpfiles.d/clean.conf
                    touch /tmp/old
                    systemd-tmpfiles --clean clean.conf
                    [[ ! -e /tmp/old ]] || fail 'nothing was cleaned'
                    [[ -S /tmp/prwlock-$id/prwlock.sock ]] || fail 'the socket was cleaned away'
                    expect 1 "$(tries as_member)"
                    """)
        }

        @Test(
            "a service that sees another /tmp or /run is told where its user's daemon serves, and lets no second writer in"
        )
        func sandboxedServices() async throws {
            try await Box.run(
                Self.jobs + "\n" + """
                    expect 69 "$(unit --uid=member -p PrivateTmp=yes)"
                    expect_like "*serves /tmp/prwlock-$id/prwlock.sock*PRWLOCK_SOCKET*" "$(<complaint)"
                    expect 1 "$(unit --uid=member -p ProtectHome=yes)"
                    expect 1 "$(unit --uid=member -p TemporaryFileSystem=/run)"
                    expect 1 "$(unit --uid=member -p ProtectSystem=strict)"
                    expect 69 "$(unit -p TemporaryFileSystem=/run)"
                    expect_like '*serves /run/prwlock-0/prwlock.sock*' "$(<complaint)"
                    expect 1 "$(unit -p ProtectSystem=strict)"
                    expect 1 "$(unit -p PrivateTmp=yes)"
                    """)
        }

        @Test("when the service is installed, jobs that hold go on, and their users' daemons leave with them")
        func serviceComes() async throws {
            try await Box.run(
                Self.jobs + "\n" + """
                    systemd-tmpfiles --create prwlock.conf
                    systemctl start prwlockd.socket
                    usermod --append --groups prwlock member
                    expect 1 "$(tries as_member)"
                    # The daemon may make the folder again while it is removed.
                    rm -r /tmp/prwlock-$id || true
                    expect 1 "$(tries as_member)"
                    expect 1 "$(tries env)"
                    pkill -u member sleep
                    wait $member_job || true
                    eventually has_answer_from /run/prwlock/prwlock.sock as_member
                    expect 0 "$(tries as_member)"
                    expect 1 "$(tries env)"
                    kill $(pgrep -u root sleep) || true
                    wait $root_job || true
                    eventually has_answer_from /run/prwlock/prwlock.sock env
                    """)
        }

        @Test("a user's daemon in the user's manager makes room for the system's, and its socket too")
        func userUnitsMakeRoom() async throws {
            try await Box.run(
                """
                install -m 755 prwlock /usr/bin/
                rm -r /run/prwlock
                useradd --create-home member
                id=$(id -u member)
                as_member() {
                    runuser -u member -- env -i PATH=/usr/bin:/bin HOME=/home/member XDG_RUNTIME_DIR=/run/user/$id "$@"
                }
                systemctl start "user@$id.service"
                as_member prwlock ping
                expect active "$(as_member systemctl --user show --property=ActiveState --value prwlockd.service)"
                systemd-tmpfiles --create prwlock.conf
                systemctl start prwlockd.socket
                usermod --append --groups prwlock member
                eventually has_answer_from /run/prwlock/prwlock.sock as_member
                is_gone() { [[ $(as_member systemctl --user show --property=ActiveState --value "$1") == inactive ]]; }
                eventually is_gone prwlockd.socket
                eventually is_gone prwlockd.service
                """)
        }
    }
}
