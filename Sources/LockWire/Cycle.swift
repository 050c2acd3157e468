public import LockVocabulary

/// A cycle of owners: each waits for a lock that the next one holds, or waits for ahead of it.
public struct Cycle: Hashable, Sendable {
    /// An owner in a cycle, or another host that it passes through, and the lock that it waits for.
    public struct Hop: Hashable, Sendable {
        /// The process of the owner; nil if the daemon cannot see it, and for another host.
        public var processID: Int32?
        /// The host, if it is another one than this. Its owners are not named.
        public var host: HostName?
        /// The owner within the process; the session itself if its client named none.
        public var owner: OwnerID
        /// The lock that this owner waits for.
        public var lock: LockName

        /// A hop from its parts.
        public init(processID: Int32?, owner: OwnerID, lock: LockName) {
            self.processID = processID
            self.owner = owner
            self.lock = lock
        }

        /// Another host, and a lock that an owner there waits for.
        public init(host: HostName, lock: LockName) {
            self.host = host
            owner = .session
            self.lock = lock
        }
    }

    /// The largest number of hops that are named.
    public static let maximumNamed = 8

    /// The first hops.
    public private(set) var named: [Hop] = []
    /// The number of hops that are not named.
    public private(set) var more = 0

    /// A cycle of these hops, of which the first few are named.
    public init(_ hops: some Sequence<Hop>) {
        for hop in hops { add(hop) }
    }

    /// Names a hop, or only counts it if enough are named.
    public mutating func add(_ hop: Hop) {
        if named.count < Self.maximumNamed { named.append(hop) } else { addUnnamed(1) }
    }

    /// Counts hops without naming them. The number stops at its largest value.
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

/// Spelled `pid/owner:lock`, `pid:lock` or `host:NAME:lock`. The first colon ends the owner, as only the lock's name may contain
/// one; no process is called `host`.
extension Cycle.Hop: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) {
        if let rest = bytes.hostWord {
            guard let colon = rest.offset(of: UInt8(ascii: ":")),
                let host = HostName(bytes: rest.part(0, colon)),
                let lock = LockName(bytes: rest.part(colon + 1, rest.count))
            else { return nil }
            self.init(host: host, lock: lock)
            return
        }
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
        if let host {
            line.put("host:", host)
        } else {
            line.put(ProcessNumber(processID))
        }
        if !owner.isSession { line.put("/", owner) }
        line.put(":", lock)
    }
}

// MARK: - Lists of which only the first elements are named

extension Int {
    /// The sum with a count; the largest number if the sum overflows.
    func clampedSum(_ count: Int) -> Int {
        let (sum, isTooLarge) = addingReportingOverflow(count)
        return isTooLarge ? .max : sum
    }
}

extension UnsafeRawBufferPointer {
    /// Calls the body with each part between separators, until it returns false. Returns whether it never did.
    func allParts(between separator: UInt8, _ body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        var rest = self
        while let end = rest.offset(of: separator) {
            guard body(rest.part(0, end)) else { return false }
            rest = rest.part(end + 1, rest.count)
        }
        return body(rest)
    }

    /// What follows `host:`; nil if the bytes do not begin so.
    var hostWord: UnsafeRawBufferPointer? {
        count >= 5 && part(0, 5).spells("host:") ? part(5, count) : nil
    }

    /// The number after a `+`; nil if there is none.
    var moreCount: Int? {
        guard first == UInt8(ascii: "+") else { return nil }
        return part(1, count).decimal().flatMap(Int.init(exactly:))
    }
}
