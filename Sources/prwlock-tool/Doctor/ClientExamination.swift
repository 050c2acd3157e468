import CLinux
import Glibc
import LockVocabulary
import Posix
import Rendezvous

extension ClientFacts {
    /// Looks at this process.
    init(in surroundings: Surroundings) {
        user = surroundings.userID
        userName = ProcessDescription.userName(user)
        namespace = ProcessNamespace.own
        hasSharedUserNumber = UserNamespace.isAmbiguous(Self.overflowUser)
        descriptors = Self.softLimit(of: Int32(RLIMIT_NOFILE.rawValue))
        processes = Self.softLimit(of: Int32(__RLIMIT_NPROC.rawValue))
        lowLimit = LowLimit.find()
        variables = Self.variables.compactMap { name in surroundings.variable(name).map { (name, $0) } }
        program = surroundings.programDirectory.map { "\($0)/prwlock" }
        let first = ProgramOutput.first("prwlock", in: surroundings)
        if let first, let file = try? FileStatus(following: first),
            let own = try? FileStatus(following: "/proc/self/exe"), !file.isSameFile(as: own)
        {
            otherOnPath = first
        }
        let marks = ["/run/.containerenv", "/.dockerenv", "/run/systemd/container"]
        isContained = marks.contains { (try? FileStatus(at: $0)) != nil }
    }

    /// The variables that every client reads. (`prwlock run` sets others for its command.)
    private static let variables = [
        "PRWLOCK_SOCKET", "PRWLOCK_AUTOSTART", "PRWLOCK_DAEMON", "PRWLOCK_SERVER_UID", "PRWLOCK_TEST_ROOT",
    ]

    private static var overflowUser: UInt32 {
        let text = try? FileContents.read("/proc/sys/kernel/overflowuid", limit: 64)
        let digits = (text ?? []).prefix { $0 != UInt8(ascii: "\n") }
        return UInt32(String(decoding: digits, as: UTF8.self)) ?? 65_534
    }

    private static func softLimit(of resource: Int32) -> UInt64? {
        var (soft, hard): (UInt64, UInt64) = (0, 0)
        return linux_limit(resource, &soft, &hard) == 0 && soft != .max ? soft : nil
    }
}

extension KernelFacts {
    /// Tries what the daemon needs, on this process.
    static func ofThisProcess() -> KernelFacts {
        var facts = KernelFacts()
        var names = utsname()
        if uname(&names) == 0 {
            facts.release = withUnsafeBytes(of: names.release) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
        }
        let support = ProcessWatch.Support()
        facts.opensProcesses = support.opensProcess
        facts.asksSockets = support.asksSocket
        if let pair = try? UnixSocket.pair() {
            var groups = [UInt32](repeating: 0, count: 65_536)
            facts.showsGroups = linux_peer_groups(pair.first.rawValue, &groups, Int32(groups.count)) >= 0
        }
        let memory = linux_make_memory("prwlock-doctor")
        facts.sealsMemory = memory >= 0
        if memory >= 0 { close(memory) }
        return facts
    }
}
