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
        case .waiters: "sorted by waiting requests"
        case .waited: "sorted by time waited"
        case .grants: "sorted by grants a second"
        }
    }
}
