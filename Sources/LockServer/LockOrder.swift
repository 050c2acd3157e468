import LockVocabulary

/// The order in which owners are to take locks: classes of names, each with a prefix, and which class comes first.
///
/// Owners that keep to one order never wait for each other in a cycle. As the kernel's lockdep does, the server reports a
/// breach of the order at its first occasion, and not on the day on which two owners deadlock.
public struct LockOrder: Sendable, Equatable {
    /// What the server does with a request that breaks the order.
    public enum Measure: String, Sendable {
        /// The request is counted and logged.
        case warn
        /// The request is counted, logged and refused.
        case refuse
    }

    /// The maximum number of classes.
    static let mostClasses = 64

    private(set) var prefixes: [String] = []
    /// For each class, all classes that are to be taken before it, directly or transitively.
    private var before: [[Int: Measure]] = []

    public init() {}

    public var isEmpty: Bool { prefixes.isEmpty }

    /// Why a line cannot be added.
    enum Fault: Error {
        /// The class at this place of the line would come before itself.
        case circle(at: Int)
        case tooMany(at: Int)
    }

    /// Adds a chain of classes that are to be taken in this order. After an error the value must not be used.
    mutating func add(_ chain: [String], _ measure: Measure) throws(Fault) {
        var classes: [Int] = []
        for (place, prefix) in chain.enumerated() {
            guard let number = number(of: prefix) else { throw .tooMany(at: place) }
            for earlier in classes {
                guard number != earlier, before[earlier][number] == nil else { throw .circle(at: place) }
                // Keep `before` transitive: what precedes `earlier` precedes `number` and all classes behind it.
                let firsts = [earlier] + before[earlier].keys
                let lasts = [number] + before.indices.filter { before[$0][number] != nil }
                for last in lasts {
                    for first in firsts {
                        // If two lines order the same classes, the stricter measure counts.
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

    /// The class with the longest prefix of a name; nil if the name is in no class.
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
