import LockVocabulary

/// In which order an owner is to take locks: classes of names, each known by a prefix, and which goes before which.
///
/// What the kernel's lockdep is for its locks, for those that have been told their order: owners that keep to one order
/// never wait for each other in a circle, and one that does not is told of on the first occasion, not on the day on which
/// two of them meet.
public struct LockOrder: Sendable, Equatable {
    /// What happens to a request that breaks the order.
    public enum Measure: String, Sendable {
        /// It is counted and told the operator.
        case warn
        /// It is refused as well.
        case refuse
    }

    /// The most classes there may be.
    static let mostClasses = 64

    private(set) var prefixes: [String] = []
    /// For each class, those that are to be taken before it, near and far.
    private var before: [[Int: Measure]] = []

    public init() {}

    public var isEmpty: Bool { prefixes.isEmpty }

    /// Why a line cannot be added.
    enum Fault: Error {
        /// The class at this place of the line would then be before itself.
        case circle(at: Int)
        case tooMany(at: Int)
    }

    /// Adds that these classes are to be taken in this order. After an error it must not be used.
    mutating func add(_ chain: [String], _ measure: Measure) throws(Fault) {
        var classes: [Int] = []
        for (place, prefix) in chain.enumerated() {
            guard let number = number(of: prefix) else { throw .tooMany(at: place) }
            for earlier in classes {
                guard number != earlier, before[earlier][number] == nil else { throw .circle(at: place) }
                // All that is before the earlier is before this and before all that this is before.
                let firsts = [earlier] + before[earlier].keys
                let lasts = [number] + before.indices.filter { before[$0][number] != nil }
                for last in lasts {
                    for first in firsts {
                        // Of two lines that say so the stricter counts.
                        if before[last][first] != .refuse { before[last][first] = measure }
                    }
                }
            }
            classes.append(number)
        }
    }

    private mutating func number(of prefix: String) -> Int? {
        if let number = prefixes.firstIndex(of: prefix) { return number }
        guard prefixes.count < Self.mostClasses else { return nil }
        prefixes.append(prefix)
        before.append([:])
        return prefixes.count - 1
    }

    /// The class of a name: that of its longest prefix; nil if it is in none.
    func classOf(_ name: LockName) -> Int? {
        prefixes.indices
            .filter { name.text.utf8.starts(with: prefixes[$0].utf8) }
            .max { prefixes[$0].utf8.count < prefixes[$1].utf8.count }
    }

    /// What is to happen if a lock of the one class is asked for by an owner that holds one of the other; nil for nothing.
    func measure(asking wanted: Int, holding held: Int) -> Measure? { before[held][wanted] }
}
