import Glibc
import Posix
import Testing

@Suite("The kernel's facts about a process") struct ProcessFactsTests {
    @Test(
        "a unit is the part after the slices, and units under a user's control do not count",
        arguments: [
            ("0::/system.slice/nginx.service\n", "nginx.service"),
            ("0::/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
            ("0::/system.slice/nginx.service/workers/a", "nginx.service"),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service", "user@1000.service"),
            ("0::/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
            ("0::/init.scope", "init.scope"),
            ("0::/system.slice/_cgroup.procs.service", "cgroup.procs.service"),
            ("12:cpu:/other.service\n1:name=systemd:/system.slice/cron.service\n0::/\n", "cron.service"),
            ("0::/", nil), ("0::/system.slice", nil), ("0::/docker/abc", nil), ("", nil), ("nonsense", nil),
            ("0::/../../system.slice/nginx.service", nil), ("0::/.service", nil),
            ("12:cpu:/system.slice/nginx.service", nil),
        ])
    func unit(lines: String, unit: String?) {
        #expect(ProcessFacts.unit(inControlGroups: Array(lines.utf8)) == unit)
    }

    @Test("the program of this process is known, and that of a missing process is nil") func executable()
        throws
    {
        let own = try #require(ProcessFacts.executable(of: getpid()))
        #expect(own.hasPrefix("/"))
        #expect(ProcessFacts.executable(of: -1) == nil)
    }

    @Test("the groups of a socket pair's other end are this process's groups") func groups() throws {
        let pair = try UnixSocket.pair()
        var own = [gid_t](repeating: 0, count: 65_536)
        let count = getgroups(Int32(own.count), &own)
        #expect(ProcessFacts.groups(ofPeer: pair.first) == own.prefix(Int(count)).map { $0 })
    }
}
