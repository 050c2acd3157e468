/// How a grant may use what its lock protects.
///
/// Which grants stand together (G1):
///
///             read   update  write
///     read     yes    yes     no
///     update   yes    no      no
///     write    no     no      no
public enum LockMode: UInt8, Sendable, CaseIterable {
    /// Shared: any number of readers stand together.
    case read
    /// Shared with readers, alone among updaters; may later become the writer.
    case update
    /// Alone.
    case write

    /// Whether a grant in this mode cannot stand beside one in `other`; symmetric.
    public func conflicts(with other: LockMode) -> Bool {
        self == .write || other == .write || (self == .update && other == .update)
    }

    /// The word for it in the protocol.
    public var word: StaticString {
        switch self {
        case .read: "read"
        case .update: "update"
        case .write: "write"
        }
    }
}

extension LockMode: CustomStringConvertible {
    public var description: String { "\(word)" }
}

extension LockMode: Comparable {
    /// Weaker before stronger.
    public static func < (left: LockMode, right: LockMode) -> Bool { left.rawValue < right.rawValue }
}
