import Posix
import Testing

@testable import prwlock_tool

/// The line of `ping` about the daemon's unit.
@Suite struct DaemonUnitTests {
    @Test(
        "`ping` names the unit or session that the daemon ends with",
        arguments: [
            (nil, "process 7, in no unit or session", nil),
            (
                .systemUnit("svc1.service"),
                "process 7, in the unit svc1.service: it ends when that unit is stopped", "svc1.service"
            ),
            (
                .systemUnit("prwlockd-7.scope"), "process 7, in a unit of its own, prwlockd-7.scope",
                "prwlockd-7.scope"
            ),
            (
                .session("3"),
                "process 7, in login session 3: it ends with that session where logind has KillUserProcesses=yes",
                "session-3.scope"
            ),
            (
                .userUnit("a.service", 1000),
                "process 7, in the unit a.service of user 1000: it ends when that unit is stopped",
                "a.service"
            ),
        ] as [(ControlGroup.Owner?, String, String?)])
    func line(owner: ControlGroup.Owner?, line: String, unit: String?) {
        let daemon = DaemonUnit(process: 7, owner: owner)
        #expect(daemon.line == line)
        #expect(daemon.unit == unit)
    }
}
