public import LockVocabulary

/// The holders of a lock that a request could not get: the first few, and the number of the others.
///
/// It is empty during the grace time after an unclean end of the daemon before, when the daemon grants nothing.
public struct HeldBy: Hashable, Sendable {
    /// A process that holds the lock, or another host that does, and its mode.
    public struct Holder: Hashable, Sendable {
        /// The process; nil if the daemon cannot see it, and for another host.
        public var processID: Int32?
        /// The host that claims the name, if it is another one than this.
        public var host: HostName?
        /// The mode in which it holds the lock.
        public var mode: LockMode

        /// A holder from its parts.
        public init(processID: Int32?, mode: LockMode) {
            self.processID = processID
            self.mode = mode
        }

        /// Another host, and the mode of its claim.
        public init(host: HostName, mode: LockMode) {
            self.host = host
            self.mode = mode
        }
    }

    /// The largest number of holders that are named.
    public static let maximumNamed = 3

    // Three properties instead of an array, so that a refusal allocates nothing.
    private var first: Holder?
    private var second: Holder?
    private var third: Holder?
    /// The number of holders that are not named.
    public private(set) var more = 0

    /// No holders.
    public init() {}

    /// These holders, of which the first few are named.
    public init(_ holders: some Sequence<Holder>) {
        for holder in holders { add(holder) }
    }

    /// Names a holder, or only counts it if enough are named.
    public mutating func add(_ holder: Holder) {
        if first == nil {
            first = holder
        } else if second == nil {
            second = holder
        } else if third == nil {
            third = holder
        } else {
            addUnnamed(1)
        }
    }

    /// Counts holders without naming them. The number stops at its largest value.
    public mutating func addUnnamed(_ count: Int) { more = more.clampedSum(count) }

    /// The holders that are named.
    public var named: [Holder] { [first, second, third].compactMap(\.self) }

    /// Whether there are no holders.
    public var isEmpty: Bool { first == nil && more == 0 }

    /// Calls the body with each named holder, without making an array.
    func forEach(_ body: (Holder) -> Void) {
        if let first { body(first) }
        if let second { body(second) }
        if let third { body(third) }
    }
}

extension HeldBy: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) {
        self.init()
        if bytes.spells("?") { return }
        let isUnderstood = bytes.allParts(between: UInt8(ascii: ",")) { part in
            if let count = part.moreCount {
                guard !isEmpty else { return false }
                addUnnamed(count)
                return true
            }
            guard let holder = Holder(spelled: part) else { return false }
            add(holder)
            return true
        }
        guard isUnderstood else { return nil }
    }

    func spell(into line: inout LineWriter) {
        guard let first else { return line.put("?") }
        line.put(first)
        if let second { line.put(",", second) }
        if let third { line.put(",", third) }
        if more > 0 { line.put(",+", more) }
    }
}

extension HeldBy.Holder: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) {
        guard let slash = bytes.offset(of: UInt8(ascii: "/")),
            let mode = LockMode(spelled: bytes.part(slash + 1, bytes.count))
        else { return nil }
        let holder = bytes.part(0, slash)
        if let word = holder.hostWord {
            guard let host = HostName(bytes: word) else { return nil }
            self.init(host: host, mode: mode)
        } else {
            guard let process = ProcessNumber(spelled: holder) else { return nil }
            self.init(processID: process.id, mode: mode)
        }
    }

    func spell(into line: inout LineWriter) {
        if let host { line.put("host:", host) } else { line.put(ProcessNumber(processID)) }
        line.put("/", mode)
    }
}
