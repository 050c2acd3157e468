import Testing

extension BoxTests {
    @Suite("The service of a user")
    struct UserServiceTests {
        @Test("the first client starts it in the user's own manager, for that user alone")
        func activation() async throws {
            try await Box.run(
                """
                rm -r /run/prwlock
                useradd --create-home member
                useradd stranger
                systemctl start "user@$(id -u member).service"
                runtime=/run/user/$(id -u member)
                as_member() { runuser -u member -- env XDG_RUNTIME_DIR="$runtime" "$@"; }
                socket=/tmp/prwlock-$(id -u member)/prwlock.sock

                as_member systemctl --user start prwlockd.socket
                expect 'member 600' "$(stat --format='%U %a' $socket)"
                expect 700 "$(stat --format=%a "${socket%/*}")"
                expect PONG "$(echo PING | as_member nc -N -U $socket)"
                expect active "$(as_member systemctl --user show --property=ActiveState --value prwlockd.service)"
                if echo PING | runuser -u stranger -- nc -N -U $socket 2>/dev/null; then fail 'a stranger connected'; fi
                [[ -d /home/member/.local/state/prwlock ]] || fail 'the tokens are somewhere else'

                as_member systemctl --user reload prwlockd.service
                expect PONG "$(echo PING | as_member nc -N -U $socket)"
                as_member systemctl --user stop prwlockd.socket prwlockd.service
                expect success "$(as_member systemctl --user show --property=Result --value prwlockd.service)"
                """)
        }
    }
}
