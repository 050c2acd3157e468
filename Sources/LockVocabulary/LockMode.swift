/// How a grant may use what its lock protects.
///
/// The modes that are compatible (G1):
///
///             read   update  write
///     read     yes    yes     no
///     update   yes    no      no
///     write    no     no      no
public enum LockMode: UInt8, Sendable, CaseIterable {
    /// Shared: any number of readers hold together.
    case read
    /// Shared with readers, but not with another updater. It may become the writer later.
    case update
    /// Exclusive.
    case write

    /// Whether grants in this mode and in `other` exclude each other; symmetric.
    public func conflicts(with other: LockMode) -> Bool {
        self == .write || other == .write || (self == .update && other == .update)
    }

    /// The protocol's word for the mode.
    public var word: StaticString {
        switch self {
        case .read: "read"
        case .update: "update"
        case .write: "write"
        }
    }
}

extension LockMode: CustomStringConvertible {
    /// The protocol's word for the mode.
    public var description: String { "\(word)" }
}

extension LockMode: Comparable {
    /// Weaker before stronger.
    public static func < (left: LockMode, right: LockMode) -> Bool { left.rawValue < right.rawValue }
}
