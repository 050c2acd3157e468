import ArgumentParser
import LockWire

/// The order of the locks in `prwlock top`.
enum TopOrder: String, CaseIterable, ExpressibleByArgument {
    /// Most waiting requests first.
    case waiters
    /// The longest present wait first.
    case waited
    /// Most grants a second first.
    case grants

    var inWords: String {
        switch self {
        case .waiters: "by waiting requests"
        case .waited: "by time waited"
        case .grants: "by grants a second"
        }
    }
}
