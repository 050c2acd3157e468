import Posix
import Rendezvous

/// What `prwlock doctor` has looked at, before it is judged. All of it can be made by hand, for tests.
struct DoctorFacts {
    var client = ClientFacts()
    var kernel = KernelFacts()
    var place: PlaceFacts
    /// Nil if systemd does not manage this host, or if this process cannot ask it.
    var units: UnitFacts?
    var daemon: DaemonOutcome
    /// The program that serves, or would be started; nil if it is not known.
    var program: ProgramFacts?
    /// The users with a daemon of their own, besides this one.
    var neighbours: [UInt32] = []
}

/// What came of the attempt to reach the daemon.
enum DaemonOutcome {
    case answers(DaemonFacts)
    /// No process serves; systemd listens, and starts the daemon for the first client.
    case asleep
    case unreachable(RendezvousError)
    /// It was reached, and then did not answer as it should.
    case failed(String)
}

/// This process, its user and its limits.
struct ClientFacts {
    var user: UInt32 = 0
    var userName = "root"
    /// The number of the namespace of process ids; nil if `/proc` does not show it.
    var namespace: UInt64?
    /// Whether a number of a user may stand for several users here.
    var hasSharedUserNumber = false
    /// The limit of open descriptors; nil for none.
    var descriptors: UInt64?
    /// The limit of processes of this user; nil for none.
    var processes: UInt64?
    /// The hard limit under which a daemon that this process starts could not serve.
    var lowLimit: LowLimit?
    /// The variables that change what clients do.
    var variables: [(name: String, value: String)] = []
    var program: String?
    /// The first `prwlock` on `PATH`, if it is another file than this program.
    var otherOnPath: String?
    /// Whether this process seems to be in a container.
    var isContained = false
}

/// What this kernel, or the sandbox of this process, permits.
struct KernelFacts {
    /// As `uname -r` prints it.
    var release = "?"
    /// `pidfd_open`, since Linux 5.3.
    var opensProcesses = true
    /// `SO_PEERPIDFD`, since Linux 6.5.
    var asksSockets = true
    /// `SO_PEERGROUPS`, since Linux 4.13.
    var showsGroups = true
    /// `memfd_create` with seals, since Linux 3.17.
    var sealsMemory = true
}

/// The place of the daemon, and the rule that leads there.
struct PlaceFacts {
    enum Rule {
        /// The option `--socket`.
        case option
        /// The variable `PRWLOCK_SOCKET`.
        case variable
        /// The directory of the service exists.
        case service
        /// The host has no service.
        case own
    }

    var rule: Rule
    var path: String
    /// Whether `/run/prwlock` exists.
    var hasServiceDirectory = false
    /// Whether it is the place of the user's own daemon.
    var isOwn = false
    /// Whether it is the place of the service.
    var isOfService = false
    /// Whether a daemon of the user's own runs.
    var hasOwnDaemon = false
    /// Nil if no file is there, or this process cannot see it.
    var socket: FileStatus?
    /// The group of the socket, if the rule is that of the service.
    var group: GroupFacts?
    /// The part of the path at which another user could put another socket in its place; nil if there is none.
    var replaceablePart: String?
    /// Sockets of the user's own without a listener.
    var leftovers: [String] = []
    /// Folders at the user's own places that do not belong to the user alone.
    var foreignFolders: [String] = []
}

/// The group that may connect to the service.
struct GroupFacts {
    var name: String
    /// Whether this process has it.
    var isActive: Bool
    /// Whether the host's database lists the user in it.
    var isListed: Bool
}

/// The daemon as it shows itself, and as `/proc` shows it.
struct DaemonFacts {
    /// The program and its version, as `prwlockd/1.0.0`.
    var server: String
    var protocolVersion = 1
    /// The path that the daemon has bound.
    var socket: String
    /// Whether this is the user's own daemon.
    var isOwn = false
    var roundTrip = Duration.zero
    /// The counters of `STATS`.
    var counters: [String: Int] = [:]
    /// The process that serves, its user and its unit; nil if this process cannot see it.
    var unit: DaemonUnit?
    var user: UInt32?
    /// Its limit of open descriptors; nil if there is none, or it is not visible.
    var descriptors: Int?
    /// Whether another file is now where its program was; nil if this is not visible.
    var isReplaced: Bool?
    /// Whether its boot clock runs in another time namespace; nil if this is not visible.
    var hasOtherClock: Bool?
}

/// The program on disk.
struct ProgramFacts {
    var path: String
    /// What it prints of its version; nil if it was not run.
    var version: String?
    /// What `--check-config` complains about; nil if there is no fault, or if it was not run.
    var configurationFault: String?
    /// Whether `--check-config` was run.
    var isChecked = false
}

/// The units of the daemon, as a service manager sees them.
struct UnitFacts {
    var service = UnitState()
    var socket = UnitState()
    /// Whether they belong to the user's own manager.
    var isOfUser = false
}
