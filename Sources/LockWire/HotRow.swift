public import LockVocabulary

extension Row {
    /// A row of `HOT`: what a lock has cost since the daemon began to count it.
    ///
    /// A grant and a wait count when they end.
    public struct Hot: Hashable, Sendable {
        /// The name of the lock.
        public var name: LockName
        /// The number of grants that have ended: an estimate, because short ones are counted by samples.
        public var grants = 0
        /// The number of requests that waited.
        public var waits = 0
        /// How long requests waited, in all.
        public var waited = Duration.zero
        /// How long the lock was held, in all: an estimate as `grants` is.
        public var held = Duration.zero
        /// The longest wait.
        public var longest = Duration.zero
        /// What the longest wait was for most of the time; nil if no request has waited.
        public var behind: Holder?
        /// How long ago the longest wait ended; nil if no request has waited.
        public var ago: Duration?
        /// The most that the row may lack, in microseconds of waiting: what came before the daemon began to count this lock.
        public var over = 0
        /// How many waits were how long: a count for each bucket of `TimeBuckets`.
        public var waitBuckets: [Int] = []
        /// How many grants were held how long: a count for each bucket of `TimeBuckets`.
        public var holdBuckets: [Int] = []

        /// A process that held the lock, and its mode.
        public struct Holder: Hashable, Sendable {
            /// The process; nil if the daemon could not see it.
            public var processID: Int32?
            /// The mode in which it held the lock.
            public var mode: LockMode

            /// A holder from its parts.
            public init(processID: Int32?, mode: LockMode) {
                self.processID = processID
                self.mode = mode
            }
        }

        /// A row of a lock that has cost nothing.
        public init(name: LockName) { self.name = name }
    }
}

extension Row.Hot {
    init(_ fields: inout Fields) throws {
        self.init(name: try fields.next())
        grants = try fields.value("grants")
        waits = try fields.value("waits")
        waited = try fields.age("waited")
        held = try fields.age("held")
        longest = try fields.age("longest")
        behind = try fields.value("behind")
        ago = (try fields.value("ago") as Age?)?.duration
        over = try fields.value("over")
        waitBuckets = (try fields.value("wait-buckets") as Counts).numbers
        holdBuckets = (try fields.value("hold-buckets") as Counts).numbers
    }

    func spell(into line: inout LineWriter) {
        line.put("* hot ", name)
        line.put(" grants=", grants)
        line.put(" waits=", waits)
        line.put(" waited=", Age(atMostLongest: waited))
        line.put(" held=", Age(atMostLongest: held))
        line.put(" longest=", Age(atMostLongest: longest))
        line.put(" behind=", behind)
        line.put(" ago=", ago.map(Age.init(atMostLongest:)))
        line.put(" over=", over)
        line.put(" wait-buckets=", Counts(numbers: waitBuckets))
        line.put(" hold-buckets=", Counts(numbers: holdBuckets))
    }
}

extension Age {
    /// A sum of times may be longer than any single time that the protocol spells.
    fileprivate init(atMostLongest duration: Duration) {
        self.init(min(duration, .milliseconds(Milliseconds.longest.count)))
    }
}

extension Row.Hot.Holder: Spelled {
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

/// Numbers with commas between them, at least one.
private struct Counts: Spelled {
    var numbers: [Int]

    init(numbers: [Int]) { self.numbers = numbers }

    init?(spelled bytes: UnsafeRawBufferPointer) {
        numbers = []
        var start = 0
        while true {
            let rest = bytes.part(start, bytes.count)
            let end = rest.offset(of: UInt8(ascii: ",")) ?? rest.count
            guard let number = Int(spelled: rest.part(0, end)) else { return nil }
            numbers.append(number)
            guard end < rest.count else { return }
            start += end + 1
        }
    }

    func spell(into line: inout LineWriter) {
        for (index, number) in numbers.enumerated() {
            if index > 0 { line.put(",") }
            line.put(number)
        }
    }
}
