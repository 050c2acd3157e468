public import LockVocabulary

/// A circle of owners, each of which waits for a lock that the next one stands before it at.
public struct Cycle: Hashable, Sendable {
    public struct Hop: Hashable, Sendable {
        /// Nil for a process that cannot be seen from where the daemon is.
        public var processID: Int32?
        public var owner: OwnerID
        /// The lock that this owner waits for.
        public var lock: LockName

        public init(processID: Int32?, owner: OwnerID, lock: LockName) {
            self.processID = processID
            self.owner = owner
            self.lock = lock
        }
    }

    /// How many hops are named, at most.
    public static let maximumNamed = 8

    /// The first hops, as many as are named.
    public private(set) var named: [Hop] = []
    /// How many more there are.
    public private(set) var more = 0

    public init(_ hops: some Sequence<Hop>) {
        for hop in hops { add(hop) }
    }

    /// Names one more hop, or counts it if enough are named.
    public mutating func add(_ hop: Hop) {
        if named.count < Self.maximumNamed { named.append(hop) } else { addUnnamed(1) }
    }

    /// Counts hops without naming them, as many as a number can say at the most.
    public mutating func addUnnamed(_ count: Int) { more = more.clampedSum(count) }
}

extension Cycle: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) {
        self.init([])
        let isUnderstood = bytes.allParts(between: UInt8(ascii: ">")) { part in
            if let count = part.moreCount {
                addUnnamed(count)
                return true
            }
            guard let hop = Hop(spelled: part) else { return false }
            add(hop)
            return true
        }
        guard isUnderstood, !named.isEmpty else { return nil }
    }

    func spell(into line: inout LineWriter) {
        for (index, hop) in named.enumerated() {
            if index > 0 { line.put(">") }
            line.put(hop)
        }
        if more > 0 { line.put(">+", more) }
    }
}

/// Spelled `pid/owner:lock` or `pid:lock`. Neither a process id nor an owner contains a colon.
extension Cycle.Hop: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) {
        guard let colon = bytes.offset(of: UInt8(ascii: ":")),
            let lock = LockName(bytes: bytes.part(colon + 1, bytes.count))
        else { return nil }
        let who = bytes.part(0, colon)
        let slash = who.offset(of: UInt8(ascii: "/"))
        guard let process = ProcessNumber(spelled: who.part(0, slash ?? who.count)) else { return nil }
        var owner = OwnerID.session
        if let slash {
            guard let named = OwnerID(bytes: who.part(slash + 1, who.count)) else { return nil }
            owner = named
        }
        self.init(processID: process.id, owner: owner, lock: lock)
    }

    func spell(into line: inout LineWriter) {
        line.put(ProcessNumber(processID))
        if !owner.isSession { line.put("/", owner) }
        line.put(":", lock)
    }
}

// MARK: - Lists that name a few and count the rest

extension Int {
    /// The sum with a count, or the largest number where that is smaller.
    func clampedSum(_ count: Int) -> Int {
        let (sum, isTooLarge) = addingReportingOverflow(count)
        return isTooLarge ? .max : sum
    }
}

extension UnsafeRawBufferPointer {
    /// Calls the body with each part between separators until it returns false; whether it never did.
    func allParts(between separator: UInt8, _ body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        var rest = self
        while let end = rest.offset(of: separator) {
            guard body(rest.part(0, end)) else { return false }
            rest = rest.part(end + 1, rest.count)
        }
        return body(rest)
    }

    /// The number after a `+`; nil if there is none.
    var moreCount: Int? {
        guard first == UInt8(ascii: "+") else { return nil }
        return part(1, count).decimal().flatMap(Int.init(exactly:))
    }
}
