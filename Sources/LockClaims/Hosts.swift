public import LockVocabulary

/// One life of a host in the fleet, as long as its lease: the host, and the revision at which its key came into being.
///
/// The number tells the sessions of one host apart. A comparison of the key's `create_revision` with it asks whether this
/// session lives.
public struct HostSession: Hashable, Sendable, CustomStringConvertible {
    public var host: HostName
    public var number: Revision

    public init(host: HostName, number: Revision) {
        self.host = host
        self.number = number
    }

    public var description: String { "\(host) \(number)" }
}

/// What a claim permits on its host.
public enum ClaimMode: UInt8, Sendable, Comparable, CustomStringConvertible {
    /// To grant reads, as other hosts may.
    case read
    /// To grant anything: no other host has a claim.
    case write

    /// Weaker before stronger.
    public static func < (left: ClaimMode, right: ClaimMode) -> Bool { left.rawValue < right.rawValue }

    /// Whether claims of two hosts in these modes exclude each other.
    public func conflicts(with other: ClaimMode) -> Bool { self == .write || other == .write }

    /// The word in registers and rows.
    public var description: String { self == .read ? "read" : "write" }
}

/// The note on a name that its last writer died.
public enum ClaimMark: String, Sendable {
    /// A session died while it held the write grant.
    case yes
    /// A host ended while it had the write claim; whether a session held under it cannot be known.
    case maybe
}
