import LockVocabulary
import Posix

/// The owner of a grant that a background process holds for another process. `release` and `status` recognise it.
///
/// The form is `hold.PID.NAMESPACE`. A process id identifies a process only within one namespace: two containers that
/// share the daemon's socket both have a process 1.
struct HoldOwner: Equatable {
    let process: Int32
    /// The namespace of process ids; nil if it is unknown.
    let namespace: UInt64?

    /// - Parameter process: a process of this namespace.
    init(process: Int32) {
        self.process = process
        namespace = ProcessNamespace.own
    }

    init?(_ owner: OwnerID) {
        let parts = owner.text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, parts[0] == Self.prefix, let process = Int32(parts[1]),
            process > 0
        else { return nil }
        self.process = process
        if parts.count == 3 {
            guard let namespace = UInt64(parts[2]) else { return nil }
            self.namespace = namespace
        } else {
            namespace = nil
        }
    }

    /// Whether the process id is one of this namespace.
    var isOfThisNamespace: Bool { namespace == ProcessNamespace.own }

    var owner: OwnerID {
        let words = [Self.prefix, String(process)] + (namespace.map { [String($0)] } ?? [])
        return OwnerID(words.joined(separator: ".")) ?? .session
    }

    private static let prefix = "hold"
}
