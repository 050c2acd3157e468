import Posix
import Testing

/// The unit or session of a process, from the lines of `/proc/PID/cgroup`.
@Suite struct ControlGroupTests {
    @Test(
        "the owner is the system's unit, the login session, or the unit of a user's manager",
        arguments: [
            ("0::/system.slice/svc1.service", .systemUnit("svc1.service")),
            ("0::/system.slice/system-getty.slice/getty@tty1.service", .systemUnit("getty@tty1.service")),
            // A unit's delegated subtree does not matter.
            ("0::/system.slice/docker.service/inner.service", .systemUnit("docker.service")),
            ("0::/system.slice/prwlockd-71.scope", .systemUnit("prwlockd-71.scope")),
            ("0::/machine.slice/machine-box.scope/payload", .systemUnit("machine-box.scope")),
            ("0::/user.slice/user-1000.slice/session-3.scope", .session("3")),
            ("0::/user.slice/user-1000.slice/session-c12.scope", .session("c12")),
            // The name only resembles a session's.
            ("0::/system.slice/session-3.scope", .systemUnit("session-3.scope")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/prwlockd-9.scope",
                .userUnit("prwlockd-9.scope", 1000)
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service/b.scope",
                .userUnit("a.service", 1000)
            ),
            // Without a unit, the manager itself.
            ("0::/user.slice/user-1000.slice/user@1000.service/init.scope", nil),
            ("0::/user.slice/user-1000.slice/user@1000.service", nil),
            ("0::/init.scope", nil), ("0::/", nil), ("0::/docker/4e8a", nil), ("0::/../../x", nil), ("", nil),
            ("0::/../svc1.service", .systemUnit("svc1.service")),
            // With several hierarchies, systemd's own one counts.
            ("9:cpu:/x\n1:name=systemd:/system.slice/a.service\n0::/", .systemUnit("a.service")),
            ("0::/system.slice/a.service\n9:name=systemd:/", .systemUnit("a.service")),
            ("4:memory:/system.slice/b.service\n0::/system.slice/a.service", .systemUnit("a.service")),
            ("nonsense\n::\n0::/user@.service", .systemUnit("user@.service")),
            ("0::/system.slice/.service", nil),
        ] as [(String, ControlGroup.Owner?)])
    func owner(lines: String, owner: ControlGroup.Owner?) {
        #expect(ControlGroup(lines: Array((lines + "\n").utf8))?.owner == owner)
    }

    @Test("a process has a control group, if /proc shows it")
    func ofThisProcess() {
        #expect(ControlGroup(of: 1)?.path.hasPrefix("/") ?? true)
        #expect(ControlGroup(of: -1) == nil)
    }
}
