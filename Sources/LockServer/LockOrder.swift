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

    /// What happens if an owner that holds a lock of one class asks for a lock of another; nil for nothing.
    private func measure(asking wanted: Int, holding held: Int) -> Measure? { before[held][wanted] }
}

extension LockOrder {
    /// A grant of the owner that was to be taken after the lock that it asks for.
    struct Breach: Equatable {
        let held: LockName
        let note: Note
        let measure: Measure
    }

    /// The search for a breach among the grants of an owner: show it the grants, newest first, while it `needsMore`.
    struct Search {
        /// How many grants are examined. For an owner that holds more, the older ones are not held to the order.
        static let most = 256

        private let order: LockOrder
        private let name: LockName
        private let wanted: Int
        /// The strictest breach so far.
        private(set) var breach: Breach?
        /// How many grants were examined.
        private(set) var examined = 0
        private(set) var needsMore = true

        /// Nil if the lock is in no class, so that no grant can be a breach.
        init?(_ order: LockOrder, asking name: LockName) {
            guard let wanted = order.classOf(name) else { return nil }
            self.order = order
            self.name = name
            self.wanted = wanted
        }

        mutating func examine(_ held: LockName, _ note: Note) {
            examined += 1
            needsMore = examined < Self.most
            if held == name {
                // An owner that has the lock already cannot close a cycle by asking for it again.
                breach = nil
                needsMore = false
            } else if breach?.measure != .refuse, let other = order.classOf(held),
                let measure = order.measure(asking: wanted, holding: other),
                breach == nil || measure == .refuse
            {
                breach = Breach(held: held, note: note, measure: measure)
            }
        }
    }
}
