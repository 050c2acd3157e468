public import LockVocabulary

/// Who holds a lock that another asked for: the first few, and how many more there are.
///
/// Empty while the daemon grants nothing to anyone, after an unclean end of the one before.
public struct HeldBy: Hashable, Sendable {
    public struct Holder: Hashable, Sendable {
        /// Nil for a process that cannot be seen from where the daemon is.
        public var processID: Int32?
        public var mode: LockMode

        public init(processID: Int32?, mode: LockMode) {
            self.processID = processID
            self.mode = mode
        }
    }

    /// How many holders are named, at most.
    public static let maximumNamed = 3

    // Three places instead of an array, so that a refusal allocates nothing.
    private var first: Holder?
    private var second: Holder?
    private var third: Holder?
    /// How many holders there are beside those that are named.
    public private(set) var more = 0

    public init() {}

    public init(_ holders: some Sequence<Holder>) {
        for holder in holders { add(holder) }
    }

    /// Names one more holder, or counts it if enough are named.
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

    /// Counts holders without naming them, as many as a number can say at the most.
    public mutating func addUnnamed(_ count: Int) { more = more.clampedSum(count) }

    /// The holders that are named.
    public var named: [Holder] { [first, second, third].compactMap(\.self) }

    public var isEmpty: Bool { first == nil && more == 0 }

    /// Calls the body with each holder that is named, without making an array.
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
            let process = ProcessNumber(spelled: bytes.part(0, slash)),
            let mode = LockMode(spelled: bytes.part(slash + 1, bytes.count))
        else { return nil }
        self.init(processID: process.id, mode: mode)
    }

    func spell(into line: inout LineWriter) {
        line.put(ProcessNumber(processID))
        line.put("/", mode)
    }
}
