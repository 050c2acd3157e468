import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix
import Rendezvous

extension DaemonOutcome {
    /// How long a daemon may take to answer; `prwlock` says then what it waits for.
    private static let patience = Duration.seconds(5)

    /// Connects to the daemon where all clients do, and starts none.
    init(_ daemon: DaemonChoice, in surroundings: Surroundings) {
        var surroundings = surroundings
        surroundings.environment["PRWLOCK_AUTOSTART"] = "0"
        do throws(RendezvousError) {
            var connection = try BlockingConnection(
                daemon.path.map(SocketLocation.init(path:)), in: surroundings,
                by: Deadline(after: Self.patience))
            do throws(Complaint) {
                self = .answers(try DaemonFacts(over: &connection, in: surroundings, Self.patience))
            } catch {
                self = .failed(error.line)
            }
        } catch {
            self = .unreachable(error)
        }
    }
}

extension DaemonFacts {
    fileprivate init(
        over connection: inout BlockingConnection, in surroundings: Surroundings, _ patience: Duration
    ) throws(Complaint) {
        guard
            case .hello(let version, let server, _, _, _) = try connection.ask(
                .hello(client: nil, recall: nil), patience: patience)
        else { throw Complaint.unexpected }
        let location = connection.location()
        self.init(server: server, protocolVersion: version, socket: location?.path ?? "")
        isOwn = location?.isUserOwn ?? false
        let start = Instant.now
        guard try connection.ask(.ping, patience: patience) == .pong else { throw Complaint.unexpected }
        roundTrip = start.duration(to: .now)
        _ = try connection.ask(.stats, patience: patience) { row in
            if case .stat(let name, let value) = row { counters[name] = value }
        }
        look(at: socket)
    }

    /// Looks at the process that serves. A daemon in another namespace of process ids has no process here.
    private mutating func look(at path: String) {
        guard let connection = try? UnixSocket.connect(to: path, by: Deadline(after: .seconds(1))),
            let peer = try? PeerCredentials(of: connection)
        else { return }
        user = peer.userID
        guard peer.processID != 0 else { return }
        let folder = "/proc/\(peer.processID)"
        unit = DaemonUnit(process: peer.processID, owner: ControlGroup(of: peer.processID)?.owner)
        descriptors = (try? FileContents.read(folder + "/limits", limit: 1 << 14)).flatMap(Self.openFiles)
        if let path = DaemonFacts.program(of: peer.processID),
            let running = try? FileStatus(following: folder + "/exe")
        {
            isReplaced = (try? FileStatus(following: path)).map { !$0.isSameFile(as: running) } ?? true
        }
        if let own = try? FileStatus(following: "/proc/self/ns/time"),
            let other = try? FileStatus(following: folder + "/ns/time")
        {
            hasOtherClock = !own.isSameFile(as: other)
        }
    }

    /// The soft limit in the line `Max open files` of `/proc/PID/limits`; nil if there is none.
    static func openFiles(inLimits lines: [UInt8]) -> Int? {
        let name = "Max open files"
        for line in String(decoding: lines, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name) {
            return line.dropFirst(name.count).split(separator: " ").first.flatMap { Int($0) }
        }
        return nil
    }

    /// The path that a process was executed from; another file may be there by now.
    static func program(of process: Int32) -> String? {
        ProcessFacts.executable(of: process).map { path in
            let deleted = " (deleted)"
            return path.hasSuffix(deleted) ? String(path.dropLast(deleted.count)) : path
        }
    }
}

extension ProgramFacts {
    private static let patience = Duration.seconds(5)

    /// Finds the program of the daemon, and asks it for its version. If it is the service's, it also checks the options and
    /// rules on disk.
    ///
    /// Nil if the program is not visible, or if another user could replace it.
    init?(of process: Int32?, checking: Bool, in surroundings: Surroundings) {
        let found =
            process.flatMap(DaemonFacts.program)
            ?? (try? DaemonProgram.find(in: surroundings))?.path
        guard let found, ProgramOutput.isTrusted(found) else { return nil }
        path = found
        // Not the variables of this process: `PRWLOCKD_…` are options of a daemon.
        let environment = ["PATH": "/usr/bin:/bin", "SWIFT_BACKTRACE": "enable=no"]
        if let (output, status) = ProgramOutput.of(
            path, ["--version"], environment: environment, by: Deadline(after: Self.patience)), status == 0
        {
            let line = output.prefix { $0 != UInt8(ascii: "\n") }
            version = String(decoding: line, as: UTF8.self).split(separator: " ").last.map(String.init)
        }
        guard checking,
            let (output, status) = ProgramOutput.of(
                path, ["--check-config"], environment: environment, by: Deadline(after: Self.patience))
        else { return }
        let line = String(decoding: output.split(separator: UInt8(ascii: "\n")).last ?? [], as: UTF8.self)
        // Only root and the daemon's user may read some files.
        isChecked = !line.hasSuffix("Permission denied")
        if status != 0, isChecked { configurationFault = line }
    }
}
