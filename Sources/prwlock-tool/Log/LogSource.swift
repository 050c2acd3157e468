import Glibc
import LockVocabulary
import Posix
import Rendezvous

/// Where the daemon's messages are.
enum LogSource: Equatable {
    /// The journal, with the terms of a search for `journalctl`: `FIELD=value`, and `+` for "or".
    case journal([String])
    /// A file with the lines of standard error.
    case file(String)

    /// Finds the log of the daemon that clients use. It connects only to a daemon that runs, so it starts none.
    ///
    /// - Parameter lock: the lock that the entries are about; nil for all entries, also those of systemd about the unit.
    init(of daemon: DaemonChoice, about lock: LockName?, in surroundings: Surroundings) throws(Complaint) {
        let place = PlaceFacts(daemon.path, in: surroundings)
        if place.isOfService {
            self = .ofUnit("prwlockd.service", about: lock)
            return
        }
        let units = place.units(in: surroundings)
        let unit = place.isAsleep(units) ? nil : DaemonUnit(listeningAt: place.path)
        if let file = unit.flatMap({ Self.standardError(of: $0.process) }), Self.isFile(file) {
            self = .file(file)
            return
        }
        switch unit?.owner {
        case .systemUnit(let name) where name.hasSuffix(".service"): self = .ofUnit(name, about: lock)
        case .userUnit(let name, let user) where name.hasSuffix(".service"):
            self = .ofUnit(name, of: user, about: lock)
        case .systemUnit, .userUnit, .session, nil:
            self = try .init(ofProcess: unit?.process, at: place.path, units, about: lock, in: surroundings)
        }
    }

    private static func ofUnit(_ unit: String, of user: UInt32? = nil, about lock: LockName?) -> LogSource {
        // Only the journal writes fields that begin with an underscore. All others can be those of any process.
        let unitField = user == nil ? "UNIT" : "USER_UNIT"
        let writers = user.map { ["_UID=\($0)", "_SYSTEMD_USER_UNIT=\(unit)"] } ?? ["_SYSTEMD_UNIT=\(unit)"]
        if let lock { return .journal(writers + ["LOCK=\(lock.text)"]) }
        let manager = user.map { ["_UID=\($0)"] } ?? ["_PID=1"]
        return .journal(writers + ["+"] + manager + ["\(unitField)=\(unit)"])
    }

    /// The log of a daemon in no unit of its own: the file beside its socket, if it is there.
    private init(
        ofProcess process: Int32?, at socket: String, _ units: UnitFacts?, about lock: LockName?,
        in surroundings: Surroundings
    ) throws(Complaint) {
        if let beside = PlaceFacts.folder(of: socket).map({ "\($0)/prwlockd.log" }), Self.isFile(beside) {
            self = .file(beside)
            return
        }
        let output = process.flatMap(Self.standardError)
        if let output, let process {
            throw Complaint(
                "the messages of the lock daemon, process \(process), go to its standard error, which is \(output): look there",
                code: Complaint.unavailable)
        }
        if process == nil, units?.service.isInstalled == true {
            self = .ofUnit("prwlockd.service", of: surroundings.userID, about: lock)
            return
        }
        let reason =
            process.map {
                "process \($0) serves, and this process may not see where its messages go: run this as root"
            }
            ?? "no lock daemon runs at \(socket), and none has left a log there"
        throw Complaint(reason, code: Complaint.unavailable)
    }

    private static func isFile(_ path: String) -> Bool {
        (try? FileStatus(at: path))?.isRegularFile ?? false
    }

    /// The file, pipe or terminal that is a process's standard error; nil if this process may not see it.
    private static func standardError(of process: Int32) -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                characters.baseAddress.map { readlink("/proc/\(process)/fd/2", $0, characters.count) } ?? -1
            }
        }
        guard count > 0, count < buffer.count else { return nil }
        return String(decoding: buffer.prefix(count), as: UTF8.self)
    }
}
