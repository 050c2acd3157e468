import Glibc
import LockClaims
import LockVocabulary
import Posix
import Rendezvous

/// What a daemon is in its fleet, as far as its host says.
extension ClaimsConfiguration {
    /// - Parameter state: the state directory. The daemon locks it, so it tells this daemon from all others of the host.
    init(
        _ settings: ClusterSettings, _ url: String, in state: FleetFolder?
    ) throws(Departure) {
        guard let state else {
            throw Departure(
                .noState, "a daemon of a fleet needs a state directory: set --state-directory, or HOME")
        }
        let name: HostName
        if let given = settings.host.flatMap({ HostName($0) }) {
            name = given
        } else if let own = HostName(Self.systemName) {
            name = own
        } else {
            throw Departure(
                .usage,
                "the host's name `\(Self.systemName)` is none for a fleet: name the host with --cluster-host")
        }
        self.init(
            host: name, instance: state.instance, keyPrefix: Cluster.keyPrefix(ofURL: url),
            namePrefixes: settings.prefixes)
        leaseSeconds = settings.lease.components.seconds
        minimumTurn = settings.minimumTurn
        maximumTurn = settings.maximumTurn
        highestEpoch = state.highestEpoch
    }

    private static var systemName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// What the state directory says of a daemon's place in its fleet.
final class FleetFolder {
    /// A word that no other daemon has, and that is the same for the next daemon in this place until the host starts again.
    let instance: String
    /// The highest epoch of the store that was noted here; 0 for none.
    private(set) var highestEpoch: Int64
    private let file: OwnedDescriptor

    private static let name = "epoch"
    private static let beginning = "prwlock epoch "

    init(_ directory: borrowing DirectoryDescriptor) throws(SystemError) {
        var status = stat()
        guard fstat(directory.rawValue, &status) == 0 else { throw .last("fstat", "the state directory") }
        let parts = [
            Self.word(of: "/etc/machine-id"), Self.word(of: "/proc/sys/kernel/random/boot_id"),
            "\(status.st_dev)-\(status.st_ino)",
        ]
        instance = parts.joined(separator: ".")
        file = try directory.open(Self.name, flags: O_RDWR | O_CREAT)
        let text = String(decoding: try FileContents.read(file, Self.name, limit: 4_096), as: UTF8.self)
        let line = text.prefix { $0 != "\n" }
        highestEpoch = line.hasPrefix(Self.beginning) ? Int64(line.dropFirst(Self.beginning.count)) ?? 0 : 0
    }

    /// The letters, digits and dashes of a file's first line; `-` if it has none.
    private static func word(of path: String) -> String {
        let bytes = (try? FileContents.read(path, limit: 256)) ?? []
        let line = bytes.prefix { $0 != UInt8(ascii: "\n") }.prefix(64)
        let word = String(decoding: line, as: UTF8.self)
        return HostName(word) == nil ? "-" : word
    }

    /// Notes an epoch, which is higher than those before.
    ///
    /// It is not synchronized: after a crash of the host an older number may be there, with which fewer restored backups of the
    /// store are found.
    func note(_ epoch: Int64) {
        guard epoch > highestEpoch else { return }
        highestEpoch = epoch
        let digits = String(epoch)
        // All lines have one length, so that none leaves a rest of another.
        let line =
            Self.beginning + String(repeating: "0", count: max(0, 19 - digits.utf8.count)) + digits + "\n"
        _ = Array(line.utf8).withUnsafeBytes { pwrite(file.rawValue, $0.baseAddress, $0.count, 0) }
    }
}
