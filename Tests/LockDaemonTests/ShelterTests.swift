import Posix
import Testing

@testable import LockDaemon

/// The manager from which a daemon that a client started requests its scope.
@Suite struct ShelterTests {
    private let job = ControlGroup.Owner.systemUnit("svc1.service")

    private func shelter(
        _ userID: UInt32, in owner: ControlGroup.Owner?, system: Bool = true, manager: Bool = false,
        lingers: Bool = false, kills: Bool = false
    ) -> Shelter.Manager? {
        Shelter(
            userID: userID, owner: owner, hasSystemManager: system, hasUserManager: manager, lingers: lingers,
            sessionsKillTheirProcesses: { kills }
        ).manager
    }

    @Test("root's asks the system's manager, wherever it was started, if the host has systemd")
    func root() {
        #expect(shelter(0, in: job) == .system)
        #expect(shelter(0, in: .session("3")) == .system)
        #expect(shelter(0, in: nil) == .system)
        #expect(shelter(0, in: job, system: false) == nil)
    }

    @Test("a user's asks the user's manager only if that outlives what it was started in")
    func user() {
        #expect(shelter(1000, in: .session("3"), manager: true) == nil)
        #expect(shelter(1000, in: .session("3"), manager: true, lingers: true) == .user)
        #expect(shelter(1000, in: .session("3"), manager: true, kills: true) == .user)
        #expect(shelter(1000, in: .userUnit("a.service", 1000), manager: true) == .user)
        #expect(shelter(1000, in: .userUnit("a.service", 1001), manager: true) == nil)
        #expect(shelter(1000, in: job, manager: true) == nil)
        #expect(shelter(1000, in: job, manager: false, lingers: true) == nil)
    }

    @Test("one that has a unit of its own stays in it")
    func ownUnit() {
        #expect(shelter(0, in: .systemUnit("prwlockd-5.scope")) == nil)
        #expect(shelter(1000, in: .userUnit("prwlockd.service", 1000), manager: true, lingers: true) == nil)
    }
}
