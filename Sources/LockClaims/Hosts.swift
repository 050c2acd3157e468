<<<<<<< HEAD
/// The name of a host in its fleet: 1 to 64 letters, digits, dots, dashes and underscores.
public struct HostName: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The spelling, also in keys of the store.
    public let text: String

    /// A name; nil if the text is not one.
    public init?(_ text: String) {
        let bytes = text.utf8
        guard (1...64).contains(bytes.count), bytes.allSatisfy(Self.isAllowed) else { return nil }
        self.text = text
    }

    /// By bytes.
    public static func < (left: HostName, right: HostName) -> Bool { left.text < right.text }

    /// The spelling.
    public var description: String { text }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
=======
public import LockVocabulary
>>>>>>> a4dbc182ee383b7f97e7dd6debf12b6d28f2c1f4

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
