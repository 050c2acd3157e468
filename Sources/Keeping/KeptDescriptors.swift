internal import Glibc
public import Posix

/// What a worker gets from its keeper.
///
/// 1. `takeInheritance` is called once, at the start of the program: a second call would own the same descriptors again.
/// 2. No program that this process executes inherits any of the descriptors.
public struct KeptDescriptors: ~Copyable {
    /// The connection to the keeper.
    public let channel: KeeperChannel
    private var numbers: [String: [Int32]]
    /// What is known of the worker before this one; nil for the first.
    public let before: LastWorker?
    /// Whether what was kept has made workers crash, and must not be trusted.
    public let mustStartEmpty: Bool

    /// Takes over what this process inherited; nil if no keeper started it.
    public static func takeInheritance() -> KeptDescriptors? {
        guard let text = variable("PRWLOCK_KEPT"), let numbers = parse(text) else { return nil }
        let before = variable("PRWLOCK_BEFORE").flatMap { LastWorker($0) }
        let isEmpty = variable("PRWLOCK_EMPTY") == "1"
        // A child must not take itself for the keeper's worker.
        for name in ["PRWLOCK_KEPT", "PRWLOCK_BEFORE", "PRWLOCK_EMPTY"] { unsetenv(name) }
        return KeptDescriptors(numbers, before: before, mustStartEmpty: isEmpty)
    }

    private init?(_ numbers: [String: [Int32]], before: LastWorker?, mustStartEmpty: Bool) {
        for number in numbers.values.joined() {
            guard fcntl(number, F_SETFD, FD_CLOEXEC) == 0 else { return nil }
        }
        guard let control = numbers["control"]?.first else { return nil }
        channel = KeeperChannel(OwnedDescriptor(owning: control))
        self.numbers = numbers
        self.numbers["control"] = nil
        self.before = before
        self.mustStartEmpty = mustStartEmpty
    }

    deinit { for number in numbers.values.joined() { close(number) } }

    /// The names that no one has taken yet, in order.
    public var names: [String] { numbers.keys.sorted() }

    /// Passes the descriptors of a name to the caller, which must close them; nil if there are none.
    public mutating func take(_ name: String) -> [Int32]? { numbers.removeValue(forKey: name) }

    /// Passes the only descriptor of a name to the caller; nil if there is none, or if there are several.
    public mutating func takeOne(_ name: String) -> OwnedDescriptor? {
        guard let found = numbers[name], found.count == 1 else { return nil }
        numbers[name] = nil
        return OwnedDescriptor(owning: found[0])
    }

    /// The numbers in `control=5;ledger=6;parcel=7,8,9,10`; nil if the text is not of this form.
    static func parse(_ text: String) -> [String: [Int32]]? {
        var numbers: [String: [Int32]] = [:]
        for part in text.split(separator: ";", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, !sides[0].isEmpty, numbers[String(sides[0])] == nil else { return nil }
            let list = sides[1].split(separator: ",", omittingEmptySubsequences: false).map { Int32($0) }
            let valid = list.compactMap(\.self).filter { $0 > STDERR_FILENO }
            guard valid.count == list.count else { return nil }
            numbers[String(sides[0])] = valid
        }
        return numbers["control"]?.count == 1 ? numbers : nil
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}

/// What the keeper saw of the worker before this one.
public struct LastWorker: Equatable, Sendable {
    /// How many workers there were.
    public let restarts: UInt64
    /// The signal that ended the last one.
    public let signal: Int32
    /// Whether a worker has hung or crashed since one was ready. The last one may have been killed from outside after it.
    public let hasCrashed: Bool
    /// Whether the keeper ended the last one, for the program that is now on disk.
    public let wasReplaced: Bool
    /// What the last one wrote; nil if the kernel does not tell.
    public let output: Output?

    /// The counts of `write`, `writev` and their relatives; `send` and `sendmsg` are not among them.
    public struct Output: Equatable, Sendable {
        public let bytes: UInt64
        public let calls: UInt64
    }

    /// Parses `restarts=7;signal=9;crashed=1;replaced=1;wchar=123;syscw=4`, where all but the first two may be missing.
    init?(_ text: String) {
        var values: [Substring: UInt64] = [:]
        for part in text.split(separator: ";") {
            let sides = part.split(separator: "=")
            guard sides.count == 2, let value = UInt64(sides[1]) else { return nil }
            values[sides[0]] = value
        }
        guard let restarts = values["restarts"], let signal = values["signal"].flatMap({ Int32(exactly: $0) })
        else { return nil }
        self.restarts = restarts
        self.signal = signal
        hasCrashed = values["crashed"] == 1
        wasReplaced = values["replaced"] == 1
        if let bytes = values["wchar"], let calls = values["syscw"] {
            output = Output(bytes: bytes, calls: calls)
        } else {
            output = nil
        }
    }
}
